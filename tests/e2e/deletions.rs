//! The end of a session: true, and without a loss of data unless that is asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use agb_emulator::{FaultAction, SyncDirection};
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::session_service_client::SessionServiceClient;
use figment::Figment;

use crate::support::{CODE_IMAGE, World, mount, reason, within};

fn delete(session_id: &str) -> pb::DeleteSessionRequest {
    pb::DeleteSessionRequest {
        session_id: session_id.to_owned(),
        ..pb::DeleteSessionRequest::default()
    }
}

fn fail_upload() -> FaultAction {
    FaultAction::FailSyncTask {
        direction: Some(SyncDirection::Upload),
        message: "the quota is used up".to_owned(),
    }
}

/// Waits until AGB says that a session has ended; the deadline of the test is the only limit.
pub(crate) async fn until_gone(world: &World, session_id: &str) {
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    while !matches!(
        world
            .get_session(session_id)
            .await
            .map(|session| session.state()),
        Err(_) | Ok(pb::SessionState::Deleted)
    ) {
        pause.tick().await;
    }
}

#[tokio::test]
async fn a_deleted_session_is_really_gone() {
    let world = World::start().await;
    let session = world.create_session(CODE_IMAGE, vec![]).await;
    world.delete_session(delete(&session)).await.unwrap();
    match world.get_session(&session).await {
        Ok(session) => assert_eq!(session.state(), pb::SessionState::Deleted),
        Err(status) => assert_eq!(reason(&status), "SESSION_NOT_FOUND"),
    }
}

#[tokio::test]
async fn a_session_that_is_not_there_can_only_be_deleted_if_that_is_allowed() {
    let world = World::start().await;
    let status = world.delete_session(delete("s-none")).await.unwrap_err();
    assert_eq!(reason(&status), "SESSION_NOT_FOUND");
    let request = pb::DeleteSessionRequest {
        allow_missing: true,
        ..delete("s-none")
    };
    world.delete_session(request).await.unwrap();
}

#[tokio::test]
async fn looks_that_fail_do_not_make_a_session_gone() {
    let world = World::start().await;
    let session = world.create_session(CODE_IMAGE, vec![]).await;
    let page = FaultAction::Respond {
        status: 502,
        body: "<html>not found</html>".to_owned(),
        headers: BTreeMap::from([("content-type".to_owned(), "text/html".to_owned())]),
    };
    let fault = world.inject("getSessionInfo", 3, page);
    world.delete_session(delete(&session)).await.unwrap();
    assert_eq!(world.emulator.faults().fired(fault), 3);
    assert!(world.emulator.request_count("getSessionInfo") > 3);
}

#[tokio::test]
async fn a_deletion_can_upload_first() {
    let world = World::start().await;
    let context = world.create_context("c").await;
    let mounts = vec![pb::ContextSync {
        policy: Some(pb::SyncPolicy {
            upload_policy: Some(pb::UploadPolicy {
                auto_upload: Some(false),
                ..pb::UploadPolicy::default()
            }),
            ..pb::SyncPolicy::default()
        }),
        ..mount(&context, "/home/data")
    }];
    let session = world.create_session(CODE_IMAGE, mounts.clone()).await;
    world.run(&session, "echo kept > /home/data/file").await;
    let request = pb::DeleteSessionRequest {
        sync_contexts: true,
        ..delete(&session)
    };
    let answer = world.delete_session(request).await.unwrap();
    assert_eq!(
        answer.sync_status.unwrap().state(),
        pb::SyncState::Succeeded
    );
    let session = world.create_session(CODE_IMAGE, mounts).await;
    assert_eq!(world.run(&session, "cat /home/data/file").await, "kept\n");
}

#[tokio::test]
async fn a_session_whose_upload_fails_is_not_deleted_unless_forced() {
    let world = World::start().await;
    let context = world.create_context("c").await;
    let session = world
        .create_session(CODE_IMAGE, vec![mount(&context, "/home/data")])
        .await;
    world.inject("SyncContext", 2, fail_upload());
    let request = pb::DeleteSessionRequest {
        sync_contexts: true,
        ..delete(&session)
    };
    let status = world.delete_session(request.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "SYNC_FAILED");
    assert!(
        status.message().contains("the session is not deleted"),
        "{status:?}"
    );
    let alive = world.get_session(&session).await.unwrap();
    assert_eq!(alive.state(), pb::SessionState::Running);

    let request = pb::DeleteSessionRequest {
        delete_despite_failed_sync: true,
        ..request
    };
    let answer = world.delete_session(request).await.unwrap();
    assert_eq!(answer.sync_status.unwrap().state(), pb::SyncState::Failed);
}

#[tokio::test]
async fn a_forced_deletion_keeps_time_for_the_release_when_the_upload_hangs() {
    let world = World::start().await;
    let context = world.create_context("c").await;
    let session = world
        .create_session(CODE_IMAGE, vec![mount(&context, "/home/data")])
        .await;
    let stall = FaultAction::StallSyncTask { direction: None };
    world.inject("SyncContext", 1, stall);
    let settings = Figment::new()
        .merge(("server.max_deadline", "8s"))
        .merge(("server.default_deadline", "8s"));
    let (_gateway, channel) = world.replica_with(settings).await;
    let request = pb::DeleteSessionRequest {
        sync_contexts: true,
        delete_despite_failed_sync: true,
        ..delete(&session)
    };
    let answer = SessionServiceClient::new(channel)
        .delete_session(within(request))
        .await
        .unwrap();
    let known = answer.into_inner().sync_status.unwrap();
    assert_eq!(known.state(), pb::SyncState::Running);
    until_gone(&world, &session).await;
}
