//! Starts syncs, waits for them, and answers questions about them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use jiff::Timestamp;
use tokio::time::Instant;

use super::asked::{Scope, Sync, Target, Ticket};
use super::error::Error;
use super::history::History;
use super::identity::{Identity, Place};
use super::poller::{Common, End, Pollers};
use super::report::Report;
use super::rule::{Judgement, Patience, judge};
use super::sightings::Sightings;
use super::starts::{Memory, Starts};
use super::token::{InvalidToken, TokenKeys};
use super::upstream::{Start, Upstream};
use super::waits::Wait;
use super::watch::{Event, watch};
use crate::agb::{self, operation};
use crate::domain::{Direction, SyncTask};
use crate::resilience::{Budget, Deadline, Drain, Pace};
use crate::telemetry::Telemetry;

/// How syncs are followed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How soon to look again.
    pub pace: Pace,
    /// How long to wait for what has not been seen.
    pub patience: Patience,
    /// How many looks per second all sessions share.
    pub looks_per_second: u32,
    /// Of how many places' durations, and of how many sessions' starts, there is a memory.
    pub memory_entries: u64,
}

/// Starts syncs and follows them; all clones share what they know.
#[derive(Clone, Debug)]
pub struct Syncs {
    common: Arc<Common>,
    pollers: Pollers,
    keys: TokenKeys,
}

impl Syncs {
    /// Syncs of this AGB. Waits end when the drain begins, or shortly before it ends.
    pub fn new(
        upstream: Arc<dyn Upstream>,
        settings: &Settings,
        keys: TokenKeys,
        drain: Drain,
        telemetry: Telemetry,
    ) -> Self {
        let common = Arc::new(Common {
            upstream,
            patience: settings.patience,
            pace: settings.pace,
            history: History::new(settings.memory_entries),
            budget: Budget::new(settings.looks_per_second),
            drain,
            starts: Starts::new(settings.memory_entries),
            telemetry,
        });
        Self {
            pollers: Pollers::new(common.clone()),
            common,
            keys,
        }
    }

    /// Starts a sync. Looks first at what is there, so that nothing older can be taken for it: without that look nothing is
    /// started. What could come of an earlier start is waited for, as long as the grace: it could not be told apart.
    pub async fn start(&self, start: Start, deadline: Deadline) -> Result<Target, agb::Error> {
        let too_late = |exceeded| agb::Error::from_deadline(&operation::SYNC_CONTEXT, exceeded);
        let session = self.common.starts.of(&start.session_id);
        let mut memory = deadline.bound(session.lock()).await.map_err(too_late)?;
        let begin = Instant::now();
        let sync = loop {
            let looked = Instant::now();
            let look = self.common.look(&start.session_id, deadline).await?;
            memory.known.append(&mut session.seen());
            memory.take(&look, looked, &self.common.patience);
            let sync = sync_of(&start, &memory);
            if !memory.could_be_confused(&sync) && !shows_unstarted(&sync, &look) {
                break sync;
            }
            let pause = self.common.pace.delay(begin.elapsed(), None);
            deadline.pause(pause).await.map_err(too_late)?;
        };
        // Before AGB is asked: should the caller leave meanwhile, it may have begun all the same.
        let started = Instant::now();
        memory.starts(sync.clone(), started);
        if let Err(error) = self.common.upstream.start(&start, deadline).await {
            if !error.leaves_outcome_unknown() {
                memory.has_not_started();
            }
            return Err(error);
        }
        Ok(self.target(sync, started))
    }

    /// The download that the creation of a session has started.
    pub async fn created(&self, session_id: String, expected: BTreeSet<Place>) -> Target {
        let sync = Sync::of_creation(session_id, expected);
        let started = Instant::now();
        let session = self.common.starts.of(&sync.session_id);
        session.lock().await.starts(sync.clone(), started);
        self.target(sync, started)
    }

    /// Reads a token that a replica of this gateway made.
    pub fn read_token(&self, token: &str) -> Result<Target, InvalidToken> {
        self.keys
            .read(token, Timestamp::now())
            .map(|ticket| Target::Sync(Arc::new(ticket)))
    }

    /// Waits until a sync is complete. Only success is `Ok`.
    pub async fn wait(&self, target: &Target, deadline: Deadline) -> Result<Report, Error> {
        let mut subscription = self.pollers.join(target);
        let end = subscription.end(deadline).await;
        subscription.tell(&end);
        let report = subscription.known().report;
        let outcome = match end {
            End::Succeeded => return Ok(report),
            End::Ended(outcome) => outcome,
        };
        Err(Error {
            outcome,
            report: Some(Box::new(report)),
        })
    }

    /// Follows a sync, telling each change, at least every `heartbeat`.
    pub fn watch(
        &self,
        target: &Target,
        heartbeat: Duration,
        deadline: Deadline,
    ) -> impl Stream<Item = Result<Event, Error>> + Send + 'static + use<> {
        watch(self.pollers.join(target), heartbeat, deadline)
    }

    /// Who waits for what at this moment, in no order.
    pub fn waits(&self) -> Vec<Wait> {
        self.pollers.waits()
    }

    /// Looks once, and once more after the settling time where only that can tell that no more tasks come.
    pub async fn status(&self, target: &Target, deadline: Deadline) -> Result<Report, agb::Error> {
        let mut sightings = Sightings::default();
        let since = Instant::now();
        let mut look_count = 0;
        loop {
            let judgement = self
                .look_and_judge(target, since, &mut sightings, deadline)
                .await?;
            look_count += 1;
            let settles_in = judgement.settles_in.filter(|_| look_count == 1);
            let report = Report::of(target, judgement, look_count);
            let Some(settles_in) = settles_in else {
                return Ok(report);
            };
            if deadline.pause(settles_in).await.is_err() {
                return Ok(report);
            }
        }
    }

    async fn look_and_judge(
        &self,
        target: &Target,
        since: Instant,
        sightings: &mut Sightings,
        deadline: Deadline,
    ) -> Result<Judgement, agb::Error> {
        let begun = Instant::now();
        let look = self.common.look(target.session_id(), deadline).await?;
        sightings.take(begun, &look);
        Ok(judge(target, since, sightings, &self.common.patience))
    }

    fn target(&self, sync: Sync, started: Instant) -> Target {
        let issued = Timestamp::now();
        Target::Sync(Arc::new(Ticket {
            token: self.keys.write(&sync, issued),
            sync,
            issued,
            started: Some(started),
        }))
    }
}

/// A sync of all contexts expects the places that AGB shows tasks of; there may be more. What any look has seen is there
/// before, also if AGB does not show it just now.
fn sync_of(start: &Start, memory: &Memory) -> Sync {
    let (scope, expected) = match &start.place {
        Some((context_id, path)) => (
            Scope::Expected,
            [Place::new(context_id.as_str(), path.as_str())].into(),
        ),
        None => (
            Scope::All,
            memory
                .known
                .iter()
                .map(|identity| identity.place.clone())
                .collect(),
        ),
    };
    Sync {
        session_id: start.session_id.clone(),
        direction: start.direction.unwrap_or(Direction::Upload),
        scope,
        expected,
        baseline: memory.known.clone(),
    }
}

/// Whether AGB has accepted something there that it has not started: it has no identity yet, and could later be taken for ours.
fn shows_unstarted(sync: &Sync, look: &[SyncTask]) -> bool {
    look.iter().any(|task| {
        Identity::of(task).is_none() && sync.covers(task) && !task.state().is_finished()
    })
}
