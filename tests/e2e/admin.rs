//! The admin service: what operators ask a running gateway, on a port of its own.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use agb_emulator::FaultAction;
use agb_gateway::app::Gateway;
use agb_gateway::proto::admin as pb;
use agb_gateway::proto::admin::admin_service_client::AdminServiceClient;
use agb_gateway::proto::v1;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use agb_gateway::proto::v1::sync_service_client::SyncServiceClient;
use figment::Figment;
use prost_types::value::Kind;
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::{v1 as reflection, v1alpha};

use crate::canary::secret_in;
use crate::commands::{lines_until, serve_with_lines};
use crate::support::{CODE_IMAGE, World, connect, mount, reason, within, wrong_fields};

/// A gateway with the admin service, and clients of both.
struct Administered {
    world: World,
    gateway: Gateway,
    callers: Channel,
    admin: AdminServiceClient<Channel>,
}

impl Administered {
    async fn start(settings: Figment) -> Self {
        let settings = settings
            .merge(("admin.listen", "127.0.0.1:0"))
            .merge(("session.sweep_interval", "0s"));
        let world = World::start().await;
        let (gateway, callers) = world.replica_with(settings).await;
        let admin = AdminServiceClient::new(admin_channel(&gateway).await);
        Self {
            world,
            gateway,
            callers,
            admin,
        }
    }

    async fn waits(&mut self, request: pb::ListWaitsRequest) -> pb::ListWaitsResponse {
        let answer = self.admin.list_waits(within(request)).await;
        answer.unwrap().into_inner()
    }

    async fn upstream(&mut self) -> pb::GetUpstreamResponse {
        let request = within(pb::GetUpstreamRequest {});
        self.admin.get_upstream(request).await.unwrap().into_inner()
    }
}

async fn admin_channel(gateway: &Gateway) -> Channel {
    connect(gateway.admin_address().unwrap()).await
}

/// The services that reflection of one version lists.
macro_rules! services {
    ($version:ident, $channel:expr) => {{
        let mut client =
            $version::server_reflection_client::ServerReflectionClient::new($channel.clone());
        let question =
            $version::server_reflection_request::MessageRequest::ListServices(String::new());
        let request = $version::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(question),
        };
        let answers = client
            .server_reflection_info(tokio_stream::once(request))
            .await;
        let answer = answers.unwrap().into_inner().next().await.unwrap().unwrap();
        let Some($version::server_reflection_response::MessageResponse::ListServicesResponse(list)) =
            answer.message_response
        else {
            panic!("no list of services");
        };
        let names = list.service.into_iter().map(|service| service.name);
        names.collect::<Vec<_>>()
    }};
}

#[tokio::test]
async fn operators_have_a_port_of_their_own_which_grpcurl_can_explore() {
    const SERVICE: &str = "agb.gateway.admin.v1.AdminService";
    let mut world = Administered::start(Figment::new()).await;
    let channel = admin_channel(&world.gateway).await;
    for names in [services!(reflection, channel), services!(v1alpha, channel)] {
        assert!(names.iter().any(|name| name == SERVICE), "{names:?}");
        let of_callers = |name: &String| name.starts_with("agb.gateway.v1.");
        assert!(!names.iter().any(of_callers), "{names:?}");
    }
    let mut health = HealthClient::new(channel);
    let answer = health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.into_inner().status, 1);
    let request = within(pb::GetBuildInfoRequest {});
    let build = world.admin.get_build_info(request).await.unwrap();
    let build = build.into_inner();
    assert_eq!(build.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(build.features, ["emulator"]);
    let started = SystemTime::try_from(build.start_time.unwrap()).unwrap();
    assert!(started.elapsed().unwrap() < Duration::from_hours(1));
    assert!(build.uptime.is_some());
}

#[tokio::test]
async fn callers_cannot_reach_what_is_for_operators() {
    let world = Administered::start(Figment::new()).await;
    let mut admin = AdminServiceClient::new(world.callers.clone());
    let status = admin
        .get_build_info(within(pb::GetBuildInfoRequest {}))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "METHOD_NOT_FOUND");
    let mut contexts = ContextServiceClient::new(admin_channel(&world.gateway).await);
    let request = within(v1::ListContextsRequest::default());
    let status = contexts.list_contexts(request).await.unwrap_err();
    assert_eq!(reason(&status), "METHOD_NOT_FOUND");
}

#[tokio::test]
async fn without_its_setting_there_is_no_admin_service() {
    let world = World::start().await;
    let (gateway, _channel) = world.replica().await;
    assert_eq!(gateway.admin_address(), None);
}

