//! Data persisted in one session is found in another, at another path: the scenario of the guide, and around it.

use agb_gateway::proto::v1 as pb;

use crate::support::{BROWSER_IMAGE, CODE_IMAGE, World, mapped, mount};

const TEXT: &str = "This file was created in the first session";

/// Writes the guide's file at `path` in a new session, syncs, and ends the session.
async fn persist(world: &World, image: &str, context_id: &str, path: &str) {
    let session = world
        .create_session(image, vec![mount(context_id, path)])
        .await;
    let write = format!(r#"mkdir -p {path} && echo "{TEXT}" > "{path}/test-file.txt""#);
    world.run(&session, &write).await;
    let status = world.sync_all(&session).await.unwrap();
    assert_eq!(status.state(), pb::SyncState::Succeeded);
    world.end(&session).await;
}

async fn read(world: &World, session: &str, path: &str) -> String {
    world
        .run(session, &format!(r#"cat "{path}/test-file.txt""#))
        .await
}

#[tokio::test]
async fn data_of_a_browser_session_is_found_in_a_code_session() {
    let world = World::start().await;
    let context = world.create_context("cross-platform-context").await;
    persist(&world, BROWSER_IMAGE, &context, "/tmp/mapping").await;
    let access = vec![mapped(&context, "/home/data", "/tmp/mapping")];
    let session = world.create_session(CODE_IMAGE, access).await;
    assert_eq!(
        read(&world, &session, "/home/data").await,
        format!("{TEXT}\n")
    );
}

#[tokio::test]
async fn data_of_a_code_session_is_found_in_a_browser_session() {
    let world = World::start().await;
    let context = world.create_context("reverse").await;
    persist(&world, CODE_IMAGE, &context, "/home/project").await;
    let access = vec![mapped(&context, "/tmp/workspace", "/home/project")];
    let session = world.create_session(BROWSER_IMAGE, access).await;
    assert_eq!(
        read(&world, &session, "/tmp/workspace").await,
        format!("{TEXT}\n")
    );
}

#[tokio::test]
async fn without_a_mapping_the_other_path_s_files_are_not_seen() {
    let world = World::start().await;
    let context = world.create_context("unmapped").await;
    persist(&world, BROWSER_IMAGE, &context, "/tmp/mapping").await;
    let session = world
        .create_session(CODE_IMAGE, vec![mount(&context, "/home/data")])
        .await;
    assert_eq!(world.run(&session, "ls -A /home/data").await, "");
}

#[tokio::test]
async fn two_contexts_in_one_session_stay_apart() {
    let world = World::start().await;
    let first = world.create_context("first").await;
    let second = world.create_context("second").await;
    let mounts = vec![mount(&first, "/home/first"), mount(&second, "/home/second")];
    let session = world.create_session(CODE_IMAGE, mounts.clone()).await;
    world
        .run(
            &session,
            "echo 1 > /home/first/one; echo 2 > /home/second/two",
        )
        .await;
    let status = world.sync_all(&session).await.unwrap();
    let mut synced: Vec<_> = status
        .tasks
        .iter()
        .map(|task| task.context_id.as_str())
        .collect();
    synced.sort_unstable();
    let mut expected = vec![first.as_str(), second.as_str()];
    expected.sort_unstable();
    assert_eq!(synced, expected);
    world.end(&session).await;

    let session = world.create_session(CODE_IMAGE, mounts).await;
    assert_eq!(
        world.run(&session, "ls /home/first /home/second").await,
        "/home/first:\none\n\n/home/second:\ntwo\n"
    );
}

#[tokio::test]
async fn what_a_mapped_session_uploads_lands_under_the_original_path() {
    let world = World::start().await;
    let context = world.create_context("mapped upload").await;
    persist(&world, BROWSER_IMAGE, &context, "/tmp/mapping").await;
    let access = vec![mapped(&context, "/home/data", "/tmp/mapping")];
    let session = world.create_session(CODE_IMAGE, access).await;
    world
        .run(&session, "echo added > /home/data/added.txt")
        .await;
    world.sync_all(&session).await.unwrap();
    world.end(&session).await;

    let session = world
        .create_session(BROWSER_IMAGE, vec![mount(&context, "/tmp/mapping")])
        .await;
    assert_eq!(
        world.run(&session, "ls /tmp/mapping").await,
        "added.txt\ntest-file.txt\n"
    );
}
