//! What is waited for, bounded: so many sessions, targets and places, and how many there are beside them.

use super::{clock, count};
use crate::domain::{Direction, Violations};
use crate::proto::admin as pb;
use crate::service::timestamp;
use crate::sync::{Scope, Syncs, Ticket, Verdict, Wait, WaitedTarget};

const DEFAULT_RESULTS: usize = 20;
const MAX_RESULTS: usize = 100;
const MAX_TARGETS: usize = 5;
const MAX_PLACES: usize = 10;

/// The sessions that are waited for, the longest wait first.
pub(super) fn list(
    tenants: &[(String, Syncs)],
    request: &pb::ListWaitsRequest,
) -> Result<pb::ListWaitsResponse, Violations> {
    let max_results = max_results(request.max_results)?;
    let asked =
        |wait: &Wait| request.session_id.is_empty() || request.session_id == wait.session_id;
    let mut waits = Vec::new();
    for (tenant, syncs) in tenants {
        let asked = syncs.waits().into_iter().filter(asked);
        waits.extend(asked.map(|wait| (tenant.as_str(), wait)));
    }
    waits.sort_by_key(|(_, wait)| wait.since);
    Ok(pb::ListWaitsResponse {
        total_count: count(waits.len()),
        waits: waits.iter().take(max_results).map(shown).collect(),
    })
}

fn max_results(asked: i32) -> Result<usize, Violations> {
    match usize::try_from(asked) {
        Ok(0) => Ok(DEFAULT_RESULTS),
        Ok(number) if number <= MAX_RESULTS => Ok(number),
        _ => {
            let mut violations = Violations::default();
            let rule = format!("must be 0 to {MAX_RESULTS}, got {asked}");
            violations.add("max_results", rule);
            Err(violations)
        }
    }
}

fn shown((tenant, wait): &(&str, Wait)) -> pb::Wait {
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    pb::Wait {
        tenant: (*tenant).to_owned(),
        session_id: wait.session_id.clone(),
        waiter_count: count(wait.waiter_count()),
        start_time: Some(clock(wait.since)),
        look_count: number(wait.look_count),
        failed_look_count: number(wait.failed_look_count),
        next_look_time: wait.next_look.map(clock),
        targets: wait.targets.iter().take(MAX_TARGETS).map(target).collect(),
        target_count: count(wait.targets.len()),
    }
}

fn target(target: &WaitedTarget) -> pb::WaitTarget {
    let state = match target.state {
        Some(Verdict::Pending) => pb::TargetState::Pending,
        Some(Verdict::Running) => pb::TargetState::Running,
        // Also for a moment before that is told.
        Some(Verdict::Succeeded | Verdict::Failed) | None => pb::TargetState::Ended,
    };
    pb::WaitTarget {
        waiter_count: count(target.waiter_count),
        start_time: Some(clock(target.since)),
        state: state.into(),
        task_count: count(target.task_count),
        finished_task_count: count(target.finished_task_count),
        sync: target.target.ticket().map(sync),
    }
}

/// Without its token, which would let whoever reads this wait for it.
fn sync(ticket: &Ticket) -> pb::WaitedSync {
    let sync = &ticket.sync;
    let direction = match sync.direction {
        Direction::Upload => "upload",
        Direction::Download => "download",
    };
    let places = sync.expected.iter().take(MAX_PLACES);
    let places = places.map(|place| pb::Place {
        context_id: place.context_id.clone(),
        path: place.path.clone(),
    });
    pb::WaitedSync {
        start_time: Some(timestamp(ticket.issued)),
        direction: direction.to_owned(),
        all_contexts: sync.scope == Scope::All,
        places: places.collect(),
        place_count: count(sync.expected.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_at_most_so_many_results() {
        assert_eq!(max_results(0), Ok(20));
        assert_eq!(max_results(100), Ok(100));
        for wrong in [-1, 101] {
            assert!(max_results(wrong).is_err(), "{wrong}");
        }
    }
}