#[tokio::test]
async fn the_configuration_is_told_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, "Pl4nted-key-of-search").unwrap();
    let settings = Figment::new()
        .merge(("agb.proxy", "http://user:Pl4nted-password@proxy:3128"))
        .merge(("telemetry.otlp.endpoint", "http://u:Pl4nted@127.0.0.1:9"))
        .merge(("tenants.search.api_key_file", key_file.to_str().unwrap()))
        .merge(("server.max_deadline", "7m"));
    let mut world = Administered::start(settings).await;
    let request = within(pb::GetConfigurationRequest {});
    let answer = world.admin.get_configuration(request).await.unwrap();
    let settings = answer.into_inner().settings.unwrap();
    assert_eq!(secret_in(&format!("{settings:?}")), None);
    let text = |name: &str| match &settings.fields[name].kind {
        Some(Kind::StringValue(text)) => text.clone(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(text("AGB_API_KEY"), "(secret)");
    assert_eq!(text("agb.proxy"), "http://(secret)@proxy:3128");
    assert_eq!(
        text("telemetry.otlp.endpoint"),
        "http://(secret)@127.0.0.1:9"
    );
    assert_eq!(
        text("tenants.search.api_key_file"),
        key_file.to_str().unwrap()
    );
    assert_eq!(text("server.max_deadline"), "7m");
    assert_eq!(text("server.default_deadline"), "5m");
}

#[tokio::test]
async fn live_waits_are_told_with_what_they_wait_for() {
    let mut world = Administered::start(Figment::new()).await;
    let context = world.world.create_context("c").await;
    let mounts = vec![mount(&context, "/home/data")];
    let session = world.world.create_session(CODE_IMAGE, mounts).await;
    let other = world.world.create_session(CODE_IMAGE, vec![]).await;
    let none = world.waits(pb::ListWaitsRequest::default()).await;
    assert_eq!(none, pb::ListWaitsResponse::default());

    let stalled = FaultAction::StallSyncTask { direction: None };
    world.world.inject("SyncContext", 1, stalled);
    let before = SystemTime::now();
    let mut syncs = SyncServiceClient::new(world.callers.clone());
    let request = v1::SyncContextsRequest {
        session_id: session.clone(),
        ..v1::SyncContextsRequest::default()
    };
    let calling = tokio::spawn(async move { syncs.sync_contexts(within(request)).await });
    // Until a look has shown the task.
    let wait = loop {
        let listed = world.waits(pb::ListWaitsRequest::default()).await;
        let seen = |wait: &pb::Wait| wait.targets[0].task_count > 0;
        if listed.waits.first().is_some_and(seen) {
            assert_eq!((listed.waits.len(), listed.total_count), (1, 1));
            break listed.waits[0].clone();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(wait.tenant, "default");
    assert_eq!(wait.session_id, session);
    assert_eq!((wait.waiter_count, wait.target_count), (1, 1));
    assert!(wait.look_count > 0);
    assert_eq!(wait.failed_look_count, 0);
    let time = |time: Option<prost_types::Timestamp>| SystemTime::try_from(time.unwrap()).unwrap();
    assert!(time(wait.start_time) >= before);
    assert!(time(wait.next_look_time) >= time(wait.start_time));
    let target = &wait.targets[0];
    assert_eq!(target.state(), pb::TargetState::Running);
    assert_eq!((target.task_count, target.finished_task_count), (1, 0));
    let sync = target.sync.as_ref().unwrap();
    assert_eq!(sync.direction, "upload");
    assert!(sync.all_contexts);
    assert_eq!(sync.place_count, 1);
    assert_eq!(sync.places[0].context_id, context);
    assert_eq!(sync.places[0].path, "/home/data");

    // Another one, for whatever there is of a session, and two who share it.
    let target = v1::watch_sync_request::Target::SessionId(other.clone());
    let request = v1::WatchSyncRequest {
        target: Some(target),
        heartbeat_interval: None,
    };
    let mut syncs = SyncServiceClient::new(world.callers.clone());
    let _first = syncs.watch_sync(within(request.clone())).await.unwrap();
    let _second = syncs.watch_sync(within(request)).await.unwrap();
    let all = world.waits(pb::ListWaitsRequest::default()).await;
    let listed: Vec<_> = all.waits.iter().map(|wait| &wait.session_id).collect();
    assert_eq!(listed, [&session, &other], "the longest wait first");
    assert_eq!(all.waits[1].waiter_count, 2);
    assert_eq!(all.waits[1].target_count, 1);
    assert_eq!(all.waits[1].targets[0].sync, None);
    let page = pb::ListWaitsRequest {
        max_results: 1,
        ..pb::ListWaitsRequest::default()
    };
    let page = world.waits(page).await;
    assert_eq!((page.waits.len(), page.total_count), (1, 2));
    let one = pb::ListWaitsRequest {
        session_id: other,
        ..pb::ListWaitsRequest::default()
    };
    assert_eq!(world.waits(one).await.total_count, 1);

    calling.abort();
    assert!(calling.await.unwrap_err().is_cancelled());
    while world
        .waits(pb::ListWaitsRequest::default())
        .await
        .total_count
        > 1
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn more_waits_than_a_list_may_have_are_refused_by_name() {
    let mut world = Administered::start(Figment::new()).await;
    let request = pb::ListWaitsRequest {
        max_results: 101,
        ..pb::ListWaitsRequest::default()
    };
    let status = world.admin.list_waits(within(request)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(wrong_fields(&status), ["max_results"]);
}

#[tokio::test]
async fn the_way_to_agb_is_told_with_what_is_under_way_and_what_is_left_alone() {
    let settings = Figment::new()
        .merge(("agb.max_attempts", 1))
        .merge(("agb.max_concurrent_requests", 1))
        .merge(("agb.max_queued_requests", 5))
        .merge(("agb.retry_tokens", 10))
        .merge(("agb.breaker_failures", 2))
        .merge(("agb.breaker_pause", "60s"))
        .merge(("server.max_connections", 7));
    let mut world = Administered::start(settings).await;
    let usage = |current, limit| Some(pb::Usage { current, limit });
    let idle = world.upstream().await;
    assert_eq!(idle.endpoint, format!("{}/", world.world.emulator.url()));
    assert_eq!(idle.requests, usage(0, 1));
    assert_eq!(idle.queued_requests, usage(0, 5));
    assert_eq!(idle.long_answers, usage(0, 8));
    assert_eq!(idle.caller_connections, usage(1, 7));
    let closed = idle.agb.unwrap();
    assert_eq!(closed.breaker(), pb::BreakerState::Closed);
    assert_eq!((closed.failure_count, closed.open_until), (0, None));

    let fault = FaultAction::Delay { delay_ms: 600_000 };
    world.world.inject("ListContexts", 1, fault);
    let contexts = ContextServiceClient::new(world.callers.clone());
    let list = || {
        let mut contexts = contexts.clone();
        let request = within(v1::ListContextsRequest::default());
        async move { contexts.list_contexts(request).await }
    };
    let held = [tokio::spawn(list()), tokio::spawn(list())];
    while world.upstream().await.queued_requests != usage(1, 5) {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.upstream().await.requests, usage(1, 1));
    held.iter().for_each(tokio::task::JoinHandle::abort);
    while world.upstream().await.requests != usage(0, 1) {
        tokio::task::yield_now().await;
    }

    world
        .world
        .inject("ListContexts", 2, FaultAction::CloseBeforeWork);
    let before = SystemTime::now();
    for _ in 0..2 {
        list().await.unwrap_err();
    }
    let down = world.upstream().await;
    let agb = down.agb.unwrap();
    assert_eq!(agb.breaker(), pb::BreakerState::Open);
    assert_eq!(agb.failure_count, 2);
    let until = SystemTime::try_from(agb.open_until.unwrap()).unwrap();
    assert!(until >= before + Duration::from_mins(1), "{until:?}");
    assert!((agb.retry_tokens - 8.0).abs() < 0.5, "{}", agb.retry_tokens);
    assert!((agb.max_retry_tokens - 10.0).abs() < 0.1);
    let storage = down.storage.unwrap();
    assert_eq!(storage.breaker(), pb::BreakerState::Closed);
}

#[tokio::test]
async fn a_filter_that_was_not_handed_over_is_not_pretended() {
    let mut world = Administered::start(Figment::new()).await;
    let request = within(pb::GetLogFilterRequest {});
    let status = world.admin.get_log_filter(request).await.unwrap_err();
    assert_eq!(reason(&status), "INTERNAL");
}

/// A call of the gateway at this address which reaches AGB.
async fn ask(gateway: SocketAddr) {
    let mut contexts = ContextServiceClient::new(connect(gateway).await);
    let request = within(v1::ListContextsRequest::default());
    contexts.list_contexts(request).await.unwrap();
}

fn is_access(event: &serde_json::Value) -> bool {
    event["target"] == "access"
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_logged_changes_while_the_gateway_runs_and_comes_back() {
    let world = World::start().await;
    let settings = [
        ("AGB_GATEWAY_LOG__FILTER", "info"),
        ("AGB_GATEWAY_ADMIN__LISTEN", "127.0.0.1:0"),
        ("AGB_GATEWAY_SESSION__SWEEP_INTERVAL", "0s"),
    ];
    let (_running, mut lines) = serve_with_lines(&world, &settings);
    let address = |event: &serde_json::Value| event["address"].as_str().unwrap().parse().unwrap();
    let told = lines_until(&mut lines, |event| event["message"] == "serving operators").await;
    let mut admin = AdminServiceClient::new(connect(address(told.last().unwrap())).await);
    let told = lines_until(&mut lines, |event| event["message"] == "serving").await;
    let gateway = address(told.last().unwrap());
    let session = world.create_session(CODE_IMAGE, vec![]).await;
    let is_debug = |event: &serde_json::Value| event["level"] == "DEBUG";
    let set = |filter: &str, seconds: i64| {
        within(pb::SetLogFilterRequest {
            filter: filter.to_owned(),
            duration: (seconds > 0).then_some(prost_types::Duration { seconds, nanos: 0 }),
        })
    };

    ask(gateway).await;
    let told = lines_until(&mut lines, is_access).await;
    assert!(!told.iter().any(is_debug), "{told:#?}");

    let wrong = admin.set_log_filter(set("agb_gateway=loud", 0)).await;
    assert_eq!(wrong_fields(&wrong.unwrap_err()), ["filter"]);

    let changed = admin.set_log_filter(set("info,agb_gateway=debug", 0)).await;
    let changed = changed.unwrap().into_inner().log_filter.unwrap();
    assert_eq!(changed.configured, "info");
    assert!(changed.current.contains("agb_gateway=debug"), "{changed:?}");
    assert_eq!(changed.restore_time, None);
    ask(gateway).await;
    let told = lines_until(&mut lines, is_access).await;
    let answered = told.iter().find(|event| event["message"] == "AGB answered");
    assert!(answered.is_some_and(is_debug), "{told:#?}");

    // Also what happens on behalf of several calls, with where that was.
    let target = v1::watch_sync_request::Target::SessionId(session.clone());
    let request = v1::WatchSyncRequest {
        target: Some(target),
        heartbeat_interval: None,
    };
    let mut syncs = SyncServiceClient::new(connect(gateway).await);
    let watched = syncs.watch_sync(within(request)).await.unwrap();
    let told = lines_until(&mut lines, |event| event["operation"] == "GetContextInfo").await;
    let scope = format!("sync_poller{{session_id={session:?}}}");
    assert_eq!(told.last().unwrap()["scope"], *scope);
    drop(watched);
    lines_until(&mut lines, is_access).await;

    // By itself, after a second. The line comes just before the filter is the other one, which whoever asks waits for.
    let back = |event: &serde_json::Value| {
        event["message"] == "the log filter changes" && event["to"] == "info"
    };
    let changed = admin.set_log_filter(set("debug", 1)).await.unwrap();
    let changed = changed.into_inner().log_filter.unwrap();
    assert!(changed.restore_time.is_some());
    lines_until(&mut lines, back).await;
    let now = admin
        .get_log_filter(within(pb::GetLogFilterRequest {}))
        .await;
    let now = now.unwrap().into_inner().log_filter.unwrap();
    assert_eq!((now.current.as_str(), now.restore_time), ("info", None));
    ask(gateway).await;
    let told = lines_until(&mut lines, is_access).await;
    assert!(!told.iter().any(is_debug), "{told:#?}");

    // And at once, when that is asked for.
    admin.set_log_filter(set("off", 0)).await.unwrap();
    let back = admin.set_log_filter(set("", 0)).await.unwrap();
    assert_eq!(back.into_inner().log_filter.unwrap().current, "info");
    ask(gateway).await;
    lines_until(&mut lines, is_access).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_answered_while_the_gateway_drains() {
    let mut world = Administered::start(Figment::new()).await;
    let fault = FaultAction::Delay { delay_ms: 600_000 };
    world.world.inject("ListContexts", 1, fault);
    let mut contexts = ContextServiceClient::new(world.callers.clone());
    let request = within(v1::ListContextsRequest::default());
    let held = tokio::spawn(async move { contexts.list_contexts(request).await });
    while world.upstream().await.requests.unwrap().current == 0 {
        tokio::task::yield_now().await;
    }
    let Administered {
        gateway, mut admin, ..
    } = world;
    let callers = gateway.address();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let draining = tokio::spawn(gateway.run_until(async move {
        let _ = stopped.await;
    }));
    stop.send(()).unwrap();
    while tokio::net::TcpStream::connect(callers).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let request = within(pb::GetUpstreamRequest {});
    let answer = admin.get_upstream(request).await.unwrap().into_inner();
    assert_eq!(answer.requests.unwrap().current, 1);
    assert!(!draining.is_finished());
    held.abort();
    draining.await.unwrap().unwrap();
}
