//! Follows a sync and tells what happens: a snapshot first, then each change, then the verdict. While nothing changes, a
//! heartbeat.

use std::time::Duration;

use futures_util::{Stream, stream};
use tokio::time::{Instant, sleep_until};

use super::error::{Error, Outcome};
use super::follow::{Follower, Look, Report, Step};
use crate::resilience::Deadline;

/// Something about a sync that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Why it is told.
    pub kind: EventKind,
    /// What is known.
    pub report: Report,
}

/// Why something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It is the first.
    Snapshot,
    /// A task has appeared or changed.
    Change,
    /// The sync has succeeded or failed; nothing follows.
    Verdict,
    /// Nothing has changed for a while.
    Heartbeat,
}

struct Watch<L> {
    follower: Follower<L>,
    heartbeat: Duration,
    deadline: Deadline,
    next_look: Instant,
    /// What is told next, before anything else is looked at.
    due: Option<EventKind>,
    told_first: bool,
    ended: bool,
}

/// The events of a sync. A sync that fails ends by a verdict; whatever else ends it is an error.
pub fn watch<L: Look + Send + Sync + 'static>(
    follower: Follower<L>,
    heartbeat: Duration,
    deadline: Deadline,
) -> impl Stream<Item = Result<Event, Error>> + Send + 'static + use<L> {
    let watch = Watch {
        follower,
        heartbeat,
        deadline,
        next_look: Instant::now(),
        due: None,
        told_first: false,
        ended: false,
    };
    stream::unfold(watch, |mut watch| async move {
        if watch.ended {
            return None;
        }
        let event = watch.next().await;
        watch.ended |= event.is_err();
        Some((event, watch))
    })
}

impl<L: Look> Watch<L> {
    async fn next(&mut self) -> Result<Event, Error> {
        let next_heartbeat = Instant::now() + self.heartbeat;
        loop {
            if let Some(kind) = self.due.take() {
                self.ended = kind == EventKind::Verdict;
                return Ok(self.event(kind));
            }
            if self.next_look > next_heartbeat {
                self.until(next_heartbeat).await?;
                return Ok(self.event(EventKind::Heartbeat));
            }
            self.until(self.next_look).await?;
            let step = self.follower.step().await;
            self.next_look = Instant::now() + self.follower.pause();
            let (changed, verdict) = match step {
                Step::GoesOn { changed } => (changed, false),
                Step::Succeeded | Step::Ended(Outcome::Failed) => (true, true),
                Step::Ended(outcome) => return Err(self.error(outcome)),
            };
            let verdict = verdict.then_some(EventKind::Verdict);
            if self.told_first {
                self.due = verdict.or(changed.then_some(EventKind::Change));
            } else {
                self.told_first = true;
                self.due = verdict;
                return Ok(self.event(EventKind::Snapshot));
            }
        }
    }

    async fn until(&self, instant: Instant) -> Result<(), Error> {
        self.deadline
            .bound(sleep_until(instant))
            .await
            .map_err(|_exceeded| self.error(Outcome::Deadline))
    }

    fn event(&self, kind: EventKind) -> Event {
        Event {
            kind,
            report: self.follower.report(),
        }
    }

    fn error(&self, outcome: Outcome) -> Error {
        Error {
            outcome,
            report: Some(Box::new(self.follower.report())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use futures_util::StreamExt as _;

    use super::super::rule::{Place, Progress, Sync, Verdict};
    use super::super::{Identity, Patience};
    use super::*;
    use crate::agb;
    use crate::domain::{Direction, SyncTask};
    use crate::resilience::Pace;

    /// Shows the scripted states of one task; the last one again and again.
    struct Script(Mutex<VecDeque<&'static str>>);

    impl Look for Script {
        async fn look(&self) -> Result<Vec<SyncTask>, agb::Error> {
            let mut script = self.0.lock().unwrap();
            let status = script.front().copied().unwrap();
            if script.len() > 1 {
                script.pop_front();
            }
            Ok(vec![SyncTask {
                context_id: "c".to_owned(),
                path: "/tmp/a".to_owned(),
                direction: Direction::Download,
                agb_status: status.to_owned(),
                error_message: String::new(),
                start: 1,
                finish: 0,
            }])
        }
    }

    async fn events(states: &[&'static str], deadline: u64) -> Vec<Result<Event, Error>> {
        let expected = [Place::new("c", "/tmp/a")].into();
        let progress = Progress::of_sync(Sync::of_creation("s".to_owned(), expected));
        let second = Duration::from_secs(1);
        let patience = Patience {
            pace: Pace::try_new(second, second, 0.5).unwrap(),
            grace: 30 * second,
            settle: second,
        };
        let script = Script(Mutex::new(states.iter().copied().collect()));
        let follower = Follower::new(progress, script, patience);
        let deadline = Deadline::after(Duration::from_secs(deadline));
        watch(follower, 3 * second, deadline).collect().await
    }

    fn kinds(events: &[Result<Event, Error>]) -> Vec<EventKind> {
        let good = events.iter().filter_map(|event| event.as_ref().ok());
        good.map(|event| event.kind).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_comes_first_then_changes_then_the_verdict_and_the_end() {
        use EventKind::{Change, Snapshot, Verdict as End};
        let events = events(&["Preparing", "Preparing", "Running", "Success"], 60).await;
        assert_eq!(kinds(&events), [Snapshot, Change, End]);
        let last = events.last().unwrap().as_ref().unwrap();
        assert_eq!(last.report.state, Verdict::Succeeded);
        assert_eq!(Identity::of(&last.report.tasks[0]).start, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_finished_at_the_first_look_still_gives_snapshot_and_verdict() {
        use EventKind::{Snapshot, Verdict as End};
        assert_eq!(kinds(&events(&["Failed"], 60).await), [Snapshot, End]);
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_come_while_nothing_changes_and_the_deadline_ends_it_with_an_error() {
        let events = events(&["Running"], 11).await;
        let heartbeats = kinds(&events[1..]);
        assert_eq!(heartbeats, [EventKind::Heartbeat; 3]);
        let error = events.last().unwrap().as_ref().unwrap_err();
        assert!(matches!(error.outcome, Outcome::Deadline));
        assert_eq!(error.report.as_ref().unwrap().tasks.len(), 1);
    }
}
