//! The rule of completion, as a function of what looks have shown. It does no I/O and knows no clock.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Direction, SyncTask, TaskState};

/// Where a context is mounted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The context.
    pub context_id: String,
    /// The mount path, without a trailing `/`.
    pub path: String,
}

impl Place {
    /// A place; one trailing `/` of the path is taken off, since AGB writes some paths with it.
    pub fn new(context_id: impl Into<String>, path: &str) -> Self {
        Self {
            context_id: context_id.into(),
            path: path.strip_suffix('/').unwrap_or(path).to_owned(),
        }
    }

    fn of(task: &SyncTask) -> Self {
        Self::new(task.context_id.as_str(), &task.path)
    }
}

/// What makes a task the same task: AGB gives it no id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// Where.
    pub place: Place,
    /// Which way.
    pub direction: Direction,
    /// When AGB started it, in AGB's own count.
    pub start: i64,
}

impl Identity {
    /// The identity of a task that AGB shows.
    pub fn of(task: &SyncTask) -> Self {
        Self {
            place: Place::of(task),
            direction: task.direction,
            start: task.start,
        }
    }

    /// Whether the task has no identity yet: AGB has not told when it started. It may later turn out to be any task.
    pub fn is_unknown(&self) -> bool {
        self.start <= 0
    }
}

/// How much a sync covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Exactly the expected places.
    Expected,
    /// Every context of the session: the expected places are those that are known, and there may be more.
    All,
}

/// A sync that was asked for: what it is expected to start, and what was there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// The session.
    pub session_id: String,
    /// Which way the files go.
    pub direction: Direction,
    /// How much it covers.
    pub scope: Scope,
    /// Where tasks are expected.
    pub expected: BTreeSet<Place>,
    /// The tasks that were there before it was asked for.
    pub baseline: BTreeSet<Identity>,
}

impl Sync {
    /// The download that the creation of a session starts: there was nothing before.
    pub fn of_creation(session_id: String, expected: BTreeSet<Place>) -> Self {
        Self {
            session_id,
            direction: Direction::Download,
            scope: Scope::Expected,
            expected,
            baseline: BTreeSet::new(),
        }
    }

    /// Whether a task lies within what the sync covers, whenever it was started.
    pub fn covers(&self, task: &SyncTask) -> bool {
        task.direction == self.direction
            && (self.scope == Scope::All || self.expected.contains(&Place::of(task)))
    }
}

/// What is known of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No task of it has been seen.
    Pending,
    /// A task is not finished, or an expected one has not been seen.
    Running,
    /// All expected tasks were seen, and AGB says that all succeeded.
    Succeeded,
    /// All expected tasks were seen and are finished, and AGB says that at least one failed.
    Failed,
}

/// What the looks so far have shown of a sync, or of a session.
#[derive(Clone, Debug)]
pub struct Progress {
    sync: Option<Sync>,
    tasks: BTreeMap<Identity, SyncTask>,
    /// Whether something runs there that does not count: an older task, or one that AGB has not started yet.
    other_running: bool,
    /// Whether it is settled that no more tasks will come.
    settled: bool,
}

impl Progress {
    /// Follows one sync.
    pub fn of_sync(sync: Sync) -> Self {
        Self {
            sync: Some(sync),
            tasks: BTreeMap::new(),
            other_running: false,
            settled: false,
        }
    }

    /// Follows whatever AGB shows of a session.
    pub fn of_session() -> Self {
        Self {
            sync: None,
            tasks: BTreeMap::new(),
            other_running: false,
            settled: false,
        }
    }

    /// Takes in a look that succeeded. Whether anything has changed by it is returned.
    pub fn observe(&mut self, look: &[SyncTask]) -> bool {
        let mut changed = false;
        self.other_running = false;
        for task in look {
            let identity = Identity::of(task);
            if identity.is_unknown() {
                self.other_running |= self.covers(task) && !task.state().is_finished();
                continue;
            }
            if let Some(sync) = &self.sync {
                if !sync.covers(task) {
                    continue;
                }
                if sync.baseline.contains(&identity) {
                    self.other_running |= !task.state().is_finished();
                    continue;
                }
            }
            changed |= self.take(identity, task);
        }
        changed
    }

    /// Says that, after all is finished, nothing new has come for long enough.
    pub fn settle(&mut self) {
        self.settled = true;
    }

    /// A finished task stays finished, whatever a later or doubled look says; and what failed has failed.
    fn take(&mut self, identity: Identity, task: &SyncTask) -> bool {
        let known = self.tasks.get(&identity);
        let keeps = known.is_some_and(|known| {
            known == task
                || known.state() == TaskState::Failed
                || (known.state() == TaskState::Succeeded && task.state() == TaskState::Running)
        });
        if !keeps {
            self.tasks.insert(identity, task.clone());
        }
        !keeps
    }

