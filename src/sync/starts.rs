//! One start at a time per session: the tasks of two starts that AGB has not shown yet could not be told apart.

use std::collections::BTreeSet;
use std::sync::Arc;

use moka::sync::Cache;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::asked::Sync;
use super::identity::{Identity, Place};
use crate::domain::SyncTask;

/// The latest starts of sessions. Bounded in memory; what is not used for long goes first.
#[derive(Clone, Debug)]
pub(super) struct Starts(Cache<String, Arc<Mutex<Memory>>>);

/// What is remembered of a session.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Every task that was seen before one of the starts.
    pub(super) known: BTreeSet<Identity>,
    /// The latest starts whose tasks may not have been seen, and when they were made.
    unseen: Vec<(Sync, Instant)>,
}

impl Starts {
    /// Remembers at most so many sessions.
    pub(super) fn new(capacity: u64) -> Self {
        Self(Cache::new(capacity))
    }

    /// What is remembered of a session. Whoever starts a sync holds it.
    pub(super) fn of(&self, session_id: &str) -> Arc<Mutex<Memory>> {
        self.0
            .get_with_by_ref(session_id, Arc::<Mutex<Memory>>::default)
    }
}

impl Memory {
    /// Remembers that AGB is asked to start this sync.
    pub(super) fn starts(&mut self, sync: Sync, now: Instant) {
        self.unseen.push((sync, now));
    }

    /// Forgets the latest start: it is certain that AGB has not begun it.
    pub(super) fn has_not_started(&mut self) {
        self.unseen.pop();
    }

    /// Takes in a look before a start. Starts are forgotten when all their tasks have been seen, or when they were made before
    /// `horizon`: then nothing is expected of them any more.
    pub(super) fn take(&mut self, look: &[SyncTask], horizon: Option<Instant>) {
        self.known.extend(look.iter().filter_map(Identity::of));
        let known = &self.known;
        self.unseen.retain(|(sync, started)| {
            horizon.is_none_or(|horizon| *started > horizon) && !is_seen(sync, known)
        });
    }

    /// Whether tasks that are still to come, of an earlier start, could be taken for those of `sync`.
    pub(super) fn could_be_confused(&self, sync: &Sync) -> bool {
        self.unseen
            .iter()
            .any(|(earlier, _)| earlier.overlaps(sync))
    }
}

/// Whether every expected place has a task of the sync, or, where none is expected by name, there is one at all.
fn is_seen(sync: &Sync, known: &BTreeSet<Identity>) -> bool {
    let own: BTreeSet<&Place> = known
        .difference(&sync.baseline)
        .filter(|identity| identity.direction == sync.direction)
        .map(|identity| &identity.place)
        .collect();
    !own.is_empty() && sync.expected.iter().all(|place| own.contains(place))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::asked::Scope;
    use super::*;
    use crate::domain::Direction;

    fn upload(path: &str, start: i64) -> SyncTask {
        SyncTask {
            context_id: "c".to_owned(),
            path: path.to_owned(),
            direction: Direction::Upload,
            agb_status: "Running".to_owned(),
            error_message: String::new(),
            start,
            finish: 0,
        }
    }

    fn sync(scope: Scope, paths: &[&str], baseline: &[SyncTask]) -> Sync {
        Sync {
            session_id: "s".to_owned(),
            direction: Direction::Upload,
            scope,
            expected: paths.iter().map(|path| Place::new("c", path)).collect(),
            baseline: baseline.iter().filter_map(Identity::of).collect(),
        }
    }

    #[test]
    fn a_start_is_in_the_way_of_the_next_until_its_tasks_are_seen() {
        let mut memory = Memory::default();
        let older = upload("/home/a", 1);
        let first = sync(
            Scope::All,
            &["/home/a", "/home/b"],
            std::slice::from_ref(&older),
        );
        let next = sync(Scope::Expected, &["/home/a"], &[]);
        memory.starts(first, Instant::now());
        memory.take(std::slice::from_ref(&older), None);
        assert!(memory.could_be_confused(&next));
        memory.take(&[older, upload("/home/a", 2)], None);
        assert!(memory.could_be_confused(&next), "one place is missing");
        memory.take(&[upload("/home/b", 2)], None);
        assert!(!memory.could_be_confused(&next));
    }

    #[test]
    fn starts_of_other_places_and_directions_are_not_in_the_way() {
        let mut memory = Memory::default();
        memory.starts(sync(Scope::Expected, &["/home/a"], &[]), Instant::now());
        let other_place = sync(Scope::Expected, &["/home/b"], &[]);
        assert!(!memory.could_be_confused(&other_place));
        let other_direction = Sync {
            direction: Direction::Download,
            ..sync(Scope::All, &[], &[])
        };
        assert!(!memory.could_be_confused(&other_direction));
        assert!(memory.could_be_confused(&sync(Scope::All, &[], &[])));
    }

    #[test]
    fn a_start_that_never_shows_is_in_the_way_only_up_to_the_horizon() {
        let mut memory = Memory::default();
        let now = Instant::now();
        memory.starts(sync(Scope::All, &[], &[]), now);
        let next = sync(Scope::All, &[], &[]);
        memory.take(&[], Some(now));
        assert!(!memory.could_be_confused(&next));
        memory.starts(next.clone(), now + Duration::from_secs(1));
        memory.take(&[], Some(now));
        assert!(memory.could_be_confused(&next));
    }
}
