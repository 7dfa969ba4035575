//! What goes wrong, and how it is brought about.

use std::collections::BTreeMap;

use agb_emulator::{AnswerPart, FaultAction};

use crate::row::{About, Class, Part, Row};
use crate::support::{Agb, Through};

/// Longer than any case waits.
const FOREVER_MS: u64 = 600_000;
const ALWAYS: u32 = u32::MAX;

/// What goes wrong with every request of an operation, unless its name says that it is once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    ConnectionRefused,
    TlsFailure,
    /// AGB speaks TLS, and its certificate is good.
    Tls,
    /// AGB's certificate is that of another name.
    TlsWrongName,
    /// AGB's certificate is of an issuer that nobody knows.
    TlsUntrusted,
    /// The name of AGB's host points elsewhere, and where it pointed to nobody is.
    DnsChange,
    /// AGB's clock, and so every point in time that it tells, is hours ahead.
    ClockAhead,
    ClockBehind,
    /// A pooled connection breaks when it is used.
    StaleConnection,
    /// Pooled connections were closed while nobody used them.
    ClosedConnection,
    ResetBeforeWork,
    ResetBeforeWorkOnce,
    CloseBeforeWork,
    ResetAfterWork,
    /// Done, unheard, and asked again.
    ResetAfterWorkOnce,
    CloseAfterWork,
    ResetInHeaders,
    ResetInBody,
    CloseInBody,
    StallBeforeWork,
    StallInHeaders,
    StallInBody,
    TruncatedJson,
    MalformedJson,
    HtmlOk,
    HtmlNotFound,
    HtmlBadGateway,
    Oversized,
    Redirect,
    NoSuccess,
    SessionGone,
    /// The session is released while AGB has the request.
    SessionEnds,
    /// From the request on, AGB takes the key no more, for whatever it is asked.
    KeyRotated,
    Http400,
    Http401,
    Http403,
    Http404,
    /// Without a code of AGB's.
    Http404Bare,
    Http408,
    Http409,
    Http429,
    /// AGB asks to wait for longer than the caller does.
    Http429InAnHour,
    /// AGB asks to wait for no time.
    Http429Once,
    Http500,
    Http502,
    Http503,
    Http503InAnHour,
    Http504,
    CallerCancels,
    ShortDeadline,
    DeadlineOfAMillisecond,
    DeadlineOver,
}

/// How a fault is brought about.
pub(crate) enum Means {
    /// By the gateway that is called, or what stands between it and AGB.
    Way,
    /// By the emulator, so many times.
    Emulator(u32, FaultAction),
}

impl Fault {
    /// Which gateway is called.
    pub(crate) fn through(self, class: Class) -> Through {
        match self {
            Self::ConnectionRefused => Through::Refused,
            Self::TlsFailure => Through::PlainPort,
            Self::Tls => Through::Trusted,
            Self::TlsWrongName => Through::WrongName,
            Self::TlsUntrusted => Through::Untrusted,
            Self::DnsChange => Through::Name,
            Self::StaleConnection => Through::StaleConnections,
            Self::ClosedConnection => Through::ClosedConnections,
            Self::DeadlineOfAMillisecond => Through::Within("1m"),
            Self::DeadlineOver => Through::Within("1n"),
            Self::ShortDeadline => Through::Hasty,
            Self::StallBeforeWork | Self::StallInHeaders | Self::StallInBody
                if class != Class::Look =>
            {
                Through::Impatient
            }
            // What is borne ends with the caller's deadline.
            _ if class == Class::Look => Through::Hasty,
            _ => Through::Usual,
        }
    }

    pub(crate) fn means(self, elsewhere: &str) -> Means {
        let (times, action) = match self {
            Self::Nothing
            | Self::ConnectionRefused
            | Self::TlsFailure
            | Self::Tls
            | Self::TlsWrongName
            | Self::TlsUntrusted
            | Self::DnsChange
            | Self::ClockAhead
            | Self::ClockBehind
            | Self::SessionEnds
            | Self::StaleConnection
            | Self::ClosedConnection
            | Self::DeadlineOver => return Means::Way,
            Self::ResetBeforeWork => (ALWAYS, FaultAction::ResetBeforeWork),
            Self::ResetBeforeWorkOnce => (1, FaultAction::ResetBeforeWork),
            Self::CloseBeforeWork => (ALWAYS, FaultAction::CloseBeforeWork),
            Self::ResetAfterWork => (ALWAYS, FaultAction::ResetAfterWork),
            Self::ResetAfterWorkOnce => (1, FaultAction::ResetAfterWork),
            Self::CloseAfterWork => (ALWAYS, FaultAction::CloseAfterWork),
            _ => (ALWAYS, self.answer(elsewhere)),
        };
        let times = if self == Self::Http429Once { 1 } else { times };
        Means::Emulator(times, action)
    }

