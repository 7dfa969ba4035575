//! The way in: create a session, with or without a `request_id`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::acquire::Acquiring;
use super::decide::{Timing, millis};
use super::flight::{Claimed, Flight};
use super::reconcile::{Made, make};
use super::stamp::{Keys, Parameters, Phase, Stamp};
use super::told::Told;
use super::upstream::{LabelMap, Upstream};
use crate::agb::{self, wire};
use crate::resilience::{Deadline, Pace};
use crate::telemetry::in_current_span;

/// How long a release may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(30);
/// From how many calls under way on those that have ended are forgotten.
const MANY_FLIGHTS: usize = 1_024;

/// How sessions are created.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// For how long after a creation began its creator alone decides about the session. Only with a `request_id`.
    pub creation_lease: Duration,
    /// How long after the end of its call a session that was not handed over may be released by the sweeper.
    pub expiry_margin: Duration,
    /// How far clocks and requests can be trusted.
    pub timing: Timing,
    /// How soon to look again.
    pub pace: Pace,
}

/// Tells the time of day: milliseconds since the epoch.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(|| Timestamp::now().as_millisecond())
    }

    /// Another clock.
    pub fn new(now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> i64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Clock")
    }
}

/// Why there is no session.
#[derive(Clone, Debug)]
pub enum Error {
    /// AGB failed while something was done.
    Agb {
        /// What AGB said.
        error: agb::Error,
        /// What was done, for people.
        doing: &'static str,
    },
    /// The `request_id` was used with other parameters.
    Differs {
        /// The session of the other call, where it is known.
        session_id: Option<String>,
        /// The fields of the request that differ.
        fields: Vec<&'static str>,
    },
    /// The deadline came first.
    Deadline(&'static str),
    /// The session was released in the meantime.
    Gone,
    /// All who waited for it have gone.
    Abandoned,
}

/// A call with a `request_id`.
#[derive(Clone, Debug)]
pub struct Request {
    /// The id.
    pub request_id: String,
    /// The labels that the caller cannot choose. Calls that differ in these never share a session, and learn nothing of each other.
    pub bound: LabelMap,
    /// What is asked of AGB. The labels are set when it is.
    pub call: wire::CreateSession,
    /// The caller's labels.
    pub labels: LabelMap,
    /// Tells one set of parameters from another.
    pub parameters: Parameters,
    /// The fields that `parameters` knows.
    pub fields: &'static [&'static str],
}

/// Calls by their `request_id` and what their callers are bound to.
type Flights = HashMap<(String, LabelMap), Weak<Flight>>;

/// Creates sessions; all clones share what is under way.
#[derive(Clone, Debug)]
pub struct Creations {
    pub(super) upstream: Arc<dyn Upstream>,
    pub(super) keys: Keys,
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    /// What goes on after its callers have gone.
    tasks: TaskTracker,
    pub(super) told: Told,
    /// Calls under way.
    flights: Arc<Mutex<Flights>>,
}

impl Creations {
    /// Creates through `upstream`; what outlives its callers becomes one of the `tasks`.
    pub fn new(
        upstream: Arc<dyn Upstream>,
        keys: Keys,
        settings: Settings,
        clock: Clock,
        tasks: TaskTracker,
        told: Told,
    ) -> Self {
        Self {
            upstream,
            keys,
            settings,
            clock,
            tasks,
            told,
            flights: Arc::default(),
        }
    }

