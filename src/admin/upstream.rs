//! How things stand towards AGB.

use tokio::time::Instant;

use super::clock;
use crate::agb::{Connections, Health};
use crate::listen::Occupancy;
use crate::proto::admin as pb;
use crate::resilience::BreakerState;

pub(super) fn answer(upstream: &Connections, callers: &Occupancy) -> pb::GetUpstreamResponse {
    let used = upstream.usage();
    pb::GetUpstreamResponse {
        endpoint: upstream.endpoint().to_string(),
        requests: usage(used.requests),
        queued_requests: usage(used.queued),
        long_answers: usage(used.long_answers),
        agb: Some(server_state(upstream.agb_health())),
        storage: Some(server_state(upstream.storage_health())),
        caller_connections: usage(callers.now()),
    }
}

#[allow(clippy::unnecessary_wraps)] // A field of a message is optional.
fn usage((current, limit): (usize, usize)) -> Option<pb::Usage> {
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    Some(pb::Usage {
        current: number(current),
        limit: number(limit),
    })
}

fn server_state(health: Health) -> pb::ServerState {
    let (breaker, open_until) = match health.breaker {
        BreakerState::Closed => (pb::BreakerState::Closed, None),
        BreakerState::Open(left) => {
            let until = clock(Instant::now() + left);
            (pb::BreakerState::Open, Some(until))
        }
        BreakerState::ProbeDue => (pb::BreakerState::ProbeDue, None),
        BreakerState::Probing => (pb::BreakerState::Probing, None),
    };
    let (retry_tokens, max_retry_tokens) = health.retry_tokens;
    pb::ServerState {
        breaker: breaker.into(),
        open_until,
        failure_count: i32::try_from(health.failures).unwrap_or(i32::MAX),
        retry_tokens,
        max_retry_tokens,
    }
}
