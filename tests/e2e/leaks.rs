//! No session is left running that nobody has, and none is released that is somebody's.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use agb_emulator::FaultAction;
use agb_gateway::agb::wire;
use agb_gateway::auth::KEY_HEADER;
use agb_gateway::creation::{
    Clock, Creations, Keys, LabelMap, Phase, Settings, Stamp, Sweep, Sweeper, Timing, Told,
    Upstream,
};
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::session_service_client::SessionServiceClient;
use agb_gateway::resilience::Pace;
use agb_gateway::secret::Keyring;
use agb_gateway::telemetry::Telemetry;
use figment::Figment;
use futures_util::future::join;
use tokio_util::task::TaskTracker;

use crate::authentication::{list, toml};
use crate::commands::serve_with;
use crate::support::{CODE_IMAGE, KEY, World, connect, patience, within};

const MILLISECOND: Duration = Duration::from_millis(1);

/// Calls last two seconds at most, and what they leave expires soon after that.
const SHORT: [(&str, &str); 8] = [
    ("AGB_GATEWAY_SERVER__MAX_DEADLINE", "2s"),
    ("AGB_GATEWAY_SERVER__DEFAULT_DEADLINE", "2s"),
    ("AGB_GATEWAY_AGB__REQUEST_TIMEOUT", "1s"),
    ("AGB_GATEWAY_SESSION__CREATION_LEASE", "1s"),
    ("AGB_GATEWAY_SESSION__EXPIRY_MARGIN", "500ms"),
    ("AGB_GATEWAY_SESSION__CLOCK_SKEW", "50ms"),
    ("AGB_GATEWAY_SESSION__SETTLE", "100ms"),
    ("AGB_GATEWAY_SESSION__SWEEP_INTERVAL", "100ms"),
];

/// The same for a gateway in this process.
fn short() -> Figment {
    SHORT
        .iter()
        .fold(Figment::new(), |settings, (name, value)| {
            let name = name.trim_start_matches("AGB_GATEWAY_").to_lowercase();
            settings.merge((name.replace("__", "."), *value))
        })
}

fn request(request_id: &str) -> pb::CreateSessionRequest {
    pb::CreateSessionRequest {
        image_id: CODE_IMAGE.to_owned(),
        request_id: request_id.to_owned(),
        ..pb::CreateSessionRequest::default()
    }
}

#[tokio::test]
async fn what_a_killed_gateway_left_is_released_by_another_one() {
    for request_id in ["", "r"] {
        let world = World::with_settings(short()).await;
        let theirs = world.create_session(CODE_IMAGE, vec![]).await;
        let (running, address) = serve_with(&world, &SHORT);
        let delay = FaultAction::DelayAnswer { delay_ms: 60_000 };
        world.inject("createSession", 1, delay);
        let mut sessions = SessionServiceClient::new(connect(address).await);
        let call =
            tokio::spawn(async move { sessions.create_session(within(request(request_id))).await });
        world.until_active(2).await;
        drop(running);
        call.await.unwrap().unwrap_err();
        assert_eq!(world.until_active(1).await, [theirs]);
    }
}

#[tokio::test]
async fn what_a_caller_who_has_left_began_is_released() {
    for request_id in ["", "r"] {
        let world = World::with_settings(short()).await;
        let delay = FaultAction::DelayAnswer { delay_ms: 400 };
        world.inject("createSession", 1, delay);
        let mut sessions = world.sessions();
        let call =
            tokio::spawn(async move { sessions.create_session(within(request(request_id))).await });
        world.until_active(1).await;
        call.abort();
        world.until_active(0).await;
    }
}

/// The epoch and so much time before now, or after.
fn now(offset: i64) -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_millis()).unwrap() + offset
}

fn stamp(phase: Phase, expires: i64) -> Stamp {
    Stamp {
        attempt: "a".to_owned(),
        phase,
        expires,
        claim: None,
    }
}

async fn sweeper(world: &World) -> Sweeper {
    let creations = Creations::new(
        Arc::new(world.agb().await),
        Keys::new(Keyring::of_secret(KEY, "default")),
        Settings {
            creation_lease: Duration::from_secs(1),
            expiry_margin: Duration::from_secs(1),
            timing: Timing {
                clock_skew: Duration::from_secs(30),
                settle: 50 * MILLISECOND,
            },
            pace: Pace::try_new(MILLISECOND, MILLISECOND, 0.1).unwrap(),
        },
        Clock::system(),
        TaskTracker::new(),
        Told::new(&Telemetry::off(), "default"),
    );
    Sweeper::new(creations, Duration::from_secs(1))
}

/// A session with these labels, made past the gateway.
async fn session_with(world: &World, labels: &LabelMap) -> String {
    let call = wire::CreateSession {
        image_id: CODE_IMAGE.to_owned(),
        labels: Some(wire::label_text(labels)),
        persistence_data_list: None,
        mcp_policy_id: None,
        timeout: None,
    };
    let made = Upstream::create(&world.agb().await, &call, patience()).await;
    made.unwrap().session.session_id
}