    /// Creates a session that is nobody's but the caller's. A lost answer is reconciled: what AGB has made is found again. The
    /// creation goes on when its caller has gone, and what comes of it then is released.
    pub async fn create(
        &self,
        call: wire::CreateSession,
        labels: LabelMap,
        deadline: Deadline,
    ) -> Result<Made, Error> {
        // Bounded by the timeout of one call, and not by the caller's deadline.
        let bound = self.upstream.request_timeout() * 2;
        let stamp = Stamp {
            attempt: new_attempt(),
            phase: Phase::Candidate,
            expires: self.expiry(deadline.remaining().max(bound)),
            claim: None,
        };
        let creations = self.clone();
        let creating = self.spawn(async move {
            make(&creations, &call, &labels, stamp, Deadline::after(bound)).await
        });
        let doing = "creating the session";
        match deadline.bound(creating).await {
            Ok(Ok(result)) => result.map_err(|error| Error::Agb { error, doing }),
            // The task has panicked.
            Ok(Err(_)) => Err(Error::Abandoned),
            Err(_exceeded) => Err(Error::Deadline(
                "creating the session; should AGB still create it, it will be released",
            )),
        }
    }

    /// A call has failed to get a session.
    pub fn has_failed(&self) {
        self.told.created("failed");
    }

    /// Finds or creates the session of a `request_id`. Calls of the same id share the work.
    pub async fn claim(&self, request: &Request, deadline: Deadline) -> Result<Claimed, Error> {
        loop {
            let flight = self.join(request, deadline)?;
            let outcome = deadline.bound(flight.outcome()).await;
            let outcome = outcome.map_err(|_exceeded| {
                Error::Deadline(
                    "creating the session, which goes on; ask again with the same request_id",
                )
            })?;
            match outcome {
                Ok(acquired) => return Ok(Claimed::new(self.clone(), flight, acquired)),
                // Those of whoever came first; this caller may have longer.
                Err(Error::Deadline(_) | Error::Abandoned) if !deadline.remaining().is_zero() => {
                    tracing::debug!("trying again, since the first caller's time is up");
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn join(&self, request: &Request, deadline: Deadline) -> Result<Arc<Flight>, Error> {
        let key = (request.request_id.clone(), request.bound.clone());
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let running = flights.get(&key).and_then(Weak::upgrade);
        if let Some(flight) = running.filter(|flight| flight.may_be_joined()) {
            let differing = flight
                .parameters
                .differing(&request.parameters, request.fields);
            if flight.parameters == request.parameters {
                return Ok(flight);
            }
            return Err(Error::Differs {
                session_id: None,
                fields: differing,
            });
        }
        let flight = Arc::new(Flight::new(request.parameters.clone()));
        if flights.len() >= MANY_FLIGHTS {
            flights.retain(|_, flight| flight.strong_count() > 0);
        }
        flights.insert(key, Arc::downgrade(&flight));
        drop(flights);
        // It has at least the time that a creation takes: so what it has begun is found by whoever asks again.
        let time = deadline
            .remaining()
            .max(self.settings.creation_lease + 2 * self.settings.timing.settle);
        let acquiring = Acquiring::new(self.clone(), request.clone(), Deadline::after(time));
        let leader = Arc::clone(&flight);
        self.spawn(async move {
            let result = acquiring.run(&leader).await;
            leader.end(result);
        });
        Ok(flight)
    }

    /// Runs work that no caller waits for, within the span of the call that it comes from.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.tasks.spawn(in_current_span(work).in_current_span())
    }

    /// When a session may be swept whose call ends after `duration`.
    pub(super) fn expiry(&self, duration: Duration) -> i64 {
        self.clock.now() + millis(duration) + millis(self.settings.expiry_margin)
    }

    /// Releases a session, and says in the log what came of it.
    pub(super) fn release(&self, session_id: String) {
        let upstream = Arc::clone(&self.upstream);
        self.spawn(async move {
            let deadline = Deadline::after(RELEASE_TIMEOUT);
            match upstream.release(&session_id, deadline).await {
                Ok(()) => tracing::info!(session_id, "released a session that came to nothing"),
                Err(error) if error.is_session_not_found() => {}
                Err(error) => {
                    tracing::error!(session_id, %error, "could not release a session that came to nothing");
                }
            }
        });
    }
}

/// A name for an attempt to create a session, which nobody can guess.
pub(super) fn new_attempt() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
