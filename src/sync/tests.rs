//! Waiting, watching and sharing, on paused time and with an AGB that is scripted by time.

mod old_tasks;

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, sleep};

use super::{
    Error, Event, EventKind, Outcome, Patience, Settings, Start, Syncs, Target, TokenKeys,
    Upstream, Verdict,
};
use crate::agb::{self, operation};
use crate::domain::{Direction, MountPath, SyncTask};
use crate::resilience::{Deadline, Drain, Pace};
use crate::secret::Keyring;
use crate::telemetry::Telemetry;

const SECOND: Duration = Duration::from_secs(1);
const PATH: &str = "/tmp/a";

type Look = Result<Vec<SyncTask>, (u16, &'static str)>;

/// Shows what the script says for the time since the latest start; before any start, nothing.
struct Script {
    looks: Box<dyn Fn(Duration) -> Look + Send + Sync>,
    started: Mutex<Vec<Instant>>,
    look_count: AtomicU32,
}

impl fmt::Debug for Script {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Script")
    }
}

impl Script {
    fn look_count(&self) -> u32 {
        self.look_count.load(Ordering::Relaxed)
    }

    fn start_count(&self) -> usize {
        self.started.lock().unwrap().len()
    }
}

impl Upstream for Script {
    fn look<'a>(
        &'a self,
        _: &'a str,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Vec<SyncTask>, agb::Error>> {
        self.look_count.fetch_add(1, Ordering::Relaxed);
        let started = self.started.lock().unwrap().last().copied();
        let look = started.map_or(Ok(Vec::new()), |started| (self.looks)(started.elapsed()));
        let look = look.map_err(|(http_status, code)| {
            let refusal = agb::Refusal {
                http_status,
                code: code.to_owned(),
                ..agb::Refusal::default()
            };
            agb::Error::refused(&operation::GET_CONTEXT_INFO, refusal)
        });
        std::future::ready(look).boxed()
    }

    fn start<'a>(&'a self, _: &'a Start, _: Deadline) -> BoxFuture<'a, Result<(), agb::Error>> {
        self.started.lock().unwrap().push(Instant::now());
        std::future::ready(Ok(())).boxed()
    }

    fn look_deadline(&self) -> Deadline {
        Deadline::after(60 * SECOND)
    }
}

fn task(status: &str) -> SyncTask {
    SyncTask {
        context_id: "c".to_owned(),
        path: PATH.to_owned(),
        direction: Direction::Upload,
        agb_status: status.to_owned(),
        error_message: String::new(),
        start: 1,
        finish: 0,
    }
}

/// One task that runs until it succeeds.
fn succeeds_after(seconds: u64) -> impl Fn(Duration) -> Look + Send + Sync + 'static {
    move |elapsed| {
        let running = elapsed < Duration::from_secs(seconds);
        Ok(vec![task(if running { "Running" } else { "Success" })])
    }
}

/// Syncs that can be drained.
fn drained_syncs(looks: impl Fn(Duration) -> Look + Send + Sync + 'static) -> (Syncs, Drain) {
    let (_, script) = syncs(looks);
    let drain = Drain::new(10 * SECOND);
    (replica_with(&script, drain.clone()), drain)
}

fn syncs(looks: impl Fn(Duration) -> Look + Send + Sync + 'static) -> (Syncs, Arc<Script>) {
    let script = Arc::new(Script {
        looks: Box::new(looks),
        started: Mutex::default(),
        look_count: AtomicU32::new(0),
    });
    (replica(&script), script)
}

fn replica(script: &Arc<Script>) -> Syncs {
    replica_with(script, Drain::new(10 * SECOND))
}

fn replica_with(script: &Arc<Script>, drain: Drain) -> Syncs {
    let settings = Settings {
        pace: Pace::try_new(Duration::from_millis(50), 2 * SECOND, 0.1).unwrap(),
        patience: Patience {
            grace: 30 * SECOND,
            settle: SECOND,
        },
        looks_per_second: 1_000,
        memory_entries: 100,
    };
    let keys = TokenKeys::new(Keyring::of_secret("key", "tenant"), 3600 * SECOND);
    Syncs::new(script.clone(), &settings, keys, drain, Telemetry::off())
}

async fn start(syncs: &Syncs) -> Target {
    start_in(syncs, "s").await
}

