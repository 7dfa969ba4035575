//! CreateSession with a `request_id`: one session for each, whatever goes wrong and however many replicas are asked.

use std::collections::BTreeMap;
use std::time::Duration;

use agb_emulator::{Fault, FaultAction, Schedule, SyncDirection};
use agb_gateway::creation::{Keys, Phase, Stamp, Upstream as _};
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::session_service_client::SessionServiceClient;
use agb_gateway::secret::Keyring;
use figment::Figment;
use futures_util::future::join_all;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::commands::serve_with;
use crate::support::{
    CODE_IMAGE, KEY, World, connect, mount, patience, reason, within, wrong_fields,
};

/// Settings with which nothing takes long.
fn hasty() -> Figment {
    Figment::new()
        .merge(("session.creation_lease", "1500ms"))
        .merge(("session.expiry_margin", "20s"))
        .merge(("session.clock_skew", "50ms"))
        .merge(("session.settle", "150ms"))
        .merge(("sync.pace_floor", "5ms"))
        .merge(("sync.pace_ceiling", "50ms"))
}

const HASTY_VARIABLES: [(&str, &str); 4] = [
    ("AGB_GATEWAY_SESSION__CREATION_LEASE", "1500ms"),
    ("AGB_GATEWAY_SESSION__EXPIRY_MARGIN", "20s"),
    ("AGB_GATEWAY_SESSION__CLOCK_SKEW", "50ms"),
    ("AGB_GATEWAY_SESSION__SETTLE", "150ms"),
];

fn with_id(request_id: &str) -> pb::CreateSessionRequest {
    pb::CreateSessionRequest {
        image_id: CODE_IMAGE.to_owned(),
        request_id: request_id.to_owned(),
        ..pb::CreateSessionRequest::default()
    }
}

async fn create(channel: &Channel, request: pb::CreateSessionRequest) -> Result<String, Status> {
    let mut sessions = SessionServiceClient::new(channel.clone());
    let answer = sessions.create_session(within(request)).await?;
    Ok(answer.into_inner().session.unwrap().session_id)
}

async fn phase(world: &World, session_id: &str) -> Phase {
    let labels = world
        .agb()
        .await
        .labels(session_id, patience())
        .await
        .unwrap();
    let keys = Keys::new(Keyring::of_secret(KEY, "default"));
    Stamp::read(&labels, &keys).unwrap().phase
}

#[tokio::test]
async fn the_same_id_gives_the_same_session_on_every_replica_and_another_id_another_one() {
    let world = World::start().await;
    let (_gateway, replica) = world.replica().await;
    let first = create(&world.channel, with_id("r-1")).await.unwrap();
    assert_eq!(phase(&world, &first).await, Phase::Owned);
    assert_eq!(create(&world.channel, with_id("r-1")).await.unwrap(), first);
    assert_eq!(create(&replica, with_id("r-1")).await.unwrap(), first);
    assert_eq!(world.emulator.request_count("createSession"), 1);
    let other = create(&world.channel, with_id("r-2")).await.unwrap();
    assert_ne!(other, first);
    // It works as any other, and its id holds no longer than the session itself.
    assert_eq!(world.run(&first, "echo here").await, "here\n");
    world.end(&first).await;
    assert_ne!(create(&replica, with_id("r-1")).await.unwrap(), first);
}

#[tokio::test]
async fn a_repetition_waits_for_the_contexts_too() {
    let world = World::start().await;
    let context = world.create_context("c").await;
    let request = pb::CreateSessionRequest {
        context_syncs: vec![mount(&context, "/home/data")],
        ..with_id("r")
    };
    let at_once = pb::CreateSessionRequest {
        return_immediately: true,
        ..request.clone()
    };
    let ask = |request| async {
        let answer = world.sessions().create_session(within(request)).await;
        answer.unwrap().into_inner()
    };
    let first = ask(at_once).await;
    assert_eq!(first.sync_status.unwrap().state(), pb::SyncState::Pending);
    let second = ask(request).await;
    assert_eq!(
        second.sync_status.unwrap().state(),
        pb::SyncState::Succeeded
    );
    assert_eq!(
        second.session.unwrap().session_id,
        first.session.unwrap().session_id
    );
}

