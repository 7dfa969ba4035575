//! One replica's way to the simulated AGB, in simulated time.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use agb_gateway::agb::{self, operation};
use agb_gateway::domain::{Direction, SyncTask};
use agb_gateway::resilience::Deadline;
use agb_gateway::sync::{Start, Upstream};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};

use crate::task::Millis;
use crate::world::{Asked, Asker, World, place_name};

tokio::task_local! {
    /// The actor that runs; a poller of the gateway is none.
    pub(crate) static ACTOR: usize;
}

/// The world that all share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    world: Arc<Mutex<World>>,
    begin: Instant,
}

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        Self {
            world: Arc::new(Mutex::new(world)),
            begin: Instant::now(),
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no actor panics")
    }

    /// The milliseconds since the history began.
    pub(crate) fn now(&self) -> Millis {
        i64::try_from(self.begin.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }
}

/// So long.
pub(crate) fn millis(count: Millis) -> Duration {
    Duration::from_millis(count.max(0).unsigned_abs())
}

/// One replica's way to AGB.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) shared: Shared,
    pub(crate) number: usize,
}

/// Ends the look of a poller, also when it is dropped.
struct InFlight<'a>(&'a Replica, Asker);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.1 == Asker::Poller {
            self.0.shared.world().cost.ends(self.0.number);
        }
    }
}

impl Replica {
    fn begin_look(&self) -> (InFlight<'_>, Millis, Millis) {
        let asker = ACTOR.try_with(|actor| *actor);
        let asker = asker.map_or(Asker::Poller, Asker::Actor);
        let now = self.shared.now();
        let mut world = self.shared.world();
        if asker == Asker::Poller {
            let floor = world.settings.floor;
            let violation = world.cost.begins(self.number, now, floor);
            world.violations.extend(violation);
        }
        (InFlight(self, asker), now, world.latency(now))
    }

    async fn look(&self, deadline: Deadline) -> Result<Vec<SyncTask>, agb::Error> {
        let operation = &operation::GET_CONTEXT_INFO;
        let (flight, begun, latency) = self.begin_look();
        let answered = deadline.bound(sleep(millis(latency))).await;
        let now = self.shared.now();
        let mut world = self.shared.world();
        let look = match answered {
            Ok(()) => world
                .look(self.number, flight.1, begun, now)
                .map_err(|fault| fault.error(operation)),
            Err(exceeded) => {
                world.look_timed_out(self.number, flight.1, begun, now);
                Err(agb::Error::from_deadline(operation, exceeded))
            }
        };
        drop(world);
        look
    }

    async fn start(&self, start: &Start, deadline: Deadline) -> Result<(), agb::Error> {
        let operation = &operation::SYNC_CONTEXT;
        let (started, latency) = {
            let now = self.shared.now();
            let mut world = self.shared.world();
            let place = start.place.as_ref().map(|(context_id, path)| {
                (0..world.place_count)
                    .find(|place| place_name(*place) == (context_id.as_str(), path.as_str()))
                    .expect("starts name mounted places")
            });
            let asked = Asked {
                actor: ACTOR.try_with(|actor| *actor).expect("actors start"),
                replica: self.number,
                place,
                direction: start.direction.unwrap_or(Direction::Upload),
            };
            // Before the answer: whoever does not wait for it has started all the same.
            let started = world.start(asked, now);
            world.tell(now, || {
                format!("AGB is asked to start {asked:?}: {started:?}")
            });
            (started, world.latency(now))
        };
        let answered = deadline.bound(sleep(millis(latency))).await;
        answered.map_err(|exceeded| agb::Error::from_deadline(operation, exceeded))?;
        started.map_err(|fault| fault.error(operation))
    }
}

impl Upstream for Replica {
    fn look<'a>(
        &'a self,
        _session_id: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<SyncTask>, agb::Error>> {
        self.look(deadline).boxed()
    }

    fn start<'a>(
        &'a self,
        start: &'a Start,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<(), agb::Error>> {
        self.start(start, deadline).boxed()
    }

    fn look_deadline(&self) -> Deadline {
        let look_timeout = self.shared.world().settings.look_timeout;
        Deadline::after(millis(look_timeout))
    }
}
