//! SyncService: completion that can be trusted.

use std::collections::BTreeMap;

use agb_emulator::{FaultAction, SyncDirection};
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::sync_service_client::SyncServiceClient;
use figment::Figment;
use tonic::{Code, Status};

use crate::support::{CODE_IMAGE, World, mount, reason, sync_status, within, wrong_fields};

const PATH: &str = "/home/data";

/// A session with one context at [`PATH`], and the context.
async fn session(world: &World) -> (String, String) {
    let context = world.create_context("c").await;
    let session = world
        .create_session(CODE_IMAGE, vec![mount(&context, PATH)])
        .await;
    (session, context)
}

async fn start(world: &World, session_id: &str) -> pb::SyncStatus {
    let request = pb::SyncContextsRequest {
        session_id: session_id.to_owned(),
        return_immediately: true,
        ..pb::SyncContextsRequest::default()
    };
    let answer = world.syncs().sync_contexts(within(request)).await;
    answer.unwrap().into_inner().status.unwrap()
}

fn wait(token: &str) -> pb::WaitForSyncRequest {
    pb::WaitForSyncRequest {
        target: Some(pb::wait_for_sync_request::Target::SyncToken(
            token.to_owned(),
        )),
    }
}

async fn watch(world: &World, token: &str) -> tonic::Streaming<pb::WatchSyncResponse> {
    let target = pb::watch_sync_request::Target::SyncToken(token.to_owned());
    let request = pb::WatchSyncRequest {
        target: Some(target),
        heartbeat_interval: None,
    };
    let answer = world.syncs().watch_sync(within(request)).await;
    answer.unwrap().into_inner()
}

async fn status_of(
    world: &World,
    target: pb::get_sync_status_request::Target,
) -> Result<pb::SyncStatus, Status> {
    let request = pb::GetSyncStatusRequest {
        target: Some(target),
    };
    let answer = world.syncs().get_sync_status(within(request)).await?;
    Ok(answer.into_inner().status.unwrap())
}

fn unavailable() -> FaultAction {
    FaultAction::Respond {
        status: 503,
        body: r#"{"success": false, "code": "ServiceUnavailable", "requestId": "r-503"}"#
            .to_owned(),
        headers: BTreeMap::new(),
    }
}

#[tokio::test]
async fn a_sync_that_fails_upstream_is_not_a_success() {
    let world = World::start().await;
    let (session, context) = session(&world).await;
    let fail = FaultAction::FailSyncTask {
        direction: Some(SyncDirection::Upload),
        message: "the quota is used up".to_owned(),
    };
    let fault = world.inject("SyncContext", 1, fail);
    let status = world.sync_all(&session).await.unwrap_err();
    assert_eq!(world.emulator.faults().fired(fault), 1);
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Aborted, "SYNC_FAILED")
    );
    assert!(status.message().contains(&context), "{status:?}");
    let known = sync_status(&status);
    assert_eq!(known.state(), pb::SyncState::Failed);
    assert_eq!(known.tasks[0].state(), pb::SyncTaskState::Failed);
    assert_eq!(known.tasks[0].error_message, "the quota is used up");
}

#[tokio::test]
async fn older_finished_tasks_are_not_taken_for_the_sync() {
    let world = World::start().await;
    let (session, context) = session(&world).await;
    world.sync_all(&session).await.unwrap();
    let hide = FaultAction::HideNewTasks {
        looks: 5,
        duration_ms: 0,
    };
    let fault = world.inject("SyncContext", 1, hide);
    let status = world.sync_all(&session).await.unwrap();
    assert_eq!(world.emulator.faults().fired(fault), 1);
    assert!(status.look_count > 5, "{status:?}");
    assert_eq!(status.tasks.len(), 1);
    assert_eq!(status.tasks[0].context_id, context);
    assert_eq!(status.tasks[0].direction(), pb::SyncDirection::Upload);
}

#[tokio::test]
async fn a_sync_of_which_nothing_is_ever_seen_is_not_a_success() {
    let world = World::with_settings(Figment::new().merge(("sync.grace", "1s"))).await;
    let (session, _) = session(&world).await;
    let hide = FaultAction::HideNewTasks {
        looks: 0,
        duration_ms: 600_000,
    };
    world.inject("SyncContext", 1, hide);
    let status = world.sync_all(&session).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(reason(&status), "SYNC_NOT_OBSERVED");
    assert_eq!(sync_status(&status).state(), pb::SyncState::Pending);
}

