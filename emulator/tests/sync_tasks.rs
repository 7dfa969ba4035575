//! The records of sync tasks: their states, what a look shows, and the trap.

mod support;

use std::time::Duration;

use agb_emulator::{Config, Fault, FaultAction, SyncDirection};
use serde_json::{Value, json};
use support::{Bench, eventually};

async fn session_with_context(bench: &Bench) -> (String, String) {
    let context = bench.client.context("context").await;
    let session = bench
        .client
        .session_with("agb-code-space-1", &[(&context, "/tmp/data", json!({}))])
        .await;
    (context, session)
}

async fn sync(bench: &Bench, session: &str) {
    bench
        .client
        .post("/sdk/SyncContext", &[("sessionId", session)], json!({}))
        .await
        .ok();
}

/// The uploads that a look shows.
async fn uploads(bench: &Bench, session: &str) -> Vec<Value> {
    let filter = [("taskType", "upload")];
    bench.client.tasks(session, &filter).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_right_after_a_sync_shows_only_older_tasks() {
    let config = Config {
        task_visibility_delay: Duration::from_secs(2),
        ..support::config()
    };
    let bench = Bench::start_with(config).await;
    let (_, session) = session_with_context(&bench).await;
    let before = bench.client.tasks(&session, &[]).await;
    assert_eq!(before[0]["taskType"], "download");
    assert_eq!(before[0]["status"], "Success");
    sync(&bench, &session).await;
    assert_eq!(bench.client.tasks(&session, &[]).await, before);
    assert!(uploads(&bench, &session).await.is_empty());
    eventually("the upload shows", async || {
        let uploads = uploads(&bench, &session).await;
        (!uploads.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_goes_through_its_states_and_keeps_its_start_time() {
    let bench = Bench::start().await;
    let (context, session) = session_with_context(&bench).await;
    sync(&bench, &session).await;
    let mut seen: Vec<Value> = Vec::new();
    eventually("the upload has ended", async || {
        let task = uploads(&bench, &session).await.pop()?;
        seen.push(task.clone());
        (task["status"] == "Success").then_some(())
    })
    .await;
    let last = seen.last().unwrap();
    assert!(
        seen.iter()
            .all(|task| task["startTime"] == last["startTime"])
    );
    for task in &seen[..seen.len() - 1] {
        assert!(task["status"] == "Preparing" || task["status"] == "Running");
        assert_eq!(task["finishTime"], 0);
    }
    assert!(seen.iter().any(|task| task["status"] == "Running"));
    assert_eq!(
        (&last["contextId"], &last["path"], &last["errorMessage"]),
        (&json!(context), &json!("/tmp/data"), &json!(""))
    );
    let took = last["finishTime"].as_i64().unwrap() - last["startTime"].as_i64().unwrap();
    assert!((100..20_000).contains(&took), "{took} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_task_has_a_start_time_of_its_own() {
    let config = Config {
        task_history: 100,
        ..support::config()
    };
    let bench = Bench::start_with(config).await;
    let (_, session) = session_with_context(&bench).await;
    for _ in 0..5 {
        sync(&bench, &session).await;
    }
    let tasks = eventually("all tasks show", async || {
        let tasks = uploads(&bench, &session).await;
        (tasks.len() == 5).then_some(tasks)
    })
    .await;
    let starts: Vec<_> = tasks
        .iter()
        .map(|task| task["startTime"].as_i64().unwrap())
        .collect();
    assert!(
        starts.windows(2).all(|pair| pair[0] < pair[1]),
        "{starts:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_can_be_narrowed() {
    let bench = Bench::start().await;
    let (one, two) = (
        bench.client.context("one").await,
        bench.client.context("two").await,
    );
    let mounts = [
        (one.as_str(), "/tmp/one", json!({})),
        (two.as_str(), "/tmp/two", json!({})),
    ];
    let session = bench.client.session_with("agb-code-space-1", &mounts).await;
    assert_eq!(bench.client.tasks(&session, &[]).await.len(), 2);
    let of_one = bench
        .client
        .tasks(&session, &[("contextId", &one), ("path", "/tmp/one")])
        .await;
    assert_eq!(
        (of_one.len(), of_one[0]["path"].as_str()),
        (1, Some("/tmp/one"))
    );
    assert!(
        bench
            .client
            .tasks(&session, &[("contextId", &one), ("path", "/tmp/two")])
            .await
            .is_empty()
    );
    assert!(uploads(&bench, &session).await.is_empty());

    let query = [
        ("sessionId", session.as_str()),
        ("contextId", &one),
        ("path", "/tmp/one"),
    ];
    bench
        .client
        .post("/sdk/SyncContext", &query, json!({}))
        .await
        .ok();
    let uploads = eventually("the upload shows", async || {
        let uploads = uploads(&bench, &session).await;
        (!uploads.is_empty()).then_some(uploads)
    })
    .await;
    assert_eq!((uploads.len(), &uploads[0]["contextId"]), (1, &json!(one)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_says_so_and_stores_nothing() {
    let bench = Bench::start().await;
    let (context, session) = session_with_context(&bench).await;
    let fault = bench.emulator.faults().inject(Fault {
        operation: "SyncContext".to_owned(),
        times: 1,
        action: FaultAction::FailSyncTask {
            direction: Some(SyncDirection::Upload),
            message: "no space left".to_owned(),
        },
    });
    bench.client.shell(&session, "echo x > /tmp/data/x").await;
    let tasks = bench.client.upload(&session).await;
    assert_eq!(
        (
            tasks[0]["status"].as_str(),
            tasks[0]["errorMessage"].as_str()
        ),
        (Some("Failed"), Some("no space left"))
    );
    assert!(bench.client.files(&context, "/tmp/data").await.is_empty());
    assert_eq!(bench.emulator.faults().fired(fault), 1);
    assert_eq!(bench.client.upload(&session).await[0]["status"], "Success");
    assert_eq!(bench.client.files(&context, "/tmp/data").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_sync_never_ends_and_holds_no_other_up() {
    let bench = Bench::start().await;
    let (_, session) = session_with_context(&bench).await;
    bench.emulator.faults().inject(Fault {
        operation: "SyncContext".to_owned(),
        times: 1,
        action: FaultAction::StallSyncTask { direction: None },
    });
    sync(&bench, &session).await;
    let stalled = eventually("the stalled task runs", async || {
        let task = uploads(&bench, &session).await.pop()?;
        (task["status"] == "Running").then_some(task)
    })
    .await;
    assert_eq!(bench.client.upload(&session).await[0]["status"], "Success");
    assert_eq!(stalled["finishTime"], 0);
    bench.client.release(&session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_tasks_can_be_hidden_for_a_number_of_looks() {
    let bench = Bench::start().await;
    let (_, session) = session_with_context(&bench).await;
    bench.emulator.faults().inject(Fault {
        operation: "SyncContext".to_owned(),
        times: 1,
        action: FaultAction::HideNewTasks {
            looks: 200,
            duration_ms: 0,
        },
    });
    sync(&bench, &session).await;
    for _ in 0..200 {
        assert!(uploads(&bench, &session).await.is_empty());
    }
    eventually("the upload shows", async || {
        (!uploads(&bench, &session).await.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn task_records_can_be_lost() {
    let bench = Bench::start().await;
    let (_, session) = session_with_context(&bench).await;
    assert_eq!(bench.client.tasks(&session, &[]).await.len(), 1);
    bench.emulator.faults().inject(Fault {
        operation: "GetContextInfo".to_owned(),
        times: 1,
        action: FaultAction::DropTaskRecords,
    });
    assert!(bench.client.tasks(&session, &[]).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_of_a_deleted_context_fails() {
    let bench = Bench::start().await;
    let (context, session) = session_with_context(&bench).await;
    bench
        .client
        .post("/sdk/DeleteContext", &[("id", &context)], json!({}))
        .await
        .ok();
    assert_eq!(bench.client.upload(&session).await[0]["status"], "Failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_within_a_mount_is_synced_under_its_own_path() {
    let bench = Bench::start().await;
    let (context, session) = session_with_context(&bench).await;
    let command = "cd /tmp/data && mkdir in out && echo x | tee in/x out/x";
    bench.client.shell(&session, command).await;
    let query = [
        ("sessionId", session.as_str()),
        ("contextId", context.as_str()),
        ("path", "/tmp/data/in/"),
    ];
    let started = bench.client.post("/sdk/SyncContext", &query, json!({}));
    started.await.ok();
    let task = eventually("the upload has ended", async || {
        let task = uploads(&bench, &session).await.pop()?;
        (task["finishTime"] != 0).then_some(task)
    })
    .await;
    assert_eq!(
        (&task["path"], &task["status"]),
        (&json!("/tmp/data/in"), &json!("Success"))
    );
    let stored = bench.client.files(&context, "/tmp/data").await;
    assert_eq!(stored, ["/tmp/data/in"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_sync_requests_are_refused() {
    let bench = Bench::start().await;
    let (context, session) = session_with_context(&bench).await;
    let sync = async |query: &[(&str, &str)]| {
        bench
            .client
            .post("/sdk/SyncContext", query, json!({}))
            .await
    };
    sync(&[]).await.refused(400, "MissingParameter");
    sync(&[("sessionId", "session-none")])
        .await
        .refused(400, "InvalidMcpSession.NotFound");
    sync(&[("sessionId", &session), ("contextId", &context)])
        .await
        .refused(400, "InvalidParameter");
    sync(&[("sessionId", &session), ("path", "/tmp/data")])
        .await
        .refused(400, "InvalidParameter");
    sync(&[("sessionId", &session), ("mode", "sideways")])
        .await
        .refused(400, "InvalidParameter");
    sync(&[
        ("sessionId", &session),
        ("contextId", &context),
        ("path", "/tmp/other"),
    ])
    .await
    .refused(400, "InvalidContext.NotFound");
}