    /// What follows from it all.
    pub fn verdict(&self) -> Verdict {
        let tasks = self.counting_tasks();
        if tasks.is_empty() {
            return Verdict::Pending;
        }
        if !self.seen_are_finished() || self.misses_expected() || self.may_grow() {
            return Verdict::Running;
        }
        if tasks.iter().any(|task| task.state() == TaskState::Failed) {
            return Verdict::Failed;
        }
        Verdict::Succeeded
    }

    /// Whether what is missing is a task that has never been seen, and no older task stands in its way. Waiting for that has
    /// an end: the grace.
    pub fn waits_for_unseen(&self) -> bool {
        let unseen = self.tasks.is_empty() || self.misses_expected();
        unseen && self.seen_are_finished() && !self.other_running
    }

    /// Whether all that was seen is finished, and only time can tell whether more will come.
    pub fn waits_to_settle(&self) -> bool {
        !self.tasks.is_empty()
            && self.seen_are_finished()
            && !self.misses_expected()
            && !self.other_running
            && self.may_grow()
    }

    fn covers(&self, task: &SyncTask) -> bool {
        self.sync.as_ref().is_none_or(|sync| sync.covers(task))
    }

    /// The tasks that belong to it, in the order of their places and starts.
    pub fn tasks(&self) -> impl Iterator<Item = &SyncTask> {
        self.tasks.values()
    }

    /// The sync that is followed; `None` for a session.
    pub fn sync(&self) -> Option<&Sync> {
        self.sync.as_ref()
    }

    /// For a sync, all tasks that it started; for a session, the latest one of each place and direction.
    fn counting_tasks(&self) -> Vec<&SyncTask> {
        if self.sync.is_some() {
            return self.tasks.values().collect();
        }
        // Identities are ordered by start last, so the latest of each place and direction comes last.
        let latest: BTreeMap<_, _> = self
            .tasks
            .iter()
            .map(|(identity, task)| ((&identity.place, identity.direction), task))
            .collect();
        latest.into_values().collect()
    }

    fn seen_are_finished(&self) -> bool {
        self.counting_tasks()
            .iter()
            .all(|task| task.state().is_finished())
    }

    fn misses_expected(&self) -> bool {
        self.sync.as_ref().is_some_and(|sync| {
            let seen: BTreeSet<_> = self.tasks.keys().map(|identity| &identity.place).collect();
            sync.expected.iter().any(|place| !seen.contains(place))
        })
    }

