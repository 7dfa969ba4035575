//! Sessions: how they are made, found, labelled and released.

mod support;

use std::time::Duration;

use agb_emulator::Config;
use serde_json::{Value, json};
use support::{Bench, eventually, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_described_by_its_creation_and_afterwards() {
    let bench = Bench::start().await;
    let created = bench.client.try_session("agb-code-space-1", &[]).await;
    let data = created.data();
    assert_eq!(data["success"], true);
    let id = text(data["sessionId"].clone());
    let found = bench
        .client
        .post("/mcp/getSession", &[], json!({ "sessionId": id }))
        .await;
    for field in ["sessionId", "resourceUrl", "resourceId", "appInstanceId"] {
        assert_eq!(found.data()[field], data[field]);
        assert!(!text(data[field].clone()).is_empty());
    }
    assert_eq!(found.data()["status"], "RUNNING");
    let status = bench
        .client
        .post("/mcp/getSessionInfo", &[], json!({ "sessionId": id }))
        .await;
    assert_eq!(status.data()["status"], "RUNNING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_session_goes_through_its_states_until_it_is_not_found() {
    let config = Config {
        finished_retention: Duration::from_millis(100),
        ..support::config()
    };
    let bench = Bench::start_with(config).await;
    let id = bench.client.session().await;
    bench
        .client
        .post("/mcp/releaseSessionAsync", &[], json!({ "sessionId": id }))
        .await
        .ok();
    let mut states = Vec::new();
    eventually("the session is not found", async || {
        let answer = bench
            .client
            .post("/mcp/getSessionInfo", &[], json!({ "sessionId": id }))
            .await;
        if answer.body["success"] == false {
            answer.refused(400, "InvalidMcpSession.NotFound");
            return Some(());
        }
        let state = text(answer.data()["status"].clone());
        if states.last() != Some(&state) {
            states.push(state);
        }
        None
    })
    .await;
    assert_eq!(states, ["DELETING", "FINISH"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_release_returns_when_the_session_has_finished() {
    let bench = Bench::start().await;
    let id = bench.client.session().await;
    bench
        .client
        .post("/mcp/releaseSession", &[], json!({ "sessionId": id }))
        .await
        .ok();
    let status = bench
        .client
        .post("/mcp/getSessionInfo", &[], json!({ "sessionId": id }))
        .await;
    assert_eq!(status.data()["status"], "FINISH");
    assert_eq!(
        bench.client.get("/sdk/ListSession", &[]).await.body["count"],
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_is_released_and_a_call_keeps_it() {
    let bench = Bench::start().await;
    let body = json!({ "timeout": 1 });
    let mut ids = Vec::new();
    for _ in 0..2 {
        let created = bench
            .client
            .post(
                "/mcp/createSession",
                &[("imageId", "agb-code-space-1")],
                body.clone(),
            )
            .await;
        ids.push(text(created.data()["sessionId"].clone()));
    }
    let (kept, idle) = (&ids[0], &ids[1]);
    eventually("the idle session is gone", async || {
        let query = [("sessionId", kept.as_str())];
        bench
            .client
            .post("/mcp/refreshSessionIdleTime", &query, json!({}))
            .await
            .ok();
        let listed = bench.client.get("/sdk/ListSession", &[]).await;
        (!listed
            .data()
            .as_array()
            .unwrap()
            .iter()
            .any(|session| session["sessionId"] == **idle))
        .then_some(())
    })
    .await;
    let status = bench
        .client
        .post("/mcp/getSessionInfo", &[], json!({ "sessionId": kept }))
        .await;
    assert_eq!(status.data()["status"], "RUNNING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_moved_past_the_idle_time_releases_a_session_with_its_uploads() {
    let bench = Bench::start().await;
    let context = bench.client.context("kept").await;
    let mounts = [(context.as_str(), "/tmp/data", json!({}))];
    let idle = bench.client.session_with("image", &mounts).await;
    bench.client.shell(&idle, "echo a > /tmp/data/a").await;
    let four = Duration::from_mins(4);
    bench.emulator.clock().advance(four);
    // A call within the five minutes keeps it: by now it would have been idle for eight.
    bench.client.shell(&idle, "true").await;
    bench.emulator.clock().advance(four);
    let status = async || {
        let body = json!({ "sessionId": idle });
        let answer = bench.client.post("/mcp/getSessionInfo", &[], body).await;
        answer.body["data"]["status"].clone()
    };
    assert_eq!(status().await, "RUNNING");
    bench.emulator.clock().advance(Duration::from_mins(6));
    eventually("it was released", async || {
        (status().await == "FINISH").then_some(())
    })
    .await;
    let files = bench.client.files(&context, "/tmp/data").await;
    assert_eq!(files, ["/tmp/data/a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_moved_past_the_longest_life_releases_a_session_that_is_in_use() {
    let bench = Bench::start().await;
    let body = json!({ "timeout": 7200 });
    let image = [("imageId", "image")];
    let created = bench.client.post("/mcp/createSession", &image, body).await;
    let id = text(created.data()["sessionId"].clone());
    let running = bench.client.clone();
    let command = json!({ "command": "sleep 600", "timeout_ms": 600_000 });
    let body = json!({ "sessionId": id, "name": "shell", "args": command.to_string() });
    let running = tokio::spawn(async move { running.post("/mcp", &[], body).await });
    bench.emulator.clock().advance(Duration::from_mins(29));
    let refresh = [("sessionId", id.as_str())];
    let kept = bench
        .client
        .post("/mcp/refreshSessionIdleTime", &refresh, json!({}))
        .await;
    kept.ok();
    bench.emulator.clock().advance(Duration::from_mins(1));
    eventually("it is gone", async || {
        let listed = bench.client.get("/sdk/ListSession", &[]).await;
        (listed.data() == &json!([])).then_some(())
    })
    .await;
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_life_ends_a_session_that_is_in_use() {
    let config = Config {
        max_session_life: Duration::from_millis(300),
        ..support::config()
    };
    let bench = Bench::start_with(config).await;
    let id = bench.client.session().await;
    eventually("the session has ended", async || {
        let answer = bench
            .client
            .post("/mcp/getSession", &[], json!({ "sessionId": id }))
            .await;
        (answer.body["data"]["status"] != "RUNNING").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_by_their_labels_in_pages() {
    let bench = Bench::start().await;
    for number in 0..5 {
        let labels =
            json!({ "number": number.to_string(), "odd": (number % 2).to_string() }).to_string();
        let body = json!({ "labels": labels });
        bench
            .client
            .post(
                "/mcp/createSession",
                &[("imageId", "agb-code-space-1")],
                body,
            )
            .await
            .ok();
    }
    let odd = json!({ "odd": "0" }).to_string();
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let query = [
            ("labels", odd.as_str()),
            ("maxResults", "2"),
            ("nextToken", &next),
        ];
        let page = bench.client.get("/sdk/ListSession", &query).await;
        assert_eq!(page.body["count"], 3);
        seen.extend(
            page.data()
                .as_array()
                .unwrap()
                .iter()
                .map(|session| text(session["sessionId"].clone())),
        );
        match &page.body["nextToken"] {
            Value::Null => break,
            token => next = text(token.clone()),
        }
    }
    assert_eq!(seen.len(), 3);
    let both = json!({ "odd": "0", "number": "1" }).to_string();
    assert_eq!(
        bench
            .client
            .get("/sdk/ListSession", &[("labels", &both)])
            .await
            .body["count"],
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_can_be_set_and_read_back() {
    let bench = Bench::start().await;
    let id = bench.client.session().await;
    let labels = json!({ "purpose": "data-access" });
    let query = [("sessionId", id.as_str()), ("Labels", &labels.to_string())];
    bench
        .client
        .post("/sdk/SetLabel", &query, json!({}))
        .await
        .ok();
    let read = bench
        .client
        .get("/sdk/GetLabel", &[("sessionId", &id)])
        .await;
    assert_eq!(
        serde_json::from_str::<Value>(read.data()["labels"].as_str().unwrap()).unwrap(),
        labels
    );
    let bad = [("sessionId", id.as_str()), ("Labels", "[1]")];
    bench
        .client
        .post("/sdk/SetLabel", &bad, json!({}))
        .await
        .refused(400, "InvalidParameter");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_creations_are_refused() {
    let bench = Bench::start().await;
    let context = bench.client.context("mine").await;
    bench
        .client
        .post("/mcp/createSession", &[], json!({}))
        .await
        .refused(400, "MissingParameter");
    let create = async |path: &str, policy: Value| {
        bench
            .client
            .try_session("agb-code-space-1", &[(&context, path, policy)])
            .await
    };
    for path in [
        "/opt/data",
        "/",
        "/homes",
        "relative",
        "/tmp/../etc",
        "/etc",
    ] {
        create(path, json!({}))
            .await
            .refused(400, "InvalidParameter");
    }
    for policy in [
        json!([]),
        json!({ "uploadPolicy": { "uploadMode": "Zip" } }),
        json!({ "bwList": { "whiteLists": [{ "path": "/a*" }] } }),
        json!({ "mappingPolicy": { "path": "data" } }),
    ] {
        create("/tmp/data", policy)
            .await
            .refused(400, "InvalidParameter");
    }
    let unknown = [("SdkCtx-none", "/tmp/data", json!({}))];
    bench
        .client
        .try_session("agb-code-space-1", &unknown)
        .await
        .refused(400, "InvalidContext.NotFound");
    let twice = [
        (context.as_str(), "/tmp/data", json!({})),
        (context.as_str(), "/tmp/data/", json!({})),
    ];
    bench
        .client
        .try_session("agb-code-space-1", &twice)
        .await
        .refused(400, "InvalidParameter");
    let image = [("imageId", "agb-code-space-1")];
    for (field, value) in [
        ("timeout", json!(0)),
        ("timeout", json!("soon")),
        ("timeout", json!(-1)),
        ("labels", json!("no JSON")),
        ("persistenceDataList", json!([{ "contextId": 1 }])),
    ] {
        let body = json!({ field: value });
        let answer = bench.client.post("/mcp/createSession", &image, body).await;
        answer.refused(400, "InvalidParameter");
        let message = text(answer.body["message"].clone());
        assert!(message.contains(field), "{message}");
    }
    assert_eq!(
        bench.client.get("/sdk/ListSession", &[]).await.body["count"],
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn when_no_resource_is_left_the_data_of_a_success_says_so() {
    let config = Config {
        max_sessions: 1,
        ..support::config()
    };
    let bench = Bench::start_with(config).await;
    let first = bench.client.session().await;
    let refused = bench.client.try_session("agb-code-space-1", &[]).await;
    assert_eq!(refused.data()["success"], false);
    assert!(!text(refused.data()["errMsg"].clone()).is_empty());
    bench.client.release(&first).await;
    bench.client.session().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_can_be_written_read_and_listed_by_tools() {
    let bench = Bench::start().await;
    let id = bench.client.session().await;
    let write = async |content: &str, mode: &str| {
        let args = json!({ "path": "/tmp/file", "content": content, "mode": mode });
        bench.client.tool(&id, "write_file", args).await
    };
    assert!(!write("héllo", "overwrite").await.0);
    assert!(!write(" there", "append").await.0);
    let read = async |args: Value| bench.client.tool(&id, "read_file", args).await;
    assert_eq!(
        read(json!({ "path": "/tmp/file" })).await,
        (false, "héllo there".to_owned())
    );
    assert_eq!(
        read(json!({ "path": "/tmp/file", "offset": 7, "length": 3 })).await,
        (false, "the".to_owned())
    );
    assert_eq!(
        read(json!({ "path": "/tmp/file", "length": 3, "format": "binary" })).await,
        (false, "aMOp".to_owned())
    );
    // What a tool wrote is the session's own.
    assert_eq!(
        bench
            .client
            .shell(&id, "mkdir /tmp/folder && echo more >> /tmp/file")
            .await
            .exit_code,
        0
    );
    let listed = bench
        .client
        .tool(&id, "list_directory", json!({ "path": "/tmp" }))
        .await;
    assert_eq!(listed, (false, "[FILE] file\n[DIR] folder\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn file_tools_follow_links_within_the_session_and_never_out_of_it() {
    let bench = Bench::start().await;
    let id = bench.client.session().await;
    let outside = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(outside.path(), "host secret").unwrap();
    let target = outside.path().display();
    // Linux's link to the file system as the process sees it.
    let own_root = "/proc/self/root";
    let command = format!(
        "echo inside > /home/inside; cd /tmp; ln -s /home/inside good; ln -s {target} bad; ln -s /../../../../../../../..{target} worse; ln -s {own_root}/etc/passwd magic"
    );
    bench.client.shell(&id, &command).await;
    let read = async |path: &str| {
        bench
            .client
            .tool(&id, "read_file", json!({ "path": path }))
            .await
    };
    assert_eq!(read("/tmp/good").await, (false, "inside\n".to_owned()));
    // They lead to where the session itself would find them, if anywhere.
    for path in ["/tmp/bad", "/tmp/worse"] {
        assert!(!read(path).await.1.contains("secret"), "{path}");
        let args = json!({ "path": path, "content": "planted" });
        bench.client.tool(&id, "write_file", args).await;
    }
    for path in ["/tmp/magic", "/tmp/../etc/passwd"] {
        assert!(read(path).await.1.contains("agb:x:1000"), "{path}");
        let args = json!({ "path": path, "content": "planted" });
        assert!(bench.client.tool(&id, "write_file", args).await.0, "{path}");
    }
    assert_eq!(
        std::fs::read_to_string(outside.path()).unwrap(),
        "host secret"
    );
}
