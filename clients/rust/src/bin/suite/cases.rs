//! The cases of contract.yaml.

use std::time::{Duration, Instant};

use agb::context_service_client::ContextServiceClient;
use agb::download_context_file_response::Payload as Part;
use agb::mapping_policy_service_client::MappingPolicyServiceClient;
use agb::sync_policy_service_client::SyncPolicyServiceClient;
use agb::sync_service_client::SyncServiceClient;
use agb::upload_context_file_request::Payload;
use agb::{SyncState, WatchSyncEvent, get_context_request::Selector};
use agb::{wait_for_sync_request, watch_sync_request};
use agb_gateway_clients as agb;
use prost::Message as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tonic::codec::CompressionEncoding::Gzip;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::connect::{Caller, Connected, endpoint, minute, within};
use crate::service_config::when_ready;
use crate::world::{World, control, count, env, refused};
use crate::{Outcome, check};

pub(crate) async fn run(world: &World, case: &Value) -> Outcome {
    match case["name"].as_str().unwrap_or_default() {
        "unary" => unary(world).await,
        "client_streaming" => client_streaming(world, case).await,
        "server_streaming" => server_streaming(world, case).await,
        "watch_sync" => watch_sync(world).await,
        "deadline" => deadline(world, case).await,
        "cancellation" => cancellation(world).await,
        "auth" => auth(world).await,
        "error_details" => error_details(world, case).await,
        "retries" => retries(world, case).await,
        "no_blind_retries" => no_blind_retries(world).await,
        "keepalive" => keepalive(world, case).await,
        "compression" => compression(world, case).await,
        "large_messages" => large_messages(world, case).await,
        "reconnect" => reconnect(world).await,
        "balancing" => balancing(world, case).await,
        _ => Err("the suite has no such case".into()),
    }
}

fn number(case: &Value, name: &str) -> Outcome<usize> {
    let number = case[name].as_u64().ok_or_else(|| format!("no {name}"))?;
    Ok(usize::try_from(number)?)
}

fn milliseconds(case: &Value, name: &str) -> Outcome<Duration> {
    Ok(Duration::from_millis(number(case, name)? as u64))
}

/// The reason of an error; empty where it has none.
fn reason(status: &Status) -> String {
    status
        .get_details_error_info()
        .map(|info| info.reason)
        .unwrap_or_default()
}

fn selected(selector: Selector) -> tonic::Request<agb::GetContextRequest> {
    minute(agb::GetContextRequest {
        selector: Some(selector),
        ..agb::GetContextRequest::default()
    })
}

async fn unary(world: &World) -> Outcome {
    let made = world.create_context().await?;
    let request = selected(Selector::Name(made.name.clone()));
    let found = world
        .contexts()
        .get_context(request)
        .await?
        .into_inner()
        .context
        .ok_or("no context")?;
    check!(found.context_id == made.context_id, "{found:?}");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_secs();
    let created = found.create_time.ok_or("no time")?.seconds;
    check!(created.abs_diff(i64::try_from(now)?) < 3600, "{created}");
    world.delete_context(made).await?;
    let request = selected(Selector::ContextId(found.context_id));
    refused(Code::NotFound, world.contexts().get_context(request).await)?;
    Ok(())
}

fn content(length: usize) -> Vec<u8> {
    (0..=250u8).cycle().take(length).collect()
}

async fn upload(
    mut client: ContextServiceClient<Connected>,
    context_id: &str,
    data: &[u8],
    piece: usize,
) -> Outcome {
    let header = agb::UploadContextFileHeader {
        context_id: context_id.to_owned(),
        path: "/tmp/file".to_owned(),
        size_bytes: Some(i64::try_from(data.len())?),
    };
    let mut payloads = vec![Payload::Header(header)];
    payloads.extend(data.chunks(piece).map(|part| Payload::Data(part.to_vec())));
    let messages = payloads
        .into_iter()
        .map(|payload| agb::UploadContextFileRequest {
            payload: Some(payload),
        });
    let request = minute(tokio_stream::iter(messages));
    let written = client.upload_context_file(request).await?.into_inner();
    check!(
        written.size_bytes == i64::try_from(data.len())?,
        "{written:?}"
    );
    check!(
        written.sha256 == Sha256::digest(data).as_slice(),
        "{written:?}"
    );
    Ok(())
}

