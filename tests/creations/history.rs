//! One history: what happens is drawn from the seed, and what must hold is checked at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agb_gateway::agb::wire;
use agb_gateway::creation::{
    Clock, Creations, Error, Keys, LabelMap, Parameters, Phase, Request, Settings, Stamp, Sweeper,
    Timing, Told,
};
use agb_gateway::resilience::{Deadline, Pace};
use agb_gateway::secret::Keyring;
use agb_gateway::telemetry::Telemetry;
use fastrand::Rng;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use crate::agb::{Agb, Way};

const MILLISECOND: Duration = Duration::from_millis(1);
const EPOCH: i64 = 1_760_517_000_000;
const CLOCK_SKEW: u64 = 50;
/// Longer than all that callers began can last, and than it takes to expire.
const UNTIL_ALL_HAS_EXPIRED: Duration = Duration::from_mins(2);

/// What histories came to.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    calls: u64,
    answers: u64,
    created: u64,
    /// Beyond one for each `request_id`.
    doubles: u64,
    kills: u64,
    swept: usize,
    /// Marked as handed over, and no caller has heard of them: he left, his gateway was killed, or an answer was lost.
    unheard: u64,
}

impl Figures {
    pub(crate) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.answers += other.answers;
        self.created += other.created;
        self.doubles += other.doubles;
        self.kills += other.kills;
        self.swept += other.swept;
        self.unheard += other.unheard;
    }

    /// Whether it all happened often: answers, replicas that met, kills, sweeps.
    pub(crate) fn covers_everything(&self) -> bool {
        2 * self.answers > self.calls
            && self.doubles > 1_000
            && self.kills > 1_000
            && self.swept > 1_000
    }
}

struct Replica {
    way: Arc<Way>,
    creations: Creations,
}

/// What the callers were answered: the `request_id`, empty for none, and the session.
type Answers = Arc<Mutex<Vec<(String, String)>>>;

pub(crate) fn run(seed: u64) -> Result<Figures, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(history(Rng::with_seed(seed)))
}

async fn history(mut rng: Rng) -> Result<Figures, String> {
    let agb = Agb::new(rng.fork());
    let keys = Keys::new(Keyring::of_secret("account key", "default"));
    let innocents = innocents(&agb);
    let lost_percent = [0, 0, 5, 20][rng.usize(..4)];
    let replicas = [
        replica(&agb, &keys, &mut rng, lost_percent),
        replica(&agb, &keys, &mut rng, lost_percent),
    ];
    let mut figures = Figures::default();
    let answers = Answers::default();
    let [mut first, mut second] = [Vec::new(), Vec::new()];
    // In every other history all ask nearly at once.
    let spread = [60, 1_500][rng.usize(..2)];
    for _ in 0..rng.u32(2..7) {
        let index = rng.usize(..2);
        let begin = MILLISECOND * rng.u32(..spread);
        let (creations, answers) = (&replicas[index].creations, Arc::clone(&answers));
        let call = call(creations, begin, &mut rng, answers);
        [&mut first, &mut second][index].push(call);
        figures.calls += 1;
    }
    let trouble = rng.u32(..10);
    let at = MILLISECOND * rng.u32(1..2_000);
    let way = Arc::clone(&replicas[0].way);
    let (first, second) = (join_all(first), join_all(second));
    // Sweeps also while callers are at it.
    let swept_before = Arc::new(AtomicUsize::default());
    let (creations, swept) = (replicas[1].creations.clone(), Arc::clone(&swept_before));
    let sweeping = tokio::spawn(sweep_often(creations, swept));
    if trouble < 4 {
        figures.kills += 1;
        let killed = async {
            let _ = tokio::time::timeout(at, first).await;
            way.is_killed.store(true, Ordering::Relaxed);
        };
        tokio::join!(killed, second);
    } else if trouble < 6 {
        let cut = async {
            sleep(at).await;
            way.is_cut.store(true, Ordering::Relaxed);
            sleep(at).await;
            way.is_cut.store(false, Ordering::Relaxed);
        };
        tokio::join!(cut, first, second);
    } else {
        tokio::join!(first, second);
    }
    sleep(20_000 * MILLISECOND).await;
    sweeping.abort();
    let _ = sweeping.await;
    sleep(UNTIL_ALL_HAS_EXPIRED).await;
    figures.swept = swept_before.load(Ordering::Relaxed) + sweep(&replicas).await;
    check(&agb, &keys, &innocents, &answers.lock().unwrap(), figures)
}