#[tokio::test]
async fn calls_at_once_on_one_replica_share_one_creation() {
    let world = World::start().await;
    let delay = FaultAction::DelayAnswer { delay_ms: 300 };
    world.inject("createSession", 1, delay);
    let calls = (0..20).map(|_| create(&world.channel, with_id("r")));
    let ids: Vec<_> = join_all(calls)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(world.emulator.request_count("createSession"), 1);
}

#[tokio::test]
async fn two_replicas_at_once_choose_the_same_session() {
    const ROUNDS: u64 = 50;
    let world = World::with_settings(hasty()).await;
    let (_gateway, replica) = world.replica_with(hasty()).await;
    let mut doubled = 0;
    for round in 0..ROUNDS {
        for (number, operation) in ["createSession", "ListSession", "SetLabel", "GetLabel"]
            .into_iter()
            .enumerate()
        {
            for (times, delay_ms) in [(0, 3), (1, 11), (2, 40)] {
                let action = if round % 2 == 0 {
                    FaultAction::Delay { delay_ms }
                } else {
                    FaultAction::DelayAnswer { delay_ms }
                };
                let fault = Fault {
                    operation: operation.to_owned(),
                    times: u32::MAX,
                    action,
                };
                let schedule = Schedule {
                    skip: 0,
                    probability: 0.4,
                    seed: round * 100 + times * 10 + number as u64,
                };
                world.emulator.faults().schedule(fault, schedule).unwrap();
            }
        }
        let before = world.emulator.request_count("createSession");
        let id = format!("r-{round}");
        let (first, second) = tokio::join!(
            create(&world.channel, with_id(&id)),
            create(&replica, with_id(&id))
        );
        world.emulator.faults().clear();
        let chosen = first.unwrap();
        assert_eq!(second.unwrap(), chosen, "round {round}");
        doubled += u32::from(world.emulator.request_count("createSession") - before > 1);
        assert_eq!(
            world.until_active(1).await,
            [chosen.as_str()],
            "round {round}"
        );
        assert_eq!(phase(&world, &chosen).await, Phase::Owned);
        world.end(&chosen).await;
    }
    assert!(doubled > 5, "replicas met in {doubled} rounds only");
}

#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_found_again_and_not_repeated() {
    let world = World::start().await;
    for (count, request_id) in ["", "r"].into_iter().enumerate() {
        world.inject("createSession", 1, FaultAction::CloseAfterWork);
        let session = create(&world.channel, with_id(request_id)).await.unwrap();
        assert_eq!(world.run(&session, "echo here").await, "here\n");
        assert_eq!(phase(&world, &session).await, Phase::Owned);
        assert_eq!(world.active().await.len(), count + 1);
    }
    assert_eq!(world.emulator.request_count("createSession"), 2);
}

#[tokio::test]
async fn a_creation_that_was_lost_before_agb_did_it_is_repeated_only_with_an_id() {
    let world = World::start().await;
    world.inject("createSession", 1, FaultAction::ResetBeforeWork);
    let status = create(&world.channel, with_id("")).await.unwrap_err();
    assert_eq!(reason(&status), "AGB_OUTCOME_UNKNOWN");
    assert_eq!(world.emulator.request_count("createSession"), 1);
    world.inject("createSession", 1, FaultAction::ResetBeforeWork);
    let session = create(&world.channel, with_id("r")).await.unwrap();
    assert_eq!(world.emulator.request_count("createSession"), 3);
    assert_eq!(world.active().await, [session]);
}

#[tokio::test]
async fn an_id_with_other_parameters_is_refused_with_what_differs() {
    let world = World::start().await;
    let labels = |team: &str| BTreeMap::from([("team".to_owned(), team.to_owned())]);
    let asked = pb::CreateSessionRequest {
        labels: labels("blue"),
        ..with_id("r")
    };
    world.inject(
        "createSession",
        1,
        FaultAction::DelayAnswer { delay_ms: 500 },
    );
    let first = create(&world.channel, asked.clone());
    let other = pb::CreateSessionRequest {
        labels: labels("red"),
        idle_timeout: Some(crate::support::seconds(90)),
        ..asked.clone()
    };
    let second = async {
        world.until_active(1).await;
        create(&world.channel, other.clone()).await.unwrap_err()
    };
    let (first, while_it_runs) = tokio::join!(first, second);
    let first = first.unwrap();
    let afterwards = create(&world.channel, other).await.unwrap_err();
    for status in [&while_it_runs, &afterwards] {
        assert_eq!(status.code(), Code::AlreadyExists);
        assert_eq!(reason(status), "REQUEST_ID_REUSED");
        assert_eq!(wrong_fields(status), ["labels", "idle_timeout"]);
    }
    assert!(!afterwards.message().contains("red"));
    assert_eq!(world.active().await, [first.as_str()]);
    // How the answer is waited for is no parameter of the session.
    let at_once = pb::CreateSessionRequest {
        return_immediately: true,
        ..asked
    };
    assert_eq!(create(&world.channel, at_once).await.unwrap(), first);
}

