//! The matrix: for each fault and each class of an operation, what the caller is told, how often AGB is asked, and whether it is done.

use tonic::Code;

use crate::fault::Fault;
use crate::row::Class;
use crate::support::Effect;

/// What a case must end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) code: Code,
    /// The ErrorInfo's reason; empty for a success.
    pub(crate) reason: &'static str,
    /// `grpc-retry-pushback-ms`, and with it RetryInfo.
    pub(crate) pushback: Option<i64>,
    pub(crate) requests: Requests,
    /// Whether AGB has done what was asked, to the effect of once.
    pub(crate) done: bool,
    /// What is left of what the RPC had done before, where it differs from what the row says.
    pub(crate) left: Option<Effect>,
}

/// How often AGB is asked for the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requests {
    Exactly(u64),
    AtLeast(u64),
    AtMost(u64),
}

impl Requests {
    pub(crate) fn allows(self, requests: u64) -> bool {
        match self {
            Self::Exactly(expected) => requests == expected,
            Self::AtLeast(least) => requests >= least,
            Self::AtMost(most) => requests <= most,
        }
    }
}

/// The attempts that `agb.max_attempts` allows.
const ALL: u64 = 3;

const fn error(code: Code, reason: &'static str, requests: u64) -> Expected {
    Expected {
        code,
        reason,
        pushback: None,
        requests: Requests::Exactly(requests),
        done: false,
        left: None,
    }
}

pub(crate) const fn ok(requests: u64) -> Expected {
    let expected = error(Code::Ok, "", requests);
    Expected {
        done: true,
        ..expected
    }
}

impl Expected {
    /// The caller may ask again, after so many milliseconds.
    const fn again(self, after_ms: i64) -> Self {
        Self {
            pushback: Some(after_ms),
            ..self
        }
    }

    /// AGB has done it, whatever the caller hears.
    pub(crate) const fn done(self) -> Self {
        Self { done: true, ..self }
    }

    pub(crate) const fn asking(self, requests: Requests) -> Self {
        Self { requests, ..self }
    }
}

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600_000;