#[tokio::test]
async fn only_what_is_provably_ours_was_not_handed_over_and_has_expired_is_swept() {
    let world = World::with_settings(Figment::new().merge(("session.sweep_interval", "0s"))).await;
    let ours = Keys::new(Keyring::of_secret(KEY, "default"));
    let another_account_s = Keys::new(Keyring::of_secret("another key", "default"));
    let callers = LabelMap::from([("team".to_owned(), "blue".to_owned())]);
    let long_ago = now(-60_000);
    let expired = stamp(Phase::Candidate, long_ago).write(&callers, &ours);
    let later = now(60_000).to_string();
    let altered = LabelMap::from([("agb-gateway/expires".to_owned(), later)]);
    let innocent = [
        callers.clone(),
        LabelMap::from([("agb-gateway/state".to_owned(), "creating".to_owned())]),
        stamp(Phase::Candidate, long_ago).write(&callers, &another_account_s),
        expired.clone().into_iter().chain(altered).collect(),
        stamp(Phase::Owned, long_ago).write(&callers, &ours),
        stamp(Phase::Candidate, now(60_000)).write(&callers, &ours),
    ];
    let mut kept = Vec::new();
    for labels in &innocent {
        kept.push(session_with(&world, labels).await);
    }
    kept.sort();
    for phase in [Phase::Candidate, Phase::Chosen, Phase::Withdrawn] {
        session_with(&world, &stamp(phase, long_ago).write(&callers, &ours)).await;
    }
    let mut sweeper = sweeper(&world).await;
    let sweep = sweeper.round().await.unwrap();
    // All but the one without labels of ours, and the one that was handed over.
    assert_eq!(
        sweep,
        Sweep {
            listed: 7,
            released: 3
        }
    );
    assert_eq!(world.active().await, kept);
    // What is not to be released is not looked at again and again, which would keep it from becoming idle.
    let looks = world.emulator.request_count("GetLabel");
    assert_eq!(sweeper.round().await.unwrap().released, 0);
    assert_eq!(world.emulator.request_count("GetLabel"), looks);
    // Just expired, by less than clocks may differ.
    let fresh = session_with(
        &world,
        &stamp(Phase::Chosen, now(-1)).write(&callers, &ours),
    )
    .await;
    assert_eq!(sweeper.round().await.unwrap().released, 0);
    assert!(world.active().await.contains(&fresh));
}

#[tokio::test]
async fn two_sweepers_at_once_do_no_harm() {
    let world = World::with_settings(Figment::new().merge(("session.sweep_interval", "0s"))).await;
    let ours = Keys::new(Keyring::of_secret(KEY, "default"));
    let labels = stamp(Phase::Candidate, now(-60_000)).write(&LabelMap::new(), &ours);
    for _ in 0..5 {
        session_with(&world, &labels).await;
    }
    let delay = FaultAction::Delay { delay_ms: 30 };
    world.inject("releaseSessionAsync", 10, delay);
    let (mut first, mut second) = (sweeper(&world).await, sweeper(&world).await);
    let (first, second) = join(first.round(), second.round()).await;
    assert!(first.unwrap().released + second.unwrap().released >= 5);
    world.until_active(0).await;
}

#[tokio::test]
async fn an_answer_that_never_comes_leaves_nothing_behind() {
    // The look for it fails too, so that nobody learns of it but the sweeper.
    let world = World::with_settings(short().merge(("agb.max_attempts", 1))).await;
    world.inject("createSession", 1, FaultAction::CloseAfterWork);
    let looks = world.inject("ListSession", u32::MAX, FaultAction::CloseBeforeWork);
    let status = world.sessions().create_session(within(request(""))).await;
    status.unwrap_err();
    world.emulator.faults().remove(looks);
    world.until_active(0).await;
}

#[tokio::test]
async fn accounts_that_callers_bring_are_not_swept() {
    let settings = toml("auth.methods = [\"agb_key\"]\nsession.sweep_interval = \"10ms\"");
    let world = World::with_settings(settings).await;
    let key = "Pl4nted-own-key";
    list(&world, &[(KEY_HEADER, key)]).await.unwrap();
    // From here on AGB refuses whatever is asked with it.
    world.emulator.rotate_key(key, "Pl4nted-other-key");
    let sweeps = || world.emulator.request_count("ListSession");
    let before = sweeps();
    // Those of the gateway's own account.
    while sweeps() < before + 20 {
        tokio::time::sleep(MILLISECOND).await;
    }
    let requests = world.emulator.requests();
    let refused = requests
        .iter()
        .filter(|request| request.status == Some(401));
    assert_eq!(refused.count(), 0);
}