#[tokio::test]
async fn looks_without_any_task_are_not_a_success() {
    let world = World::with_settings(Figment::new().merge(("sync.grace", "1s"))).await;
    let (session, _) = session(&world).await;
    world.inject("GetContextInfo", u32::MAX, FaultAction::DropTaskRecords);
    let status = world.sync_all(&session).await.unwrap_err();
    assert_eq!(reason(&status), "SYNC_NOT_OBSERVED");
}

#[tokio::test]
async fn looks_that_fail_are_borne_until_one_succeeds() {
    let world = World::start().await;
    let (session, _) = session(&world).await;
    let status = start(&world, &session).await;
    let fault = world.inject("GetContextInfo", 3, unavailable());
    let answer = world
        .syncs()
        .wait_for_sync(within(wait(&status.sync_token)))
        .await
        .unwrap();
    assert_eq!(world.emulator.faults().fired(fault), 3);
    assert!(answer.into_inner().status.unwrap().look_count > 3);
}

#[tokio::test]
async fn nothing_is_started_when_it_is_not_known_what_was_there_before() {
    let world = World::without_repetition().await;
    let (session, _) = session(&world).await;
    world.inject("GetContextInfo", 1, unavailable());
    let status = world.sync_all(&session).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(world.emulator.request_count("SyncContext"), 0);
}

#[tokio::test]
async fn another_replica_carries_on_with_a_token() {
    let world = World::start().await;
    let (session, _) = session(&world).await;
    let status = start(&world, &session).await;
    assert_eq!(status.state(), pb::SyncState::Pending);
    let (_gateway, channel) = world.replica().await;
    let mut syncs = SyncServiceClient::new(channel);
    let answer = syncs
        .wait_for_sync(within(wait(&status.sync_token)))
        .await
        .unwrap();
    let status = answer.into_inner().status.unwrap();
    assert_eq!(status.state(), pb::SyncState::Succeeded);
    assert_eq!(status.tasks.len(), 1);
    assert_eq!(world.emulator.request_count("SyncContext"), 1);
}

async fn refused_token(world: &World, token: &str) -> String {
    let status = world
        .syncs()
        .wait_for_sync(within(wait(token)))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(wrong_fields(&status), ["sync_token"]);
    status.message().to_owned()
}

#[tokio::test]
async fn an_altered_token_and_one_of_another_key_are_refused_and_agb_is_not_asked() {
    let world = World::start().await;
    let (session, _) = session(&world).await;
    let token = start(&world, &session).await.sync_token;
    let looks = world.emulator.request_count("GetContextInfo");
    let replaced = if token.starts_with('A') { "B" } else { "A" };
    let altered = format!("{replaced}{}", &token[1..]);
    for altered in [altered.as_str(), &token[..token.len() - 1], "A", ""] {
        let message = refused_token(&world, altered).await;
        assert!(message.contains("sync token"), "{message}");
    }
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), "Pl4nted-456789abcdef0123456789abcdef\n").unwrap();
    let settings = Figment::new().merge(("secrets.signing_key_file", keys.path()));
    let foreign = World::with_settings(settings).await;
    let message = refused_token(&foreign, &token).await;
    assert!(message.contains("another signing key"), "{message}");
    assert_eq!(world.emulator.request_count("GetContextInfo"), looks);
}

