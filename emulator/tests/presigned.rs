//! Presigned URLs of context files, and the direct route to a session's tools.

mod support;

use std::time::Duration;

use serde_json::json;
use support::program::Program;
use support::{Bench, text};

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_put_are_seen_by_sessions_and_listings() {
    let bench = Bench::start().await;
    let context = bench.client.context("files").await;
    let put = bench
        .client
        .presigned("GetContextFileUploadUrl", &context, "/tmp/data/x")
        .await;
    let http = reqwest::Client::new();
    let answer = http.put(&put).body("content").send().await.unwrap();
    assert!(answer.status().is_success() && answer.headers().contains_key("etag"));
    assert_eq!(
        bench.client.files(&context, "/tmp/data").await,
        ["/tmp/data/x"]
    );
    let mounts = [(context.as_str(), "/tmp/data", json!({}))];
    let session = bench.client.session_with("image", &mounts).await;
    let seen = bench.client.shell(&session, "cat /tmp/data/x").await;
    assert_eq!(seen.stdout, "content");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_expires() {
    let bench = Bench::start().await;
    let context = bench.client.context("files").await;
    let presigned = |operation| bench.client.presigned(operation, &context, "/tmp/x");
    let put = presigned("GetContextFileUploadUrl").await;
    let http = reqwest::Client::new();
    let send = async |content| http.put(&put).body(content).send().await.unwrap();
    bench.emulator.clock().advance(Duration::from_mins(59));
    assert_eq!(send("in time").await.status(), 200);
    bench.emulator.clock().advance(Duration::from_mins(2));
    let late = send("late").await;
    assert_eq!(late.status(), 403);
    assert!(late.text().await.unwrap().contains("expired"));
    let get = presigned("GetContextFileDownloadUrl").await;
    let kept = http.get(&get).send().await.unwrap();
    assert_eq!(kept.text().await.unwrap(), "in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_the_former_file() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let bench = Bench::start().await;
    let context = bench.client.context("files").await;
    let put = bench
        .client
        .presigned("GetContextFileUploadUrl", &context, "/tmp/x")
        .await;
    let http = reqwest::Client::new();
    http.put(&put).body("whole").send().await.unwrap();
    let path = put.strip_prefix(&bench.emulator.url()).unwrap();
    let mut stream = tokio::net::TcpStream::connect(bench.emulator.address())
        .await
        .unwrap();
    let head = format!("PUT {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    // The emulator closes its end when it has given the upload up.
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
    let get = bench
        .client
        .presigned("GetContextFileDownloadUrl", &context, "/tmp/x")
        .await;
    assert_eq!(
        http.get(&get).send().await.unwrap().text().await.unwrap(),
        "whole"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_pass_through_in_little_memory() {
    const MIB: usize = 1024 * 1024;
    const BYTES: usize = 512 * MIB;
    const PEAK_KIB: u64 = 128 * 1024;
    let temporary = tempfile::tempdir().unwrap();
    let program = Program::start(temporary.path(), &["--no-admin"]);
    let client = &program.client;
    let context = client.context("files").await;
    let put = client
        .presigned("GetContextFileUploadUrl", &context, "/tmp/large")
        .await;
    let piece = vec![7; MIB];
    let pieces = std::iter::repeat_n(piece.clone(), BYTES / MIB);
    let pieces = futures_util::stream::iter(pieces.map(Ok::<_, std::io::Error>));
    let http = reqwest::Client::new();
    let body = reqwest::Body::wrap_stream(pieces);
    assert!(
        http.put(&put)
            .body(body)
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );
    let get = client
        .presigned("GetContextFileDownloadUrl", &context, "/tmp/large")
        .await;
    let mut answer = http.get(&get).send().await.unwrap();
    let mut received = 0;
    while let Some(chunk) = answer.chunk().await.unwrap() {
        // Not byte by byte, which takes a debug build longer than the transfer.
        assert!(chunk.chunks(MIB).all(|part| part == &piece[..part.len()]));
        received += chunk.len();
    }
    assert_eq!(received, BYTES);
    let peak = program.peak_memory();
    assert!(peak < PEAK_KIB, "{peak} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_direct_route_opens_to_its_sessions_token_only_and_is_logged_without_it() {
    let bench = Bench::start().await;
    let create = || {
        bench
            .client
            .post("/mcp/createSession", &[("imageId", "image")], json!({}))
    };
    let (one, two) = (create().await, create().await);
    let http = reqwest::Client::new();
    let link = text(one.data()["linkUrl"].clone());
    let call = async |token: &str| {
        let body = json!({ "tool": "shell", "args": { "command": "echo hi" }, "token": token });
        let request = http.post(format!("{link}/callTool")).json(&body);
        let answer = request
            .header("X-Access-Token", token)
            .send()
            .await
            .unwrap();
        (
            answer.status(),
            answer.json::<serde_json::Value>().await.unwrap(),
        )
    };
    let token = text(one.data()["token"].clone());
    let (status, answer) = call(&token).await;
    assert_eq!(status, 200);
    let said = text(answer["data"]["result"]["content"][0]["text"].clone());
    assert!(said.contains("hi\\n"), "{said}");
    assert_eq!(call(&text(two.data()["token"].clone())).await.0, 401);
    assert_eq!(call("").await.0, 401);
    let log = serde_json::to_string(&bench.emulator.requests()).unwrap();
    assert!(log.contains("callTool") && !log.contains(&token));
}

#[tokio::test(flavor = "multi_thread")]
async fn internal_contexts_go_with_their_session_and_are_not_listed() {
    let bench = Bench::start().await;
    let session = bench.client.session().await;
    let load = async |types: &str| {
        let query = [("sessionId", session.as_str()), ("contextTypes", types)];
        bench
            .client
            .post("/sdk/GetAndLoadInternalContext", &query, json!({}))
            .await
    };
    let first = load("[\"file_transfer\"]").await;
    let context = text(first.data()[0]["contextId"].clone());
    let again = load("[\"file_transfer\"]").await;
    assert_eq!(again.data()[0]["contextId"], context);
    load("[\"other\"]").await.refused(400, "InvalidParameter");
    load("no JSON").await.refused(400, "InvalidParameter");
    let listed = bench.client.get("/sdk/ListContexts", &[]).await;
    assert_eq!(listed.data(), &json!([]));
    bench.client.release(&session).await;
    bench
        .client
        .get("/sdk/GetContext", &[("id", &context)])
        .await
        .refused(400, "InvalidContext.NotFound");
}
