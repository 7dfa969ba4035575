//! What callers stream: message by message, within the deadline.

use tonic::{Status, Streaming};

use crate::domain::{Limits, Violations};
use crate::resilience::Deadline;
use crate::status::Failure;

/// The payload of the next message; `None` at the end. A message without one is refused.
pub(super) async fn receive<M, P>(
    messages: &mut Streaming<M>,
    payload: impl FnOnce(M) -> Option<P>,
    deadline: Deadline,
) -> Result<Option<P>, Status> {
    let message = deadline.bound(messages.message()).await;
    let message = message.map_err(|_exceeded| Failure::Deadline {
        doing: "waiting for the caller's next piece".to_owned(),
        resource: None,
    })??;
    match message.map(payload) {
        None => Ok(None),
        Some(Some(payload)) => Ok(Some(payload)),
        Some(None) => Err(wrong("payload", "needs one of header and data").into()),
    }
}

/// Checks the data of one message.
pub(super) fn check_piece(data: &[u8], limits: &Limits) -> Result<(), Failure> {
    let mut violations = Violations::default();
    let max = limits.piece_bytes;
    if data.len() > max.value {
        let length = data.len();
        let rule = format!(
            "must be at most {} bytes in a message, got {length}",
            max.value
        );
        violations.add("data", max.broken(rule));
    }
    Ok(violations.into_result()?)
}

/// The refusal of a stream for one field.
pub(super) fn wrong(field: &str, rule: &str) -> Failure {
    let mut violations = Violations::default();
    violations.add(field, rule);
    violations.into()
}
