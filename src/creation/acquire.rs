//! The way to the one session of a `request_id`: look, decide, act, and look again.

use tokio::time::Instant;

use super::creations::{Creations, Error, Request, new_attempt};
use super::decide::{Seen, Step, decide, millis};
use super::flight::{Acquired, Flight};
use super::reconcile::{Made, make};
use super::stamp::{Claim, Phase, Stamp};
use crate::agb;
use crate::resilience::Deadline;

/// How many candidates one call creates: the second when nothing is known of the first.
const MAX_CREATIONS: usize = 2;
/// How many pages of candidates are read; one is usual.
const MAX_PAGES: usize = 10;

const LOOKING: &str = "looking for the session of the request_id";

pub(super) struct Acquiring {
    creations: Creations,
    request: Request,
    /// What may stand for the `request_id` in labels; the first one is what this call writes. There is always one.
    keys: Vec<String>,
    deadline: Deadline,
    /// The candidate that this call has created.
    own: Option<Own>,
    /// The attempts of this call.
    attempts: Vec<String>,
}

/// A candidate of one's own. It is given up when this is dropped, unless it was chosen.
struct Own {
    made: Made,
    is_chosen: bool,
}

impl Acquiring {
    pub(super) fn new(creations: Creations, request: Request, deadline: Deadline) -> Self {
        let keys = creations.keys.requests(&request.request_id, &request.bound);
        Self {
            creations,
            request,
            keys,
            deadline,
            own: None,
            attempts: Vec::new(),
        }
    }

    pub(super) async fn run(mut self, flight: &std::sync::Arc<Flight>) -> Result<Acquired, Error> {
        let begin = Instant::now();
        loop {
            if self.own.is_none() && Flight::is_abandoned(flight) {
                return Err(Error::Abandoned);
            }
            let seen = self.look().await?;
            let step = {
                let own = self.own.as_ref().map(|own| own.made.session_id());
                let timing = &self.creations.settings.timing;
                decide(&seen, own, self.creations.clock.now(), timing)
            };
            tracing::debug!(?step, candidates = seen.len(), "deciding on a request_id");
            let by_id = |id: &str| seen.iter().find(|seen| seen.session_id == id).cloned();
            match step {
                Step::Take(id) => {
                    if let Some(seen) = by_id(&id)
                        && let Some(acquired) = self.take(seen).await?
                    {
                        return Ok(acquired);
                    }
                }
                Step::Keep => self.keep().await?,
                Step::GiveUp => self.give_up(),
                Step::Create => self.create().await?,
                Step::Adopt(id) => {
                    if let Some(seen) = by_id(&id) {
                        self.adopt(seen).await?;
                    }
                }
                Step::Wait => {
                    let pause = self.creations.settings.pace.delay(begin.elapsed(), None);
                    self.pause(pause).await?;
                }
            }
        }
    }

