//! Why a call to AGB gave no answer that can be used.

use std::{fmt, time::Duration};

use super::operation::{Idempotency, Operation};
use crate::resilience::DeadlineExceeded;

/// AGB's codes for a session that does not exist, or no longer.
const SESSION_NOT_FOUND: [&str; 2] = ["InvalidMcpSession.NotFound", "InvalidSession.NotFound"];
/// The storage's code for a file that does not exist.
const NO_SUCH_FILE: &str = "NoSuchKey";

/// A call to AGB that failed. Asked through its predicates; its text never holds a secret.
#[derive(Clone, Debug)]
pub struct Error {
    operation: &'static Operation,
    kind: Box<Kind>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// No connection was made: AGB has not seen the request.
    NotSent(String),
    /// AGB has left so many calls unanswered that it is left alone for a while: it has not seen the request.
    LeftAlone { retry_after: Duration },
    /// Too many calls of AGB wait for their turn already: AGB has not seen the request.
    Busy { setting: &'static str, limit: usize },
    /// The connection broke: AGB may have done what was asked.
    Lost(String),
    /// No answer within the timeout of one call: AGB may have done what was asked.
    TimedOut(Duration),
    /// The caller's deadline came first: AGB may have done what was asked, if it was asked at all.
    Deadline,
    /// AGB answered with a redirect, which is refused: it could carry the key elsewhere.
    Redirected { http_status: u16 },
    /// The answer was longer than the limit.
    TooLarge { limit: usize },
    /// The answer is JSON that broke off.
    Truncated { http_status: u16, length: usize },
    /// The answer is not AGB's: some proxy's page.
    NotJson {
        http_status: u16,
        content_type: String,
        detail: String,
    },
    /// The answer is AGB's and has not the shape that the operation answers with.
    Malformed { request_id: String, detail: String },
    /// AGB said no.
    Refused(Refusal),
}

/// What AGB said when it said no.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status: 200 is possible.
    pub http_status: u16,
    /// AGB's code, for example `InvalidMcpSession.NotFound`. May be empty.
    pub code: String,
    /// AGB's message for people. May be empty.
    pub message: String,
    /// AGB's id of the request. May be empty.
    pub request_id: String,
    /// How long AGB asks to wait.
    pub retry_after: Option<Duration>,
    /// Whether the key was the caller's own.
    pub is_of_caller: bool,
}

impl Error {
    pub(super) fn new(operation: &'static Operation, kind: Kind) -> Self {
        Self {
            operation,
            kind: Box::new(kind),
        }
    }

    /// AGB's answer was understood and has not the shape that was expected.
    pub fn malformed(
        operation: &'static Operation,
        request_id: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(
            operation,
            Kind::Malformed {
                request_id: request_id.into(),
                detail: detail.into(),
            },
        )
    }

    /// AGB said no.
    pub fn refused(operation: &'static Operation, refusal: Refusal) -> Self {
        Self::new(operation, Kind::Refused(refusal))
    }

