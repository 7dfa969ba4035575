//! What the rule says, look by look.

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

#[test]
fn a_later_sync_of_the_place_is_another_one() {
    let mut wait = Wait::new(sync(Scope::Expected, &[PLACE], &[]));
    let own = upload(1, "Running");
    let judgement = wait.look(&[own.clone(), upload(2, "Failed")]);
    assert_eq!(judgement.verdict, Verdict::Running);
    assert_eq!(judgement.tasks, [own]);
    let judgement = wait.look(&[upload(1, "Success"), upload(2, "Failed")]);
    assert_eq!(judgement.verdict, Verdict::Succeeded);
    let judgement = wait.look(&[upload(2, "Failed"), upload(3, "Running")]);
    assert_eq!(judgement.verdict, Verdict::Succeeded);
}

#[test]
fn a_session_is_not_complete_while_a_task_waits_to_start() {
    let mut wait = Wait::new(Target::Session("s".to_owned()));
    let download = task(PLACE, Direction::Download, 1, "Success");
    let judgement = wait.look(&[download.clone(), upload(0, "Waiting")]);
    assert_eq!(judgement.verdict, Verdict::Running);
    let judgement = wait.look(&[download, upload(2, "Success")]);
    assert_eq!(judgement.verdict, Verdict::Succeeded);
}
