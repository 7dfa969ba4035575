//! Those who start syncs, wait for them, watch them and ask for their state, in one history.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};

use agb_gateway::domain::MountPath;
use agb_gateway::resilience::{Deadline, Drain, Pace};
use agb_gateway::secret::Keyring;
use agb_gateway::sync::{Patience, Place, Settings, Start, Syncs, Target, TokenKeys};
use agb_gateway::telemetry::Telemetry;
use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::plan::{Asking, How, Plan, Starting};
use crate::replica::{ACTOR, Replica, Shared, millis};
use crate::tally::{Kind, Tally};
use crate::task::Millis;
use crate::truth::{Question, Subject};
use crate::world::{Asker, CREATION, World, place_name};

const SESSION: &str = "session";
/// How long after the end pollers are watched for looks that nobody needs.
const AFTERMATH: Millis = 40_000;

/// One history while it happens.
#[derive(Debug)]
pub(crate) struct Stage {
    plan: Plan,
    pub(crate) shared: Shared,
    /// The replicas: their numbers, and what they know.
    slots: Mutex<[Option<(usize, Syncs)>; 2]>,
    tally: Mutex<Tally>,
    /// Which replicas have told a verdict.
    pub(crate) learned: Mutex<[bool; 4]>,
}

/// Lets a history happen.
pub(crate) async fn play(plan: Plan, is_told: bool) -> (World, Tally) {
    let mut world = World::new(&plan, true);
    world.is_told = is_told;
    if plan.created.is_some() {
        world.create(CREATION);
    }
    let shared = Shared::new(world);
    let stage = Arc::new(Stage {
        slots: Mutex::default(),
        plan,
        shared,
        tally: Mutex::default(),
        learned: Mutex::default(),
    });
    let mut actors = JoinSet::new();
    if let Some(restart) = stage.plan.restart {
        actors.spawn(stage.clone().restart(restart));
    }
    if stage.plan.created.is_some() {
        actors.spawn(ACTOR.scope(CREATION, stage.clone().create()));
    }
    for number in 0..stage.plan.starts.len() {
        actors.spawn(ACTOR.scope(number, stage.clone().start(number)));
    }
    for number in 0..stage.plan.askings.len() {
        actors.spawn(ACTOR.scope(1_000 + number, stage.clone().ask_for_session(number)));
    }
    while let Some(ended) = actors.join_next().await {
        if let Err(error) = ended {
            let mut world = stage.shared.world();
            world.violations.push(format!("an actor panicked: {error}"));
        }
    }
    sleep(millis(AFTERMATH)).await;
    let tally = std::mem::take(&mut *stage.tally.lock().expect("no panic"));
    let world = std::mem::replace(&mut *stage.shared.world(), World::new(&stage.plan, true));
    (world, tally)
}

fn syncs(shared: &Shared, plan: &Plan, number: usize) -> Syncs {
    let timing = plan.settings;
    let pace = Pace::try_new(millis(timing.floor), millis(timing.ceiling), timing.share);
    let settings = Settings {
        pace: pace.expect("the pace is one"),
        patience: Patience {
            grace: millis(timing.grace),
            settle: millis(timing.settle),
        },
        looks_per_second: 10_000,
        memory_entries: 100,
    };
    let keys = TokenKeys::new(
        Keyring::of_secret("key of the histories", "tenant"),
        millis(3_600_000),
    );
    let upstream = Replica {
        shared: shared.clone(),
        number,
    };
    let drain = Drain::new(millis(30_000));
    Syncs::new(Arc::new(upstream), &settings, keys, drain, Telemetry::off())
}

impl Stage {
    /// Forgets all that the first replica knows.
    async fn restart(self: Arc<Self>, at: Millis) {
        sleep(millis(at)).await;
        let syncs = syncs(&self.shared, &self.plan, 2);
        self.slots.lock().expect("no panic")[0] = Some((2, syncs));
        self.tell(|| "the first replica is replaced by replica 2".to_owned());
    }

    async fn create(self: Arc<Self>) {
        let (replica, syncs) = self.slot(0);
        let expected: BTreeSet<Place> = (0..self.plan.place_count)
            .map(|place| Place::new(place_name(place).0, place_name(place).1))
            .collect();
        let target = syncs.created(SESSION.to_owned(), expected).await;
        drop(syncs);
        let askings = self.plan.created.iter().flatten();
        let asks = askings.map(|asking| self.ask(asking, Some((CREATION, replica, &target))));
        join_all(asks).await;
    }

