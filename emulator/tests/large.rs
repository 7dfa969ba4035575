//! Large trees and large files, in bounded memory.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::program::Program;
use support::{Client, within};

/// `EMULATOR_LARGE_TREE` names another number.
const FILES: u64 = 4_000;
/// MiB; `EMULATOR_LARGE_FILE` names another size.
const LARGE_FILE: u64 = 64;
/// How much more memory a file may take, in KiB, whatever its size.
const BUFFERS: u64 = 24 * 1024;
/// How much more memory each file of a tree may take, in KiB: some names and numbers, a few times over.
const TREE_FILE: u64 = 5;
const PATIENCE: Duration = Duration::from_mins(2);

async fn run(client: &Client, session: &str, command: &str) -> String {
    let args = json!({ "command": command, "timeout_ms": 600_000 });
    let output = client.shell_with(session, args).await;
    assert_eq!(output.exit_code, 0, "{output:?}");
    output.stdout
}

/// Waits for the tasks of one type, of which there must be some.
async fn wait(client: &Client, session: &str, task_type: &str) {
    within(PATIENCE, "the transfer", async || {
        let tasks: Vec<Value> = client.tasks(session, &[("taskType", task_type)]).await;
        assert!(
            tasks.iter().all(|task| task["status"] != "Failed"),
            "{tasks:?}"
        );
        let ended = tasks.iter().all(|task| task["status"] == "Success");
        (ended && !tasks.is_empty()).then_some(())
    })
    .await;
}

/// Writes in one session and reads in another. Returns what both commands printed, and by how many KiB the program grew.
async fn round_trip(mode: &str, write: &str, read: &str) -> (String, String, u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::with_data(folder.path());
    let client = &program.client;
    let context = client.context("context").await;
    let policy = json!({ "uploadPolicy": { "uploadMode": mode } });
    let mounts = [(context.as_str(), "/tmp/data", policy)];
    let session = client.session_with("agb-code-space-1", &mounts).await;
    let written = run(client, &session, &format!("cd /tmp/data && {write}")).await;
    let before = program.peak_memory();
    let sync = [("sessionId", session.as_str())];
    client.post("/sdk/SyncContext", &sync, json!({})).await.ok();
    wait(client, &session, "upload").await;
    client.release(&session).await;

    let answer = client.try_session("agb-code-space-1", &mounts).await;
    let session = support::text(answer.data()["sessionId"].clone());
    wait(client, &session, "download").await;
    let after = program.peak_memory();
    let found = run(client, &session, &format!("cd /tmp/data && {read}")).await;
    (written, found, after - before)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_takes_no_more_memory_than_a_small_one() {
    let size = std::env::var("EMULATOR_LARGE_FILE")
        .map_or(LARGE_FILE, |size| size.parse().expect("a number"));
    for mode in ["File", "Archive"] {
        let write = format!("head -c {size}M /dev/urandom > large && sha256sum large");
        let (written, found, grown) = round_trip(mode, &write, "sha256sum large").await;
        assert_eq!(written, found, "{mode}");
        println!("{mode}: {grown} KiB more for {size} MiB");
        assert!(grown < BUFFERS, "{mode}: {grown} KiB more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_of_many_files_arrives_whole() {
    let files = std::env::var("EMULATOR_LARGE_TREE")
        .map_or(FILES, |files| files.parse().expect("a number"));
    for mode in ["File", "Archive"] {
        let write = format!(
            "for d in $(seq 100); do mkdir $d; done; for n in $(seq {files}); do echo $n > $((n % 100 + 1))/$n; done; cat */* | sort | sha256sum; ls */* | wc -l"
        );
        let read = "cat */* | sort | sha256sum; ls */* | wc -l";
        let (written, found, grown) = round_trip(mode, &write, read).await;
        assert_eq!(written, found, "{mode}");
        assert!(found.ends_with(&format!("\n{files}\n")), "{found}");
        println!("{mode}: {grown} KiB more for {files} files");
        assert!(grown < files * TREE_FILE, "{mode}: {grown} KiB more");
    }
}