#[tokio::test]
async fn labels_that_callers_change_later_do_not_come_back_and_do_not_matter() {
    let world = World::start().await;
    let session_id = create(&world.channel, with_id("r")).await.unwrap();
    let labels = BTreeMap::from([("team".to_owned(), "red".to_owned())]);
    let request = pb::SetSessionLabelsRequest {
        session_id: session_id.clone(),
        labels: labels.clone(),
    };
    world
        .sessions()
        .set_session_labels(within(request))
        .await
        .unwrap();
    assert_eq!(
        create(&world.channel, with_id("r")).await.unwrap(),
        session_id
    );
    let request = pb::GetSessionLabelsRequest { session_id };
    let told = world.sessions().get_session_labels(within(request)).await;
    assert_eq!(told.unwrap().into_inner().labels, labels);
}

#[tokio::test]
async fn labels_of_a_session_that_is_still_being_created_are_left_alone() {
    let world = World::start().await;
    let context = world.create_context("c").await;
    let stall = FaultAction::StallSyncTask { direction: None };
    world.inject("createSession", 1, stall);
    let creating = pb::CreateSessionRequest {
        context_syncs: vec![mount(&context, "/home/data")],
        ..with_id("r")
    };
    let (channel, call) = (world.channel.clone(), creating);
    let call = tokio::spawn(async move { create(&channel, call).await });
    let session_id = world.until_active(1).await.remove(0);
    let request = pb::SetSessionLabelsRequest {
        session_id,
        labels: BTreeMap::from([("team".to_owned(), "red".to_owned())]),
    };
    let status = world.sessions().set_session_labels(within(request)).await;
    assert_eq!(reason(&status.unwrap_err()), "SESSION_BEING_CREATED");
    call.abort();
}

#[tokio::test]
async fn a_session_whose_contexts_fail_is_released_and_the_next_call_makes_another() {
    let world = World::with_settings(hasty()).await;
    let context = world.create_context("c").await;
    let request = pb::CreateSessionRequest {
        context_syncs: vec![mount(&context, "/home/data")],
        ..with_id("r")
    };
    let fail = FaultAction::FailSyncTask {
        direction: Some(SyncDirection::Download),
        message: "storage is not available".to_owned(),
    };
    world.inject("createSession", 1, fail);
    let status = create(&world.channel, request.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "SYNC_FAILED");
    assert!(status.message().contains("being released"), "{status:?}");
    world.until_active(0).await;
    let session = create(&world.channel, request).await.unwrap();
    assert_eq!(world.active().await, [session]);
}