async fn all<T>(mut stream: Streaming<T>) -> Outcome<Vec<T>> {
    let mut messages = Vec::new();
    while let Some(message) = stream.message().await? {
        messages.push(message);
    }
    Ok(messages)
}

async fn download(
    mut client: ContextServiceClient<Connected>,
    context_id: &str,
    data: &[u8],
) -> Outcome {
    let request = minute(agb::DownloadContextFileRequest {
        context_id: context_id.to_owned(),
        path: "/tmp/file".to_owned(),
    });
    let parts = all(client.download_context_file(request).await?.into_inner()).await?;
    let size = i64::try_from(data.len())?;
    let mut parts = parts.into_iter().filter_map(|part| part.payload);
    let Some(Part::Header(header)) = parts.next() else {
        return Err("no header".into());
    };
    check!(header.size_bytes == Some(size), "{header:?}");
    let mut got = Vec::new();
    loop {
        match parts.next() {
            Some(Part::Data(part)) => got.extend(part),
            Some(Part::Trailer(trailer)) => {
                check!(trailer.size_bytes == size, "{trailer:?}");
                check!(
                    trailer.sha256 == Sha256::digest(data).as_slice(),
                    "{trailer:?}"
                );
                break;
            }
            other => return Err(format!("{other:?} instead of a trailer").into()),
        }
    }
    check!(got == data, "other bytes came than were sent");
    check!(parts.next().is_none(), "something comes after the trailer");
    Ok(())
}

async fn client_streaming(world: &World, case: &Value) -> Outcome {
    let context = world.create_context().await?;
    let data = content(number(case, "bytes")?);
    upload(
        world.contexts(),
        &context.context_id,
        &data,
        number(case, "piece_bytes")?,
    )
    .await?;
    world.delete_context(context).await
}

async fn server_streaming(world: &World, case: &Value) -> Outcome {
    let context = world.create_context().await?;
    let data = content(number(case, "bytes")?);
    upload(
        world.contexts(),
        &context.context_id,
        &data,
        number(case, "piece_bytes")?,
    )
    .await?;
    download(world.contexts(), &context.context_id, &data).await?;
    world.delete_context(context).await
}

/// A sync that has been started, with what it needs.
struct Started {
    context: agb::Context,
    session_id: String,
    token: String,
}

impl Started {
    async fn new(world: &World) -> Outcome<Self> {
        let context = world.create_context().await?;
        let mount = agb::ContextSync {
            context_id: context.context_id.clone(),
            path: "/tmp/mapping".to_owned(),
            ..agb::ContextSync::default()
        };
        let session_id = world.create_session(vec![mount]).await?;
        let request = minute(agb::SyncContextsRequest {
            session_id: session_id.clone(),
            return_immediately: true,
            ..agb::SyncContextsRequest::default()
        });
        let started = world.syncs().sync_contexts(request).await?.into_inner();
        let token = started.status.ok_or("no status")?.sync_token;
        Ok(Self {
            context,
            session_id,
            token,
        })
    }

    async fn wait(&self, world: &World) -> Outcome {
        let waited = when_ready(async || {
            let target = wait_for_sync_request::Target::SyncToken(self.token.clone());
            let request = agb::WaitForSyncRequest {
                target: Some(target),
            };
            world.syncs().wait_for_sync(minute(request)).await
        });
        let status = waited.await?.status.ok_or("no status")?;
        check!(status.state() == SyncState::Succeeded, "{status:?}");
        Ok(())
    }

    async fn end(self, world: &World) -> Outcome {
        world.delete_session(self.session_id).await?;
        world.delete_context(self.context).await
    }
}

