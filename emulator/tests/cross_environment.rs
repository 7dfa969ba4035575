//! The scenario that must always work: data stored in one kind of session is found in another, elsewhere.

mod support;

use serde_json::json;
use support::Bench;

const TEXT: &str = "This file was created in the first session";

/// The policy that the SDK writes when it is given only parts, with or without a mapping.
fn policy(original_path: Option<&str>) -> serde_json::Value {
    let mut policy = json!({
        "uploadPolicy": { "autoUpload": true, "uploadStrategy": "UploadBeforeResourceRelease", "uploadMode": "File" },
        "downloadPolicy": { "autoDownload": true, "downloadStrategy": "DownloadAsync" },
        "deletePolicy": { "syncLocalFile": true },
        "extractPolicy": { "extract": true, "deleteSrcFile": true, "extractToCurrentFolder": false },
        "recyclePolicy": { "lifecycle": "Lifecycle_Forever", "paths": [""] },
        "bwList": { "whiteLists": [] },
    });
    if let Some(path) = original_path {
        policy["mappingPolicy"] = json!({ "path": path });
    }
    policy
}

/// Writes a file in a session of the first image, syncs, and deletes the session. Returns the context.
async fn store(bench: &Bench, image: &str, path: &str) -> String {
    let context = bench.client.context("cross-platform-context").await;
    let session = bench
        .client
        .session_with(image, &[(&context, path, policy(None))])
        .await;
    let written = bench
        .client
        .shell(
            &session,
            &format!("echo \"{TEXT}\" > \"{path}/test-file.txt\""),
        )
        .await;
    assert_eq!(written.exit_code, 0, "{written:?}");
    let tasks = bench.client.upload(&session).await;
    assert_eq!(tasks[0]["status"], "Success");
    bench.client.release(&session).await;
    context
}

