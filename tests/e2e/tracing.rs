//! One trace from the caller to AGB and back, received by a real OTLP receiver.

use std::collections::BTreeSet;

use agb_emulator::FaultAction;
use agb_gateway::app::Gateway;
use agb_gateway::layer::{AGB_REQUEST_ID, TRACE_ID};
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use agb_gateway::proto::v1::session_service_client::SessionServiceClient;
use agb_gateway::proto::v1::sync_service_client::SyncServiceClient;
use agb_gateway::proto::v1::wait_for_sync_request::Target;
use figment::Figment;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::collector::{Collector, Trace, attributes, told};
use crate::support::{BROWSER_IMAGE, CODE_IMAGE, World, connect, mapped, mount, within};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A world, and a gateway in front of it that tells a collector.
struct Observed {
    world: World,
    collector: Collector,
    gateway: Gateway,
    channel: Channel,
}

impl Observed {
    async fn start(settings: &[(&str, f64)]) -> Self {
        let collector = Collector::grpc();
        // Nobody but the calls of the test asks AGB.
        let quiet = Figment::new().merge(("session.sweep_interval", "0s"));
        let world = World::with_settings(quiet.clone()).await;
        let settings = settings
            .iter()
            .fold(quiet, |settings, setting| settings.merge(*setting));
        let settings = settings.merge(("telemetry.otlp.endpoint", collector.url()));
        let (gateway, channel) = world.replica_with(settings).await;
        Self {
            world,
            collector,
            gateway,
            channel,
        }
    }

    fn sessions(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.channel.clone())
    }

    /// What has been told when the gateway has ended.
    async fn end(self) -> (World, Trace) {
        drop(self.channel);
        self.gateway
            .run_until(std::future::ready(()))
            .await
            .unwrap();
        (self.world, self.collector.trace())
    }
}

/// A request within a trace that its caller samples.
fn traced<T>(message: T) -> Request<T> {
    in_trace(message, &format!("00-{TRACE}-{PARENT}-01"))
}

fn in_trace<T>(message: T, parent: &str) -> Request<T> {
    let mut request = within(message);
    request
        .metadata_mut()
        .insert("traceparent", parent.parse().unwrap());
    request
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<Vec<_>>().concat()
}

fn create(image: &str, context_syncs: Vec<pb::ContextSync>) -> pb::CreateSessionRequest {
    pb::CreateSessionRequest {
        image_id: image.to_owned(),
        context_syncs,
        ..pb::CreateSessionRequest::default()
    }
}

fn run(session_id: &str, command: &str) -> pb::ExecuteCommandRequest {
    pb::ExecuteCommandRequest {
        session_id: session_id.to_owned(),
        command: command.to_owned(),
        ..pb::ExecuteCommandRequest::default()
    }
}

/// The scenario of the guide, each call in the same trace.
async fn scenario(channel: &Channel) {
    let mut contexts = ContextServiceClient::new(channel.clone());
    let mut sessions = SessionServiceClient::new(channel.clone());
    let mut syncs = SyncServiceClient::new(channel.clone());
    let context = pb::CreateContextRequest {
        context: Some(pb::Context {
            name: "traced".to_owned(),
            ..pb::Context::default()
        }),
        ..pb::CreateContextRequest::default()
    };
    let context = contexts.create_context(traced(context)).await.unwrap();
    let context = context.into_inner().context.unwrap().context_id;
    let first = create(BROWSER_IMAGE, vec![mount(&context, "/tmp/mapping")]);
    let first = sessions.create_session(traced(first)).await.unwrap();
    let first = first.into_inner().session.unwrap().session_id;
    let write = run(&first, "echo hello > /tmp/mapping/test-file.txt");
    sessions.execute_command(traced(write)).await.unwrap();
    let start = pb::SyncContextsRequest {
        session_id: first.clone(),
        return_immediately: true,
        ..pb::SyncContextsRequest::default()
    };
    let started = syncs.sync_contexts(traced(start)).await.unwrap();
    let wait = pb::WaitForSyncRequest {
        target: Some(Target::SyncToken(
            started.into_inner().status.unwrap().sync_token,
        )),
    };
    syncs.wait_for_sync(traced(wait)).await.unwrap();
    let delete = pb::DeleteSessionRequest {
        session_id: first,
        ..pb::DeleteSessionRequest::default()
    };
    sessions.delete_session(traced(delete)).await.unwrap();
    let second = create(
        CODE_IMAGE,
        vec![mapped(&context, "/home/data", "/tmp/mapping")],
    );
    let second = sessions.create_session(traced(second)).await.unwrap();
    let second = second.into_inner().session.unwrap().session_id;
    let read = run(&second, "cat /home/data/test-file.txt");
    let read = sessions.execute_command(traced(read)).await.unwrap();
    assert_eq!(read.into_inner().stdout, "hello\n");
}