async fn watch_sync(world: &World) -> Outcome {
    let started = Started::new(world).await?;
    let request = minute(agb::WatchSyncRequest {
        target: Some(watch_sync_request::Target::SyncToken(started.token.clone())),
        ..agb::WatchSyncRequest::default()
    });
    let events = all(world.syncs().watch_sync(request).await?.into_inner()).await?;
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return Err("no events".into());
    };
    check!(first.event() == WatchSyncEvent::Snapshot, "{first:?}");
    check!(last.event() == WatchSyncEvent::Verdict, "{last:?}");
    let state = last.status.as_ref().map(agb::SyncStatus::state);
    check!(state == Some(SyncState::Succeeded), "{last:?}");
    started.wait(world).await?;
    started.end(world).await
}

async fn deadline(world: &World, case: &Value) -> Outcome {
    let session_id = world.create_session(Vec::new()).await?;
    let limit = milliseconds(case, "deadline_ms")?;
    let start = Instant::now();
    let target = Some(wait_for_sync_request::Target::SessionId(session_id.clone()));
    let request = within(limit, agb::WaitForSyncRequest { target });
    let status = refused(
        Code::DeadlineExceeded,
        world.syncs().wait_for_sync(request).await,
    )?;
    check!(
        start.elapsed() < limit + Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );
    check!(reason(&status) == "DEADLINE_EXCEEDED", "{status:?}");
    // What is not of google.rpc stands among the details as it came.
    let details = tonic_types::pb::Status::decode(status.details())?.details;
    let known = details
        .iter()
        .find(|detail| detail.type_url.ends_with("/agb.gateway.v1.SyncStatus"));
    agb::SyncStatus::decode(known.ok_or("no SyncStatus")?.value.as_slice())?;
    world.delete_session(session_id).await
}

/// Watches a session without contexts, which ends only by the deadline, and reads the first message.
async fn watch(
    mut client: SyncServiceClient<Connected>,
    session_id: &str,
    limit: Duration,
) -> Outcome<Streaming<agb::WatchSyncResponse>> {
    let request = within(
        limit,
        agb::WatchSyncRequest {
            target: Some(watch_sync_request::Target::SessionId(session_id.to_owned())),
            ..agb::WatchSyncRequest::default()
        },
    );
    let mut stream = client.watch_sync(request).await?.into_inner();
    let first = stream.message().await?.ok_or("no snapshot")?;
    check!(first.event() == WatchSyncEvent::Snapshot, "{first:?}");
    Ok(stream)
}

async fn cancellation(world: &World) -> Outcome {
    let session_id = world.create_session(Vec::new()).await?;
    let stream = watch(world.syncs(), &session_id, Duration::from_mins(1)).await?;
    // In Rust a call is cancelled by letting go of it, and nobody is left to be told CANCELLED.
    drop(stream);
    control("POST", "/quiet?operation=GetContextInfo", None).await?;
    world.delete_session(session_id).await
}

async fn auth(world: &World) -> Outcome {
    for token in [None, Some("agbgw_wrong")] {
        let caller = Caller::new(token, &world.traceparent)?;
        let mut client = ContextServiceClient::new(world.as_caller(caller));
        let answer = client
            .list_contexts(minute(agb::ListContextsRequest::default()))
            .await;
        let status = refused(Code::Unauthenticated, answer)?;
        check!(reason(&status) == "UNAUTHENTICATED", "{status:?}");
    }
    world
        .contexts()
        .list_contexts(minute(agb::ListContextsRequest::default()))
        .await?;
    Ok(())
}

async fn error_details(world: &World, case: &Value) -> Outcome {
    let mount = agb::ContextSync {
        context_id: "c".to_owned(),
        path: "/opt".to_owned(),
        ..agb::ContextSync::default()
    };
    let request = minute(agb::CreateSessionRequest {
        context_syncs: vec![mount],
        ..agb::CreateSessionRequest::default()
    });
    let status = refused(
        Code::InvalidArgument,
        world.sessions().create_session(request).await,
    )?;
    let info = status.get_details_error_info().ok_or("no ErrorInfo")?;
    check!(
        case["domain"] == info.domain && info.reason == "INVALID_ARGUMENT",
        "{info:?}"
    );
    let violations = status
        .get_details_bad_request()
        .ok_or("no BadRequest")?
        .field_violations;
    let fields: Vec<_> = violations
        .into_iter()
        .map(|violation| violation.field)
        .collect();
    check!(case["fields"] == json!(fields), "{fields:?}");

    let session_id = "session-of-nobody".to_owned();
    let request = minute(agb::GetSessionRequest { session_id });
    let status = refused(Code::NotFound, world.sessions().get_session(request).await)?;
    check!(reason(&status) == "SESSION_NOT_FOUND", "{status:?}");
    let resource = status
        .get_details_resource_info()
        .ok_or("no ResourceInfo")?;
    check!(
        resource.resource_name == "session-of-nobody",
        "{resource:?}"
    );
    Ok(())
}