    /// A sync of all contexts may start more tasks than the known places tell.
    fn may_grow(&self) -> bool {
        let all = self
            .sync
            .as_ref()
            .is_some_and(|sync| sync.scope == Scope::All);
        all && !self.settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str = "/tmp/mapping";

    fn task(path: &str, direction: Direction, start: i64, status: &str) -> SyncTask {
        SyncTask {
            context_id: "SdkCtx-1".to_owned(),
            path: path.to_owned(),
            direction,
            agb_status: status.to_owned(),
            error_message: String::new(),
            start,
            finish: 0,
        }
    }

    fn upload(start: i64, status: &str) -> SyncTask {
        task(PLACE, Direction::Upload, start, status)
    }

    fn sync(scope: Scope, expected: &[&str], baseline: &[SyncTask]) -> Progress {
        Progress::of_sync(Sync {
            session_id: "s".to_owned(),
            direction: Direction::Upload,
            scope,
            expected: expected
                .iter()
                .map(|path| Place::new("SdkCtx-1", path))
                .collect(),
            baseline: baseline.iter().map(Identity::of).collect(),
        })
    }

    #[test]
    fn an_older_finished_task_is_not_completion() {
        let older = upload(1, "Success");
        let download = task(PLACE, Direction::Download, 2, "Success");
        let mut progress = sync(Scope::Expected, &[PLACE], std::slice::from_ref(&older));
        progress.observe(&[older.clone(), download.clone()]);
        assert_eq!(progress.verdict(), Verdict::Pending);
        assert!(progress.waits_for_unseen());
        progress.observe(&[older, download, upload(3, "Success")]);
        assert_eq!(progress.verdict(), Verdict::Succeeded);
    }

    #[test]
    fn an_empty_look_is_not_completion() {
        let mut progress = sync(Scope::All, &[], &[]);
        progress.observe(&[]);
        progress.observe(&[]);
        assert_eq!(progress.verdict(), Verdict::Pending);
        assert_eq!(Progress::of_session().verdict(), Verdict::Pending);
    }

    #[test]
    fn every_expected_place_has_to_be_seen() {
        let mut progress = sync(Scope::Expected, &[PLACE, "/home/data"], &[]);
        progress.observe(&[upload(1, "Success")]);
        assert_eq!(progress.verdict(), Verdict::Running);
        assert!(progress.waits_for_unseen());
        progress.observe(&[task("/home/data/", Direction::Upload, 1, "Success")]);
        assert_eq!(progress.verdict(), Verdict::Succeeded);
    }

    #[test]
    fn a_task_that_has_not_started_is_neither_ours_nor_completion() {
        let mut progress = sync(Scope::Expected, &[PLACE], &[]);
        progress.observe(&[upload(0, "Waiting")]);
        assert_eq!(progress.verdict(), Verdict::Pending);
        assert!(!progress.waits_for_unseen());
        progress.observe(&[upload(0, "Success")]);
        assert_eq!(progress.verdict(), Verdict::Pending);
        progress.observe(&[upload(5, "Success")]);
        assert_eq!(progress.verdict(), Verdict::Succeeded);
    }

    #[test]
    fn a_sync_of_all_contexts_has_to_settle_since_more_tasks_may_come() {
        let mut progress = sync(Scope::All, &[], &[]);
        progress.observe(&[upload(1, "Success")]);
        assert_eq!(progress.verdict(), Verdict::Running);
        assert!(progress.waits_to_settle());
        let late = task("/home/late", Direction::Upload, 2, "Running");
        progress.observe(&[upload(1, "Success"), late]);
        assert!(!progress.waits_to_settle());
        let late = task("/home/late", Direction::Upload, 2, "Success");
        progress.observe(&[upload(1, "Success"), late]);
        assert!(progress.waits_to_settle());
        progress.settle();
        assert_eq!(progress.verdict(), Verdict::Succeeded);
    }

    #[test]
    fn one_failed_task_fails_the_whole_once_all_are_finished() {
        let mut progress = sync(Scope::Expected, &[PLACE, "/home/data"], &[]);
        let other = |status| task("/home/data", Direction::Upload, 1, status);
        progress.observe(&[upload(1, "Failed"), other("Running")]);
        assert_eq!(progress.verdict(), Verdict::Running);
        progress.observe(&[upload(1, "Failed"), other("Success")]);
        assert_eq!(progress.verdict(), Verdict::Failed);
    }

    #[test]
    fn a_task_that_vanishes_has_not_succeeded() {
        let mut progress = sync(Scope::Expected, &[PLACE], &[]);
        progress.observe(&[upload(1, "Running")]);
        progress.observe(&[]);
        assert_eq!(progress.verdict(), Verdict::Running);
        assert!(!progress.waits_for_unseen());
    }

    #[test]
    fn stale_and_doubled_entries_do_not_undo_an_end() {
        let mut progress = sync(Scope::Expected, &[PLACE], &[]);
        assert!(progress.observe(&[upload(1, "Success"), upload(1, "Running")]));
        assert_eq!(progress.verdict(), Verdict::Succeeded);
        assert!(!progress.observe(&[upload(1, "Running")]));
        assert_eq!(progress.verdict(), Verdict::Succeeded);
        progress.observe(&[upload(1, "Failed")]);
        progress.observe(&[upload(1, "Success")]);
        assert_eq!(progress.verdict(), Verdict::Failed);
    }

    #[test]
    fn the_grace_does_not_run_while_an_older_task_of_the_place_runs() {
        let older = upload(1, "Running");
        let mut progress = sync(Scope::Expected, &[PLACE], std::slice::from_ref(&older));
        progress.observe(&[older]);
        assert!(!progress.waits_for_unseen());
        progress.observe(&[upload(1, "Success")]);
        assert_eq!(progress.verdict(), Verdict::Pending);
        assert!(progress.waits_for_unseen());
    }

    #[test]
    fn other_places_and_directions_do_not_count() {
        let mut progress = sync(Scope::Expected, &[PLACE], &[]);
        progress.observe(&[
            task("/home/data", Direction::Upload, 1, "Failed"),
            task(PLACE, Direction::Download, 1, "Success"),
        ]);
        assert_eq!(progress.verdict(), Verdict::Pending);
    }

    #[test]
    fn of_a_session_the_latest_task_of_each_place_and_direction_counts() {
        let mut progress = Progress::of_session();
        progress.observe(&[upload(2, "Success"), upload(1, "Failed")]);
        assert_eq!(progress.verdict(), Verdict::Succeeded);
        progress.observe(&[upload(3, "Running")]);
        assert_eq!(progress.verdict(), Verdict::Running);
        progress.observe(&[upload(3, "Failed")]);
        assert_eq!(progress.verdict(), Verdict::Failed);
    }
}