#[tokio::test]
async fn the_whole_scenario_is_one_trace_with_every_attempt_in_it() {
    let observed = Observed::start(&[]).await;
    scenario(&observed.channel).await;
    let (world, trace) = observed.end().await;

    let traces: BTreeSet<_> = trace.spans.iter().map(|span| hex(&span.trace_id)).collect();
    assert_eq!(traces, [TRACE.to_owned()].into());
    assert_eq!(trace.resources[0]["service.name"], "agb-gateway");
    assert!(trace.resources[0].contains_key("service.instance.id"));

    let of_kind = |kind: SpanKind| trace.spans.iter().filter(move |span| span.kind() == kind);
    let servers: Vec<_> = of_kind(SpanKind::Server).collect();
    let mut names: Vec<_> = servers.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "agb.gateway.v1.ContextService/CreateContext",
            "agb.gateway.v1.SessionService/CreateSession",
            "agb.gateway.v1.SessionService/CreateSession",
            "agb.gateway.v1.SessionService/DeleteSession",
            "agb.gateway.v1.SessionService/ExecuteCommand",
            "agb.gateway.v1.SessionService/ExecuteCommand",
            "agb.gateway.v1.SyncService/SyncContexts",
            "agb.gateway.v1.SyncService/WaitForSync",
        ]
    );
    for span in &servers {
        assert_eq!(hex(&span.parent_span_id), PARENT, "{}", span.name);
        let told = told(span);
        assert_eq!(told["rpc.system.name"], "grpc");
        assert_eq!(told["rpc.method"], span.name);
        assert_eq!(told["rpc.response.status_code"], "OK");
        assert_eq!(told["client.address"], "127.0.0.1");
        assert_eq!(told["enduser.id"], "anonymous");
        assert_eq!(told["agb_gateway.tenant"], "default");
    }

    // What AGB was asked is what is told, one span for each request, below the call that it was made for.
    let mut asked: Vec<_> = world
        .emulator
        .requests()
        .into_iter()
        .map(|request| (request.operation, request.status.unwrap().to_string()))
        .collect();
    asked.sort_unstable();
    let clients: Vec<_> = of_kind(SpanKind::Client).collect();
    let mut told_of: Vec<_> = clients
        .iter()
        .map(|span| told(span))
        .map(|told| {
            (
                told["agb.operation"].clone(),
                told["http.response.status_code"].clone(),
            )
        })
        .collect();
    told_of.sort_unstable();
    assert_eq!(told_of, asked);
    for span in &clients {
        let told = told(span);
        assert!(told["agb.request_id"].len() > 20, "{told:?}");
        assert_eq!(
            span.name,
            format!("{} {}", told["http.request.method"], told["url.template"])
        );
        assert_eq!(
            trace.way_up(span).last().unwrap().kind(),
            SpanKind::Server,
            "{}",
            span.name
        );
    }
}