async fn start_in(syncs: &Syncs, session_id: &str) -> Target {
    let start = Start {
        session_id: session_id.to_owned(),
        place: Some(("c".to_owned(), MountPath::try_new(PATH).unwrap())),
        direction: Some(Direction::Upload),
    };
    syncs.start(start, within(3600)).await.unwrap()
}

fn within(seconds: u64) -> Deadline {
    Deadline::after(Duration::from_secs(seconds))
}

#[tokio::test(start_paused = true)]
async fn looks_go_on_until_agb_calls_the_task_finished() {
    let (syncs, _) = syncs(succeeds_after(10));
    let target = start(&syncs).await;
    let begin = Instant::now();
    let report = syncs.wait(&target, within(60)).await.unwrap();
    assert_eq!(report.state, Verdict::Succeeded);
    assert!(begin.elapsed() >= 10 * SECOND);
    assert!(begin.elapsed() < 12 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn failing_looks_are_neither_completion_nor_the_end_and_grow_rarer() {
    let (syncs, script) = syncs(|elapsed| match elapsed.as_secs() {
        0..20 => Err((503, "")),
        _ => Ok(vec![task("Success")]),
    });
    let target = start(&syncs).await;
    let begin = Instant::now();
    syncs.wait(&target, within(60)).await.unwrap();
    assert!(begin.elapsed() >= 20 * SECOND);
    assert!(script.look_count() < 20, "{}", script.look_count());
}

#[tokio::test(start_paused = true)]
async fn a_failed_task_is_an_error_that_names_it() {
    let (syncs, _) = syncs(|_| Ok(vec![task("Failed")]));
    let target = start(&syncs).await;
    let error = syncs.wait(&target, within(60)).await.unwrap_err();
    assert!(matches!(error.outcome, Outcome::Failed));
    assert_eq!(error.report.unwrap().tasks[0].context_id, "c");
}

#[tokio::test(start_paused = true)]
async fn nothing_seen_within_the_grace_is_its_own_answer() {
    let (syncs, _) = syncs(|_| Ok(Vec::new()));
    let target = start(&syncs).await;
    let begin = Instant::now();
    let error = syncs.wait(&target, within(600)).await.unwrap_err();
    assert!(matches!(error.outcome, Outcome::NotObserved(_)));
    assert!(begin.elapsed() < 33 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_tells_the_last_known_state_the_looks_and_the_token() {
    let (syncs, script) = syncs(succeeds_after(3_000));
    let target = start(&syncs).await;
    let before = script.look_count();
    let begin = Instant::now();
    let error = syncs.wait(&target, within(300)).await.unwrap_err();
    assert!(matches!(error.outcome, Outcome::Deadline));
    assert_eq!(begin.elapsed(), 300 * SECOND);
    let report = error.report.unwrap();
    assert_eq!(report.tasks, [task("Running")]);
    assert_eq!(report.look_count, script.look_count() - before);
    assert_eq!(
        report.token,
        target.ticket().map(|ticket| ticket.token.clone())
    );
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_hear_within_one_look_that_the_session_is_gone() {
    let (syncs, script) = syncs(|elapsed| match elapsed.as_secs() {
        0..5 => Ok(vec![task("Running")]),
        _ => Err((400, "InvalidMcpSession.NotFound")),
    });
    let target = start(&syncs).await;
    let session = Target::Session("s".to_owned());
    let deadline = within(60);
    let (one, other) = tokio::join!(
        syncs.wait(&target, deadline),
        syncs.wait(&session, deadline)
    );
    for error in [one.unwrap_err(), other.unwrap_err()] {
        assert!(matches!(error.outcome, Outcome::Agb(_)), "{error:?}");
    }
    let looks = script.look_count();
    sleep(60 * SECOND).await;
    assert_eq!(script.look_count(), looks, "nobody waits any more");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_key_ends_every_wait_of_the_session_at_once() {
    let (syncs, _) = syncs(|_| Err((401, "Unauthorized")));
    let target = start(&syncs).await;
    let begin = Instant::now();
    let error = syncs.wait(&target, within(60)).await.unwrap_err();
    assert!(matches!(error.outcome, Outcome::Agb(_)));
    assert!(begin.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_waiters_cost_no_more_looks_than_one() {
    let mut looks = Vec::new();
    for waiters in [1, 1_000] {
        let (syncs, script) = syncs(succeeds_after(20));
        let target = start(&syncs).await;
        let waits = (0..waiters).map(|_| syncs.wait(&target, within(60)));
        let reports = futures_util::future::join_all(waits).await;
        assert!(reports.iter().all(Result::is_ok));
        looks.push(script.look_count());
    }
    assert_eq!(looks[0], looks[1]);
}

#[tokio::test(start_paused = true)]
async fn late_waiters_get_the_latest_state_at_once_and_add_no_looks() {
    let (syncs, script) = syncs(succeeds_after(20));
    let target = start(&syncs).await;
    let token = target.ticket().unwrap().token.clone();
    let first = tokio::spawn({
        let (syncs, target) = (syncs.clone(), target.clone());
        async move { syncs.wait(&target, within(60)).await }
    });
    sleep(10 * SECOND).await;
    let looks = script.look_count();
    let late = syncs.read_token(&token).unwrap();
    let mut events = syncs.watch(&late, 60 * SECOND, within(60)).boxed();
    let snapshot = events.next().await.unwrap().unwrap();
    assert_eq!(snapshot.kind, EventKind::Snapshot);
    assert_eq!(snapshot.report.tasks, [task("Running")]);
    assert_eq!(script.look_count(), looks);
    assert!(first.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn looking_stops_when_the_last_waiter_has_gone() {
    let (syncs, script) = syncs(succeeds_after(3_600));
    let target = start(&syncs).await;
    let waits: Vec<_> = (0..3)
        .map(|_| {
            let (syncs, target) = (syncs.clone(), target.clone());
            tokio::spawn(async move { syncs.wait(&target, within(3_600)).await.is_ok() })
        })
        .collect();
    sleep(10 * SECOND).await;
    waits[0].abort();
    waits[1].abort();
    let looks = script.look_count();
    sleep(10 * SECOND).await;
    assert!(script.look_count() > looks, "one still waits");
    waits[2].abort();
    for wait in waits {
        assert!(wait.await.unwrap_err().is_cancelled());
    }
    let looks = script.look_count();
    sleep(60 * SECOND).await;
    assert_eq!(script.look_count(), looks);
    assert!(!format!("{syncs:?}").contains("sessions: 1"), "{syncs:?}");
}

#[tokio::test(start_paused = true)]
async fn looks_gather_around_the_end_that_history_lets_expect() {
    let (syncs, script) = syncs(succeeds_after(30));
    let mut looks = Vec::new();
    for session in 0..12 {
        let target = start_in(&syncs, &format!("s-{session}")).await;
        let before = script.look_count();
        syncs.wait(&target, within(60)).await.unwrap();
        looks.push(script.look_count() - before);
        *script.started.lock().unwrap() = Vec::new();
    }
    assert!(looks[0] > 40, "{looks:?}");
    assert!(looks[11] < 12, "{looks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_start_waits_until_the_first_one_s_tasks_show() {
    let (syncs, script) = syncs(|elapsed| match elapsed.as_secs() {
        0..5 => Ok(Vec::new()),
        _ => Ok(vec![task("Running")]),
    });
    start(&syncs).await;
    let begin = Instant::now();
    let second = start(&syncs).await;
    assert!(begin.elapsed() >= 5 * SECOND);
    assert_eq!(script.start_count(), 2);
    assert_eq!(second.sync().unwrap().baseline.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_its_caller_left_is_still_in_the_way_of_the_next() {
    let (syncs, script) = syncs(|_| Ok(Vec::new()));
    let hasty = Start {
        session_id: "s".to_owned(),
        place: None,
        direction: None,
    };
    syncs.start(hasty.clone(), within(60)).await.unwrap();
    let error = syncs.start(hasty.clone(), within(10)).await.unwrap_err();
    assert!(error.is_deadline());
    assert_eq!(script.start_count(), 1);
    // After the grace, nothing is expected of the first one any more.
    syncs.start(hasty, within(60)).await.unwrap();
    assert_eq!(script.start_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn another_replica_carries_on_with_a_token() {
    let (syncs, script) = syncs(succeeds_after(10));
    let target = start(&syncs).await;
    drop(syncs);
    sleep(5 * SECOND).await;
    let other = replica(&script);
    let target = other.read_token(&target.ticket().unwrap().token).unwrap();
    let report = other.wait(&target, within(60)).await.unwrap();
    assert_eq!(report.tasks, [task("Success")]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_sends_those_who_only_wait_elsewhere_at_once() {
    let (syncs, drain) = drained_syncs(succeeds_after(60));
    let token = start(&syncs).await.ticket().unwrap().token.clone();
    let target = syncs.read_token(&token).unwrap();
    let mut events = syncs.watch(&target, 60 * SECOND, within(60)).boxed();
    events.next().await.unwrap().unwrap();
    let begin = Instant::now();
    drain.begin();
    for error in [
        syncs.wait(&target, within(60)).await.unwrap_err(),
        events.next().await.unwrap().unwrap_err(),
    ] {
        let draining = matches!(error.outcome, Outcome::Draining { resumed: true });
        assert!(draining, "{error:?}");
        assert_eq!(error.report.unwrap().token, Some(token.clone()));
    }
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_what_was_started_here_finish_where_it_can() {
    for (seconds, finishes) in [(5, true), (60, false)] {
        let (syncs, drain) = drained_syncs(succeeds_after(seconds));
        let target = start(&syncs).await;
        drain.begin();
        let begin = Instant::now();
        let result = syncs.wait(&target, within(60)).await;
        assert_eq!(result.is_ok(), finishes);
        assert!(begin.elapsed() <= 8 * SECOND);
        if let Err(error) = result {
            assert!(matches!(
                error.outcome,
                Outcome::Draining { resumed: false }
            ));
        }
    }
}

async fn events(
    looks: impl Fn(Duration) -> Look + Send + Sync + 'static,
    heartbeat: Duration,
    deadline: u64,
) -> Vec<Result<Event, Error>> {
    let (syncs, _) = syncs(looks);
    let target = start(&syncs).await;
    let events = syncs.watch(&target, heartbeat, within(deadline));
    events.collect().await
}

fn kinds(events: &[Result<Event, Error>]) -> Vec<EventKind> {
    let good = events.iter().filter_map(|event| event.as_ref().ok());
    good.map(|event| event.kind).collect()
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_comes_first_then_changes_then_the_verdict_and_the_end() {
    use EventKind::{Change, Snapshot, Verdict as End};
    let looks = |elapsed: Duration| {
        Ok(vec![task(match elapsed.as_secs() {
            0..3 => "Preparing",
            3..6 => "Running",
            _ => "Success",
        })])
    };
    let events = events(looks, 60 * SECOND, 60).await;
    assert_eq!(kinds(&events), [Snapshot, Change, End]);
    let last = events.last().unwrap().as_ref().unwrap();
    assert_eq!(last.report.state, Verdict::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn what_is_finished_at_the_first_look_still_gives_snapshot_and_verdict() {
    use EventKind::{Snapshot, Verdict as End};
    let events = events(|_| Ok(vec![task("Failed")]), 60 * SECOND, 60).await;
    assert_eq!(kinds(&events), [Snapshot, End]);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_come_while_nothing_changes_and_the_deadline_ends_it_with_an_error() {
    let events = events(succeeds_after(600), 3 * SECOND, 11).await;
    assert_eq!(kinds(&events[1..]), [EventKind::Heartbeat; 3]);
    let error = events.last().unwrap().as_ref().unwrap_err();
    assert!(matches!(error.outcome, Outcome::Deadline));
    assert_eq!(error.report.as_ref().unwrap().tasks.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_reads_slowly_gets_the_latest_state_and_no_backlog() {
    let looks = |elapsed: Duration| match elapsed.as_secs() {
        seconds @ 0..60 => Ok(vec![task(&format!("Running {seconds}"))]),
        _ => Ok(vec![task("Success")]),
    };
    let (syncs, _) = syncs(looks);
    let target = start(&syncs).await;
    let mut events = syncs.watch(&target, 300 * SECOND, within(300)).boxed();
    let snapshot = events.next().await.unwrap().unwrap();
    assert_eq!(snapshot.kind, EventKind::Snapshot);
    sleep(100 * SECOND).await;
    let next = events.next().await.unwrap().unwrap();
    assert_eq!(next.kind, EventKind::Verdict);
    assert!(events.next().await.is_none());
}