async fn retries(world: &World, case: &Value) -> Outcome {
    let before = count("ListContexts").await?;
    let action = json!({"respond": {"status": 503}});
    let fault = json!({"operation": "ListContexts", "times": case["failures"], "action": action});
    control("POST", "/faults", Some(fault)).await?;
    let request = || minute(agb::ListContextsRequest::default());
    let send = async |request| world.contexts().list_contexts(request).await;
    world.retries.call(request, send).await?;
    let asked = count("ListContexts").await? - before;
    check!(
        Some(asked - 1) == case["failures"].as_i64(),
        "AGB was asked {asked} times"
    );
    Ok(())
}

async fn no_blind_retries(world: &World) -> Outcome {
    let session_id = world.create_session(Vec::new()).await?;
    let before = count("callTool").await?;
    let fault = json!({"operation": "callTool", "times": 1, "action": "closeAfterWork"});
    control("POST", "/faults", Some(fault)).await?;
    let request = || {
        minute(agb::ExecuteCommandRequest {
            session_id: session_id.clone(),
            command: "true".to_owned(),
            ..agb::ExecuteCommandRequest::default()
        })
    };
    let send = async |request| world.sessions().execute_command(request).await;
    let answer = world.retries.call(request, send).await;
    let status = refused(Code::Unknown, answer.map(tonic::Response::new))?;
    check!(reason(&status) == "AGB_OUTCOME_UNKNOWN", "{status:?}");
    let asked = count("callTool").await? - before;
    check!(asked == 1, "AGB was asked {asked} times");
    world.delete_session(session_id).await
}

async fn keepalive(world: &World, case: &Value) -> Outcome {
    let endpoint = endpoint(&env("AGB_PROXY")?)?
        .http2_keep_alive_interval(milliseconds(case, "interval_ms")?)
        .keep_alive_timeout(milliseconds(case, "timeout_ms")?)
        // Without this, tonic 0.14 sends no pings while a call only waits for messages.
        .keep_alive_while_idle(true);
    let session_id = world.create_session(Vec::new()).await?;
    let client = SyncServiceClient::new(world.to(&endpoint));
    let stream = watch(client, &session_id, milliseconds(case, "deadline_ms")?).await?;
    control("POST", "/freeze", None).await?;
    let start = Instant::now();
    // tonic bounds a call by its deadline only until the answer begins.
    let ended = tokio::time::timeout(milliseconds(case, "deadline_ms")?, end(stream)).await;
    let took = start.elapsed();
    control("POST", "/thaw", None).await?;
    let ended = ended.map_err(|_| "nobody noticed")?;
    // To tonic, a stream whose connection is gone is UNKNOWN, where other languages say UNAVAILABLE.
    let is_lost = [Code::Unavailable, Code::Unknown].contains(&ended.code());
    check!(is_lost && ended.details().is_empty(), "{ended:?}");
    check!(took < milliseconds(case, "noticed_within_ms")?, "{took:?}");
    world.delete_session(session_id).await
}

/// What a stream ends with.
async fn end<T>(mut stream: Streaming<T>) -> Status {
    loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return Status::ok(""),
            Err(status) => return status,
        }
    }
}

