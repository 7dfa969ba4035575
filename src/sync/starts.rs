//! One start at a time per session: the tasks of two starts that AGB has not shown yet could not be told apart.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use moka::sync::Cache;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::asked::{Scope, Sync};
use super::identity::{Identity, Place};
use super::rule::Patience;
use crate::domain::SyncTask;

/// The latest starts of sessions. Bounded in memory; what is not used for long goes first.
#[derive(Clone, Debug)]
pub(super) struct Starts(Cache<String, Arc<Session>>);

/// A session.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Every task that any look of this replica has shown. None of them can be of a sync that starts later, also if AGB leaves it
    /// out of the look before that start.
    seen: std::sync::Mutex<BTreeSet<Identity>>,
    memory: Mutex<Memory>,
}

/// What is remembered of a session.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Every task that was seen before the latest of the starts.
    pub(super) known: BTreeSet<Identity>,
    /// The latest starts whose tasks may not have been seen, and when they were made.
    unseen: Vec<(Sync, Instant)>,
}

impl Starts {
    /// Remembers at most so many sessions.
    pub(super) fn new(capacity: u64) -> Self {
        Self(Cache::new(capacity))
    }

    /// What is remembered of a session.
    pub(super) fn of(&self, session_id: &str) -> Arc<Session> {
        self.0.get_with_by_ref(session_id, Arc::<Session>::default)
    }
}

impl Session {
    /// Takes in any look.
    pub(super) fn see(&self, look: &[SyncTask]) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.extend(look.iter().filter_map(Identity::of));
    }

    /// Every task that was seen.
    pub(super) fn seen(&self) -> BTreeSet<Identity> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    /// Whoever starts a sync holds the memory of the starts before.
    pub(super) async fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().await
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

    /// Takes in a look before a start; it was begun at `now`. Starts are forgotten when all their tasks have been seen, those of
    /// all contexts only after the settling time, since there may be more; or after the grace: then nothing is expected of them.
    pub(super) fn take(&mut self, look: &[SyncTask], now: Instant, patience: &Patience) {
        self.known.extend(look.iter().filter_map(Identity::of));
        let known = &self.known;
        self.unseen.retain(|(sync, started)| {
            let age = now.saturating_duration_since(*started);
            let may_grow = sync.scope == Scope::All && age <= patience.settle;
            age < patience.grace && (may_grow || !is_seen(sync, known))
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

    const SECOND: Duration = Duration::from_secs(1);
    const PATIENCE: Patience = Patience {
        grace: Duration::from_secs(30),
        settle: SECOND,
    };

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
        let start = Instant::now();
        memory.starts(first, start);
        let later = start + 2 * SECOND;
        memory.take(std::slice::from_ref(&older), later, &PATIENCE);
        assert!(memory.could_be_confused(&next));
        memory.take(&[older, upload("/home/a", 2)], later, &PATIENCE);
        assert!(memory.could_be_confused(&next), "one place is missing");
        memory.take(&[upload("/home/b", 2)], later, &PATIENCE);
        assert!(!memory.could_be_confused(&next));
    }

    #[test]
    fn a_start_of_all_contexts_is_in_the_way_until_no_more_tasks_of_it_can_come() {
        let mut memory = Memory::default();
        let start = Instant::now();
        memory.starts(sync(Scope::All, &["/home/a"], &[]), start);
        let next = sync(Scope::Expected, &["/home/b"], &[]);
        memory.take(&[upload("/home/a", 1)], start + SECOND, &PATIENCE);
        assert!(memory.could_be_confused(&next), "/home/b may be to come");
        memory.take(&[], start + 2 * SECOND, &PATIENCE);
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
    fn a_start_that_never_shows_is_in_the_way_only_for_the_grace() {
        let mut memory = Memory::default();
        let now = Instant::now();
        memory.starts(sync(Scope::All, &[], &[]), now);
        let next = sync(Scope::All, &[], &[]);
        memory.take(&[], now + PATIENCE.grace, &PATIENCE);
        assert!(!memory.could_be_confused(&next));
        memory.starts(next.clone(), now + SECOND);
        memory.take(&[], now + PATIENCE.grace, &PATIENCE);
        assert!(memory.could_be_confused(&next));
    }
}