/// What a new session of the image that mounts the context at the path finds in the file.
async fn found(
    bench: &Bench,
    image: &str,
    context: &str,
    path: &str,
    original_path: Option<&str>,
) -> String {
    let mounts = [(context, path, policy(original_path))];
    let session = bench.client.session_with(image, &mounts).await;
    let read = format!("cat {path}/test-file.txt");
    bench.client.shell(&session, &read).await.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn data_from_a_browser_session_is_found_at_another_path_in_a_code_session() {
    let bench = Bench::start().await;
    let context = store(&bench, "agb-browser-use-1", "/tmp/mapping").await;
    assert_eq!(
        bench.client.files(&context, "/tmp/mapping").await,
        ["/tmp/mapping/test-file.txt"]
    );
    let (image, original) = ("agb-code-space-1", Some("/tmp/mapping"));
    let read = found(&bench, image, &context, "/home/data", original).await;
    assert_eq!(read, format!("{TEXT}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn data_from_a_code_session_is_found_at_another_path_in_a_browser_session() {
    let bench = Bench::start().await;
    let context = store(&bench, "agb-code-space-1", "/home/project").await;
    let (image, original) = ("agb-browser-use-1", Some("/home/project"));
    let read = found(&bench, image, &context, "/tmp/workspace", original).await;
    assert_eq!(read, format!("{TEXT}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_mapping_another_path_shows_nothing() {
    let bench = Bench::start().await;
    let context = store(&bench, "agb-browser-use-1", "/tmp/mapping").await;
    let mounts = [(context.as_str(), "/home/data", policy(None))];
    let session = bench.client.session_with("agb-code-space-1", &mounts).await;
    assert_eq!(
        bench
            .client
            .shell(&session, "ls -A /home/data")
            .await
            .stdout,
        ""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_same_path_no_mapping_is_needed() {
    let bench = Bench::start().await;
    let context = store(&bench, "agb-browser-use-1", "/tmp/mapping").await;
    let read = found(&bench, "agb-code-space-1", &context, "/tmp/mapping", None).await;
    assert_eq!(read, format!("{TEXT}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_from_a_mapped_session_lands_under_the_original_path() {
    let bench = Bench::start().await;
    let context = store(&bench, "agb-browser-use-1", "/tmp/mapping").await;
    let mounts = [(context.as_str(), "/home/data", policy(Some("/tmp/mapping")))];
    let session = bench.client.session_with("agb-code-space-1", &mounts).await;
    bench
        .client
        .shell(
            &session,
            "mkdir /home/data/deep && echo more > /home/data/deep/more.txt",
        )
        .await;
    bench.client.upload(&session).await;
    assert_eq!(
        bench.client.files(&context, "/tmp/mapping/deep").await,
        ["/tmp/mapping/deep/more.txt"]
    );
    assert!(bench.client.files(&context, "/home").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_two_contexts_keeps_them_apart() {
    let bench = Bench::start().await;
    let (one, two) = (
        bench.client.context("one").await,
        bench.client.context("two").await,
    );
    let mounts = [
        (one.as_str(), "/tmp/one", policy(None)),
        (two.as_str(), "/home/two", policy(None)),
    ];
    let session = bench.client.session_with("agb-code-space-1", &mounts).await;
    bench
        .client
        .shell(
            &session,
            "echo 1 > /tmp/one/a; echo 2 > /home/two/b; echo 3 > /tmp/c",
        )
        .await;
    assert_eq!(bench.client.upload(&session).await.len(), 2);
    assert_eq!(bench.client.files(&one, "/tmp/one").await, ["/tmp/one/a"]);
    assert_eq!(bench.client.files(&two, "/home/two").await, ["/home/two/b"]);
    assert_eq!(bench.client.files(&one, "/tmp").await, ["/tmp/one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn releasing_a_session_uploads_first_when_its_policy_says_so() {
    let bench = Bench::start().await;
    for (auto_upload, stored) in [(true, 1), (false, 0)] {
        let context = bench.client.context(&format!("auto-{auto_upload}")).await;
        let policy = json!({ "uploadPolicy": { "autoUpload": auto_upload } });
        let session = bench
            .client
            .session_with("agb-code-space-1", &[(&context, "/tmp/data", policy)])
            .await;
        bench.client.shell(&session, "echo x > /tmp/data/x").await;
        bench.client.release(&session).await;
        assert_eq!(
            bench.client.files(&context, "/tmp/data").await.len(),
            stored,
            "{auto_upload}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_auto_download_files_come_when_asked_for() {
    let bench = Bench::start().await;
    let context = store(&bench, "agb-browser-use-1", "/tmp/mapping").await;
    let policy = json!({ "downloadPolicy": { "autoDownload": false } });
    let session = bench
        .client
        .session_with("agb-code-space-1", &[(&context, "/tmp/mapping", policy)])
        .await;
    assert_eq!(
        bench
            .client
            .shell(&session, "ls -A /tmp/mapping")
            .await
            .stdout,
        ""
    );
    let query = [("sessionId", session.as_str()), ("mode", "download")];
    bench
        .client
        .post("/sdk/SyncContext", &query, json!({}))
        .await
        .ok();
    support::eventually("the download has ended", async || {
        let tasks = bench
            .client
            .tasks(&session, &[("taskType", "download")])
            .await;
        tasks
            .iter()
            .any(|task| task["status"] == "Success")
            .then_some(())
    })
    .await;
    assert_eq!(
        bench
            .client
            .shell(&session, "ls -A /tmp/mapping")
            .await
            .stdout,
        "test-file.txt\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn links_in_a_session_lead_the_sync_nowhere() {
    let bench = Bench::start().await;
    let context = bench.client.context("links").await;
    let mounts = [(context.as_str(), "/tmp/data", policy(None))];
    let session = bench.client.session_with("agb-code-space-1", &mounts).await;
    let command =
        "cd /tmp/data && ln -s /etc/passwd file && ln -s / root && mkfifo pipe && echo x > real";
    assert_eq!(bench.client.shell(&session, command).await.exit_code, 0);
    assert_eq!(bench.client.upload(&session).await[0]["status"], "Success");
    assert_eq!(
        bench.client.files(&context, "/tmp/data").await,
        ["/tmp/data/real"]
    );

    // The mount path itself becomes a link: the sync says that it failed, and nothing is deleted.
    bench
        .client
        .shell(&session, "rm -r /tmp/data && ln -s /etc /tmp/data")
        .await;
    assert_eq!(bench.client.upload(&session).await[0]["status"], "Failed");
    assert_eq!(
        bench.client.files(&context, "/tmp/data").await,
        ["/tmp/data/real"]
    );
}