#[tokio::test]
async fn a_wait_tells_of_each_look_and_points_to_the_poller_that_makes_them() {
    let observed = Observed::start(&[]).await;
    scenario(&observed.channel).await;
    let (_world, trace) = observed.end().await;
    let call = trace.only("agb.gateway.v1.SyncService/WaitForSync");
    let wait = trace
        .named("sync wait")
        .find(|span| span.parent_span_id == call.span_id);
    let wait = wait.expect("a wait");
    let poll = trace.by_id(&wait.links[0].span_id).expect("the poller");
    assert_eq!(poll.name, "sync poll");
    assert_eq!(poll.parent_span_id, wait.span_id);
    assert!(poll.links.iter().any(|link| link.span_id == wait.span_id));
    let looks = trace.named("GET /sdk/GetContextInfo");
    let looks = looks
        .filter(|look| look.parent_span_id == poll.span_id)
        .count();
    assert!(looks > 0);
    assert_eq!(wait.events.len(), looks);
    let last = attributes(&wait.events[looks - 1].attributes);
    assert_eq!(last["agb_gateway.look.number"], looks.to_string());
    assert_eq!(last["agb_gateway.look.outcome"], "ok");
    assert_eq!(
        last["agb_gateway.look.tasks"],
        last["agb_gateway.look.tasks_finished"]
    );
}

#[tokio::test]
async fn waiting_for_the_end_of_a_session_or_of_a_clearing_tells_of_each_look() {
    let observed = Observed::start(&[]).await;
    let context = observed.world.create_context("cleared").await;
    let session = observed.world.create_session(CODE_IMAGE, vec![]).await;
    let delete = pb::DeleteSessionRequest {
        session_id: session,
        ..pb::DeleteSessionRequest::default()
    };
    let deleted = observed.sessions().delete_session(traced(delete)).await;
    deleted.unwrap();
    let clear = pb::ClearContextRequest {
        context_id: context,
    };
    let mut contexts = ContextServiceClient::new(observed.channel.clone());
    contexts.clear_context(traced(clear)).await.unwrap();
    let (_world, trace) = observed.end().await;
    for (wait, call, look, outcome) in [
        (
            "session end wait",
            "SessionService/DeleteSession",
            "POST /mcp/getSessionInfo",
            "gone",
        ),
        (
            "context clear wait",
            "ContextService/ClearContext",
            "GET /sdk/GetContext",
            "available",
        ),
    ] {
        let wait = trace.only(wait);
        let parent = trace.by_id(&wait.parent_span_id).unwrap();
        assert_eq!(parent.name, format!("agb.gateway.v1.{call}"));
        let looks = trace
            .named(look)
            .filter(|span| span.parent_span_id == wait.span_id);
        assert_eq!(wait.events.len(), looks.count());
        let last = attributes(&wait.events.last().unwrap().attributes);
        assert_eq!(last["agb_gateway.look.outcome"], outcome);
    }
}

#[tokio::test]
async fn all_who_wait_for_a_session_point_to_one_poller() {
    let observed = Observed::start(&[]).await;
    let context = observed.world.create_context("shared").await;
    let mounts = vec![mount(&context, "/home/data")];
    let session = observed.world.create_session(CODE_IMAGE, mounts).await;
    let slow = FaultAction::Delay { delay_ms: 300 };
    observed.world.inject("GetContextInfo", 2, slow);
    let start = pb::SyncContextsRequest {
        session_id: session,
        return_immediately: true,
        ..pb::SyncContextsRequest::default()
    };
    let mut syncs = SyncServiceClient::new(observed.channel.clone());
    let token = syncs.sync_contexts(traced(start)).await.unwrap();
    let token = token.into_inner().status.unwrap().sync_token;
    let others = "4bf92f3577b34da6a3ce929d0e0e4736";
    let wait = |trace: &str| {
        let message = pb::WaitForSyncRequest {
            target: Some(Target::SyncToken(token.clone())),
        };
        let request = in_trace(message, &format!("00-{trace}-{PARENT}-01"));
        let mut syncs = syncs.clone();
        async move { syncs.wait_for_sync(request).await.unwrap() }
    };
    tokio::join!(wait(TRACE), wait(others));
    let (_world, trace) = observed.end().await;
    let polls: Vec<_> = trace.named("sync poll").collect();
    assert_eq!(polls.len(), 1);
    let waits: Vec<_> = trace.named("sync wait").collect();
    let traces: BTreeSet<_> = waits.iter().map(|wait| hex(&wait.trace_id)).collect();
    assert_eq!(traces, [TRACE.to_owned(), others.to_owned()].into());
    for wait in waits {
        assert_eq!(wait.links[0].span_id, polls[0].span_id);
        assert!(
            polls[0]
                .links
                .iter()
                .any(|link| link.span_id == wait.span_id)
        );
    }
}