    async fn start(self: Arc<Self>, number: usize) {
        let starting = &self.plan.starts[number];
        sleep(millis(starting.at)).await;
        let (replica, syncs) = self.slot(starting.slot);
        let until = self.until(starting.slot, starting.leaves_after);
        let started = timeout_at(
            until,
            syncs.start(start_of(starting), within(starting.deadline)),
        );
        let started = started.await;
        drop(syncs);
        self.tell(|| {
            format!(
                "start {number} on replica {replica}: {}",
                in_short(&started)
            )
        });
        match started {
            Ok(Ok(target)) => {
                let origin = Some((number, replica, &target));
                join_all(
                    starting
                        .askings
                        .iter()
                        .map(|asking| self.ask(asking, origin)),
                )
                .await;
            }
            Ok(Err(_)) => self.count(Kind::NotStarted),
            Err(_) => self.count(Kind::Cancelled),
        }
    }

    async fn ask_for_session(self: Arc<Self>, number: usize) {
        self.ask(&self.plan.askings[number], None).await;
    }

    /// Asks, about the sync that an actor has started on a replica, or about the session.
    async fn ask(&self, asking: &Asking, origin: Option<(usize, usize, &Target)>) {
        sleep(millis(asking.after)).await;
        let (replica, syncs) = self.slot(asking.slot);
        let (subject, target) = match origin {
            None => (Subject::Session, Target::Session(SESSION.to_owned())),
            Some((actor, at_home, target)) => {
                let subject = Subject::Begun(self.begun(actor));
                if asking.by_token || at_home != replica {
                    let token = &target.ticket().expect("it is a sync").token;
                    (subject, syncs.read_token(token).expect("the token is ours"))
                } else {
                    (subject, target.clone())
                }
            }
        };
        let joined = self.shared.now();
        let waits = asking.how != How::Status;
        let _waits_too = (waits && subject == Subject::Session).then(|| self.shares(replica));
        let since = match subject {
            Subject::Session if waits => self.shared.world().cost.shared_since(replica),
            _ => joined,
        };
        let question = Question {
            subject,
            replica,
            since,
            asker: match asking.how {
                How::Status => Asker::Actor(ACTOR.with(|actor| *actor)),
                How::Wait | How::Watch => Asker::Poller,
            },
            joined,
            deadline: joined + asking.deadline,
            may_be_learned: self.learned.lock().expect("no panic")[replica],
        };
        self.tell(|| {
            format!(
                "{:?} on replica {replica} for {subject:?} until {}",
                asking.how, question.deadline
            )
        });
        let until = self.until(asking.slot, asking.leaves_after);
        let deadline = within(asking.deadline);
        let is_over = match asking.how {
            How::Wait => bounded(until, self.wait(&syncs, &target, deadline, question)).await,
            How::Watch => bounded(until, self.watch(&syncs, &target, deadline, question)).await,
            How::Status => bounded(until, self.status(&syncs, &target, deadline, question)).await,
        };
        if !is_over {
            self.tell(|| {
                format!(
                    "{:?} on replica {replica} for {subject:?} leaves",
                    asking.how
                )
            });
            self.count(Kind::Cancelled);
        }
    }

    /// Which replica stands at a slot now, and what it knows. It is built when someone first comes, which costs time.
    fn slot(&self, slot: usize) -> (usize, Syncs) {
        let mut slots = self.slots.lock().expect("no panic");
        slots[slot]
            .get_or_insert_with(|| (slot, syncs(&self.shared, &self.plan, slot)))
            .clone()
    }

    fn begun(&self, actor: usize) -> usize {
        let world = self.shared.world();
        let begun = world.begun.iter().position(|begun| begun.actor == actor);
        begun.expect("what was accepted has begun")
    }

    /// When someone leaves who asks a slot now: by themselves, or with the replica.
    fn until(&self, slot: usize, leaves_after: Option<Millis>) -> Instant {
        let now = self.shared.now();
        let restart = self.plan.restart.filter(|at| slot == 0 && *at >= now);
        let leaves = leaves_after.map_or(Millis::MAX, |after| now + after);
        let until = restart.map_or(leaves, |at| at.min(leaves));
        Instant::now() + millis((until - now).min(1_000_000))
    }

    pub(crate) fn tell(&self, event: impl FnOnce() -> String) {
        let now = self.shared.now();
        self.shared.world().tell(now, event);
    }

    pub(crate) fn count(&self, kind: Kind) {
        self.tally.lock().expect("no panic").count(kind);
    }
}

async fn bounded(until: Instant, what: impl Future<Output = ()>) -> bool {
    timeout_at(until, what).await.is_ok()
}

fn within(duration: Millis) -> Deadline {
    Deadline::after(millis(duration))
}

fn start_of(starting: &Starting) -> Start {
    let place = starting.place.map(|place| {
        let (context_id, path) = place_name(place);
        let path = MountPath::try_new(path).expect("the path is one");
        (context_id.to_owned(), path)
    });
    Start {
        session_id: SESSION.to_owned(),
        place,
        direction: starting.direction,
    }
}

/// What has come of something, in few words.
pub(crate) fn in_short<T: std::fmt::Debug>(what: &T) -> String {
    let mut text = format!("{what:?}");
    if let Some((end, _)) = text.char_indices().nth(160) {
        text.truncate(end);
    }
    text
}
