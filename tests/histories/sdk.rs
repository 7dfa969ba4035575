//! The control: how the official SDK (`agbcloud-sdk` 0.12.0, `ContextManager.sync`) finds out that a sync is complete.
//!
//! It starts the sync and then looks at most 150 times, every 1.5 s, at the tasks of the place that it has named, or at all.
//! As soon as a look shows only uploads and downloads that are `Success` or `Failed`, or none, that is completion: success, if
//! none of them has failed. A look that was refused or lost shows none.

use agb_gateway::domain::{Direction, SyncTask};

use crate::plan::{Plan, Starting};
use crate::task::Millis;
use crate::world::{Asked, Asker, World, place_name};

const LOOKS: usize = 150;
const INTERVAL: Millis = 1_500;

/// Whether, in the world of this history, the SDK claims a completion that has not happened.
pub(crate) fn claims_falsely(plan: &Plan) -> bool {
    // The limits of the gateway are none of the SDK's.
    let mut world = World::new(plan, false);
    let mut starts: Vec<_> = plan.starts.iter().enumerate().collect();
    starts.sort_by_key(|(_, starting)| starting.at);
    let begun: Vec<_> = starts
        .into_iter()
        .filter(|(actor, starting)| begin(&mut world, *actor, starting))
        .collect();
    begun
        .iter()
        .any(|(actor, starting)| claims_this_falsely(&mut world, *actor, starting))
}

fn begin(world: &mut World, actor: usize, starting: &Starting) -> bool {
    let asked = Asked {
        actor,
        replica: 0,
        place: starting.place,
        direction: starting.direction.unwrap_or(Direction::Upload),
    };
    world.start(asked, starting.at).is_ok()
}

fn claims_this_falsely(world: &mut World, actor: usize, starting: &Starting) -> bool {
    let mut now = starting.at + world.latency(starting.at);
    for _ in 0..LOOKS {
        let begun = now;
        now += world.latency(now);
        let look = world.look(0, Asker::Actor(actor), begun, now);
        match judge(&look.unwrap_or_default(), starting) {
            Some(claims_success) => return claims_success && !has_succeeded(world, actor, now),
            None => now += INTERVAL,
        }
    }
    false
}

/// Whether the SDK claims success or failure; `None` where it looks again.
fn judge(look: &[SyncTask], starting: &Starting) -> Option<bool> {
    let named = starting.place.map(place_name);
    let mut has_failure = false;
    for task in look {
        let path = task.path.trim_end_matches('/');
        if named.is_some_and(|named| named != (task.context_id.as_str(), path)) {
            continue;
        }
        match task.agb_status.as_str() {
            "Success" => {}
            "Failed" => has_failure = true,
            _ => return None,
        }
    }
    Some(!has_failure)
}

fn has_succeeded(world: &World, actor: usize, now: Millis) -> bool {
    let mut begun = world.begun.iter().filter(|begun| begun.actor == actor);
    begun.all(|begun| {
        let mut tasks = begun.tasks.iter();
        tasks.all(|task| world.tasks[*task].has_succeeded_at(now))
    })
}
