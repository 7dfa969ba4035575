//! Calls of one `request_id` that share one session, and what becomes of it.

use std::sync::Arc;

use tokio::sync::{Mutex, watch};
use tokio::time::sleep;

use super::creations::{Creations, Error};
use super::decide::millis;
use super::stamp::{Parameters, Phase, Stamp};
use super::upstream::LabelMap;
use crate::agb::{self, wire};
use crate::resilience::Deadline;

/// The session of a `request_id`, as one call has found or made it.
#[derive(Debug)]
pub(super) struct Acquired {
    pub(super) data: wire::LinkedSessionData,
    pub(super) stamp: Stamp,
    /// All labels that it has, or those of the caller.
    pub(super) labels: LabelMap,
    /// Whether this gateway has created and chosen it, so that it alone may withdraw it.
    pub(super) is_created_here: bool,
    /// Whether it was handed over before.
    pub(super) is_owned: bool,
}

type Outcome = Result<Arc<Acquired>, Error>;

/// Calls of one `request_id` under way in this process.
#[derive(Debug)]
pub struct Flight {
    pub(super) parameters: Parameters,
    outcome: watch::Sender<Option<Outcome>>,
    fate: Mutex<Fate>,
}

/// What has become of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    HandedOver,
    /// It is being released, or has gone.
    Lost,
}

impl Flight {
    pub(super) fn new(parameters: Parameters) -> Self {
        Self {
            parameters,
            outcome: watch::Sender::new(None),
            fate: Mutex::new(Fate::Open),
        }
    }

    /// Whether one more call can share it: later ones find the session in AGB, as it then is.
    pub(super) fn may_be_joined(&self) -> bool {
        let is_open = self.fate.try_lock().is_ok_and(|fate| *fate == Fate::Open);
        is_open && !matches!(*self.outcome.borrow(), Some(Err(_)))
    }

    /// Whether nobody but the task that leads it knows of it any more.
    pub(super) fn is_abandoned(flight: &Arc<Self>) -> bool {
        Arc::strong_count(flight) == 1
    }

    pub(super) fn end(&self, result: Result<Acquired, Error>) {
        self.outcome.send_replace(Some(result.map(Arc::new)));
    }

    pub(super) async fn outcome(self: &Arc<Self>) -> Outcome {
        let mut outcome = self.outcome.subscribe();
        let ended = outcome.wait_for(Option::is_some).await;
        // The sender lives as long as the flight.
        let ended = ended.ok().and_then(|outcome| outcome.clone());
        ended.unwrap_or(Err(Error::Abandoned))
    }
}

/// The session of a `request_id`, not yet handed over. It is not released when this is dropped: another call with the same id can
/// have it, and the sweeper gets it when none comes.
#[derive(Debug)]
pub struct Claimed {
    creations: Creations,
    flight: Arc<Flight>,
    acquired: Arc<Acquired>,
}

impl Claimed {
    pub(super) fn new(creations: Creations, flight: Arc<Flight>, acquired: Arc<Acquired>) -> Self {
        Self {
            creations,
            flight,
            acquired,
        }
    }

    /// What AGB told of the session.
    pub fn data(&self) -> &wire::LinkedSessionData {
        &self.acquired.data
    }

    /// Whether an earlier call has handed it over.
    pub fn is_owned(&self) -> bool {
        self.acquired.is_owned
    }

    /// Makes it the caller's. [`Error::Gone`]: it was released in the meantime, and the call begins anew.
    pub async fn hand_over(&self, deadline: Deadline) -> Result<(), Error> {
        let doing = "handing the session over; ask again with the same request_id";
        let handed_over = deadline.bound(async {
            let mut fate = self.flight.fate.lock().await;
            if *fate == Fate::Open {
                *fate = self.mark_owned(deadline).await?;
            }
            Ok(*fate)
        });
        match handed_over.await {
            Ok(Ok(Fate::HandedOver)) => {
                let is_found = self.acquired.is_owned || !self.acquired.is_created_here;
                let outcome = if is_found { "found" } else { "created" };
                self.creations.told.created(outcome);
                Ok(())
            }
            Ok(Ok(_)) => Err(Error::Gone),
            Ok(Err(error)) => Err(Error::Agb { error, doing }),
            Err(_exceeded) => Err(Error::Deadline(doing)),
        }
    }