#[tokio::test]
async fn each_attempt_is_a_span_with_its_number_and_the_reason_for_it() {
    let observed = Observed::start(&[]).await;
    let busy = FaultAction::Refuse {
        status: 503,
        code: "Busy".to_owned(),
        message: "no".to_owned(),
    };
    observed.world.inject("ListSession", 2, busy);
    let list = pb::ListSessionsRequest::default();
    observed
        .sessions()
        .list_sessions(traced(list))
        .await
        .unwrap();
    let (_world, trace) = observed.end().await;
    let attempts: Vec<_> = trace.named("GET /sdk/ListSession").collect();
    assert_eq!(attempts.len(), 3);
    let (one, three) = (told(attempts[0]), told(attempts[2]));
    assert_eq!(one["error.type"], "503");
    assert!(!one.contains_key("http.request.resend_count"));
    assert_eq!(three["http.request.resend_count"], "2");
    assert_eq!(three["agb_gateway.retry.reason"], "503");
    assert!(!three.contains_key("error.type"));
    let failed = |span: &&&_| status_of(span) == StatusCode::Error;
    assert_eq!(attempts.iter().filter(failed).count(), 2);
    let call = trace.only("agb.gateway.v1.SessionService/ListSessions");
    assert_eq!(status_of(call), StatusCode::Unset);
}

fn status_of(span: &opentelemetry_proto::tonic::trace::v1::Span) -> StatusCode {
    span.status
        .as_ref()
        .map(opentelemetry_proto::tonic::trace::v1::Status::code)
        .unwrap_or_default()
}

/// A call that AGB does not answer well, in a trace of the given flags.
async fn fail(observed: &Observed, parent: &str) -> Status {
    let page = FaultAction::Refuse {
        status: 500,
        code: "Busy".to_owned(),
        message: "no".to_owned(),
    };
    observed.world.inject("ListSession", 1, page);
    let list = in_trace(pb::ListSessionsRequest::default(), parent);
    observed.sessions().list_sessions(list).await.unwrap_err()
}

#[tokio::test]
async fn what_is_not_sampled_is_told_only_when_it_fails_and_that_is_asked_for() {
    for (keep_errors, told) in [(0.0, false), (1.0, true)] {
        let collector = Collector::grpc();
        let quiet = Figment::new().merge(("session.sweep_interval", "0s"));
        let world = World::with_settings(quiet.clone()).await;
        let settings = quiet
            .merge(("telemetry.otlp.endpoint", collector.url()))
            .merge(("telemetry.traces.keep_errors", keep_errors > 0.5));
        let (gateway, channel) = world.replica_with(settings).await;
        let observed = Observed {
            world,
            collector,
            gateway,
            channel,
        };
        let unsampled = format!("00-{TRACE}-{PARENT}-00");
        let list = in_trace(pb::ListSessionsRequest::default(), &unsampled);
        observed.sessions().list_sessions(list).await.unwrap();
        let status = fail(&observed, &unsampled).await;
        let (_world, trace) = observed.end().await;
        let mut names = trace.names();
        names.sort_unstable();
        if told {
            let call = "agb.gateway.v1.SessionService/ListSessions";
            assert_eq!(names, ["GET /sdk/ListSession", call], "{status:?}");
        } else {
            assert!(names.is_empty(), "{names:?}");
        }
    }
}

