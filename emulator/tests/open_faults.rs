//! Faults on what is open to whoever has the URL: presigned transfers, links into a session, and its web socket.

#![allow(clippy::unwrap_used)] // Helpers are tests as well.

mod support;

use std::net::{Ipv4Addr, SocketAddr};

use agb_emulator::{
    AnswerPart, Config, Fault, FaultAction, FaultId, RecordedRequest, RequestEnd, Schedule,
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::raw::{End, exchange};
use support::{Bench, eventually, open_connections, text};

fn once(bench: &Bench, operation: &str, action: FaultAction) -> FaultId {
    let fault = Fault {
        operation: operation.to_owned(),
        times: 1,
        action,
    };
    let faults = bench.emulator.faults();
    faults.schedule(fault, Schedule::default()).unwrap()
}

/// The only request that the fault struck, as the log has it.
fn struck(bench: &Bench, fault: FaultId) -> RecordedRequest {
    let account = bench.emulator.faults().state(fault).unwrap();
    assert_eq!(account.fired, 1);
    let requests = bench.emulator.requests();
    let request = requests
        .iter()
        .find(|request| request.request_id == account.requests[0]);
    request.unwrap().clone()
}

/// A context with presigned URLs, to upload to and to download from, of one file in it.
async fn file(bench: &Bench) -> (String, String, String) {
    let context = bench.client.context("files").await;
    let url = async |operation| bench.client.presigned(operation, &context, "/tmp/x").await;
    let put = url("GetContextFileUploadUrl").await;
    let get = url("GetContextFileDownloadUrl").await;
    (context, put, get)
}

fn signature(url: &str) -> &str {
    url.rsplit_once("Signature=").unwrap().1
}

/// The address, path and query of a URL.
fn within<'a>(bench: &Bench, url: &'a str) -> &'a str {
    url.strip_prefix(&bench.emulator.url()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_reset_after_the_work_is_done_and_accounted_without_its_signature() {
    let bench = Bench::start_with(Config {
        admin_listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        ..support::config()
    })
    .await;
    let (context, put, get) = file(&bench).await;
    let fault = once(&bench, "StorageUpload", FaultAction::ResetAfterWork);
    let path = within(&bench, &put);
    let request = format!("PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 7\r\n\r\ncontent");
    let raw = exchange(bench.emulator.address(), request.into_bytes(), usize::MAX).await;
    assert_eq!((raw.answer.as_str(), raw.end), ("", End::Reset));
    assert_eq!(bench.client.files(&context, "/tmp").await, ["/tmp/x"]);

    let logged = struck(&bench, fault);
    assert_eq!((logged.end, logged.status), (RequestEnd::Reset, None));
    assert_eq!(
        (logged.method.as_str(), logged.operation.as_str()),
        ("PUT", "StorageUpload")
    );
    assert_eq!(logged.path, format!("/storage/{context}/tmp/x"));
    let admin = bench.emulator.admin_url().unwrap();
    let log = reqwest::get(format!("{admin}/requests?operation=StorageUpload")).await;
    let log: Value = log.unwrap().json().await.unwrap();
    assert_eq!(log["requests"][0]["requestId"], logged.request_id.as_str());
    assert_eq!(log["requests"][0]["query"]["Signature"], "hidden");
    assert!(!log.to_string().contains(signature(&put)), "{log}");

    // The next transfers are not struck.
    let answer = reqwest::get(&get).await.unwrap();
    assert!(answer.headers().contains_key("x-request-id"));
    assert_eq!(answer.text().await.unwrap(), "content");
    assert_eq!(bench.emulator.request_count("StorageDownload"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_reset_before_the_work_leaves_no_file() {
    let bench = Bench::start().await;
    let (context, put, _) = file(&bench).await;
    let fault = once(&bench, "StorageUpload", FaultAction::ResetBeforeWork);
    let put = reqwest::Client::new().put(&put).body("content");
    assert!(put.send().await.is_err());
    assert!(bench.client.files(&context, "/tmp").await.is_empty());
    assert_eq!(struck(&bench, fault).end, RequestEnd::Reset);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_stalls_after_so_many_bytes_and_is_freed_when_its_caller_leaves() {
    const SENT: usize = 100_000;
    let bench = Bench::start().await;
    let (_, put, get) = file(&bench).await;
    let content = "x".repeat(3_000_000);
    // The client keeps its connection until it is dropped.
    let http = reqwest::Client::new();
    http.put(&put).body(content).send().await.unwrap();
    drop(http);
    let stall = FaultAction::StallAnswer {
        after_bytes: SENT as u64,
        of: AnswerPart::Body,
    };
    let fault = once(&bench, "StorageDownload", stall);
    let http = reqwest::Client::new();
    let mut answer = http.get(&get).send().await.unwrap();
    assert_eq!(answer.content_length(), Some(3_000_000));
    let mut received = 0;
    while received < SENT {
        received += answer.chunk().await.unwrap().unwrap().len();
    }
    assert_eq!(received, SENT);
    assert_eq!(struck(&bench, fault).status, Some(200));
    let address = bench.emulator.address();
    drop((answer, http, bench.client));
    eventually("the connection is gone", async || {
        (open_connections(address.port()) == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_refuses_does_so_in_xml() {
    let bench = Bench::start().await;
    let (context, put, _) = file(&bench).await;
    let busy = FaultAction::Refuse {
        status: 503,
        code: "SlowDown".to_owned(),
        message: "<later>".to_owned(),
    };
    once(&bench, "StorageUpload", busy);
    let throttle = FaultAction::Throttle {
        retry_after_s: Some(3),
    };
    once(&bench, "*", throttle);
    let http = reqwest::Client::new();
    let send = async || http.put(&put).body("content").send().await.unwrap();
    let answer = send().await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["content-type"], "application/xml");
    let body = answer.text().await.unwrap();
    assert!(
        body.contains("<Code>SlowDown</Code><Message>&lt;later&gt;</Message>"),
        "{body}"
    );
    let answer = send().await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "3");
    assert!(bench.client.files(&context, "/tmp").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_of_task_records_does_not_strike_what_names_no_session() {
    let bench = Bench::start().await;
    let (_, _, get) = file(&bench).await;
    let fault = once(&bench, "*", FaultAction::DropTaskRecords);
    assert_eq!(reqwest::get(&get).await.unwrap().status(), 404);
    assert_eq!(bench.emulator.faults().fired(fault), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_call_can_be_refused() {
    let bench = Bench::start().await;
    let session = bench.client.session().await;
    let query = [("sessionId", session.as_str()), ("port", "8080")];
    let answer = bench.client.get("/internet/getLink", &query).await;
    let link = text(answer.data()["url"].clone());
    let refuse = FaultAction::Refuse {
        status: 403,
        code: "Forbidden".to_owned(),
        message: "not today".to_owned(),
    };
    let fault = once(&bench, "SessionLink", refuse);
    let answer = reqwest::get(format!("{link}a?b=c")).await.unwrap();
    assert_eq!(answer.status(), 403);
    let told: Value = answer.json().await.unwrap();
    assert_eq!(
        (&told["success"], &told["code"]),
        (&json!(false), &json!("Forbidden"))
    );
    let logged = struck(&bench, fault);
    assert_eq!(
        (logged.status, logged.query["b"].as_str()),
        (Some(403), "c")
    );
    let signature = link.trim_end_matches('/').rsplit('/').next().unwrap();
    assert!(logged.path.ends_with("/8080/hidden/a"), "{}", logged.path);
    let log = format!("{:?}", bench.emulator.requests());
    assert!(!log.contains(signature));
    // It has been spent, and the next call gets to where nothing listens.
    assert_eq!(
        reqwest::get(&link).await.unwrap().status(),
        StatusCode::BAD_GATEWAY
    );
}

/// The bytes that open a session's web socket, and one message on it that is answered.
async fn talk(bench: &Bench) -> Vec<u8> {
    let create = [("imageId", "image")];
    let session = bench
        .client
        .post("/mcp/createSession", &create, json!({}))
        .await;
    let url = text(session.data()["wsUrl"].clone());
    let token = text(session.data()["token"].clone());
    let path = url.splitn(4, '/').nth(3).unwrap();
    let mut bytes = format!(
        "GET /{path} HTTP/1.1\r\nhost: x\r\nx-access-token: {token}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes();
    let message = json!({ "invocationId": "1", "data": { "method": "none" } }).to_string();
    // A text, masked by nothing.
    bytes.extend([
        0x81,
        0x80 | u8::try_from(message.len()).unwrap(),
        0,
        0,
        0,
        0,
    ]);
    bytes.extend(message.as_bytes());
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_socket_can_be_reset_before_it_opens_and_while_it_speaks() {
    let bench = Bench::start().await;
    let address = bench.emulator.address();
    let fault = once(&bench, "SessionSocket", FaultAction::ResetAfterWork);
    let raw = exchange(address, talk(&bench).await, usize::MAX).await;
    assert_eq!((raw.answer.as_str(), raw.end), ("", End::Reset));
    assert_eq!(struck(&bench, fault).end, RequestEnd::Reset);

    let cut = FaultAction::ResetInAnswer {
        after_bytes: 12,
        of: AnswerPart::Body,
    };
    let fault = once(&bench, "SessionSocket", cut);
    let raw = exchange(address, talk(&bench).await, usize::MAX).await;
    let (head, message) = raw.answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 101"));
    // Of the frame's four bytes, two are not text.
    assert!(
        message.ends_with("{\"data\":") && raw.end == End::Reset,
        "{raw:?}"
    );
    assert_eq!(struck(&bench, fault).status, Some(101));
    assert_eq!(bench.emulator.request_count("SessionSocket"), 2);
}