async fn compression(world: &World, case: &Value) -> Outcome {
    let data = vec![0; number(case, "bytes")?];
    let context = world.create_context().await?;
    let channel = world.to(&endpoint(&env("AGB_PROXY")?)?);
    let client = ContextServiceClient::new(channel)
        .send_compressed(Gzip)
        .accept_compressed(Gzip);
    let before = control("GET", "/traffic", None).await?;
    upload(client.clone(), &context.context_id, &data, 262_144).await?;
    download(client, &context.context_id, &data).await?;
    let after = control("GET", "/traffic", None).await?;
    for way in ["sent", "received"] {
        let bytes =
            after[way].as_u64().unwrap_or_default() - before[way].as_u64().unwrap_or_default();
        check!(
            bytes < number(case, "most_bytes_on_the_wire")? as u64,
            "{way}: {bytes}"
        );
    }
    world.delete_context(context).await
}

async fn large_messages(world: &World, case: &Value) -> Outcome {
    let length = number(case, "path_bytes")?;
    let path = |number| format!("{:a<length$}", format!("/tmp/mapping/{number:04}/"));
    let mut request = agb::ResolveMappingRequest {
        original_path: "/tmp/mapping".to_owned(),
        target_path: "/home/data".to_owned(),
        paths: (0..number(case, "paths")?).map(path).collect(),
    };
    let channel = world.to(&endpoint(&env("AGB_TARGET")?)?);
    let mut client = MappingPolicyServiceClient::new(channel).max_decoding_message_size(16 << 20);
    let answer = client
        .resolve_mapping(minute(request.clone()))
        .await?
        .into_inner();
    check!(
        answer.encoded_len() > 4 << 20,
        "{} bytes",
        answer.encoded_len()
    );
    let got: Vec<_> = answer
        .resolved_paths
        .into_iter()
        .map(|path| path.target_path)
        .collect();
    let moved = |path: &String| path.replace("/tmp/mapping", "/home/data");
    check!(
        got == request.paths.iter().map(moved).collect::<Vec<_>>(),
        "other paths"
    );
    request.paths.extend(request.paths.clone());
    let answer = client.resolve_mapping(minute(request)).await;
    let status = refused(Code::ResourceExhausted, answer)?;
    check!(reason(&status) == "MESSAGE_TOO_LONG", "{status:?}");
    let setting = case["setting"].as_str().unwrap_or("?");
    check!(status.message().contains(setting), "{status:?}");
    Ok(())
}

async fn reconnect(world: &World) -> Outcome {
    let started = Started::new(world).await?;
    control("POST", "/restart?gateway=a", None).await?;
    started.wait(world).await?;
    started.end(world).await
}

async fn balancing(world: &World, case: &Value) -> Outcome {
    let replicas = env("AGB_REPLICAS")?;
    let endpoints: Outcome<Vec<Endpoint>> = replicas.split(',').map(endpoint).collect();
    let channel = Channel::balance_list(endpoints?.into_iter());
    let client = SyncPolicyServiceClient::new(world.with(channel));
    let calls = number(case, "calls")?;
    // Balanced over those that are connected: wait until both are.
    let start = Instant::now();
    while answers(&client, 4).await?.contains(&0) {
        check!(
            start.elapsed() < Duration::from_secs(20),
            "only one replica is ever asked"
        );
    }
    let spread = answers(&client, calls).await?;
    let least = number(case, "least_for_each")?;
    check!(spread.iter().all(|count| *count >= least), "{spread:?}");
    control("POST", "/stop?gateway=b", None).await?;
    let alone = answers(&client, calls).await;
    control("POST", "/start?gateway=b", None).await?;
    let alone = alone?;
    check!(alone == [calls, 0], "{alone:?}");
    Ok(())
}

/// How many of so many calls `a` and `b` have answered.
async fn answers(client: &SyncPolicyServiceClient<Connected>, calls: usize) -> Outcome<[usize; 2]> {
    let mut counts = [0; 2];
    for _ in 0..calls {
        let name = "replica".to_owned();
        let ask = async || {
            let request = agb::GetSyncPolicyRequest { name: name.clone() };
            client.clone().get_sync_policy(minute(request)).await
        };
        let preset = when_ready(ask).await?.preset.ok_or("no preset")?;
        counts[usize::from(preset.description == "b")] += 1;
    }
    Ok(counts)
}
