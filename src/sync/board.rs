//! What one poller knows: what its looks have shown, and what follows for each target that someone waits for. No I/O.

use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::KeyValue;
use tokio::sync::watch;
use tokio::time::Instant;

use super::asked::{Target, Ticket};
use super::error::Outcome;
use super::history::duration_of;
use super::identity::{Identity, Place};
use super::poller::{Common, End, Known};
use super::report::Report;
use super::rule::{Judgement, Verdict, judge};
use super::sightings::Sightings;
use super::waits::{Wait, WaitedTarget};
use crate::agb;
use crate::domain::SyncTask;
use crate::telemetry::{LOOK_OUTCOME, Span};

/// What one poller knows.
#[derive(Debug, Default)]
pub(super) struct Board {
    sightings: Sightings,
    follows: Vec<Follow>,
    /// The latest look, whether it failed or not.
    last_look: Option<Instant>,
    /// When it began.
    last_begun: Option<Instant>,
    look_count: u32,
    failures: u32,
    /// Before that, AGB does not want to be asked.
    not_before: Option<Instant>,
    ended: Option<Arc<agb::Error>>,
    /// The spans of those who wait, as far as anybody sees them.
    spans: Vec<Weak<Span>>,
}

/// A target that someone waits for; all who wait for the same one share it.
#[derive(Debug)]
struct Follow {
    target: Target,
    /// When the first of them came, and how old the sync was then.
    joined: Instant,
    age: Duration,
    /// The first look that counts.
    since: Instant,
    settles_in: Option<Duration>,
    known: watch::Sender<Known>,
}

impl Board {
    /// Begins to wait for a target.
    pub(super) fn join(
        &mut self,
        target: &Target,
        now: Instant,
        common: &Common,
    ) -> watch::Receiver<Known> {
        let same = |follow: &&Follow| {
            !follow.has_ended() && follow.is_followed() && follow.target.is_same(target)
        };
        if let Some(follow) = self.follows.iter().find(same) {
            return follow.known.subscribe();
        }
        let known = Known {
            report: Report::before_any_look(target),
            end: None,
            looked: false,
        };
        let latest = self.sightings.latest();
        let since = match target {
            // Any look since it was started. Where that is not known, the latest look may have been before.
            Target::Sync(ticket) => ticket.started.unwrap_or(now),
            Target::Session(_) => now,
        };
        let mut follow = Follow {
            target: target.clone(),
            joined: now,
            age: target.ticket().map(Ticket::age).unwrap_or_default(),
            since,
            settles_in: None,
            known: watch::Sender::new(known),
        };
        if latest.is_some() {
            follow.judge(&self.sightings, common);
        }
        let known = follow.known.subscribe();
        self.follows.push(follow);
        known
    }

    /// Tells a span of each look from now on, for as long as it is held.
    pub(super) fn tell(&mut self, span: &Arc<Span>) {
        if span.is_recording() {
            self.spans.push(Arc::downgrade(span));
        }
    }

    /// When the next look is due; `None` while nobody waits for one. Forgets those who have gone.
    pub(super) fn due(&mut self, common: &Common) -> Option<Instant> {
        self.follows.retain(Follow::is_followed);
        let waiting = self.follows.iter().filter(|follow| !follow.has_ended());
        let due = waiting
            .map(|follow| follow.due(self.last_look, common))
            .min()?;
        let after_failure = self
            .last_look
            .filter(|_| self.failures > 0)
            .map(|last| last + common.pace.backoff(self.failures));
        // However many come and go: between two looks there is at least the floor.
        let after_look = self.last_look.map(|last| last + common.pace.floor());
        Some(
            [after_look, after_failure, self.not_before]
                .into_iter()
                .flatten()
                .fold(due, Instant::max),
        )
    }