#[tokio::test]
async fn a_session_whose_contexts_take_longer_than_the_call_is_found_by_the_next_one() {
    let world = World::with_settings(hasty()).await;
    let context = world.create_context("c").await;
    let request = pb::CreateSessionRequest {
        context_syncs: vec![mount(&context, "/home/data")],
        ..with_id("r")
    };
    let hide = FaultAction::HideNewTasks {
        looks: 0,
        duration_ms: 2_000,
    };
    world.inject("createSession", 1, hide);
    let settings = hasty()
        .merge(("server.max_deadline", "1s"))
        .merge(("server.default_deadline", "1s"));
    let (_gateway, hasty_replica) = world.replica_with(settings).await;
    let status = create(&hasty_replica, request.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
    assert!(status.message().contains("next call"), "{status:?}");
    let session = create(&world.channel, request).await.unwrap();
    assert_eq!(world.active().await, [session.as_str()]);
    assert_eq!(world.emulator.request_count("createSession"), 1);
    assert_eq!(phase(&world, &session).await, Phase::Owned);
}

#[tokio::test]
async fn what_a_caller_who_has_left_began_is_found_by_the_next_call() {
    let world = World::with_settings(hasty()).await;
    world.inject(
        "createSession",
        1,
        FaultAction::DelayAnswer { delay_ms: 300 },
    );
    let channel = world.channel.clone();
    let call = tokio::spawn(async move { create(&channel, with_id("r")).await });
    let begun = world.until_active(1).await;
    call.abort();
    assert_eq!(
        create(&world.channel, with_id("r")).await.unwrap(),
        begun[0]
    );
    assert_eq!(world.emulator.request_count("createSession"), 1);
}

#[tokio::test]
async fn what_a_gateway_that_was_killed_began_is_found_by_another_one() {
    let world = World::with_settings(hasty()).await;
    let (running, address) = serve_with(&world, &HASTY_VARIABLES);
    let fault = world.inject(
        "createSession",
        1,
        FaultAction::DelayAnswer { delay_ms: 60_000 },
    );
    let channel = connect(address).await;
    let call = tokio::spawn(async move { create(&channel, with_id("r")).await });
    let begun = world.until_active(1).await;
    drop(running);
    call.await.unwrap().unwrap_err();
    world.emulator.faults().remove(fault);
    let session = create(&world.channel, with_id("r")).await.unwrap();
    assert_eq!(begun, [session.as_str()]);
    assert_eq!(world.active().await, [session.as_str()]);
    assert_eq!(world.emulator.request_count("createSession"), 1);
    assert_eq!(phase(&world, &session).await, Phase::Owned);
}

#[tokio::test]
async fn a_session_that_cannot_be_handed_over_is_released_unless_the_call_can_be_repeated() {
    let world = World::without_repetition().await;
    let refuse = FaultAction::Refuse {
        status: 500,
        code: "Internal".to_owned(),
        message: "labels are out of order".to_owned(),
    };
    world.inject("SetLabel", 1, refuse.clone());
    let status = create(&world.channel, with_id("")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("being released"), "{status:?}");
    world.until_active(0).await;
    // The first marks it as chosen, the second hands it over.
    let schedule = Schedule {
        skip: 1,
        ..Schedule::default()
    };
    let fault = Fault {
        operation: "SetLabel".to_owned(),
        times: 1,
        action: refuse,
    };
    world.emulator.faults().schedule(fault, schedule).unwrap();
    let status = create(&world.channel, with_id("r")).await.unwrap_err();
    assert!(status.message().contains("same request_id"), "{status:?}");
    let left = world.active().await;
    assert_eq!(create(&world.channel, with_id("r")).await.unwrap(), left[0]);
    assert_eq!(world.emulator.request_count("createSession"), 2);
}

#[tokio::test]
async fn a_session_that_another_replica_takes_while_it_is_withdrawn_is_not_released() {
    let world = World::with_settings(hasty()).await;
    let context = world.create_context("c").await;
    // Long enough for the other replica's change to come in between.
    let settings = hasty()
        .merge(("session.settle", "5s"))
        .merge(("session.creation_lease", "20s"));
    let (gateway, creator) = world.replica_with(settings).await;
    let fail = FaultAction::FailSyncTask {
        direction: Some(SyncDirection::Download),
        message: "storage is not available".to_owned(),
    };
    world.inject("createSession", 1, fail);
    let request = pb::CreateSessionRequest {
        context_syncs: vec![mount(&context, "/home/data")],
        ..with_id("r")
    };
    let status = create(&creator, request).await.unwrap_err();
    assert!(status.message().contains("being released"), "{status:?}");
    let session_id = world.until_active(1).await.remove(0);
    let mut pause = tokio::time::interval(Duration::from_millis(5));
    while phase(&world, &session_id).await != Phase::Withdrawn {
        pause.tick().await;
    }
    // The other one looked before that, and its change comes after it.
    let keys = Keys::new(Keyring::of_secret(KEY, "default"));
    let labels = world
        .agb()
        .await
        .labels(&session_id, patience())
        .await
        .unwrap();
    let taken = Stamp {
        phase: Phase::Taken,
        ..Stamp::read(&labels, &keys).unwrap()
    };
    let labels = taken.write(&labels, &keys);
    let taking = world.agb().await;
    taking
        .set_labels(&session_id, &labels, patience())
        .await
        .unwrap();
    // Ends when the creator has nothing left to do.
    gateway.run_until(async {}).await.unwrap();
    assert_eq!(world.active().await, [session_id.as_str()]);
    assert_eq!(phase(&world, &session_id).await, Phase::Taken);
}