    /// What went wrong in one word, one of few: `error.type` of OpenTelemetry's conventions, which is the HTTP status for refusals.
    pub fn type_name(&self) -> &'static str {
        match &*self.kind {
            Kind::NotSent(_) => "not_sent",
            Kind::LeftAlone { .. } => "left_alone",
            Kind::Busy { .. } => "busy",
            Kind::Lost(_) => "lost",
            Kind::TimedOut(_) => "timeout",
            Kind::Deadline => "deadline",
            Kind::Redirected { .. } => "redirected",
            Kind::TooLarge { .. } => "too_large",
            Kind::Truncated { .. } => "truncated",
            Kind::NotJson { .. } => "not_json",
            Kind::Malformed { .. } => "malformed",
            Kind::Refused(refusal) => match refusal.http_status {
                200 => "200",
                400 => "400",
                401 => "401",
                403 => "403",
                404 => "404",
                408 => "408",
                409 => "409",
                425 => "425",
                429 => "429",
                500 => "500",
                502 => "502",
                503 => "503",
                504 => "504",
                _ => "_OTHER",
            },
        }
    }

    /// The operation that failed.
    pub fn operation(&self) -> &'static Operation {
        self.operation
    }

    /// What AGB said, when it said no.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &*self.kind {
            Kind::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// AGB's id of the request, where there was an answer with one.
    pub fn request_id(&self) -> &str {
        match &*self.kind {
            Kind::Refused(refusal) => &refusal.request_id,
            Kind::Malformed { request_id, .. } => request_id,
            _ => "",
        }
    }

    /// Whether AGB says that the thing does not exist. Concluded from AGB's codes alone, never from its messages: a message
    /// may repeat what a caller wrote.
    pub fn is_not_found(&self) -> bool {
        self.refusal().is_some_and(|refusal| {
            refusal.code.ends_with("NotFound")
                || refusal.code == NO_SUCH_FILE
                || (refusal.http_status == 404 && !refusal.code.is_empty())
        })
    }

    /// Whether AGB says that the session does not exist, or no longer: by the two codes of its own for that, and by no other.
    pub fn is_session_not_found(&self) -> bool {
        self.refusal()
            .is_some_and(|refusal| SESSION_NOT_FOUND.contains(&refusal.code.as_str()))
    }

    /// Whether AGB or its storage says that the file does not exist.
    pub fn is_file_not_found(&self) -> bool {
        self.refusal().is_some_and(|refusal| {
            refusal.code == NO_SUCH_FILE || refusal.code.contains("File") && self.is_not_found()
        })
    }

    /// Whether AGB says that the context does not exist.
    pub fn is_context_not_found(&self) -> bool {
        self.refusal()
            .is_some_and(|refusal| refusal.code.contains("Context"))
            && self.is_not_found()
            && !self.is_file_not_found()
    }

    /// Whether AGB does not let the key do it, so that asking again is pointless.
    pub fn is_forbidden(&self) -> bool {
        self.refusal()
            .is_some_and(|refusal| matches!(refusal.http_status, 401 | 403))
    }

    /// Whether AGB does not know the key. It has done nothing then.
    pub fn is_key_rejected(&self) -> bool {
        self.refusal()
            .is_some_and(|refusal| refusal.http_status == 401)
    }

    /// Whether the caller's deadline came first.
    pub fn is_deadline(&self) -> bool {
        matches!(*self.kind, Kind::Deadline)
    }

    /// Whether it is certain that AGB has not seen the request.
    pub fn is_not_sent(&self) -> bool {
        matches!(*self.kind, Kind::NotSent(_) | Kind::LeftAlone { .. })
    }

    /// Whether AGB gave no answer: the connection broke, or the timeout of one call came.
    pub fn is_unheard(&self) -> bool {
        matches!(*self.kind, Kind::Lost(_) | Kind::TimedOut(_))
    }

    /// Whether a proxy in between said that it could not reach AGB, or not in time.
    pub fn is_proxy_failure(&self) -> bool {
        matches!(
            *self.kind,
            Kind::NotJson {
                http_status: 502..=504,
                ..
            }
        )
    }

    /// Whether the answer was a redirect.
    pub fn is_redirected(&self) -> bool {
        matches!(*self.kind, Kind::Redirected { .. })
    }

    /// Whether the answer was no JSON: a page, most likely of something in between.
    pub fn is_not_json(&self) -> bool {
        matches!(*self.kind, Kind::NotJson { .. })
    }

    /// Whether the answer broke off.
    pub fn is_truncated(&self) -> bool {
        matches!(*self.kind, Kind::Truncated { .. })
    }

    /// Whether the answer was longer than the limit.
    pub fn is_too_large(&self) -> bool {
        matches!(*self.kind, Kind::TooLarge { .. })
    }

    /// Whether what was asked may have happened, and asking again could make it happen twice.
    pub fn leaves_outcome_unknown(&self) -> bool {
        let unknown = match &*self.kind {
            Kind::NotSent(_)
            | Kind::LeftAlone { .. }
            | Kind::Busy { .. }
            | Kind::Redirected { .. } => false,
            Kind::Refused(refusal) => refusal.http_status >= 500,
            Kind::Lost(_)
            | Kind::TimedOut(_)
            | Kind::Deadline
            | Kind::TooLarge { .. }
            | Kind::Truncated { .. }
            | Kind::NotJson { .. }
            | Kind::Malformed { .. } => true,
        };
        unknown && self.operation.idempotency != Idempotency::Safe
    }

    /// Whether AGB was not asked because it is left alone for a while.
    pub fn is_left_alone(&self) -> bool {
        matches!(*self.kind, Kind::LeftAlone { .. })
    }

    /// Whether the gateway itself has too many calls of AGB on its hands.
    pub fn is_busy(&self) -> bool {
        matches!(*self.kind, Kind::Busy { .. })
    }

    /// Whether AGB seems to be down: no connection, no answer, or a proxy or AGB itself says so.
    pub fn is_outage(&self) -> bool {
        let unavailable = |refusal: &Refusal| matches!(refusal.http_status, 408 | 502..=504);
        self.is_not_sent()
            || self.is_unheard()
            || self.is_truncated()
            || self.is_proxy_failure()
            || self.refusal().is_some_and(unavailable)
    }

    /// Whether AGB says that it was asked too much, and so has done nothing.
    pub fn is_overload(&self) -> bool {
        self.refusal()
            .is_some_and(|refusal| matches!(refusal.http_status, 425 | 429))
    }

    /// How long AGB asks to wait, or is left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match &*self.kind {
            Kind::LeftAlone { retry_after } => Some(*retry_after),
            Kind::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    /// Whether the call may be made again, by its operation's class and by what is known of this attempt.
    pub fn may_be_repeated(&self) -> bool {
        match self.operation.idempotency {
            Idempotency::Safe => true,
            Idempotency::SafeWhenNotSent | Idempotency::Reconcile => {
                self.is_not_sent() || self.is_overload()
            }
            Idempotency::Never => false,
        }
    }

    /// The caller's deadline came first.
    pub fn from_deadline(operation: &'static Operation, _: DeadlineExceeded) -> Self {
        Self::new(operation, Kind::Deadline)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AGB {}: ", self.operation.name)?;
        match &*self.kind {
            Kind::NotSent(cause) => write!(formatter, "could not connect: {cause}"),
            Kind::LeftAlone { retry_after } => write!(
                formatter,
                "AGB has left many calls unanswered and is not asked for {retry_after:.1?}"
            ),
            Kind::Busy { setting, limit } => write!(
                formatter,
                "more than {limit} calls wait for their turn already (setting {setting})"
            ),
            Kind::Lost(cause) => write!(
                formatter,
                "the connection broke before the answer was complete: {cause}"
            ),
            Kind::TimedOut(timeout) => write!(formatter, "no answer within {timeout:?}"),
            Kind::Deadline => formatter.write_str("the caller's deadline came first"),
            Kind::Redirected { http_status } => {
                write!(
                    formatter,
                    "answered with a redirect (HTTP {http_status}), which is not followed"
                )
            }
            Kind::TooLarge { limit } => write!(
                formatter,
                "the answer is longer than {limit} bytes (setting agb.max_response_bytes)"
            ),
            Kind::Truncated {
                http_status,
                length,
            } => write!(
                formatter,
                "the answer (HTTP {http_status}) broke off after {length} bytes"
            ),
            Kind::NotJson {
                http_status,
                content_type,
                detail,
            } => write!(
                formatter,
                "the answer (HTTP {http_status}, content type {content_type:?}) is not AGB's JSON: {detail}"
            ),
            Kind::Malformed { detail, .. } => {
                write!(formatter, "the answer has an unknown shape: {detail}")
            }
            Kind::Refused(refusal) => write!(formatter, "{refusal}"),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "refused (HTTP {}", self.http_status)?;
        if !self.code.is_empty() {
            write!(formatter, ", code {}", self.code)?;
        }
        formatter.write_str(")")?;
        if !self.message.is_empty() {
            write!(formatter, ": {}", self.message)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::operation;
    use super::*;

    fn refused(http_status: u16, code: &str, message: &str) -> Error {
        Error::refused(
            &operation::GET_SESSION,
            Refusal {
                http_status,
                code: code.to_owned(),
                message: message.to_owned(),
                ..Refusal::default()
            },
        )
    }

    #[test]
    fn what_may_have_been_done_is_repeated_only_where_that_does_no_harm() {
        let lost = |operation| Error::new(operation, Kind::Lost(String::new()));
        let not_sent = |operation| Error::new(operation, Kind::NotSent(String::new()));
        for (operation, after_loss, when_not_sent) in [
            (&operation::GET_SESSION, true, true),
            (&operation::INIT_BROWSER, false, true),
            (&operation::CREATE_SESSION, false, true),
            (&operation::CALL_TOOL, false, false),
        ] {
            assert_eq!(
                lost(operation).may_be_repeated(),
                after_loss,
                "{}",
                operation.name
            );
            assert_eq!(
                not_sent(operation).may_be_repeated(),
                when_not_sent,
                "{}",
                operation.name
            );
        }
    }

    #[test]
    fn not_found_is_concluded_from_codes_alone() {
        assert!(refused(400, "InvalidMcpSession.NotFound", "").is_not_found());
        assert!(refused(200, "InvalidSession.NotFound", "").is_not_found());
        assert!(refused(404, "SomeCode", "").is_not_found());
        assert!(!refused(404, "", "a proxy's page: not found").is_not_found());
        assert!(!refused(400, "InvalidParameter", "label `not found` is too long").is_not_found());
    }
}