#[tokio::test]
async fn all_who_wait_for_a_session_share_its_looks() {
    let world = World::start().await;
    let (session, _) = session(&world).await;
    let stall = FaultAction::StallSyncTask { direction: None };
    world.inject("SyncContext", 1, stall);
    let token = start(&world, &session).await.sync_token;
    let waits: Vec<_> = (0..50)
        .map(|_| {
            let (mut syncs, request) = (world.syncs(), within(wait(&token)));
            tokio::spawn(async move { syncs.wait_for_sync(request).await })
        })
        .collect();
    let mut watch = watch(&world, &token).await;
    watch.message().await.unwrap();
    let gone = FaultAction::Respond {
        status: 400,
        body: r#"{"success": false, "code": "InvalidMcpSession.NotFound"}"#.to_owned(),
        headers: BTreeMap::new(),
    };
    // The one look that it strikes ends every wait.
    world.inject("GetContextInfo", 1, gone);
    for wait in waits {
        let status = wait.await.unwrap().unwrap_err();
        assert_eq!(reason(&status), "SESSION_NOT_FOUND");
    }
    assert_eq!(watch.message().await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_deadline_tells_what_is_known_and_how_to_carry_on() {
    let world = World::start().await;
    let (session, context) = session(&world).await;
    world.inject(
        "SyncContext",
        1,
        FaultAction::StallSyncTask { direction: None },
    );
    let status = start(&world, &session).await;
    let (_gateway, channel) = world.hasty_replica().await;
    let request = within(wait(&status.sync_token));
    let status = SyncServiceClient::new(channel)
        .wait_for_sync(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    let known = sync_status(&status);
    assert_eq!(known.state(), pb::SyncState::Running);
    assert_eq!(known.tasks[0].context_id, context);
    assert!(!known.sync_token.is_empty());
}

#[tokio::test]
async fn one_context_can_be_synced_alone() {
    let world = World::start().await;
    let first = world.create_context("first").await;
    let second = world.create_context("second").await;
    let mounts = vec![mount(&first, "/home/first"), mount(&second, "/home/second")];
    let session = world.create_session(CODE_IMAGE, mounts).await;
    let request = pb::SyncContextsRequest {
        session_id: session,
        context_id: second.clone(),
        path: "/home/second".to_owned(),
        direction: pb::SyncDirection::Upload.into(),
        return_immediately: false,
    };
    let answer = world.syncs().sync_contexts(within(request)).await.unwrap();
    let tasks = answer.into_inner().status.unwrap().tasks;
    assert_eq!(tasks.len(), 1);
    assert_eq!(
        (tasks[0].context_id.as_str(), tasks[0].path.as_str()),
        (second.as_str(), "/home/second")
    );
    let requests = world.emulator.requests();
    let request = requests
        .iter()
        .find(|request| request.operation == "SyncContext")
        .unwrap();
    assert_eq!(request.query["mode"], "upload");
    assert_eq!(request.query["contextId"], second);
}

#[tokio::test]
async fn a_download_brings_in_what_another_session_has_uploaded() {
    let world = World::start().await;
    let context = world.create_context("c").await;
    let reader = world
        .create_session(CODE_IMAGE, vec![mount(&context, PATH)])
        .await;
    let writer = world
        .create_session(CODE_IMAGE, vec![mount(&context, PATH)])
        .await;
    world.run(&writer, "echo news > /home/data/news").await;
    world.sync_all(&writer).await.unwrap();
    let request = pb::SyncContextsRequest {
        session_id: reader.clone(),
        direction: pb::SyncDirection::Download.into(),
        ..pb::SyncContextsRequest::default()
    };
    world.syncs().sync_contexts(within(request)).await.unwrap();
    assert_eq!(world.run(&reader, "cat /home/data/news").await, "news\n");
}

#[tokio::test]
async fn the_status_of_a_token_and_of_a_session_is_told_without_waiting() {
    use pb::get_sync_status_request::Target;
    let world = World::start().await;
    let (session, _) = session(&world).await;
    world.inject(
        "SyncContext",
        1,
        FaultAction::StallSyncTask { direction: None },
    );
    let started = start(&world, &session).await;
    let of_session = status_of(&world, Target::SessionId(session.clone()))
        .await
        .unwrap();
    assert!(of_session.sync_token.is_empty());
    assert!(!of_session.tasks.is_empty());
    let of_token = status_of(&world, Target::SyncToken(started.sync_token))
        .await
        .unwrap();
    assert!(
        of_token
            .tasks
            .iter()
            .all(|task| task.direction() == pb::SyncDirection::Upload)
    );
    assert_ne!(of_token.state(), pb::SyncState::Succeeded);
    let status = status_of(&world, Target::SessionId("s-none".to_owned()))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "SESSION_NOT_FOUND");
}

#[tokio::test]
async fn the_status_of_a_finished_sync_of_all_contexts_is_success() {
    let world = World::start().await;
    let (session, _) = session(&world).await;
    let started = start(&world, &session).await;
    world
        .syncs()
        .wait_for_sync(within(wait(&started.sync_token)))
        .await
        .unwrap();
    let target = pb::get_sync_status_request::Target::SyncToken(started.sync_token);
    let status = status_of(&world, target).await.unwrap();
    assert_eq!(status.state(), pb::SyncState::Succeeded);
}

#[tokio::test]
async fn a_watched_sync_tells_a_snapshot_then_changes_then_the_verdict() {
    use pb::WatchSyncEvent::{Change, Snapshot, Verdict};
    use tokio_stream::StreamExt as _;
    let world = World::start().await;
    let (session, _) = session(&world).await;
    let started = start(&world, &session).await;
    let events = watch(&world, &started.sync_token).await;
    let events: Vec<_> = events.map(Result::unwrap).collect().await;
    assert_eq!(events.first().unwrap().event(), Snapshot);
    let last = events.last().unwrap();
    assert_eq!(last.event(), Verdict);
    assert_eq!(
        last.status.as_ref().unwrap().state(),
        pb::SyncState::Succeeded
    );
    let between = &events[1..events.len() - 1];
    assert!(
        between.iter().all(|event| event.event() == Change),
        "{between:?}"
    );
}
