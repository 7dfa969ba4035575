//! Every switch of a sync policy, seen from a program that uses it.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Bench, Client, eventually};

const DAY: Duration = Duration::from_hours(24);

/// A session with the context at this path.
async fn session(client: &Client, context: &str, path: &str, policy: Value) -> String {
    client
        .session_with("agb-code-space-1", &[(context, path, policy)])
        .await
}

async fn run(client: &Client, session: &str, command: &str) -> String {
    let output = client.shell(session, command).await;
    assert_eq!(output.exit_code, 0, "{output:?}");
    output.stdout
}

async fn upload(client: &Client, session: &str) {
    let tasks = client.upload(session).await;
    assert!(
        tasks.iter().all(|task| task["status"] == "Success"),
        "{tasks:?}"
    );
}

/// What a new session on the context finds at this path.
async fn found(client: &Client, context: &str, path: &str, policy: Value) -> Vec<String> {
    let session = session(client, context, path, policy).await;
    let list = format!("cd {path} && find . -type f | sort");
    let files = run(client, &session, &list).await;
    client.release(&session).await;
    files
        .lines()
        .map(|line| line.trim_start_matches("./").to_owned())
        .collect()
}

fn archive() -> Value {
    json!({ "uploadPolicy": { "uploadMode": "Archive" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_reaches_the_context_only_when_the_policy_says_so() {
    let bench = Bench::start().await;
    let client = &bench.client;
    for mode in ["File", "Archive"] {
        for syncs in [true, false] {
            let context = client.context(&format!("{mode}-{syncs}")).await;
            let policy = json!({
                "uploadPolicy": { "uploadMode": mode },
                "deletePolicy": { "syncLocalFile": syncs },
            });
            let one = session(client, &context, "/tmp/data", policy.clone()).await;
            run(client, &one, "cd /tmp/data && echo x > x && echo y > y").await;
            upload(client, &one).await;
            run(client, &one, "rm /tmp/data/x").await;
            upload(client, &one).await;
            let left = found(client, &context, "/tmp/data", policy).await;
            let expected = if syncs { &["y"][..] } else { &["x", "y"] };
            assert_eq!(left, expected, "{mode} {syncs}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_white_list_and_its_exclusions_limit_uploads_and_downloads() {
    let bench = Bench::start().await;
    let client = &bench.client;
    for mode in ["File", "Archive"] {
        let context = client.context(mode).await;
        let all = json!({ "uploadPolicy": { "uploadMode": mode } });
        let limited = json!({
            "uploadPolicy": { "uploadMode": mode },
            "bwList": { "whiteLists": [
                { "path": "/keep", "excludePaths": ["/keep/not"] },
                { "path": "/also/this", "excludePaths": [] },
            ] },
        });
        let one = session(client, &context, "/tmp/data", limited.clone()).await;
        let write = "cd /tmp/data && mkdir -p keep/not also && touch keep/a keep/not/b also/this also/other top";
        run(client, &one, write).await;
        upload(client, &one).await;
        let stored = found(client, &context, "/tmp/data", all.clone()).await;
        assert_eq!(stored, ["also/this", "keep/a"], "{mode}");

        let two = session(client, &context, "/tmp/data", all.clone()).await;
        run(client, &two, write).await;
        upload(client, &two).await;
        let stored = found(client, &context, "/tmp/data", all).await;
        assert_eq!(stored.len(), 5, "{mode}");
        let brought = found(client, &context, "/tmp/data", limited).await;
        assert_eq!(brought, ["also/this", "keep/a"], "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_context_stores_one_archive_and_gives_the_tree_back_with_its_bits() {
    let bench = Bench::start().await;
    let client = &bench.client;
    let context = client.context("archive").await;
    let one = session(client, &context, "/tmp/data", archive()).await;
    let write = "cd /tmp/data && mkdir -p a/b && echo one > one && head -c 300000 /dev/urandom > a/b/two && chmod 750 one && sha256sum one a/b/two";
    let sums = run(client, &one, write).await;
    client.release(&one).await;
    assert_eq!(
        client.files(&context, "/tmp/data").await,
        ["/tmp/data/agb-archive.zip"]
    );

    let two = session(client, &context, "/tmp/data", archive()).await;
    assert_eq!(
        run(client, &two, "cd /tmp/data && sha256sum one a/b/two").await,
        sums
    );
    let seen = run(client, &two, "cd /tmp/data && stat -c %a one && ls").await;
    assert_eq!(seen, "750\na\none\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn extraction_can_be_left_out_and_the_archive_can_be_left_there() {
    let bench = Bench::start().await;
    let client = &bench.client;
    let context = client.context("archive").await;
    let one = session(client, &context, "/tmp/data", archive()).await;
    run(client, &one, "echo x > /tmp/data/x").await;
    upload(client, &one).await;
    let extract = |policy: Value| json!({ "uploadPolicy": { "uploadMode": "Archive" }, "extractPolicy": policy });
    for (policy, expected) in [
        (json!({}), &["x"][..]),
        (
            json!({ "extract": true, "deleteSrcFile": true, "extractToCurrentFolder": true }),
            &["x"],
        ),
        (json!({ "extract": false }), &["agb-archive.zip"]),
        (json!({ "deleteSrcFile": false }), &["agb-archive.zip", "x"]),
    ] {
        let files = found(client, &context, "/tmp/data", extract(policy.clone())).await;
        assert_eq!(files, expected, "{policy}");
    }
    // None of these sessions changed anything, though each of them uploaded before it ended.
    assert_eq!(found(client, &context, "/tmp/data", archive()).await, ["x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upload_mode_is_chosen_by_the_first_session() {
    let bench = Bench::start().await;
    let client = &bench.client;
    for (first, second, stored) in [
        ("File", "Archive", vec!["/tmp/data/x", "/tmp/data/y"]),
        ("Archive", "File", vec!["/tmp/data/agb-archive.zip"]),
    ] {
        let context = client.context(first).await;
        for (mode, name) in [(first, "x"), (second, "y")] {
            let policy = json!({ "uploadPolicy": { "uploadMode": mode } });
            let session = session(client, &context, "/tmp/data", policy).await;
            run(client, &session, &format!("echo > /tmp/data/{name}")).await;
            upload(client, &session).await;
        }
        assert_eq!(client.files(&context, "/tmp/data").await, stored);
        assert_eq!(
            found(client, &context, "/tmp/data", json!({})).await,
            ["x", "y"]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_leads_there_and_back() {
    let bench = Bench::start().await;
    let client = &bench.client;
    for mode in ["File", "Archive"] {
        let context = client.context(mode).await;
        let plain = json!({ "uploadPolicy": { "uploadMode": mode } });
        let mapped = json!({
            "uploadPolicy": { "uploadMode": mode },
            "mappingPolicy": { "path": "/tmp/mapping" },
        });
        let one = session(client, &context, "/tmp/mapping", plain.clone()).await;
        run(
            client,
            &one,
            "cd /tmp/mapping && mkdir deep && echo > deep/there",
        )
        .await;
        client.release(&one).await;
        let two = session(client, &context, "/home/data", mapped).await;
        let change = "cd /home/data && test -f deep/there && rm deep/there && echo > back";
        run(client, &two, change).await;
        client.release(&two).await;
        let left = found(client, &context, "/tmp/mapping", plain).await;
        assert_eq!(left, ["back"], "{mode}");
        assert!(client.files(&context, "/home").await.is_empty(), "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_stay_for_as_long_as_their_lifecycle_says() {
    let bench = Bench::start().await;
    let client = &bench.client;
    let lifecycles = [1, 3, 5, 10, 15, 30, 90, 180, 360];
    let mut contexts = Vec::new();
    for days in lifecycles {
        let unit = if days == 1 { "Day" } else { "Days" };
        contexts.push((days, format!("Lifecycle_{days}{unit}")));
    }
    contexts.push((u32::MAX, "Lifecycle_Forever".to_owned()));
    let mut ids = Vec::new();
    for (days, lifecycle) in contexts {
        let context = client.context(&lifecycle).await;
        let policy = json!({ "recyclePolicy": { "lifecycle": lifecycle, "paths": [""] } });
        let session = session(client, &context, "/tmp/data", policy).await;
        run(client, &session, "echo x > /tmp/data/x").await;
        client.release(&session).await;
        ids.push((days, context));
    }
    // Shortly before the time of each is over, and shortly after.
    let mut passed = 0;
    for days in lifecycles {
        for hours in [days * 24 - 1, days * 24 + 1] {
            let step = Duration::from_hours(u64::from(hours - passed));
            bench.emulator.clock().advance(step);
            passed = hours;
            for (life, context) in &ids {
                let over = life.checked_mul(24).is_some_and(|life| life <= hours);
                let left = client.files(context, "/tmp/data").await.len();
                assert_eq!(left, usize::from(!over), "{life} days, after {hours} hours");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_paths_of_the_recycle_policy_are_recycled_and_a_new_upload_counts_anew() {
    // Sessions that outlive the files.
    let bench = Bench::start_with(agb_emulator::Config {
        idle_timeout: 1000 * DAY,
        max_session_life: 1000 * DAY,
        ..support::config()
    })
    .await;
    let client = &bench.client;
    let context = client.context("context").await;
    let policy = json!({ "recyclePolicy": { "lifecycle": "Lifecycle_3Days", "paths": ["/cache", "/tmp/data/logs"] } });
    let one = session(client, &context, "/tmp/data", policy).await;
    run(
        client,
        &one,
        "cd /tmp/data && mkdir cache logs && touch cache/a cache/b logs/c kept",
    )
    .await;
    upload(client, &one).await;
    bench.emulator.clock().advance(2 * DAY);
    run(client, &one, "echo again > /tmp/data/cache/b").await;
    upload(client, &one).await;
    bench.emulator.clock().advance(2 * DAY);
    assert_eq!(
        client.files(&context, "/tmp/data/cache").await,
        ["/tmp/data/cache/b"]
    );
    assert!(client.files(&context, "/tmp/data/logs").await.is_empty());
    assert_eq!(
        client.files(&context, "/tmp/data").await,
        ["/tmp/data/cache", "/tmp/data/kept"]
    );
    // The latest session on the path says how long they stay.
    session(client, &context, "/tmp/data", json!({})).await;
    bench.emulator.clock().advance(100 * DAY);
    assert_eq!(
        client.files(&context, "/tmp/data/cache").await,
        ["/tmp/data/cache/b"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn recycled_files_leave_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let config = agb_emulator::Config {
        data_dir: Some(folder.path().join("data")),
        ..support::config()
    };
    let bench = Bench::start_with(config).await;
    let context = bench.client.context("context").await;
    let policy = json!({ "recyclePolicy": { "lifecycle": "Lifecycle_1Day", "paths": [""] } });
    let one = session(&bench.client, &context, "/tmp/data", policy).await;
    run(&bench.client, &one, "echo x > /tmp/data/x").await;
    bench.client.release(&one).await;
    let blobs = || folder.path().join("data/blobs").read_dir().unwrap().count();
    assert_eq!(blobs(), 1);
    bench.emulator.clock().advance(DAY);
    eventually("the bytes are gone", async || (blobs() == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sessions_that_upload_one_file_at_once_leave_one_of_both_versions() {
    let bench = Bench::start().await;
    let client = &bench.client;
    for mode in ["File", "Archive"] {
        let context = client.context(mode).await;
        let policy = json!({ "uploadPolicy": { "uploadMode": mode } });
        let one = session(client, &context, "/tmp/data", policy.clone()).await;
        let two = session(client, &context, "/tmp/data", policy.clone()).await;
        for round in 0..5 {
            let write = |who: &str| {
                format!(
                    "yes {who}{round} | head -n 200000 > /tmp/data/both; echo {round} > /tmp/data/{who}"
                )
            };
            let (of_one, of_two) = (write("one"), write("two"));
            tokio::join!(run(client, &one, &of_one), run(client, &two, &of_two));
            tokio::join!(upload(client, &one), upload(client, &two));
            let three = session(client, &context, "/tmp/data", policy.clone()).await;
            let seen = run(
                client,
                &three,
                "cd /tmp/data && sort -u both && wc -l < both && cat one two",
            )
            .await;
            let lines: Vec<_> = seen.lines().collect();
            let versions = [format!("one{round}"), format!("two{round}")];
            assert!(
                versions.iter().any(|version| version == lines[0]),
                "{mode}: {seen}"
            );
            let round = round.to_string();
            assert_eq!(lines[1..], ["200000", &round, &round], "{mode}");
            client.release(&three).await;
        }
    }
}
