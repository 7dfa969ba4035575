//! The admin API over real HTTP, and the examples of the README.
#![allow(clippy::unwrap_used)] // Helpers are tests as well.

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use agb_emulator::{Config, Emulator};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Bench, Client, eventually, text};

struct Admin {
    bench: Bench,
    url: String,
    http: reqwest::Client,
}

impl Admin {
    async fn start() -> Self {
        let bench = Bench::start_with(Config {
            admin_listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            ..support::config()
        })
        .await;
        Self {
            url: bench.emulator.admin_url().unwrap().to_owned(),
            bench,
            http: reqwest::Client::new(),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<&str>) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap();
        let body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).unwrap()
        };
        (status, body)
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn script(&self, fault: Value) -> Value {
        let (status, body) = self
            .call(Method::POST, "/faults", Some(&fault.to_string()))
            .await;
        assert_eq!(status, 201, "{body}");
        body
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scripted_fault_fires_and_is_accounted_for_by_request() {
    let admin = Admin::start().await;
    let throttle = json!({ "throttle": { "retryAfterS": 3 } });
    let fault = admin
        .script(json!({ "operation": "ListContexts", "times": 1, "skip": 1, "action": throttle }))
        .await;
    assert_eq!(
        (&fault["fired"], &fault["requests"]),
        (&json!(0), &json!([]))
    );

    admin.bench.client.get("/sdk/ListContexts", &[]).await.ok();
    let struck = admin.bench.client.get("/sdk/ListContexts", &[]).await;
    assert_eq!(struck.status, StatusCode::TOO_MANY_REQUESTS);
    admin.bench.client.get("/sdk/ListContexts", &[]).await.ok();

    let path = format!("/faults/{}", fault["id"]);
    let account = admin.get(&path).await;
    assert_eq!(account["fired"], 1);
    assert_eq!(account["requests"], json!([struck.request_id]));
    assert_eq!(account["action"], throttle);
    assert_eq!(admin.get("/faults").await["faults"], json!([account]));
    let requests = admin
        .get(&format!("/requests?requestId={}", struck.request_id))
        .await;
    assert_eq!(requests["requests"][0]["status"], 429);

    assert_eq!(admin.call(Method::DELETE, &path, None).await.0, 204);
    assert_eq!(admin.call(Method::GET, &path, None).await.0, 404);
    admin
        .script(json!({ "operation": "*", "probability": 1.0, "action": "resetBeforeWork" }))
        .await;
    let lost = admin
        .bench
        .client
        .send(Method::GET, "/sdk/ListContexts", &[], None)
        .await;
    assert!(lost.is_err());
    assert_eq!(admin.call(Method::DELETE, "/faults", None).await.0, 204);
    admin.bench.client.get("/sdk/ListContexts", &[]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_fault_is_told_by_field_and_nothing_is_scripted() {
    let admin = Admin::start().await;
    let with = |action: Value| json!({ "operation": "*", "times": 1, "action": action });
    for (fault, field) in [
        (
            json!({ "times": 1, "action": "closeAfterWork" }),
            Some("operation"),
        ),
        (
            json!({ "operation": "", "times": 1, "action": "closeAfterWork" }),
            Some("operation"),
        ),
        (
            json!({ "operation": "SyncContexts", "times": 1, "action": "closeAfterWork" }),
            Some("operation"),
        ),
        (
            json!({ "operation": "*", "action": "closeAfterWork" }),
            Some("times"),
        ),
        (
            json!({ "operation": "*", "times": 0, "action": "closeAfterWork" }),
            Some("times"),
        ),
        (
            json!({ "operation": "*", "times": "1", "action": "closeAfterWork" }),
            Some("times"),
        ),
        (
            json!({ "operation": "*", "probability": 1.5, "action": "closeAfterWork" }),
            Some("probability"),
        ),
        (
            json!({ "operation": "*", "times": 1, "wen": 1, "action": "closeAfterWork" }),
            Some("wen"),
        ),
        (json!({ "operation": "*", "times": 1 }), Some("action")),
        (with(json!("explode")), Some("action")),
        (with(json!({ "delay": {} })), Some("action.delay.delayMs")),
        (
            with(json!({ "delay": { "delayMs": -1 } })),
            Some("action.delay.delayMs"),
        ),
        (
            with(json!({ "delay": { "delayMs": u64::MAX } })),
            Some("action.delayMs"),
        ),
        (
            with(json!({ "stallAnswer": { "afterBytes": 1, "of": "tail" } })),
            Some("action.stallAnswer.of"),
        ),
        (
            with(json!({ "respond": { "status": 99 } })),
            Some("action.status"),
        ),
        (
            with(json!({ "respond": { "status": 200, "headers": { "a b": "c" } } })),
            Some("action.headers.a b"),
        ),
        (
            with(json!({ "redirect": { "location": "a\nb" } })),
            Some("action.location"),
        ),
    ] {
        let (status, body) = admin
            .call(Method::POST, "/faults", Some(&fault.to_string()))
            .await;
        assert_eq!(status, 400, "{fault}: {body}");
        assert_eq!(body["error"]["code"], "invalidArgument", "{fault}: {body}");
        assert_eq!(body["error"]["field"].as_str(), field, "{fault}: {body}");
        assert!(!text(body["error"]["message"].clone()).is_empty());
    }
    for body in ["", "{", "[]", "{} {}"] {
        assert_eq!(
            admin.call(Method::POST, "/faults", Some(body)).await.0,
            400,
            "{body}"
        );
    }
    assert_eq!(admin.get("/faults").await["faults"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_as_json() {
    let admin = Admin::start().await;
    for (method, path, status, code) in [
        (Method::GET, "/nothing", 404, "notFound"),
        (Method::GET, "/faults/1", 404, "notFound"),
        (Method::DELETE, "/faults/x", 404, "notFound"),
        (Method::GET, "/contexts/SdkCtx-none", 404, "notFound"),
        (Method::PUT, "/faults", 405, "methodNotAllowed"),
        (Method::GET, "/requests?limit=many", 400, "invalidArgument"),
        (Method::GET, "/requests?operaton=x", 400, "invalidArgument"),
    ] {
        let (actual, body) = admin.call(method, path, None).await;
        assert_eq!(
            (actual, body["error"]["code"].as_str()),
            (status, Some(code)),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_there_is_shown_whoever_owns_it_and_no_key_is() {
    let admin = Admin::start().await;
    let emulator = &admin.bench.emulator;
    let secret = Client::new(emulator, "a-very-secret-key");
    let context = secret.context("mine").await;
    admin.bench.client.context("other").await;
    let policy = json!({ "uploadPolicy": { "autoUpload": true } });
    let session = secret
        .session_with("agb-code-space-1", &[(&context, "/home/data", policy)])
        .await;
    let labels = [
        ("sessionId", session.as_str()),
        ("Labels", r#"{"team": "a"}"#),
    ];
    secret.post("/sdk/SetLabel", &labels, json!({})).await.ok();
    let write = json!({ "path": "/home/data/a.txt", "content": "four", "mode": "overwrite" });
    assert!(!secret.tool(&session, "write_file", write).await.0);
    secret.upload(&session).await;

    let shown = admin.get("/contexts").await;
    assert_eq!(shown["contextCount"], 2);
    let mine = &shown["contexts"][1];
    assert_eq!(
        (&mine["name"], &mine["fileCount"], &mine["bytes"]),
        (&json!("mine"), &json!(1), &json!(4))
    );
    assert_eq!(mine["files"][0]["path"], "/home/data/a.txt");
    assert_ne!(mine["owner"], shown["contexts"][0]["owner"]);
    assert_eq!(&admin.get(&format!("/contexts/{context}")).await, mine);
    assert_eq!(
        admin.get("/contexts?files=0&limit=5").await["contexts"][1]["files"],
        json!([])
    );

    let sessions = admin.get("/sessions").await;
    assert_eq!(sessions["sessions"][0]["id"], session.as_str());
    assert_eq!(sessions["sessions"][0]["labels"], json!({ "team": "a" }));
    assert_eq!(
        sessions["sessions"][0]["mounts"],
        json!([{ "contextId": context, "path": "/home/data" }])
    );

    let tasks = admin.get(&format!("/tasks?sessionId={session}")).await;
    let types: Vec<_> = tasks["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| &task["taskType"])
        .collect();
    assert_eq!(types, ["upload", "download"]);
    assert_eq!(tasks["tasks"][0]["status"], "Success");
    assert_eq!(admin.get("/tasks?sessionId=other").await["taskCount"], 0);

    assert_eq!(
        admin.get("/requests/counts").await["counts"]["createSession"],
        1
    );
    let created = admin.get("/requests?operation=createSession").await;
    assert_eq!(created["requests"].as_array().unwrap().len(), 1);
    assert_eq!(created["requests"][0]["end"], "answered");

    let state = admin.get("/state").await.to_string();
    assert!(state.contains(&session) && state.contains(&context));
    assert!(!state.contains("a-very-secret-key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_through_the_admin_api_counts_as_no_look_and_keeps_no_session_alive() {
    let admin = Admin::start().await;
    let client = &admin.bench.client;
    let context = client.context("mine").await;
    let hide = json!({ "hideNewTasks": { "looks": 1 } });
    admin
        .script(json!({ "operation": "createSession", "times": 1, "action": hide }))
        .await;
    let created = client
        .try_session("agb-code-space-1", &[(&context, "/home/data", json!({}))])
        .await;
    let session = text(created.data()["sessionId"].clone());
    for _ in 0..3 {
        assert_eq!(admin.get("/tasks").await["tasks"][0]["visible"], false);
    }
    assert!(client.tasks(&session, &[]).await.is_empty());
    assert_eq!(admin.get("/tasks").await["tasks"][0]["visible"], true);
    assert_eq!(admin.bench.emulator.request_count("state"), 0);
    let ends = async || {
        admin.get("/sessions").await["sessions"][0]["endsInMs"]
            .as_u64()
            .unwrap()
    };
    let before = ends().await;
    eventually("its idle time goes on", async || {
        (ends().await < before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_leaves_nothing_even_of_what_is_under_way() {
    let admin = Admin::start().await;
    let client = admin.bench.client.clone();
    let context = client.context("mine").await;
    let stall = json!({ "stallSyncTask": {} });
    admin
        .script(json!({ "operation": "SyncContext", "times": 1, "action": stall }))
        .await;
    let session = client
        .session_with("agb-code-space-1", &[(&context, "/home/data", json!({}))])
        .await;
    client
        .post("/sdk/SyncContext", &[("sessionId", &session)], json!({}))
        .await
        .ok();
    let running = {
        let (client, session) = (client.clone(), session.clone());
        tokio::spawn(async move {
            let args = json!({ "command": "touch /tmp/runs; sleep 600", "timeout_ms": 600_000 });
            let call = json!({ "sessionId": session, "name": "shell", "args": args.to_string() });
            client.post("/mcp", &[], call).await
        })
    };
    eventually("the command runs", async || {
        let read = json!({ "path": "/tmp/runs" });
        (!client.tool(&session, "read_file", read).await.0).then_some(())
    })
    .await;

    assert_eq!(admin.call(Method::POST, "/reset", None).await.0, 204);
    running
        .await
        .unwrap()
        .refused(400, "InvalidMcpSession.NotFound");
    let state = admin.get("/state").await;
    for list in ["contexts", "sessions", "tasks", "faults"] {
        assert_eq!(state[list], json!([]), "{list}");
    }
    assert_eq!(state["counts"]["SyncContext"], Value::Null);
    client
        .get("/sdk/GetContext", &[("id", &context)])
        .await
        .refused(400, "InvalidContext.NotFound");
    client.session().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_moves_forward_and_files_have_had_their_time() {
    let admin = Admin::start().await;
    let client = &admin.bench.client;
    let context = client.context("mine").await;
    // A day ends the session, too; what it uploads then would be new again.
    let policy = json!({
        "uploadPolicy": { "autoUpload": false },
        "recyclePolicy": { "lifecycle": "Lifecycle_1Day", "paths": [""] },
    });
    let session = client
        .session_with("agb-code-space-1", &[(&context, "/home/data", policy)])
        .await;
    let write = json!({ "path": "/home/data/a.txt", "content": "a", "mode": "overwrite" });
    assert!(!client.tool(&session, "write_file", write).await.0);
    client.upload(&session).await;
    let files = async || admin.get("/contexts").await["contexts"][0]["fileCount"].clone();
    assert_eq!(files().await, 1);
    for (body, field) in [
        (r#"{"seconds": -1}"#, "seconds"),
        (r#"{"seconds": 18446744073709551615}"#, "seconds"),
        (r#"{"days": 1}"#, "days"),
    ] {
        let (status, answer) = admin.call(Method::POST, "/clock/advance", Some(body)).await;
        assert_eq!(
            (status, answer["error"]["field"].as_str()),
            (400, Some(field))
        );
    }
    assert_eq!(files().await, 1);
    let day = r#"{"seconds": 86401}"#;
    let (status, clock) = admin.call(Method::POST, "/clock/advance", Some(day)).await;
    assert_eq!((status, &clock["aheadMs"]), (200, &json!(86_401_000)));
    assert_eq!(admin.get("/clock").await["aheadMs"], 86_401_000);
    assert_eq!(files().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_from_elsewhere_are_refused() {
    let admin = Admin::start().await;
    let own = admin.url.clone();
    let send = async |method: Method, headers: &[(&str, &str)]| {
        let mut request = admin.http.request(method, format!("{own}/faults"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(send(Method::DELETE, &[("origin", &own)]).await, 204);
    assert_eq!(
        send(Method::DELETE, &[("origin", "https://example.com")]).await,
        403
    );
    assert_eq!(send(Method::DELETE, &[("origin", "null")]).await, 403);
    assert_eq!(
        send(Method::GET, &[("host", "attacker.example.com")]).await,
        403
    );
    assert_eq!(send(Method::GET, &[("host", "localhost:7071")]).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_on_the_admin_port_and_the_main_port_tells_where() {
    let admin = Admin::start().await;
    let page = admin.http.get(&admin.url).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"));
    let page = page.text().await.unwrap();
    for file in ["page.css", "page.js"] {
        assert!(page.contains(file));
        let response = admin
            .http
            .get(format!("{}/{file}", admin.url))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
    }
    let main = reqwest::get(admin.bench.emulator.url()).await.unwrap();
    assert_eq!(main.status(), 200);
    assert!(main.text().await.unwrap().contains(&admin.url));
    assert!(admin.bench.emulator.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_being_asked_there_is_no_admin_api() {
    let emulator = Emulator::start(Config::default()).await.unwrap();
    assert_eq!(emulator.admin_url(), None);
    // Nor is it on the main port.
    let response = reqwest::get(format!("{}/faults", emulator.url()))
        .await
        .unwrap();
    assert_eq!(response.status(), 401);
    let root = reqwest::get(emulator.url())
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(root.contains("--admin-listen"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_readme_work_as_written() {
    let admin = Admin::start().await;
    let readme = include_str!("../README.md");
    let section = readme
        .split("\n## ")
        .find(|section| section.starts_with("Admin API"))
        .unwrap();
    let blocks: Vec<_> = section
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .collect();
    let script = blocks
        .concat()
        .replace("http://127.0.0.1:7070", &admin.bench.emulator.url())
        .replace("http://127.0.0.1:7071", &admin.url);
    assert!(script.matches("curl").count() >= 6);
    let output = tokio::task::spawn_blocking(move || {
        Command::new("bash")
            .args(["-euo", "pipefail", "-c", &format!("curl() {{ command curl --fail-with-body --silent --show-error \"$@\"; echo; }}\n{script}")])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // The account of the fault that it scripts, the request that it struck, and the reset at its end.
    assert!(printed.contains(r#""fired":1"#), "{printed}");
    assert!(printed.contains(r#""end":"reset""#), "{printed}");
    assert_eq!(admin.get("/faults").await["faults"], json!([]));
}