const UNREACHABLE: Expected = error(Code::Unavailable, "AGB_UNREACHABLE", ALL).again(SECOND);
pub(crate) const UNREACHABLE_AT_ONCE: Expected = UNREACHABLE.asking(Requests::Exactly(1));
const NOT_SENT: Expected = UNREACHABLE;
const UNCOUNTED: Expected = NOT_SENT.asking(Requests::Exactly(0));
pub(crate) const UNKNOWN: Expected = error(Code::Unknown, "AGB_OUTCOME_UNKNOWN", 1);
const TRUNCATED: Expected = error(Code::Unavailable, "AGB_ANSWER_TRUNCATED", ALL).again(SECOND);
const NOT_JSON: Expected = error(Code::Internal, "AGB_NOT_JSON", 1);
const TOO_LARGE: Expected = error(Code::ResourceExhausted, "AGB_ANSWER_TOO_LARGE", 1);
const REDIRECTED: Expected = error(Code::Internal, "AGB_REDIRECTED", 1);
const REFUSED: Expected = error(Code::FailedPrecondition, "AGB_REFUSED", 1);
const GONE: Expected = error(Code::NotFound, "SESSION_NOT_FOUND", 1);
const INVALID: Expected = error(Code::InvalidArgument, "AGB_INVALID_ARGUMENT", 1);
const KEY: Expected = error(Code::Internal, "AGB_KEY_REJECTED", 1);
const DENIED: Expected = error(Code::PermissionDenied, "AGB_PERMISSION_DENIED", 1);
/// The reason is what the row is about.
pub(crate) const NOT_FOUND: Expected = error(Code::NotFound, "NOT_FOUND", 1);
const CONFLICT: Expected = error(Code::Aborted, "AGB_CONFLICT", 1);
const THROTTLED: Expected = error(Code::ResourceExhausted, "AGB_THROTTLED", ALL).again(SECOND);
const THROTTLED_AT_ONCE: Expected = THROTTLED.asking(Requests::Exactly(1));
const FAILED: Expected = error(Code::Unavailable, "AGB_FAILED", ALL).again(SECOND);
const UNAVAILABLE: Expected = error(Code::Unavailable, "AGB_UNAVAILABLE", ALL).again(SECOND);
const DEADLINE: Expected = error(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", 1);
/// AGB is not asked for what nobody would hear of.
const TOO_SHORT: Expected = DEADLINE.asking(Requests::Exactly(0));
/// A look that fails is borne; the wait ends with the deadline.
const BORNE: Expected = DEADLINE.asking(Requests::AtLeast(2));
/// A look that never ends.
const WAITED: Expected = DEADLINE;

/// One line: by class, Safe, Once, Never, Look.
type Line = (Fault, [Expected; 4]);

#[rustfmt::skip]
const TABLE: &[Line] = &[
    (Fault::Nothing,             [ok(1); 4]),
    // Who is refused cannot be counted; attempts at TLS are.
    (Fault::ConnectionRefused,   [UNCOUNTED, UNCOUNTED, UNCOUNTED, DEADLINE.asking(Requests::Exactly(0))]),
    (Fault::TlsFailure,          [NOT_SENT, NOT_SENT, UNREACHABLE_AT_ONCE, BORNE]),
    (Fault::Tls,                 [ok(1); 4]),
    (Fault::TlsWrongName,        [NOT_SENT, NOT_SENT, UNREACHABLE_AT_ONCE, BORNE]),
    (Fault::TlsUntrusted,        [NOT_SENT, NOT_SENT, UNREACHABLE_AT_ONCE, BORNE]),
    (Fault::DnsChange,           [ok(1); 4]),
    (Fault::ClockAhead,          [ok(1); 4]),
    (Fault::ClockBehind,         [ok(1); 4]),
    // The attempt on the stale connection never comes to AGB.
    (Fault::StaleConnection,     [ok(1), UNKNOWN.asking(Requests::Exactly(0)), UNKNOWN, ok(1)]),
    (Fault::ClosedConnection,    [ok(1); 4]),
    (Fault::ResetBeforeWork,     [UNREACHABLE, UNKNOWN, UNKNOWN, BORNE]),
    (Fault::ResetBeforeWorkOnce, [ok(2), UNKNOWN, UNKNOWN, ok(2)]),
    (Fault::CloseBeforeWork,     [UNREACHABLE, UNKNOWN, UNKNOWN, BORNE]),
    (Fault::ResetAfterWork,      [UNREACHABLE.done(), UNKNOWN.done(), UNKNOWN, BORNE]),
    (Fault::ResetAfterWorkOnce,  [ok(2), UNKNOWN.done(), UNKNOWN, ok(2)]),
    (Fault::CloseAfterWork,      [UNREACHABLE.done(), UNKNOWN.done(), UNKNOWN, BORNE]),
    (Fault::ResetInHeaders,      [UNREACHABLE.done(), UNKNOWN.done(), UNKNOWN, BORNE]),
    (Fault::ResetInBody,         [UNREACHABLE.done(), UNKNOWN.done(), UNKNOWN, BORNE]),
    (Fault::CloseInBody,         [UNREACHABLE.done(), UNKNOWN.done(), UNKNOWN, BORNE]),
    (Fault::StallBeforeWork,     [UNREACHABLE, UNKNOWN, UNKNOWN, WAITED]),
    (Fault::StallInHeaders,      [UNREACHABLE.done(), UNKNOWN.done(), UNKNOWN, WAITED]),
    (Fault::StallInBody,         [UNREACHABLE.done(), UNKNOWN.done(), UNKNOWN, WAITED]),
    (Fault::TruncatedJson,       [TRUNCATED.done(), UNKNOWN.done(), UNKNOWN, BORNE]),
    (Fault::MalformedJson,       [NOT_JSON.done(), UNKNOWN.done(), UNKNOWN, BORNE]),
    (Fault::HtmlOk,              [NOT_JSON, UNKNOWN, UNKNOWN, BORNE]),
    (Fault::HtmlNotFound,        [NOT_JSON, UNKNOWN, UNKNOWN, BORNE]),
    (Fault::HtmlBadGateway,      [UNREACHABLE, UNKNOWN, UNKNOWN, BORNE]),
    (Fault::Oversized,           [TOO_LARGE.done(), UNKNOWN.done(), UNKNOWN, BORNE]),
    (Fault::Redirect,            [REDIRECTED, REDIRECTED, REDIRECTED, BORNE]),
    (Fault::NoSuccess,           [REFUSED, REFUSED, REFUSED, BORNE]),
    (Fault::SessionGone,         [GONE; 4]),
    (Fault::SessionEnds,         [GONE; 4]),
    (Fault::KeyRotated,          [KEY; 4]),
    (Fault::Http400,             [INVALID; 4]),
    (Fault::Http401,             [KEY; 4]),
    (Fault::Http403,             [DENIED; 4]),
    (Fault::Http404,             [NOT_FOUND; 4]),
    (Fault::Http404Bare,         [REFUSED; 4]),
    (Fault::Http408,             [UNREACHABLE, UNREACHABLE_AT_ONCE, UNREACHABLE_AT_ONCE, BORNE]),
    (Fault::Http409,             [CONFLICT; 4]),
    (Fault::Http429,             [THROTTLED, THROTTLED, THROTTLED_AT_ONCE, BORNE]),
    (Fault::Http429InAnHour,     [THROTTLED_AT_ONCE.again(HOUR), THROTTLED_AT_ONCE.again(HOUR), THROTTLED_AT_ONCE.again(HOUR), WAITED]),
    (Fault::Http429Once,         [ok(2), ok(2), THROTTLED_AT_ONCE.again(0), ok(2)]),
    // An answer, and no outage: asking again at once would not help.
    (Fault::Http500,             [FAILED.asking(Requests::Exactly(1)), UNKNOWN, UNKNOWN, BORNE]),
    (Fault::Http502,             [FAILED, UNKNOWN, UNKNOWN, BORNE]),
    (Fault::Http503,             [UNAVAILABLE, UNKNOWN, UNKNOWN, BORNE]),
    (Fault::Http503InAnHour,     [UNAVAILABLE.again(HOUR).asking(Requests::Exactly(1)), UNKNOWN, UNKNOWN, WAITED]),
    (Fault::Http504,             [FAILED, UNKNOWN, UNKNOWN, BORNE]),
    // Nobody hears a code.
    (Fault::CallerCancels,       [error(Code::Cancelled, "", 1); 4]),
    (Fault::ShortDeadline,       [DEADLINE; 4]),
    (Fault::DeadlineOfAMillisecond, [TOO_SHORT; 4]),
    (Fault::DeadlineOver,        [TOO_SHORT; 4]),
];

/// Every fault.
pub(crate) fn faults() -> impl Iterator<Item = Fault> {
    TABLE.iter().map(|(fault, _)| *fault)
}

/// What the table says.
pub(crate) fn expected(fault: Fault, class: Class) -> Expected {
    let line = TABLE.iter().find(|(listed, _)| *listed == fault);
    let (_, cells) = line.expect("a line for every fault");
    match class {
        Class::Safe => cells[0],
        Class::Once => cells[1],
        Class::Never => cells[2],
        Class::Look => cells[3],
    }
}