    /// All sessions of the `request_id` that are provably a gateway's.
    async fn look(&mut self) -> Result<Vec<Seen>, Error> {
        let upstream = std::sync::Arc::clone(&self.creations.upstream);
        let mut seen = Vec::new();
        for key in self.keys.clone() {
            let labels = Stamp::of_request(&key);
            let mut token = None;
            for _ in 0..MAX_PAGES {
                let page = upstream
                    .list(&labels, token.as_deref(), self.deadline)
                    .await;
                let page = page.map_err(failed(LOOKING))?;
                for session_id in page.session_ids {
                    seen.extend(self.read(session_id).await?);
                }
                token = page.next_token;
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(seen)
    }

    async fn read(&mut self, session_id: String) -> Result<Option<Seen>, Error> {
        // Within the lease nobody else writes the labels of one's own.
        if let Some(own) = &self.own
            && own.made.session_id() == session_id
            && self.is_within_lease(own.made.stamp())
        {
            let stamp = own.made.stamp().clone();
            return Ok(Some(Seen {
                session_id,
                stamp,
                labels: self.request.labels.clone(),
            }));
        }
        let upstream = std::sync::Arc::clone(&self.creations.upstream);
        let labels = match upstream.labels(&session_id, self.deadline).await {
            Ok(labels) => labels,
            Err(error) if error.is_session_not_found() => return Ok(None),
            Err(error) => return Err(failed(LOOKING)(error)),
        };
        let stamp = Stamp::read(&labels, &self.creations.keys);
        // The list is AGB's; what is not of this id in truth is nothing to us.
        let stamp = stamp.filter(|stamp| {
            let claim = stamp.claim.as_ref();
            claim.is_some_and(|claim| self.keys.contains(&claim.request))
        });
        let Some(stamp) = stamp else {
            return Ok(None);
        };
        if stamp.phase == Phase::Candidate && self.is_late_one_of_ours(&session_id, &stamp) {
            // Its creation was not answered, and it was not found until now.
            self.creations.release(session_id);
            return Ok(None);
        }
        Ok(Some(Seen {
            session_id,
            stamp,
            labels,
        }))
    }

    fn is_late_one_of_ours(&self, session_id: &str, stamp: &Stamp) -> bool {
        let own = self.own.as_ref();
        own.is_none_or(|own| own.made.session_id() != session_id)
            && self.attempts.contains(&stamp.attempt)
            && self.is_within_lease(stamp)
    }

    fn is_within_lease(&self, stamp: &Stamp) -> bool {
        let settle = millis(self.creations.settings.timing.settle);
        let claim = stamp.claim.as_ref();
        claim.is_some_and(|claim| self.creations.clock.now() + settle < claim.lease)
    }

    async fn create(&mut self) -> Result<(), Error> {
        let settings = self.creations.settings;
        let now = self.creations.clock.now();
        let stamp = Stamp {
            attempt: new_attempt(),
            phase: Phase::Candidate,
            expires: self
                .creations
                .expiry(self.deadline.remaining().max(settings.creation_lease)),
            claim: Some(Claim {
                request: self.keys[0].clone(),
                parameters: self.request.parameters.clone(),
                lease: now + millis(settings.creation_lease),
            }),
        };
        self.attempts.push(stamp.attempt.clone());
        self.own = None;
        // A part of the lease is left for choosing.
        let bound =
            (self.creations.upstream.request_timeout() * 2).min(settings.creation_lease * 3 / 4);
        let (call, labels) = (&self.request.call, &self.request.labels);
        match make(&self.creations, call, labels, stamp, Deadline::after(bound)).await {
            Ok(made) => {
                self.own = Some(Own {
                    made,
                    is_chosen: false,
                });
                Ok(())
            }
            Err(error) if error.leaves_outcome_unknown() && self.attempts.len() < MAX_CREATIONS => {
                tracing::warn!(%error, "creating another candidate: two can do no harm");
                Ok(())
            }
            Err(error) => Err(failed("creating the session")(error)),
        }
    }

    async fn keep(&mut self) -> Result<(), Error> {
        let Some(own) = &mut self.own else {
            return Ok(());
        };
        // Once it may be marked as chosen, others may take it.
        own.made.leave();
        own.is_chosen = true;
        let marked = own.made.mark(Phase::Chosen, self.deadline).await;
        self.unless_gone(marked, "choosing the session")?;
        Ok(())
    }

    fn give_up(&mut self) {
        let Some(own) = self.own.take() else {
            return;
        };
        let stamp = own.made.stamp().clone();
        if own.is_chosen {
            let creations = self.creations.clone();
            let session_id = own.made.session_id().to_owned();
            self.creations
                .spawn(async move { creations.withdraw(&session_id, &stamp.attempt).await });
        }
    }

    async fn adopt(&mut self, seen: Seen) -> Result<(), Error> {
        self.same_parameters(&seen)?;
        let stamp = Stamp {
            attempt: new_attempt(),
            phase: Phase::Chosen,
            // It lives as long as this call needs it.
            expires: self
                .creations
                .expiry(self.deadline.remaining())
                .max(seen.stamp.expires),
            ..seen.stamp
        };
        let labels = stamp.write(&seen.labels, &self.creations.keys);
        let upstream = &self.creations.upstream;
        let marked = upstream
            .set_labels(&seen.session_id, &labels, self.deadline)
            .await;
        let doing = "choosing a session whose creator has gone";
        if self.unless_gone(marked, doing)?.is_some() {
            // Whoever else has looked before that mark could be seen has marked, too, after this.
            self.pause(self.creations.settings.timing.settle).await?;
        }
        Ok(())
    }

    /// The chosen session, unless it has gone in the meantime.
    async fn take(&mut self, seen: Seen) -> Result<Option<Acquired>, Error> {
        let Seen {
            session_id,
            stamp,
            labels,
        } = seen.clone();
        if let Some(own) = self
            .own
            .take_if(|own| own.is_chosen && own.made.session_id() == session_id)
        {
            return Ok(Some(Acquired {
                data: own.made.data.clone(),
                stamp: own.made.stamp().clone(),
                labels: self.request.labels.clone(),
                is_created_here: true,
                is_owned: stamp.phase == Phase::Owned,
            }));
        }
        self.give_up();
        self.same_parameters(&seen)?;
        // Nothing is written before the session is handed over: its creator may be doing that just now.
        let is_owned = stamp.phase == Phase::Owned;
        let upstream = &self.creations.upstream;
        let data = upstream.get(&session_id, self.deadline).await;
        let Some(mut data) = self.unless_gone(data, "getting the session")? else {
            return Ok(None);
        };
        data.session.session_id = session_id;
        Ok(Some(Acquired {
            data,
            stamp,
            labels,
            is_created_here: false,
            is_owned,
        }))
    }

    fn same_parameters(&self, seen: &Seen) -> Result<(), Error> {
        let claim = seen.stamp.claim.as_ref();
        let parameters = claim.map(|claim| &claim.parameters);
        if parameters == Some(&self.request.parameters) {
            return Ok(());
        }
        let fields = parameters
            .map(|parameters| parameters.differing(&self.request.parameters, self.request.fields));
        Err(Error::Differs {
            session_id: Some(seen.session_id.clone()),
            fields: fields.unwrap_or_default(),
        })
    }

    fn unless_gone<T>(
        &mut self,
        result: Result<T, agb::Error>,
        doing: &'static str,
    ) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_session_not_found() => {
                self.own = None;
                Ok(None)
            }
            Err(error) => Err(failed(doing)(error)),
        }
    }

    async fn pause(&self, duration: std::time::Duration) -> Result<(), Error> {
        let paused = self.deadline.pause(duration).await;
        paused.map_err(|_exceeded| {
            Error::Deadline("waiting until it is clear which session is that of the request_id")
        })
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // Past its lease others may be adopting it: then the sweeper decides.
        let creations = self.made.creations();
        let settle = millis(creations.settings.timing.settle);
        let claim = self.made.stamp().claim.as_ref();
        if claim.is_none_or(|claim| creations.clock.now() + settle >= claim.lease) {
            self.made.leave();
        }
    }
}

fn failed(doing: &'static str) -> impl Fn(agb::Error) -> Error {
    move |error| {
        if error.is_deadline() {
            return Error::Deadline(doing);
        }
        Error::Agb { error, doing }
    }
}