/// Sessions that are none of the gateway's, some of which look a little like it.
fn innocents(agb: &Agb) -> BTreeSet<String> {
    let stranger = Keys::new(Keyring::of_secret("another key", "default"));
    let stamp = Stamp {
        attempt: "a".to_owned(),
        phase: Phase::Candidate,
        expires: EPOCH - 1_000_000,
        claim: None,
    };
    [
        LabelMap::new(),
        LabelMap::from([("agb-gateway/state".to_owned(), "creating".to_owned())]),
        stamp.write(&LabelMap::new(), &stranger),
    ]
    .into_iter()
    .map(|labels| agb.add(labels))
    .collect()
}

fn replica(agb: &Arc<Agb>, keys: &Keys, rng: &mut Rng, lost_percent: u64) -> Replica {
    let way = Arc::new(Way {
        agb: Arc::clone(agb),
        is_killed: AtomicBool::default(),
        is_cut: AtomicBool::default(),
        lost_percent,
    });
    let settings = Settings {
        creation_lease: 2_000 * MILLISECOND,
        expiry_margin: 3_000 * MILLISECOND,
        timing: Timing {
            clock_skew: Duration::from_millis(CLOCK_SKEW),
            settle: 150 * MILLISECOND,
        },
        pace: Pace::try_new(20 * MILLISECOND, 100 * MILLISECOND, 0.1).unwrap(),
    };
    let start = Instant::now();
    let ahead = rng.i64(0..i64::try_from(CLOCK_SKEW).unwrap());
    let clock =
        Clock::new(move || EPOCH + ahead + i64::try_from(start.elapsed().as_millis()).unwrap());
    let upstream = Arc::clone(&way);
    Replica {
        creations: Creations::new(
            upstream,
            keys.clone(),
            settings,
            clock,
            TaskTracker::new(),
            Told::new(&Telemetry::off(), "t"),
        ),
        way,
    }
}

/// A caller: asks, waits for the contexts, and perhaps leaves before that.
fn call(
    creations: &Creations,
    begin: Duration,
    rng: &mut Rng,
    answers: Answers,
) -> impl Future<Output = ()> + use<> {
    let creations = creations.clone();
    let request_id = ["", "r-1", "r-1", "r-1", "r-2"][rng.usize(..5)].to_owned();
    let time = MILLISECOND * rng.u32(300..9_000);
    let patience = if rng.u32(..100) < 15 {
        MILLISECOND * rng.u32(1..1_000)
    } else {
        Duration::from_hours(1)
    };
    let contexts = Contexts {
        duration: MILLISECOND * rng.u32(..500),
        fail: rng.u32(..100) < 15,
    };
    async move {
        sleep(begin).await;
        let deadline = Deadline::after(time);
        let asked = async {
            if request_id.is_empty() {
                without_id(&creations, &contexts, deadline).await
            } else {
                with_id(&creations, &request_id, &contexts, deadline).await
            }
        };
        if let Ok(Some(session_id)) = tokio::time::timeout(patience, asked).await {
            answers.lock().unwrap().push((request_id, session_id));
        }
    }
}

/// How waiting for the contexts of a session ends.
struct Contexts {
    duration: Duration,
    fail: bool,
}

fn asked() -> wire::CreateSession {
    wire::CreateSession {
        image_id: "image".to_owned(),
        labels: None,
        persistence_data_list: None,
        mcp_policy_id: None,
        timeout: None,
    }
}

async fn without_id(
    creations: &Creations,
    contexts: &Contexts,
    deadline: Deadline,
) -> Option<String> {
    let made = creations
        .create(asked(), LabelMap::new(), deadline)
        .await
        .ok()?;
    let session_id = made.session_id().to_owned();
    deadline.bound(sleep(contexts.duration)).await.ok()?;
    if contexts.fail {
        return None;
    }
    made.hand_over(deadline).await.ok()?;
    Some(session_id)
}