#[tokio::test]
async fn the_caller_learns_the_trace_and_agb_s_request() {
    let observed = Observed::start(&[]).await;
    let list = traced(pb::ListSessionsRequest::default());
    let answer = observed.sessions().list_sessions(list).await.unwrap();
    let asked = observed.world.emulator.requests().pop().unwrap().request_id;
    // tonic gives the trailers of a single answer together with its headers.
    assert_eq!(answer.metadata().get(TRACE_ID).unwrap(), TRACE);
    assert_eq!(answer.metadata().get(AGB_REQUEST_ID).unwrap(), &asked);

    let status = fail(&observed, &format!("00-{TRACE}-{PARENT}-01")).await;
    let asked = observed.world.emulator.requests().pop().unwrap().request_id;
    assert_eq!(status.metadata().get(TRACE_ID).unwrap(), TRACE);
    assert_eq!(status.metadata().get(AGB_REQUEST_ID).unwrap(), &asked);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["trace_id"], TRACE);
    assert_eq!(details.request_info().unwrap().request_id, asked);
}

#[tokio::test]
async fn a_call_without_a_trace_gets_one_and_so_does_a_method_that_there_is_not() {
    let world = World::start().await;
    let list = within(pb::ListSessionsRequest::default());
    let answer = world.sessions().list_sessions(list).await.unwrap();
    assert_eq!(answer.metadata().get(TRACE_ID).unwrap().len(), 32);
    let mut client = tonic::client::Grpc::new(connect(world.gateway_address()).await);
    client.ready().await.unwrap();
    let path = "/agb.gateway.v1.SessionService/NoSuchMethod"
        .parse()
        .unwrap();
    let codec =
        tonic_prost::ProstCodec::<pb::ListSessionsRequest, pb::ListSessionsResponse>::default();
    let request = within(pb::ListSessionsRequest::default());
    let status = client.unary(request, path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(status.metadata().get(TRACE_ID).unwrap().len(), 32);
}

#[tokio::test]
async fn of_baggage_only_what_is_asked_for_is_told_and_not_more_than_a_bound() {
    let collector = Collector::grpc();
    let world = World::start().await;
    let settings = Figment::new()
        .merge(("telemetry.otlp.endpoint", collector.url()))
        .merge(("telemetry.traces.baggage_keys", ["team"]));
    let (gateway, channel) = world.replica_with(settings).await;
    let mut request = traced(pb::ListSessionsRequest::default());
    let baggage = format!("team={},secret=x", "a".repeat(1_000));
    request
        .metadata_mut()
        .insert("baggage", baggage.parse().unwrap());
    SessionServiceClient::new(channel)
        .list_sessions(request)
        .await
        .unwrap();
    gateway.run_until(std::future::ready(())).await.unwrap();
    let trace = collector.trace();
    let told = told(trace.only("agb.gateway.v1.SessionService/ListSessions"));
    assert_eq!(told["baggage.team"], "a".repeat(256));
    assert!(!told.contains_key("baggage.secret"));
}

#[tokio::test]
async fn otlp_over_http_bears_the_headers_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    std::fs::write(&file, "x-collector-key: Pl4nted-collector-key\n").unwrap();
    let collector = Collector::http("x-collector-key", "Pl4nted-collector-key").await;
    let world = World::start().await;
    let settings = Figment::new()
        .merge(("telemetry.otlp.endpoint", collector.url()))
        .merge(("telemetry.otlp.protocol", "http/protobuf"))
        .merge(("telemetry.otlp.headers_file", &file));
    let (gateway, channel) = world.replica_with(settings).await;
    let request = traced(pb::ListSessionsRequest::default());
    SessionServiceClient::new(channel)
        .list_sessions(request)
        .await
        .unwrap();
    gateway.run_until(std::future::ready(())).await.unwrap();
    let trace = collector.trace();
    trace.only("agb.gateway.v1.SessionService/ListSessions");
}