    fn answer(self, elsewhere: &str) -> FaultAction {
        let (after_bytes, after_work) = (5, true);
        match self {
            Self::ResetInHeaders => FaultAction::ResetInAnswer {
                after_bytes,
                of: AnswerPart::Whole,
            },
            Self::ResetInBody => FaultAction::ResetInAnswer {
                after_bytes,
                of: AnswerPart::Body,
            },
            Self::CloseInBody => FaultAction::TruncateAnswer {
                after_bytes,
                of: AnswerPart::Body,
            },
            Self::StallInHeaders => FaultAction::StallAnswer {
                after_bytes,
                of: AnswerPart::Whole,
            },
            Self::StallInBody => FaultAction::StallAnswer {
                after_bytes,
                of: AnswerPart::Body,
            },
            Self::TruncatedJson => FaultAction::MalformedJson { after_work },
            Self::HtmlOk => html(200),
            Self::HtmlNotFound => html(404),
            Self::HtmlBadGateway => html(502),
            Self::Oversized => FaultAction::OversizedAnswer {
                bytes: 2 << 20,
                after_work,
            },
            Self::Redirect => FaultAction::Redirect {
                location: format!("{elsewhere}/sdk/Elsewhere"),
                status: 307,
                after_work: false,
            },
            Self::MalformedJson => FaultAction::RespondAfterWork {
                status: 200,
                body: r#"{"success": perhaps}"#.to_owned(),
                headers: BTreeMap::new(),
            },
            Self::NoSuccess => refuse(200, "Odd"),
            Self::SessionGone => refuse(400, "InvalidMcpSession.NotFound"),
            Self::Http400 => refuse(400, "InvalidParameter"),
            Self::Http401 | Self::KeyRotated => refuse(401, "InvalidApiKey"),
            Self::Http403 => refuse(403, "Forbidden"),
            Self::Http404 => refuse(404, "InvalidThing.NotFound"),
            Self::Http404Bare => refuse(404, ""),
            Self::Http408 => refuse(408, "Timeout"),
            Self::Http409 => refuse(409, "Conflict"),
            Self::Http429 => FaultAction::Throttle {
                retry_after_s: None,
            },
            Self::Http429InAnHour => FaultAction::Throttle {
                retry_after_s: Some(3600),
            },
            Self::Http429Once => FaultAction::Throttle {
                retry_after_s: Some(0),
            },
            Self::Http500 => refuse(500, "Odd"),
            Self::Http502 => refuse(502, "Odd"),
            Self::Http503 => refuse(503, "Odd"),
            Self::Http503InAnHour => FaultAction::Respond {
                status: 503,
                body: r#"{"success": false}"#.to_owned(),
                headers: [("retry-after".to_owned(), "3600".to_owned())].into(),
            },
            Self::Http504 => refuse(504, "Odd"),
            // Stalls, deadlines, and callers who leave: AGB takes its time.
            _ => FaultAction::Delay {
                delay_ms: FOREVER_MS,
            },
        }
    }

    /// Which AGB it befalls.
    pub(crate) fn agb(self) -> Agb {
        match self {
            Self::ClockAhead => Agb::Ahead,
            Self::ClockBehind => Agb::Behind,
            Self::SessionEnds => Agb::Forgetful,
            _ => Agb::Usual,
        }
    }

    /// Whether it can befall the row's operation.
    pub(crate) fn applies(self, row: &Row) -> bool {
        let to_the_first = matches!(
            self,
            Self::ConnectionRefused
                | Self::TlsFailure
                | Self::Tls
                | Self::TlsWrongName
                | Self::TlsUntrusted
                | Self::DnsChange
                | Self::StaleConnection
                | Self::ClosedConnection
                | Self::DeadlineOver
                | Self::DeadlineOfAMillisecond
        );
        if to_the_first {
            return row.first;
        }
        if self == Self::SessionEnds && row.about != About::Session {
            return false;
        }
        // Storage answers in no envelope, and what it streams has no timeout but the caller's deadline.
        row.part() != Part::Storage
            || matches!(
                self,
                Self::Nothing
                    | Self::ClockAhead
                    | Self::ClockBehind
                    | Self::ResetBeforeWork
                    | Self::ResetBeforeWorkOnce
                    | Self::CloseBeforeWork
                    | Self::Redirect
                    | Self::Http403
                    | Self::Http404
                    | Self::Http409
                    | Self::Http429
                    | Self::Http500
                    | Self::Http502
                    | Self::Http503
                    | Self::Http504
                    | Self::CallerCancels
                    | Self::ShortDeadline
            )
    }
}

fn html(status: u16) -> FaultAction {
    FaultAction::HtmlPage {
        status,
        after_work: false,
    }
}

fn refuse(status: u16, code: &str) -> FaultAction {
    FaultAction::Refuse {
        status,
        code: code.to_owned(),
        message: "words of AGB's".to_owned(),
    }
}
