//! The envelope, authentication, bad input, and the faults that strike whole requests.

mod support;

use std::time::{Duration, Instant};

use agb_emulator::{Config, Fault, FaultAction};
use reqwest::Method;
use serde_json::json;
use support::raw::{End, exchange};
use support::{Bench, Client};

fn inject(bench: &Bench, operation: &str, action: FaultAction) -> agb_emulator::FaultId {
    bench.emulator.faults().inject(Fault {
        operation: operation.to_owned(),
        times: 1,
        action,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_the_envelope_and_the_same_request_id_twice() {
    let bench = Bench::start().await;
    let good = bench.client.get("/sdk/ListContexts", &[]).await;
    let bad = bench.client.get("/sdk/GetContext", &[]).await;
    for answer in [&good, &bad] {
        assert!(!answer.request_id.is_empty());
        assert_eq!(answer.body["requestId"], answer.request_id.as_str());
        assert_eq!(answer.body["httpStatusCode"], answer.status.as_u16());
    }
    assert_ne!(good.request_id, bad.request_id);
    // The SDK prefers a message to what a failed tool says, so a success must have none.
    assert_eq!(good.body["message"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_unknown_key_is_refused() {
    let config = Config {
        api_keys: vec!["known".to_owned()],
        ..support::config()
    };
    let bench = Bench::start_with(config).await;
    bench
        .client
        .get("/sdk/ListContexts", &[])
        .await
        .refused(401, "InvalidApiKey");
    Client::new(&bench.emulator, "known")
        .get("/sdk/ListContexts", &[])
        .await
        .ok();
    let bare = reqwest::get(format!("{}/sdk/ListContexts", bench.emulator.url()))
        .await
        .unwrap();
    assert_eq!(bare.status(), 401);
    let body: serde_json::Value = bare.json().await.unwrap();
    assert_eq!(body["success"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_call_is_refused_in_agbs_shape() {
    let bench = Bench::start().await;
    bench
        .client
        .get("/nothing", &[])
        .await
        .refused(404, "InvalidAction.NotFound");
    bench
        .client
        .get("/mcp/createSession", &[])
        .await
        .refused(405, "UnsupportedHTTPMethod");
    bench
        .client
        .post("/browser/init", &[], json!({}))
        .await
        .refused(400, "MissingParameter");
    bench
        .client
        .post("/mcp/getSession", &[], json!([1]))
        .await
        .refused(400, "InvalidParameter");
    bench
        .client
        .post("/mcp/getSession", &[], json!({ "sessionId": 5 }))
        .await
        .refused(400, "InvalidParameter");
    bench
        .client
        .post("/mcp/getSession", &[], json!({}))
        .await
        .refused(400, "MissingParameter");
    let session = bench.client.session().await;
    let call = async |name: &str, args: &str| {
        let body = json!({ "sessionId": session, "name": name, "args": args });
        bench.client.post("/mcp", &[], body).await
    };
    call("no_such_tool", "{}")
        .await
        .refused(400, "InvalidTool.NotFound");
    call("shell", "no JSON")
        .await
        .refused(400, "InvalidParameter");
    call("shell", "{}").await.refused(400, "InvalidParameter");
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_arguments_that_are_the_json_of_no_object_are_refused() {
    let bench = Bench::start().await;
    let session = bench.client.session().await;
    for tool in ["shell", "run_code", "read_file", "get_metrics"] {
        for args in ["[]", "[{}]", "5", "true", "null", "\"{}\""] {
            let body = json!({ "sessionId": session, "name": tool, "args": args });
            let answer = bench.client.post("/mcp", &[], body).await;
            answer.refused(400, "InvalidParameter");
        }
    }
    assert_eq!(bench.client.shell(&session, "echo on").await.stdout, "on\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_json_or_too_large_are_refused() {
    let bench = Bench::start_with(Config {
        max_request_bytes: 1000,
        ..support::config()
    })
    .await;
    let send = async |body: String| {
        let request =
            reqwest::Client::new().post(format!("{}/mcp/getSession", bench.emulator.url()));
        request
            .bearer_auth("key")
            .body(body)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(send("{".to_owned()).await, 400);
    assert_eq!(send("x".repeat(2000)).await, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scripted_answer_replaces_the_work() {
    let bench = Bench::start().await;
    let action = FaultAction::Respond {
        status: 429,
        body: r#"{"success": false, "code": "Throttling"}"#.to_owned(),
        headers: [("retry-after".to_owned(), "7".to_owned())].into(),
    };
    let fault = inject(&bench, "GetContext", action);
    let query = [("name", "mine"), ("allowCreate", "true")];
    let answer = bench.client.get("/sdk/GetContext", &query).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body["code"]),
        (429, &json!("Throttling"))
    );
    assert_eq!(
        bench.client.get("/sdk/ListContexts", &[]).await.body["totalCount"],
        0
    );
    bench.client.get("/sdk/GetContext", &query).await.ok();
    let state = &bench.emulator.faults().states()[0];
    assert_eq!(
        (state.id, state.fired, &state.requests),
        (fault, 1, &vec![answer.request_id])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_can_be_closed_before_or_after_the_work() {
    let bench = Bench::start().await;
    let query = [("name", "mine"), ("allowCreate", "true")];
    let create = async || {
        bench
            .client
            .send(Method::GET, "/sdk/GetContext", &query, None)
            .await
    };
    inject(&bench, "GetContext", FaultAction::CloseBeforeWork);
    assert!(create().await.is_err());
    assert_eq!(
        bench.client.get("/sdk/ListContexts", &[]).await.body["totalCount"],
        0
    );
    inject(&bench, "GetContext", FaultAction::CloseAfterWork);
    assert!(create().await.is_err());
    assert_eq!(
        bench.client.get("/sdk/ListContexts", &[]).await.body["totalCount"],
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_when_the_caller_has_gone() {
    let bench = Bench::start().await;
    let id = bench.client.session().await;
    let impatient = reqwest::Client::builder()
        .timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    let args =
        json!({ "command": "sleep 0.5; echo done > /tmp/done", "timeout_ms": 10_000 }).to_string();
    let request = impatient
        .post(format!("{}/mcp", bench.emulator.url()))
        .bearer_auth("key");
    assert!(
        request
            .json(&json!({ "sessionId": id, "name": "shell", "args": args }))
            .send()
            .await
            .is_err()
    );
    support::eventually("the command has ended", async || {
        let read = bench
            .client
            .tool(&id, "read_file", json!({ "path": "/tmp/done" }))
            .await;
        (read == (false, "done\n".to_owned())).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_can_be_delayed() {
    let bench = Bench::start().await;
    inject(&bench, "*", FaultAction::Delay { delay_ms: 300 });
    let begun = Instant::now();
    bench.client.get("/sdk/ListContexts", &[]).await.ok();
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_recorded_without_the_key() {
    let bench = Bench::start().await;
    let secret = Client::new(&bench.emulator, "a-very-secret-key");
    secret.get("/sdk/GetContext", &[("name", "mine")]).await;
    secret
        .post(
            "/mcp/getSession",
            &[],
            json!({ "sessionId": "session-none" }),
        )
        .await;
    assert_eq!(bench.emulator.request_count("GetContext"), 1);
    assert_eq!(bench.emulator.request_count("createSession"), 0);
    let requests = bench.emulator.requests();
    assert_eq!(
        (requests[0].method.as_str(), requests[0].path.as_str()),
        ("GET", "/sdk/GetContext")
    );
    assert_eq!(requests[0].query["name"], "mine");
    assert_eq!(requests[1].body["sessionId"], "session-none");
    assert!(
        !serde_json::to_string(&requests)
            .unwrap()
            .contains("a-very-secret-key")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_not_lost_with_a_large_body_that_nobody_wants() {
    const BYTES: usize = 20_000_000;
    let bench = Bench::start().await;
    let body = "x".repeat(BYTES);
    for (line, status) in [
        ("POST /mcp", 413),
        ("PUT /storage/SdkCtx-none/tmp/x", 403),
        ("POST /link/session-none/80/none", 403),
    ] {
        let request = format!(
            "{line} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer key\r\nconnection: close\r\n\
             content-length: {BYTES}\r\n\r\n{body}"
        );
        let raw = exchange(bench.emulator.address(), request.into_bytes(), usize::MAX).await;
        let begin = format!("HTTP/1.1 {status} ");
        assert!(raw.answer.starts_with(&begin), "{line}: {}", raw.answer);
        assert_eq!(raw.end, End::Closed);
    }
}
