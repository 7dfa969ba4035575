//! The rule of completion: a pure function of what is asked, and of what looks have shown. It does no I/O and reads no clock;
//! the times in it are those of the looks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::asked::{Scope, Target};
use super::identity::{Identity, Place};
use super::sightings::{Sighting, Sightings};
use crate::domain::{SyncTask, TaskState};

/// How long to wait for what has not been seen.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long AGB may take to show a task that it has accepted.
    pub grace: Duration,
    /// How long nothing new must have come before a sync of all contexts, whose known tasks are finished, counts as complete.
    pub settle: Duration,
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

/// What the rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The state of the whole.
    pub verdict: Verdict,
    /// The tasks that belong to it, in the order of their places, directions and starts.
    pub tasks: Vec<SyncTask>,
    /// Nothing was seen of an expected task within the grace, and nothing stood in its way. It never counts as success.
    pub not_observed: bool,
    /// All that was seen is finished, and only time can tell whether more will come: so much time.
    pub settles_in: Option<Duration>,
}

/// Judges what was asked by what has been seen. `since` is the time of the first look that counts: for a sync, what has vanished
/// before is not its own, and no grace ran before; a session is not judged before.
pub fn judge(
    target: &Target,
    since: Instant,
    sightings: &Sightings,
    patience: &Patience,
) -> Judgement {
    let case = Case::new(target, since, sightings);
    let tasks = case.tasks();
    let finished = case.counting().all(|task| task.state().is_finished());
    let complete = finished && !tasks.is_empty() && !case.misses_expected();
    let waits_for_unseen = finished && !complete && !case.is_blocked();
    let waits_to_settle = complete && case.may_grow() && !case.is_blocked();
    let settles_in = patience.settle.saturating_sub(case.quiet_time());
    let settled = !case.may_grow() || (waits_to_settle && settles_in.is_zero());
    let verdict = if tasks.is_empty() {
        Verdict::Pending
    } else if !complete || !settled || !case.is_current() {
        Verdict::Running
    } else if case
        .counting()
        .any(|task| task.state() == TaskState::Failed)
    {
        Verdict::Failed
    } else {
        Verdict::Succeeded
    };
    Judgement {
        verdict,
        tasks,
        not_observed: waits_for_unseen && case.quiet_time() >= patience.grace,
        settles_in: (waits_to_settle && !settled).then_some(settles_in),
    }
}

struct Case<'a> {
    target: &'a Target,
    since: Instant,
    sightings: &'a Sightings,
    own: Vec<(&'a Identity, &'a Sighting)>,
    /// What lies within and was there before.
    older: Vec<&'a Sighting>,
}

impl<'a> Case<'a> {
    fn new(target: &'a Target, since: Instant, sightings: &'a Sightings) -> Self {
        let since_look = match (target, sightings.latest()) {
            // Not judged by it, but told of it.
            (Target::Session(_), Some(latest)) => since.min(latest),
            _ => since,
        };
        let (mut own, mut older) = (Vec::new(), Vec::new());
        for (identity, sighting) in sightings.tasks() {
            if !target.covers(&sighting.task) {
            } else if target.is_older(identity) {
                older.push(sighting);
            } else if sighting.seen >= since_look {
                own.push((identity, sighting));
            }
        }
        Self {
            target,
            since,
            sightings,
            own,
            older,
        }
    }

    fn tasks(&self) -> Vec<SyncTask> {
        let tasks = self.own.iter();
        tasks.map(|(_, sighting)| sighting.task.clone()).collect()
    }