    /// Takes in a look. One that fails for a while ends nothing; one that says that waiting is pointless ends all.
    pub(super) fn take(
        &mut self,
        look: Result<Vec<SyncTask>, agb::Error>,
        begun: Instant,
        now: Instant,
        common: &Common,
    ) {
        self.last_look = Some(now);
        let looked_before = self.last_begun.replace(begun);
        self.look_count += 1;
        self.tell_spans(&look);
        match look {
            Ok(tasks) => {
                self.failures = 0;
                self.not_before = None;
                self.learn(&tasks, now, common);
                self.sightings.take(begun, &tasks);
                for follow in &mut self.follows {
                    if follow.judge(&self.sightings, common) {
                        follow.tell_verdict(looked_before, now, common);
                    }
                }
            }
            Err(error) if ends_the_wait(&error) => self.end(error),
            Err(error) => {
                tracing::warn!(%error, look_count = self.look_count, "a look failed; looking again");
                self.failures += 1;
                let hint = error.refusal().and_then(|refusal| refusal.retry_after);
                self.not_before = hint.map(|hint| now + hint.min(common.patience.grace));
                self.sightings.miss();
            }
        }
    }

    fn tell_spans(&mut self, look: &Result<Vec<SyncTask>, agb::Error>) {
        self.spans.retain(|span| {
            let Some(span) = span.upgrade() else {
                return false;
            };
            span.event("look", || {
                let (finished, tasks, outcome) = match look {
                    Ok(tasks) => {
                        let finished = tasks.iter().filter(|task| task.state().is_finished());
                        (finished.count(), tasks.len(), "ok")
                    }
                    Err(error) => (0, 0, error.type_name()),
                };
                [
                    ("agb_gateway.look.number", i64::from(self.look_count).into()),
                    ("agb_gateway.look.tasks", number(tasks)),
                    ("agb_gateway.look.tasks_finished", number(finished)),
                    (LOOK_OUTCOME, outcome.into()),
                ]
            });
            true
        });
    }

    fn end(&mut self, error: agb::Error) {
        tracing::info!(%error, "a look says that waiting is pointless");
        let error = Arc::new(error);
        for follow in &self.follows {
            follow.end(End::Ended(Outcome::Agb(error.clone())));
        }
        self.ended = Some(error);
    }

    /// Learns how long the tasks have taken that this look is the first to show finished.
    fn learn(&self, look: &[SyncTask], now: Instant, common: &Common) {
        for follow in self.follows.iter().filter(|follow| !follow.has_ended()) {
            let Some(sync) = follow.target.sync() else {
                continue;
            };
            let news = look.iter().filter(|task| {
                let identity = Identity::of(task);
                sync.covers(task)
                    && task.state().is_finished()
                    && identity.is_some_and(|identity| {
                        !sync.baseline.contains(&identity)
                            && !self.sightings.has_finished(&identity)
                    })
            });
            for task in news {
                let place = Place::of(task);
                let unfinished = self
                    .sightings
                    .latest()
                    .filter(|last| *last >= follow.joined);
                let earliest = unfinished.map(|last| follow.elapsed(last));
                let latest = follow.elapsed(now);
                if let Some(duration) = duration_of(task, earliest, latest) {
                    common.history.learn(&place, task.direction, duration);
                }
            }
        }
    }

    /// Who waits for what; `None` when nobody does.
    pub(super) fn wait(&mut self, session_id: &str, common: &Common) -> Option<Wait> {
        let next_look = self.due(common);
        let mut targets: Vec<_> = self.follows.iter().map(Follow::waited).collect();
        targets.sort_by_key(|target| target.since);
        Some(Wait {
            session_id: session_id.to_owned(),
            since: targets.first()?.since,
            look_count: self.look_count,
            failed_look_count: self.failures,
            next_look,
            targets,
        })
    }

    /// How many looks were made.
    pub(super) fn look_count(&self) -> u32 {
        self.look_count
    }

    /// Whether a look has ended all waiting.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }
}

impl Follow {
    fn elapsed(&self, now: Instant) -> Duration {
        self.age + now.saturating_duration_since(self.joined)
    }

    /// Whether anyone waits for it still.
    fn is_followed(&self) -> bool {
        self.known.receiver_count() > 0
    }

    fn has_ended(&self) -> bool {
        self.known.borrow().end.is_some()
    }

