//! The table from what went wrong to a reason: which row, and whether waiting helps.

use std::time::Duration;

use super::failure::{Resource, Unread};
use super::reason::{self, Reason};
use crate::agb;
use crate::sync::Outcome;

/// How long to wait before AGB is asked again, where AGB does not tell.
const DEFAULT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// What a failure becomes: the row of the table that it belongs to.
pub(super) struct Row {
    pub(super) reason: &'static Reason,
    pub(super) retry_delay: Option<Duration>,
}

impl Row {
    pub(super) fn new(reason: &'static Reason) -> Self {
        Self {
            reason,
            retry_delay: None,
        }
    }

    pub(super) fn with_retry(self, delay: Option<Duration>) -> Self {
        Self {
            retry_delay: Some(delay.unwrap_or(DEFAULT_RETRY_DELAY)),
            ..self
        }
    }
}

/// The table for AGB's failures, first match first.
pub(super) fn agb_row(error: &agb::Error, resource: Option<&Resource>) -> Row {
    if error.is_deadline() {
        return Row::new(&reason::DEADLINE_EXCEEDED);
    }
    if error.is_busy() {
        return overloaded_row();
    }
    if error.is_not_found() {
        return Row::new(not_found_reason(error, resource));
    }
    if error.leaves_outcome_unknown() {
        // Not UNAVAILABLE: clients repeat that by themselves, and this must not be repeated blindly.
        return Row::new(&reason::AGB_OUTCOME_UNKNOWN);
    }
    if error.is_not_sent() || error.is_unheard() || error.is_proxy_failure() {
        return Row::new(&reason::AGB_UNREACHABLE).with_retry(error.retry_after());
    }
    if error.is_truncated() {
        return Row::new(&reason::AGB_ANSWER_TRUNCATED).with_retry(None);
    }
    if error.is_redirected() {
        return Row::new(&reason::AGB_REDIRECTED);
    }
    if error.is_not_json() {
        return Row::new(&reason::AGB_NOT_JSON);
    }
    if error.is_too_large() {
        return Row::new(&reason::AGB_ANSWER_TOO_LARGE);
    }
    let Some(refusal) = error.refusal() else {
        return Row::new(&reason::AGB_UNINTELLIGIBLE);
    };
    match refusal.http_status {
        401 if refusal.is_of_caller => Row::new(&reason::OWN_KEY_REJECTED),
        // The gateway's own key is not accepted: the caller has done nothing wrong and can do nothing about it.
        401 => Row::new(&reason::AGB_KEY_REJECTED),
        403 => Row::new(&reason::AGB_PERMISSION_DENIED),
        // Too slow or too early for some proxy in between: it has not been done.
        408 | 425 => Row::new(&reason::AGB_UNREACHABLE).with_retry(refusal.retry_after),
        409 => Row::new(&reason::AGB_CONFLICT),
        429 => Row::new(&reason::AGB_THROTTLED).with_retry(refusal.retry_after),
        400 | 422 => Row::new(&reason::AGB_INVALID_ARGUMENT),
        503 => Row::new(&reason::AGB_UNAVAILABLE).with_retry(refusal.retry_after),
        500.. => Row::new(&reason::AGB_FAILED).with_retry(refusal.retry_after),
        // A 200 with `success: false`, or some other 4xx: AGB understood and will not do it as things stand.
        _ => Row::new(&reason::AGB_REFUSED),
    }
}

/// AGB's code says what does not exist; where it does not, it is what the call was about.
fn not_found_reason(error: &agb::Error, resource: Option<&Resource>) -> &'static Reason {
    if error.is_session_not_found() {
        &reason::SESSION_NOT_FOUND
    } else if error.is_file_not_found() {
        &reason::CONTEXT_FILE_NOT_FOUND
    } else if error.is_context_not_found() {
        &reason::CONTEXT_NOT_FOUND
    } else if error
        .refusal()
        .is_some_and(|refusal| refusal.http_status == 404)
    {
        resource.map_or(&reason::NOT_FOUND, Resource::not_found_reason)
    } else {
        &reason::NOT_FOUND
    }
}

pub(super) fn sync_row(outcome: &Outcome, resource: Option<&Resource>) -> Row {
    match outcome {
        // ABORTED: to be tried again as a whole, by a new sync.
        Outcome::Failed => Row::new(&reason::SYNC_FAILED),
        Outcome::NotObserved(_) => Row::new(&reason::SYNC_NOT_OBSERVED),
        Outcome::Deadline => Row::new(&reason::DEADLINE_EXCEEDED),
        Outcome::Draining { resumed: true } => {
            Row::new(&reason::DRAINING).with_retry(Some(Duration::ZERO))
        }
        // The token carries on; the same call would start it again.
        Outcome::Draining { resumed: false } => Row::new(&reason::DRAINING),
        Outcome::Agb(error) => agb_row(error, resource),
    }
}

pub(super) fn cut_off_row(repeatable: bool) -> Row {
    if repeatable {
        return Row::new(&reason::DRAINING).with_retry(Some(Duration::ZERO));
    }
    // Not UNAVAILABLE: clients repeat that by themselves.
    Row::new(&reason::CUT_OFF)
}

pub(super) fn overloaded_row() -> Row {
    Row::new(&reason::OVERLOADED).with_retry(None)
}

/// What is told of a request that no service has seen, and in which words.
pub(super) fn unread_row(unread: &Unread) -> (&'static Reason, String) {
    match unread {
        Unread::UnknownMethod(path) => (
            &reason::METHOD_NOT_FOUND,
            format!("there is no method {path:?}; server reflection lists what there is"),
        ),
        Unread::Compressed(words) => (
            &reason::COMPRESSION_NOT_SUPPORTED,
            format!("the request must come uncompressed, or with gzip: {words}"),
        ),
        Unread::TooLong(words) => (
            &reason::MESSAGE_TOO_LONG,
            format!("a message is too long (setting server.max_message_bytes): {words}"),
        ),
        Unread::Malformed(words) => (
            &reason::MESSAGE_MALFORMED,
            format!("the request is no protobuf message of its type: {words}"),
        ),
    }
}
