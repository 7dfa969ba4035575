//! The orderly end: what waits can carry on elsewhere, and is told how.

use std::time::Duration;

use agb_emulator::FaultAction;
use agb_gateway::app::{Gateway, RunError};
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use agb_gateway::proto::v1::sync_service_client::SyncServiceClient;
use agb_gateway::proto::v1::wait_for_sync_request::Target;
use figment::Figment;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{CODE_IMAGE, World, mount, reason, sync_status, within};

/// A replica that drains when it is told to.
struct Drained {
    channel: Channel,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), RunError>>,
}

impl Drained {
    async fn start(world: &World, drain_timeout: &str) -> Self {
        Self::start_with(world, drain_timeout, Figment::new()).await
    }

    async fn start_with(world: &World, drain_timeout: &str, settings: Figment) -> Self {
        let settings = settings.merge(("server.drain_timeout", drain_timeout));
        let (gateway, channel): (Gateway, _) = world.replica_with(settings).await;
        let (stop, stopped) = oneshot::channel();
        let stopped = async { stopped.await.unwrap() };
        Self {
            channel,
            stop,
            ended: tokio::spawn(gateway.run_until(stopped)),
        }
    }
}

/// A session in which the next sync does not end.
async fn session_with_stalled_sync(world: &World) -> String {
    let context = world.create_context("c").await;
    let mounts = vec![mount(&context, "/home/data")];
    let session = world.create_session(CODE_IMAGE, mounts).await;
    let stall = FaultAction::StallSyncTask { direction: None };
    world.inject("SyncContext", 1, stall);
    session
}

/// Ends once the emulated AGB has had one more request of this kind than before.
async fn asked(world: &World, operation: &str, before: u64) {
    let mut pause = tokio::time::interval(Duration::from_millis(5));
    while world.emulator.request_count(operation) <= before {
        pause.tick().await;
    }
}

fn pushback(status: &Status) -> &str {
    let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap();
    pushback.to_str().unwrap()
}

#[tokio::test]
async fn a_wait_is_sent_elsewhere_at_once_and_carries_on_there() {
    let world = World::start().await;
    let session_id = session_with_stalled_sync(&world).await;
    let drained = Drained::start(&world, "60s").await;
    let request = pb::SyncContextsRequest {
        session_id,
        return_immediately: true,
        ..pb::SyncContextsRequest::default()
    };
    let mut syncs = SyncServiceClient::new(drained.channel.clone());
    let started = world.syncs().sync_contexts(within(request)).await;
    let token = started.unwrap().into_inner().status.unwrap().sync_token;
    let request = pb::WaitForSyncRequest {
        target: Some(Target::SyncToken(token.clone())),
    };
    let looks = world.emulator.request_count("GetContextInfo");
    let wait = tokio::spawn(async move { syncs.wait_for_sync(within(request)).await });
    asked(&world, "GetContextInfo", looks).await;
    drained.stop.send(()).unwrap();
    let status = wait.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status), "DRAINING");
    assert_eq!(pushback(&status), "0");
    assert_eq!(sync_status(&status).sync_token, token);
    drained.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_waits_for_a_sync_that_it_started_is_not_told_to_start_it_again() {
    let world = World::start().await;
    let session_id = session_with_stalled_sync(&world).await;
    let drained = Drained::start(&world, "2s").await;
    let request = pb::SyncContextsRequest {
        session_id,
        ..pb::SyncContextsRequest::default()
    };
    let mut syncs = SyncServiceClient::new(drained.channel.clone());
    let wait = tokio::spawn(async move { syncs.sync_contexts(within(request)).await });
    asked(&world, "SyncContext", 0).await;
    drained.stop.send(()).unwrap();
    let status = wait.await.unwrap().unwrap_err();
    assert_eq!(reason(&status), "DRAINING");
    assert_eq!(pushback(&status), "-1");
    assert!(status.get_error_details().retry_info().is_none());
    assert!(!sync_status(&status).sync_token.is_empty());
    drained.ended.await.unwrap().unwrap();
    assert_eq!(world.emulator.request_count("SyncContext"), 1);
}

#[tokio::test]
async fn a_call_that_only_reads_and_outlasts_the_drain_can_be_made_again() {
    let world = World::start().await;
    let drained = Drained::start(&world, "1s").await;
    world.inject("ListContexts", 1, FaultAction::Delay { delay_ms: 600_000 });
    let mut contexts = ContextServiceClient::new(drained.channel.clone());
    let request = within(pb::ListContextsRequest::default());
    let list = tokio::spawn(async move { contexts.list_contexts(request).await });
    asked(&world, "ListContexts", 0).await;
    drained.stop.send(()).unwrap();
    let status = list.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status), "DRAINING");
    assert_eq!(pushback(&status), "0");
    drained.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_gateway_that_drains_sweeps_no_more() {
    let world = World::start().await;
    let session_id = session_with_stalled_sync(&world).await;
    let request = pb::SyncContextsRequest {
        session_id: session_id.clone(),
        return_immediately: true,
        ..pb::SyncContextsRequest::default()
    };
    world.syncs().sync_contexts(within(request)).await.unwrap();
    let settings = Figment::new().merge(("session.sweep_interval", "20ms"));
    let drained = Drained::start_with(&world, "60s", settings).await;
    asked(&world, "ListSession", 2).await;
    // One call holds the drain up for many intervals, another one tells when it has begun.
    let delay = FaultAction::Delay { delay_ms: 1_000 };
    world.inject("ListContexts", 1, delay);
    let mut contexts = ContextServiceClient::new(drained.channel.clone());
    let request = within(pb::ListContextsRequest::default());
    let held = tokio::spawn(async move { contexts.list_contexts(request).await });
    asked(&world, "ListContexts", 0).await;
    let mut syncs = SyncServiceClient::new(drained.channel.clone());
    let looks = world.emulator.request_count("GetContextInfo");
    let target = Some(Target::SessionId(session_id));
    let request = within(pb::WaitForSyncRequest { target });
    let wait = tokio::spawn(async move { syncs.wait_for_sync(request).await });
    asked(&world, "GetContextInfo", looks).await;
    drained.stop.send(()).unwrap();
    assert_eq!(reason(&wait.await.unwrap().unwrap_err()), "DRAINING");
    let sweeps = world.emulator.request_count("ListSession");
    held.await.unwrap().unwrap();
    drained.ended.await.unwrap().unwrap();
    // The one that may have been under way.
    let further = world.emulator.request_count("ListSession") - sweeps;
    assert!(further <= 1, "{further} sweeps while it drained");
}
