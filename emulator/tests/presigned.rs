//! Presigned URLs of context files, and the direct route to a session's tools.

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use agb_emulator::Config;
use serde_json::json;
use support::{Bench, Client, config, text};

async fn url(client: &Client, operation: &str, context: &str, path: &str) -> String {
    client.presigned(operation, context, path).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_put_are_seen_by_sessions_and_listings() {
    let bench = Bench::start().await;
    let context = bench.client.context("files").await;
    let put = url(
        &bench.client,
        "GetContextFileUploadUrl",
        &context,
        "/tmp/data/x",
    )
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
    let bench = Bench::start_with(Config {
        presigned_url_life: Duration::ZERO,
        ..config()
    })
    .await;
    let context = bench.client.context("files").await;
    let put = url(&bench.client, "GetContextFileUploadUrl", &context, "/tmp/x").await;
    // Good for the millisecond in which it was made.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let answer = reqwest::Client::new()
        .put(&put)
        .body("late")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 403);
    assert!(answer.text().await.unwrap().contains("expired"));
    assert!(bench.client.files(&context, "/tmp").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_the_former_file() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let bench = Bench::start().await;
    let context = bench.client.context("files").await;
    let put = url(&bench.client, "GetContextFileUploadUrl", &context, "/tmp/x").await;
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
    let get = url(
        &bench.client,
        "GetContextFileDownloadUrl",
        &context,
        "/tmp/x",
    )
    .await;
    assert_eq!(
        http.get(&get).send().await.unwrap().text().await.unwrap(),
        "whole"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_pass_through_in_little_memory() {
    const BYTES: usize = 512 * 1024 * 1024;
    const PEAK_KIB: u64 = 128 * 1024;
    let temporary = tempfile::tempdir().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_agb-emulator"))
        .args(["--listen", "127.0.0.1:0"])
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let address = lines
        .by_ref()
        .map(Result::unwrap)
        .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned))
        .unwrap();
    let client = Client::at(address, "key");
    let context = client.context("files").await;
    let put = url(&client, "GetContextFileUploadUrl", &context, "/tmp/large").await;
    let piece = vec![7; 1024 * 1024];
    let pieces = futures_util::stream::iter(
        std::iter::repeat_n(piece, BYTES / (1024 * 1024)).map(Ok::<_, std::io::Error>),
    );
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
    let get = url(&client, "GetContextFileDownloadUrl", &context, "/tmp/large").await;
    let mut answer = http.get(&get).send().await.unwrap();
    let mut received = 0;
    while let Some(chunk) = answer.chunk().await.unwrap() {
        assert!(chunk.iter().all(|byte| *byte == 7));
        received += chunk.len();
    }
    assert_eq!(received, BYTES);
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    program.kill().unwrap();
    program.wait().unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
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
