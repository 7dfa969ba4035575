//! Archives that come from outside, by presigned URLs, and what a session finds of them.

mod support;

use std::io::{Cursor, Write as _};

use serde_json::{Value, json};
use support::{Bench, Client};

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(*name, options).expect("a name");
        writer.write_all(content.as_bytes()).expect("room");
    }
    writer.finish().expect("an archive").into_inner()
}

/// Uploads bytes into a context as a program outside of any session does.
async fn put(client: &Client, context: &str, path: &str, bytes: Vec<u8>) {
    let query = [("contextId", context), ("filePath", path)];
    let answer = client
        .post("/sdk/GetContextFileUploadUrl", &query, json!({}))
        .await;
    let url = answer.data()["url"].as_str().expect("a URL").to_owned();
    let request = reqwest::Client::new().put(url).body(bytes);
    let response = request.send().await.expect("an answer");
    assert!(response.status().is_success(), "{response:?}");
}

/// A session on an archive context with an archive in it. Tells how the download ended and which files came.
async fn download(client: &Client, name: &str, extract: Value, bytes: Vec<u8>) -> (Value, String) {
    let context = client.context(name).await;
    put(client, &context, "/tmp/data/set.zip", bytes).await;
    let policy = json!({ "uploadPolicy": { "uploadMode": "Archive" }, "extractPolicy": extract });
    let mounts = [(context.as_str(), "/tmp/data", policy)];
    let session = client.session_with("agb-code-space-1", &mounts).await;
    let task = client.tasks(&session, &[]).await.remove(0);
    let list = "cd /tmp && find . -type f -o -type l | sort | tr '\\n' ' '";
    let found = client.shell(&session, list).await;
    client.release(&session).await;
    (task, found.stdout.trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_switches_decide_what_becomes_of_it() {
    let bench = Bench::start().await;
    for (extract, delete, current, expected) in [
        (true, true, false, "./data/set/a"),
        (true, true, true, "./data/a"),
        (true, false, false, "./data/set.zip ./data/set/a"),
        (true, false, true, "./data/a ./data/set.zip"),
        (false, true, false, "./data/set.zip"),
    ] {
        let policy = json!({
            "extract": extract,
            "deleteSrcFile": delete,
            "extractToCurrentFolder": current,
        });
        let name = policy.to_string();
        let (task, found) = download(&bench.client, &name, policy, zip(&[("a", "text")])).await;
        assert_eq!(task["status"], "Success", "{task}");
        assert_eq!(found, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_means_harm_is_refused_and_named() {
    let bench = Bench::start().await;
    let many: Vec<_> = (0..101).map(|number| number.to_string()).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
    let limited = Bench::start_with(agb_emulator::Config {
        max_unpacked_files: 100,
        max_unpacked_bytes: 1000,
        ..support::config()
    })
    .await;
    let zeros = "\0".repeat(1001);
    for (name, bench, files) in [
        ("climbs", &bench, &[("good", "x"), ("../../evil", "x")][..]),
        ("absolute", &bench, &[("/tmp/evil", "x")]),
        ("too many", &limited, &many),
        ("too large", &limited, &[("zeros", zeros.as_str())]),
    ] {
        let (task, found) = download(&bench.client, name, json!({}), zip(files)).await;
        assert_eq!(task["status"], "Failed", "{name}: {task}");
        let message = task["errorMessage"].as_str().expect("a message");
        assert!(message.contains("set.zip"), "{name}: {message}");
        assert_eq!(found, "./data/set.zip", "{name}");
    }
}