    /// For a sync, all tasks that it started; for a session, the latest one of each place and direction.
    fn counting(&self) -> impl Iterator<Item = &'a SyncTask> {
        let whole_session = self.target.sync().is_none();
        // Identities are ordered by start last, so the latest of each place and direction comes last.
        let last: BTreeMap<_, _> = self
            .own
            .iter()
            .map(|(identity, sighting)| {
                let start = if whole_session { 0 } else { identity.start };
                ((&identity.place, identity.direction, start), &sighting.task)
            })
            .collect();
        last.into_values()
    }

    fn misses_expected(&self) -> bool {
        let seen: BTreeSet<&Place> = self
            .own
            .iter()
            .map(|(identity, _)| &identity.place)
            .collect();
        self.target
            .sync()
            .is_some_and(|sync| sync.expected.iter().any(|place| !seen.contains(place)))
    }

    /// A sync of all contexts may start more tasks than the known places tell.
    fn may_grow(&self) -> bool {
        self.target
            .sync()
            .is_some_and(|sync| sync.scope == Scope::All)
    }

    /// A session is judged by a look that was made since the asking; the tasks of one sync, once finished, stay so.
    fn is_current(&self) -> bool {
        self.target.sync().is_some()
            || self
                .sightings
                .latest()
                .is_some_and(|latest| latest >= self.since)
    }

    /// When something that does not count was last seen in the way: an older task that runs, or one that AGB has not started.
    fn last_blocked(&self) -> Option<Instant> {
        let older = self
            .older
            .iter()
            .filter(|sighting| !sighting.task.state().is_finished())
            .map(|sighting| sighting.seen);
        let unstarted = self
            .sightings
            .unstarted()
            .filter(|(task, _)| self.target.covers(task))
            .map(|(_, seen)| seen);
        older.chain(unstarted).max()
    }

    /// Whether the latest look has shown such a thing.
    fn is_blocked(&self) -> bool {
        let blocked = self.last_blocked();
        blocked.is_some() && blocked == self.sightings.latest()
    }

    /// How long looks, none of which failed, have shown nothing new of what lies within, and nothing in the way.
    fn quiet_time(&self) -> Duration {
        let (Some(unbroken), Some(latest)) = (self.sightings.unbroken(), self.sightings.latest())
        else {
            return Duration::ZERO;
        };
        let own = self.own.iter().map(|(_, sighting)| sighting.changed);
        let older = self.older.iter().map(|sighting| sighting.changed);
        let news = own.chain(older).chain(self.last_blocked());
        let quiet = news.fold(unbroken.max(self.since), Instant::max);
        latest.saturating_duration_since(quiet)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::asked::{Sync, Ticket};
    use super::*;
    use crate::domain::Direction;

    const PLACE: &str = "/tmp/mapping";
    const OTHER: &str = "/home/data";
    const SECOND: Duration = Duration::from_secs(1);
    const PATIENCE: Patience = Patience {
        grace: Duration::from_secs(30),
        settle: SECOND,
    };

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

    fn sync(scope: Scope, expected: &[&str], baseline: &[SyncTask]) -> Target {
        let sync = Sync {
            session_id: "s".to_owned(),
            direction: Direction::Upload,
            scope,
            expected: expected
                .iter()
                .map(|path| Place::new("SdkCtx-1", path))
                .collect(),
            baseline: baseline.iter().filter_map(Identity::of).collect(),
        };
        Target::Sync(Arc::new(Ticket {
            sync,
            token: "token".to_owned(),
            issued: jiff::Timestamp::UNIX_EPOCH,
            started: None,
        }))
    }

    /// A wait that looks once a second.
    struct Wait {
        target: Target,
        since: Instant,
        now: Instant,
        sightings: Sightings,
    }

    impl Wait {
        fn new(target: Target) -> Self {
            let now = Instant::now();
            Self {
                target,
                since: now,
                now,
                sightings: Sightings::default(),
            }
        }

        fn look(&mut self, look: &[SyncTask]) -> Judgement {
            self.now += SECOND;
            self.sightings.take(self.now, look);
            judge(&self.target, self.since, &self.sightings, &PATIENCE)
        }

        fn looks(&mut self, count: u32, look: &[SyncTask]) -> Judgement {
            (1..count).for_each(|_| drop(self.look(look)));
            self.look(look)
        }
    }

    #[test]
    fn an_older_finished_task_is_not_completion() {
        let older = upload(1, "Success");
        let download = task(PLACE, Direction::Download, 2, "Success");
        let mut wait = Wait::new(sync(
            Scope::Expected,
            &[PLACE],
            std::slice::from_ref(&older),
        ));
        let judgement = wait.look(&[older.clone(), download.clone()]);
        assert_eq!(judgement.verdict, Verdict::Pending);
        let judgement = wait.look(&[older, download, upload(3, "Success")]);
        assert_eq!(judgement.verdict, Verdict::Succeeded);
    }

    #[test]
    fn an_empty_look_is_not_completion() {
        for target in [sync(Scope::All, &[], &[]), Target::Session("s".to_owned())] {
            assert_eq!(Wait::new(target).looks(3, &[]).verdict, Verdict::Pending);
        }
    }

    #[test]
    fn every_expected_place_has_to_be_seen() {
        let mut wait = Wait::new(sync(Scope::Expected, &[PLACE, OTHER], &[]));
        let first = upload(1, "Success");
        let judgement = wait.look(std::slice::from_ref(&first));
        assert_eq!(judgement.verdict, Verdict::Running);
        let judgement = wait.look(&[first, task("/home/data/", Direction::Upload, 1, "Success")]);
        assert_eq!(judgement.verdict, Verdict::Succeeded);
    }

    #[test]
    fn a_task_that_has_not_started_is_neither_ours_nor_completion() {
        let mut wait = Wait::new(sync(Scope::Expected, &[PLACE], &[]));
        let judgement = wait.looks(60, &[upload(0, "Waiting")]);
        assert_eq!(judgement.verdict, Verdict::Pending);
        assert!(!judgement.not_observed, "it may yet start");
        let judgement = wait.look(&[upload(0, "Success")]);
        assert_eq!(judgement.verdict, Verdict::Pending);
        let judgement = wait.look(&[upload(5, "Success")]);
        assert_eq!(judgement.verdict, Verdict::Succeeded);
    }

    #[test]
    fn a_sync_of_all_contexts_has_to_settle_since_more_tasks_may_come() {
        let mut wait = Wait::new(sync(Scope::All, &[], &[]));
        let judgement = wait.look(&[upload(1, "Success")]);
        assert_eq!(judgement.verdict, Verdict::Running);
        assert_eq!(judgement.settles_in, Some(SECOND));
        let late = task("/home/late", Direction::Upload, 2, "Running");
        let judgement = wait.looks(5, &[upload(1, "Success"), late]);
        assert_eq!(judgement.settles_in, None);
        let late = task("/home/late", Direction::Upload, 2, "Success");
        let judgement = wait.look(&[upload(1, "Success"), late.clone()]);
        assert_eq!(judgement.verdict, Verdict::Running);
        let judgement = wait.look(&[upload(1, "Success"), late]);
        assert_eq!(judgement.verdict, Verdict::Succeeded);
    }

    #[test]
    fn one_failed_task_fails_the_whole_once_all_are_finished() {
        let mut wait = Wait::new(sync(Scope::Expected, &[PLACE, OTHER], &[]));
        let other = |status| task(OTHER, Direction::Upload, 1, status);
        let judgement = wait.look(&[upload(1, "Failed"), other("Running")]);
        assert_eq!(judgement.verdict, Verdict::Running);
        let judgement = wait.look(&[upload(1, "Failed"), other("Success")]);
        assert_eq!(judgement.verdict, Verdict::Failed);
    }

    #[test]
    fn a_task_that_vanishes_has_not_succeeded() {
        let mut wait = Wait::new(sync(Scope::Expected, &[PLACE], &[]));
        wait.look(&[upload(1, "Running")]);
        let judgement = wait.looks(60, &[]);
        assert_eq!(judgement.verdict, Verdict::Running);
        assert!(!judgement.not_observed, "it was observed");
    }

    #[test]
    fn what_vanished_before_the_asking_began_is_not_counted() {
        let mut wait = Wait::new(sync(Scope::Expected, &[PLACE], &[]));
        wait.look(&[upload(1, "Success")]);
        wait.look(&[]);
        wait.since = wait.now;
        assert_eq!(wait.look(&[]).verdict, Verdict::Pending);
    }

    #[test]
    fn stale_and_doubled_entries_do_not_undo_an_end() {
        let mut wait = Wait::new(sync(Scope::Expected, &[PLACE], &[]));
        let judgement = wait.look(&[upload(1, "Success"), upload(1, "Running")]);
        assert_eq!(judgement.verdict, Verdict::Succeeded);
        let judgement = wait.look(&[upload(1, "Running")]);
        assert_eq!(judgement.verdict, Verdict::Succeeded);
        wait.look(&[upload(1, "Failed")]);
        let judgement = wait.look(&[upload(1, "Success")]);
        assert_eq!(judgement.verdict, Verdict::Failed);
    }

    #[test]
    fn nothing_seen_within_the_grace_is_its_own_answer() {
        let mut wait = Wait::new(sync(Scope::Expected, &[PLACE], &[]));
        assert!(!wait.looks(30, &[]).not_observed);
        let judgement = wait.look(&[]);
        assert!(judgement.not_observed);
        assert_eq!(judgement.verdict, Verdict::Pending);
    }

    #[test]
    fn the_grace_does_not_run_while_an_older_task_of_the_place_runs() {
        let older = upload(1, "Running");
        let mut wait = Wait::new(sync(
            Scope::Expected,
            &[PLACE],
            std::slice::from_ref(&older),
        ));
        assert!(!wait.looks(60, &[older]).not_observed);
        let ended = [upload(1, "Success")];
        assert!(!wait.looks(30, &ended).not_observed);
        assert!(wait.look(&ended).not_observed);
    }

    #[test]
    fn the_grace_does_not_run_across_looks_that_fail() {
        let mut wait = Wait::new(sync(Scope::Expected, &[PLACE], &[]));
        wait.looks(25, &[]);
        wait.sightings.miss();
        assert!(!wait.looks(30, &[]).not_observed);
        assert!(wait.look(&[]).not_observed);
    }

    #[test]
    fn other_places_and_directions_do_not_count() {
        let mut wait = Wait::new(sync(Scope::Expected, &[PLACE], &[]));
        let judgement = wait.look(&[
            task(OTHER, Direction::Upload, 1, "Failed"),
            task(PLACE, Direction::Download, 1, "Success"),
        ]);
        assert_eq!(judgement.verdict, Verdict::Pending);
        assert_eq!(judgement.tasks, []);
    }

    #[test]
    fn of_a_session_the_latest_task_of_each_place_and_direction_counts() {
        let mut wait = Wait::new(Target::Session("s".to_owned()));
        let judgement = wait.look(&[upload(2, "Success"), upload(1, "Failed")]);
        assert_eq!(judgement.verdict, Verdict::Succeeded);
        let judgement = wait.look(&[upload(3, "Running")]);
        assert_eq!(judgement.verdict, Verdict::Running);
        let judgement = wait.look(&[upload(3, "Failed")]);
        assert_eq!(judgement.verdict, Verdict::Failed);
    }

    #[test]
    fn a_session_is_judged_by_no_look_that_was_made_before_the_asking() {
        let mut wait = Wait::new(Target::Session("s".to_owned()));
        wait.look(&[upload(1, "Success")]);
        wait.since = wait.now + SECOND / 2;
        let judgement = judge(&wait.target, wait.since, &wait.sightings, &PATIENCE);
        assert_eq!(judgement.verdict, Verdict::Running);
        assert_eq!(judgement.tasks.len(), 1);
        let judgement = wait.look(&[upload(1, "Success")]);
        assert_eq!(judgement.verdict, Verdict::Succeeded);
    }
}