    fn waited(&self) -> WaitedTarget {
        let known = self.known.borrow();
        let tasks = &known.report.tasks;
        let finished = tasks.iter().filter(|task| task.state().is_finished());
        WaitedTarget {
            target: self.target.clone(),
            waiter_count: self.known.receiver_count(),
            since: self.joined,
            state: known.end.is_none().then_some(known.report.state),
            task_count: tasks.len(),
            finished_task_count: finished.count(),
        }
    }

    fn due(&self, last_look: Option<Instant>, common: &Common) -> Instant {
        if last_look.is_none() && self.target.sync().is_none() {
            return self.joined;
        }
        let forecast = self.target.sync().and_then(|sync| {
            let known = self.known.borrow();
            let finished = |place: &Place| {
                let mut tasks = known.report.tasks.iter();
                tasks.any(|task| Place::of(task) == *place && task.state().is_finished())
            };
            let open = sync.expected.iter().filter(|place| !finished(place));
            common.history.forecast(open, sync.direction)
        });
        let Some(last_look) = last_look else {
            // A sync that was started long ago is looked at at once, one that was only just started after a first pause.
            let first = common.pace.delay(Duration::ZERO, forecast);
            return self.joined + first.saturating_sub(self.age);
        };
        let base = last_look.max(self.joined);
        let delay = common.pace.delay(self.elapsed(base), forecast);
        // One look at the end of the settling time tells all that looks in between would.
        base + self.settles_in.unwrap_or(delay)
    }

    /// Tells those who wait what follows from what has been seen, if that is anything new. Whether it is the end is returned.
    fn judge(&mut self, sightings: &Sightings, common: &Common) -> bool {
        if self.has_ended() {
            return false;
        }
        let patience = &common.patience;
        let judgement = judge(&self.target, self.since, sightings, patience);
        self.settles_in = judgement.settles_in;
        let end = end_of(&judgement, patience.grace);
        self.known.send_if_modified(|known| {
            let report = Report::of(&self.target, judgement, 0);
            let changed = !known.looked || end.is_some() || known.report != report;
            if changed {
                *known = Known {
                    report,
                    end,
                    looked: true,
                };
            }
            changed
        });
        self.has_ended()
    }

    /// Tells how long the sync has taken, and how late that is known at most.
    fn tell_verdict(&self, looked_before: Option<Instant>, now: Instant, common: &Common) {
        let outcome = match &self.known.borrow().end {
            Some(End::Succeeded) => "succeeded",
            Some(End::Ended(Outcome::Failed)) => "failed",
            _ => return,
        };
        let instruments = common.telemetry.instruments();
        if self.target.sync().is_some() {
            let outcome = KeyValue::new("agb_gateway.outcome", outcome);
            let elapsed = self.elapsed(now).as_secs_f64();
            instruments.sync_duration.record(elapsed, &[outcome]);
        }
        let before = looked_before.map_or(self.joined, |before| before.max(self.joined));
        let lag = now.saturating_duration_since(before);
        instruments.sync_lag.record(lag.as_secs_f64(), &[]);
    }

    fn end(&self, end: End) {
        if !self.has_ended() {
            self.known.send_modify(|known| known.end = Some(end));
        }
    }
}

fn number(count: usize) -> opentelemetry::Value {
    i64::try_from(count).unwrap_or(i64::MAX).into()
}

fn end_of(judgement: &Judgement, grace: Duration) -> Option<End> {
    match judgement.verdict {
        Verdict::Succeeded => Some(End::Succeeded),
        Verdict::Failed => Some(End::Ended(Outcome::Failed)),
        Verdict::Pending | Verdict::Running if judgement.not_observed => {
            Some(End::Ended(Outcome::NotObserved(grace)))
        }
        Verdict::Pending | Verdict::Running => None,
    }
}

/// AGB's refusals that will not change by waiting: the session is gone, the key is not accepted, the request is wrong.
fn ends_the_wait(error: &agb::Error) -> bool {
    const TIMEOUT: u16 = 408;
    const TOO_EARLY: u16 = 425;
    const TOO_MANY: u16 = 429;
    error.is_session_not_found()
        || error.refusal().is_some_and(|refusal| {
            matches!(refusal.http_status, 400..=499)
                && !matches!(refusal.http_status, TIMEOUT | TOO_EARLY | TOO_MANY)
        })
}