    async fn mark_owned(&self, deadline: Deadline) -> Result<Fate, agb::Error> {
        if self.acquired.is_owned {
            return Ok(Fate::HandedOver);
        }
        let guard = self.creations.settings.timing.guard();
        let is_fresh = self.creations.clock.now() + guard < self.acquired.stamp.expires;
        let is_ours = self.acquired.is_created_here && is_fresh;
        if !is_ours && !self.take_over(deadline).await? {
            return Ok(Fate::Lost);
        }
        let is_marked = self.mark(Phase::Owned, deadline).await?;
        Ok(if is_marked {
            Fate::HandedOver
        } else {
            Fate::Lost
        })
    }

    /// Its creator may be withdrawing it just now, or a sweeper releasing it: what stands after a while will stay. Until then it is not
    /// called owned, since others would take that for the last word.
    async fn take_over(&self, deadline: Deadline) -> Result<bool, agb::Error> {
        if !self.mark(Phase::Taken, deadline).await? {
            return Ok(false);
        }
        sleep(self.creations.settings.timing.settle).await;
        let session_id = &self.acquired.data.session.session_id;
        match self.creations.upstream.labels(session_id, deadline).await {
            Ok(labels) => {
                let stamp = Stamp::read(&labels, &self.creations.keys);
                let phase = stamp.map(|stamp| stamp.phase);
                Ok(matches!(phase, Some(Phase::Taken | Phase::Owned)))
            }
            Err(error) if error.is_session_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Says in its labels how far it has come; `false`: it has gone.
    async fn mark(&self, phase: Phase, deadline: Deadline) -> Result<bool, agb::Error> {
        let stamp = Stamp {
            phase,
            ..self.acquired.stamp.clone()
        };
        let labels = stamp.write(&self.acquired.labels, &self.creations.keys);
        let session_id = &self.acquired.data.session.session_id;
        let upstream = &self.creations.upstream;
        match upstream.set_labels(session_id, &labels, deadline).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_session_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Releases the session in the background, unless someone has it, or may be taking it. Whether that is tried is returned.
    pub fn withdraw(self) -> bool {
        if !self.acquired.is_created_here {
            return false;
        }
        self.creations.clone().spawn(async move {
            let mut fate = self.flight.fate.lock().await;
            if *fate == Fate::Open {
                *fate = Fate::Lost;
                drop(fate);
                let session_id = &self.acquired.data.session.session_id;
                let attempt = &self.acquired.stamp.attempt;
                self.creations.withdraw(session_id, attempt).await;
            }
        });
        true
    }
}

impl Creations {
    /// Releases a chosen session that this gateway has created, when nobody takes it: says so in its labels, and looks after a while
    /// whether that stands.
    pub(super) async fn withdraw(&self, session_id: &str, attempt: &str) {
        match self.try_withdraw(session_id, attempt).await {
            Ok(true) => self.release(session_id.to_owned()),
            Ok(false) => {
                tracing::info!(session_id, "not released, since another call has taken it");
            }
            Err(error) if error.is_session_not_found() => {}
            Err(error) => {
                tracing::warn!(session_id, %error, "could not withdraw a session; the sweeper will release it");
            }
        }
    }

    async fn try_withdraw(&self, session_id: &str, attempt: &str) -> Result<bool, agb::Error> {
        let timing = self.settings.timing;
        let deadline = Deadline::after(self.upstream.request_timeout());
        let is_ours = |labels: &LabelMap, phase| {
            let stamp = Stamp::read(labels, &self.keys);
            stamp.filter(|stamp| stamp.phase == phase && stamp.attempt == attempt)
        };
        let labels = self.upstream.labels(session_id, deadline).await?;
        let Some(stamp) = is_ours(&labels, Phase::Chosen) else {
            return Ok(false);
        };
        let withdrawn = Stamp {
            phase: Phase::Withdrawn,
            // Should this gateway end here, the next call with the id need not wait for long.
            expires: self.clock.now() + 2 * millis(timing.settle),
            ..stamp
        };
        let labels = withdrawn.write(&labels, &self.keys);
        self.upstream
            .set_labels(session_id, &labels, deadline)
            .await?;
        sleep(timing.settle).await;
        let labels = self.upstream.labels(session_id, deadline).await?;
        Ok(is_ours(&labels, Phase::Withdrawn).is_some())
    }
}
