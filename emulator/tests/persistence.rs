//! What a data directory keeps, and for whom.

mod support;

use std::path::Path;
use std::process::Command;

use agb_emulator::{Config, Emulator, StartError};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::program::Program;
use support::{Bench, Client, eventually};

fn config(folder: &Path) -> Config {
    Config {
        data_dir: Some(folder.join("data")),
        ..support::config()
    }
}

/// Writes files in a session of its own and uploads them.
async fn store(client: &Client, context: &str, policy: Value, command: &str) {
    let session = client
        .session_with("agb-code-space-1", &[(context, "/tmp/data", policy)])
        .await;
    let written = client
        .shell(&session, &format!("cd /tmp/data && {command}"))
        .await;
    assert_eq!(written.exit_code, 0, "{written:?}");
    assert_eq!(client.upload(&session).await[0]["status"], "Success");
    client.release(&session).await;
}

/// What a command prints in a new session on the context.
async fn seen(client: &Client, context: &str, policy: Value, command: &str) -> String {
    let session = client
        .session_with("agb-code-space-1", &[(context, "/tmp/data", policy)])
        .await;
    let output = client
        .shell(&session, &format!("cd /tmp/data && {command}"))
        .await;
    client.release(&session).await;
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn presigned_urls_made_before_a_restart_work_after_it_and_in_no_other_emulator() {
    let folder = tempfile::tempdir().unwrap();
    let first = Bench::start_with(config(folder.path())).await;
    let context = first.client.context("kept").await;
    let url = async |operation| first.client.presigned(operation, &context, "/tmp/x").await;
    let put = url("GetContextFileUploadUrl").await;
    let get = url("GetContextFileDownloadUrl").await;
    let address = first.emulator.url();
    first.emulator.stop().await;

    let second = Bench::start_with(config(folder.path())).await;
    // The port is another one, for all else can have it meanwhile; the signature does not cover it.
    let moved = |url: &str, to: &Bench| url.replace(&address, &to.emulator.url());
    let http = reqwest::Client::new();
    let put = moved(&put, &second);
    let answer = http.put(&put).body("content").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer = http.get(moved(&get, &second)).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "content");

    let elsewhere = tempfile::tempdir().unwrap();
    let other = Bench::start_with(config(elsewhere.path())).await;
    let answer = http.get(moved(&get, &other)).send().await.unwrap();
    assert_eq!(answer.status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_and_their_files_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::start_with(config(folder.path())).await;
    let (kept, renamed, deleted) = (
        bench.client.context("kept").await,
        bench.client.context("before").await,
        bench.client.context("deleted").await,
    );
    let command = "echo one > a; mkdir d; echo two > d/b; chmod 750 d/b; echo three > c";
    store(&bench.client, &kept, json!({}), command).await;
    store(&bench.client, &deleted, json!({}), "echo x > x").await;
    let renaming = [("id", renamed.as_str()), ("name", "after")];
    bench
        .client
        .post("/sdk/ModifyContext", &renaming, json!({}))
        .await
        .ok();
    bench
        .client
        .post("/sdk/DeleteContext", &[("id", &deleted)], json!({}))
        .await
        .ok();
    let deletion = [("contextId", kept.as_str()), ("filePath", "/tmp/data/c")];
    bench
        .client
        .post("/sdk/DeleteContextFile", &deletion, json!({}))
        .await
        .ok();
    let list = [
        ("contextId", kept.as_str()),
        ("parentFolderPath", "/tmp/data"),
    ];
    let before = bench
        .client
        .post("/sdk/DescribeContextFiles", &list, json!({}))
        .await;
    bench.emulator.stop().await;

    let bench = Bench::start_with(config(folder.path())).await;
    let after = bench
        .client
        .post("/sdk/DescribeContextFiles", &list, json!({}))
        .await;
    assert_eq!(after.data(), before.data());
    let files = "cat a d/b; stat -c %a d/b; ls";
    assert_eq!(
        seen(&bench.client, &kept, json!({}), files).await,
        "one\ntwo\n750\na\nd\n"
    );
    let names = bench.client.get("/sdk/ListContexts", &[]).await;
    let names: Vec<_> = names
        .data()
        .as_array()
        .unwrap()
        .iter()
        .map(|context| &context["name"])
        .collect();
    assert_eq!(names, ["kept", "after"]);
    assert_eq!(bench.client.context("after").await, renamed);
    // Whose they are is remembered too.
    let stranger = Client::new(&bench.emulator, "another key");
    let listed = stranger.get("/sdk/ListContexts", &[]).await;
    assert_eq!(listed.data().as_array().map(Vec::len), Some(0));
    assert_ne!(stranger.context("kept").await, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upload_mode_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let archive = json!({ "uploadPolicy": { "uploadMode": "Archive" } });
    let bench = Bench::start_with(config(folder.path())).await;
    let context = bench.client.context("context").await;
    store(
        &bench.client,
        &context,
        archive,
        "echo one > a; echo two > b",
    )
    .await;
    bench.emulator.stop().await;

    let bench = Bench::start_with(config(folder.path())).await;
    assert_eq!(
        seen(&bench.client, &context, json!({}), "cat a b").await,
        "one\ntwo\n"
    );
    store(&bench.client, &context, json!({}), "echo three > c").await;
    assert_eq!(
        bench.client.files(&context, "/tmp/data").await,
        ["/tmp/data/agb-archive.zip"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_with_the_emulator() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::start_with(config(folder.path())).await;
    let session = bench.client.session().await;
    bench.client.shell(&session, "echo x > /tmp/x").await;
    bench.emulator.stop().await;
    let sessions = folder.path().join("data/sessions");
    eventually("nothing is left of them", async || {
        (!sessions.exists()).then_some(())
    })
    .await;

    let bench = Bench::start_with(config(folder.path())).await;
    let body = json!({ "sessionId": session });
    bench
        .client
        .post("/mcp/getSession", &[], body)
        .await
        .refused(400, "InvalidMcpSession.NotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clear_that_was_cut_off_is_finished_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Config {
        clear_duration: std::time::Duration::from_mins(10),
        ..config(folder.path())
    };
    let bench = Bench::start_with(slow).await;
    let context = bench.client.context("context").await;
    store(&bench.client, &context, json!({}), "echo x > x").await;
    bench
        .client
        .post("/sdk/ClearContext", &[("id", &context)], json!({}))
        .await
        .ok();
    bench.emulator.stop().await;

    let bench = Bench::start_with(config(folder.path())).await;
    let answer = bench
        .client
        .get("/sdk/GetContext", &[("id", &context)])
        .await;
    assert_eq!(answer.data()["state"], "available");
    assert!(bench.client.files(&context, "/tmp/data").await.is_empty());
    let blobs = folder.path().join("data/blobs").read_dir().unwrap();
    assert_eq!(blobs.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_that_nobody_names_are_swept_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::start_with(config(folder.path())).await;
    let context = bench.client.context("context").await;
    store(&bench.client, &context, json!({}), "echo x > x").await;
    bench.emulator.stop().await;
    std::fs::write(folder.path().join("data/blobs/half"), "half").unwrap();

    let bench = Bench::start_with(config(folder.path())).await;
    let blobs = folder.path().join("data/blobs").read_dir().unwrap();
    assert_eq!(blobs.count(), 1);
    assert_eq!(
        seen(&bench.client, &context, json!({}), "cat x").await,
        "x\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_emulator_on_the_same_directory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::start_with(config(folder.path())).await;
    let context = bench.client.context("context").await;
    let Err(error) = Emulator::start(config(folder.path())).await else {
        panic!("a second emulator started");
    };
    assert!(matches!(error, StartError::DataDir { .. }), "{error}");
    assert!(error.to_string().contains("another emulator"), "{error}");
    // The first one goes on as if nothing had been.
    store(&bench.client, &context, json!({}), "echo x > x").await;
    bench.emulator.stop().await;
    Bench::start_with(config(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_program_says_so_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::with_data(folder.path());
    let output = Command::new(env!("CARGO_BIN_EXE_agb-emulator"))
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("another emulator"), "{error}");
    program.client.context("context").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_data_directory_nothing_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start::<&str>(folder.path(), &[]);
    program.client.context("context").await;
    program.signal(Signal::SIGTERM);
    assert!(program.child.wait().unwrap().success());
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_whose_state_is_damaged_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::start_with(config(folder.path())).await;
    let context = bench.client.context("context").await;
    store(&bench.client, &context, json!({}), "echo x > x").await;
    bench.emulator.stop().await;
    let blob = folder.path().join("data/blobs").read_dir().unwrap().next();
    std::fs::write(blob.unwrap().unwrap().path(), "longer than it was").unwrap();
    let Err(error) = Emulator::start(config(folder.path())).await else {
        panic!("it started on damaged data");
    };
    assert!(error.to_string().contains("/tmp/data/x"), "{error}");
}