async fn with_id(
    creations: &Creations,
    request_id: &str,
    contexts: &Contexts,
    deadline: Deadline,
) -> Option<String> {
    let request = Request {
        request_id: request_id.to_owned(),
        bound: BTreeMap::new(),
        call: asked(),
        labels: LabelMap::new(),
        parameters: Parameters::new(&[]),
        fields: &[],
    };
    loop {
        let claimed = match creations.claim(&request, deadline).await {
            Ok(claimed) => claimed,
            Err(Error::Gone) => continue,
            Err(_) => return None,
        };
        deadline.bound(sleep(contexts.duration)).await.ok()?;
        if contexts.fail && !claimed.is_owned() {
            claimed.withdraw();
            return None;
        }
        let session_id = claimed.data().session.session_id.clone();
        match claimed.hand_over(deadline).await {
            Ok(()) => return Some(session_id),
            Err(Error::Gone) => {}
            Err(_) => return None,
        }
    }
}

async fn sweep_often(creations: Creations, swept: Arc<AtomicUsize>) {
    let mut sweeper = Sweeper::new(creations, Duration::from_mins(1));
    loop {
        sleep(100 * MILLISECOND).await;
        let released = sweeper.round().await.map_or(0, |sweep| sweep.released);
        swept.fetch_add(released, Ordering::Relaxed);
    }
}

/// Sweeps on both replicas at once, where both live, until nothing more is found.
async fn sweep(replicas: &[Replica; 2]) -> usize {
    let rounds = replicas.iter().map(|replica| async {
        if replica.way.is_killed.load(Ordering::Relaxed) {
            return 0;
        }
        let mut sweeper = Sweeper::new(replica.creations.clone(), Duration::from_mins(1));
        let mut released = 0;
        // Some looks and releases are lost.
        for _ in 0..20 {
            released += sweeper.round().await.map_or(0, |sweep| sweep.released);
            sleep(Duration::from_mins(1)).await;
        }
        released
    });
    join_all(rounds).await.into_iter().sum()
}

fn check(
    agb: &Agb,
    keys: &Keys,
    innocents: &BTreeSet<String>,
    answers: &[(String, String)],
    mut figures: Figures,
) -> Result<Figures, String> {
    let active = agb.active.lock().unwrap().clone();
    if let Some(released) = innocents.iter().find(|id| !active.contains_key(*id)) {
        return Err(format!("the innocent {released} was released"));
    }
    let mut by_request: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (request_id, session_id) in answers {
        if !active.contains_key(session_id) {
            return Err(format!(
                "{session_id} of {request_id:?} was released after its answer"
            ));
        }
        by_request.entry(request_id).or_default().insert(session_id);
    }
    for (request_id, sessions) in &by_request {
        if !request_id.is_empty() && sessions.len() > 1 {
            return Err(format!("{request_id:?} was answered with {sessions:?}"));
        }
    }
    let mut claims = BTreeSet::new();
    for (session_id, labels) in &active {
        if innocents.contains(session_id) {
            continue;
        }
        let stamp = Stamp::read(labels, keys).ok_or("a session of ours without a proof")?;
        if !matches!(stamp.phase, Phase::Owned | Phase::Taken) {
            return Err(format!("{session_id} lives, and nobody has it: {stamp:?}"));
        }
        if let Some(claim) = stamp.claim
            && !claims.insert(claim.request)
        {
            return Err(format!("{session_id} is one of two of its request_id"));
        }
        let is_heard = answers.iter().any(|(_, answered)| answered == session_id);
        figures.unheard += u64::from(!is_heard);
    }
    figures.answers = answers.len() as u64;
    figures.created = agb.created() - innocents.len() as u64;
    let plain = answers.iter().filter(|(id, _)| id.is_empty()).count() as u64;
    let ids = by_request.keys().filter(|id| !id.is_empty()).count() as u64;
    figures.doubles = figures.created.saturating_sub(plain + ids);
    Ok(figures)
}
