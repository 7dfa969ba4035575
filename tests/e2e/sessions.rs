//! SessionService.

use std::collections::BTreeMap;

use agb_emulator::{FaultAction, SyncDirection};
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::session_service_client::SessionServiceClient;
use tonic::{Code, Status};

use crate::deletions::until_gone;
use crate::support::{CODE_IMAGE, World, mount, reason, seconds, sync_status, within};

async fn create(
    world: &World,
    request: pb::CreateSessionRequest,
) -> Result<pb::CreateSessionResponse, Status> {
    let answer = world.sessions().create_session(within(request)).await?;
    Ok(answer.into_inner())
}

fn with_context(context_id: &str) -> pb::CreateSessionRequest {
    pb::CreateSessionRequest {
        image_id: CODE_IMAGE.to_owned(),
        context_syncs: vec![mount(context_id, "/home/data")],
        ..pb::CreateSessionRequest::default()
    }
}

fn fail_download() -> FaultAction {
    FaultAction::FailSyncTask {
        direction: Some(SyncDirection::Download),
        message: "storage is not available".to_owned(),
    }
}

/// The session that an error is about.
fn session_of(status: &Status) -> String {
    use tonic_types::StatusExt as _;
    let details = status.get_error_details();
    let resource = details.resource_info().expect("a ResourceInfo");
    assert_eq!(resource.resource_type, "session");
    resource.resource_name.clone()
}

#[tokio::test]
async fn a_session_is_created_with_everything_that_was_asked_for() {
    let world = World::start().await;
    let context = world.create_context("c").await;
    let answer = create(
        &world,
        pb::CreateSessionRequest {
            labels: BTreeMap::from([("purpose".to_owned(), "test".to_owned())]),
            policy_id: "policy-1".to_owned(),
            idle_timeout: Some(seconds(90)),
            ..with_context(&context)
        },
    )
    .await
    .unwrap();
    let session = answer.session.unwrap();
    assert_eq!(session.image_id, CODE_IMAGE);
    assert_eq!(
        answer.sync_status.unwrap().state(),
        pb::SyncState::Succeeded
    );
    let request = world.first_request("createSession");
    assert_eq!(request.query["imageId"], CODE_IMAGE);
    let labels = request.body["labels"].as_str().unwrap();
    let labels: BTreeMap<String, String> = serde_json::from_str(labels).unwrap();
    assert_eq!(labels["purpose"], "test");
    assert!(
        labels
            .keys()
            .all(|key| key == "purpose" || key.starts_with("agb-gateway/"))
    );
    assert_eq!(request.body["mcpPolicyId"], "policy-1");
    assert_eq!(request.body["timeout"], 90);
    assert_eq!(request.body["persistenceDataList"][0]["path"], "/home/data");
    let found = world.get_session(&session.session_id).await.unwrap();
    assert_eq!(found.state(), pb::SessionState::Running);
}

#[tokio::test]
async fn browser_data_is_mounted_as_agb_s_sdk_does() {
    let world = World::start().await;
    let data = world.create_context("data").await;
    let extensions = world.create_context("extensions").await;
    let fingerprint = world.create_context("fingerprint").await;
    create(
        &world,
        pb::CreateSessionRequest {
            image_id: "agb-browser-use-1".to_owned(),
            browser_context: Some(pb::BrowserContext {
                context_id: data,
                auto_upload: None,
                fingerprint_context_id: fingerprint,
                extension_option: Some(pb::ExtensionOption {
                    context_id: extensions,
                    extension_ids: vec!["ext-1".to_owned()],
                }),
            }),
            ..pb::CreateSessionRequest::default()
        },
    )
    .await
    .unwrap();
    let request = world.first_request("createSession");
    let mounts = request.body["persistenceDataList"].as_array().unwrap();
    let paths: Vec<_> = mounts
        .iter()
        .map(|mount| mount["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "/tmp/extensions/",
            "/tmp/agb_browser_fingerprint",
            "/tmp/agb_browser_data"
        ]
    );
    let policy = |index: usize| -> serde_json::Value {
        serde_json::from_str(mounts[index]["policy"].as_str().unwrap()).unwrap()
    };
    assert_eq!(policy(0)["uploadPolicy"]["autoUpload"], false);
    assert_eq!(policy(0)["deletePolicy"]["syncLocalFile"], false);
    assert_eq!(policy(0)["bwList"]["whiteLists"][0]["path"], "ext-1");
    assert_eq!(policy(1)["uploadPolicy"]["autoUpload"], false);
    assert_eq!(policy(2)["uploadPolicy"]["autoUpload"], true);
    assert_eq!(
        policy(2)["bwList"]["whiteLists"][2]["path"],
        "/Default/Cookies-journal"
    );
}

#[tokio::test]
async fn browser_data_need_not_be_uploaded() {
    let world = World::start().await;
    let browser_context = pb::BrowserContext {
        context_id: world.create_context("data").await,
        auto_upload: Some(false),
        ..pb::BrowserContext::default()
    };
    let request = pb::CreateSessionRequest {
        image_id: "agb-browser-use-1".to_owned(),
        browser_context: Some(browser_context),
        ..pb::CreateSessionRequest::default()
    };
    create(&world, request).await.unwrap();
    let request = world.first_request("createSession");
    let text = request.body["persistenceDataList"][0]["policy"]
        .as_str()
        .unwrap();
    let policy: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(policy["uploadPolicy"]["autoUpload"], false);
}

#[tokio::test]
async fn a_session_can_be_had_at_once_and_its_contexts_waited_for_later() {
    let world = World::start().await;
    let context = world.create_context("c").await;
    let request = pb::CreateSessionRequest {
        return_immediately: true,
        ..with_context(&context)
    };
    let status = create(&world, request).await.unwrap().sync_status.unwrap();
    assert_eq!(status.state(), pb::SyncState::Pending);
    let request = pb::WaitForSyncRequest {
        target: Some(pb::wait_for_sync_request::Target::SyncToken(
            status.sync_token,
        )),
    };
    let answer = world.syncs().wait_for_sync(within(request)).await.unwrap();
    assert_eq!(answer.into_inner().status.unwrap().tasks.len(), 1);
}

#[tokio::test]
async fn a_session_whose_context_fails_is_an_error_and_released() {
    let world = World::start().await;
    let context = world.create_context("c").await;
    let fault = world.inject("createSession", 1, fail_download());
    let status = create(&world, with_context(&context)).await.unwrap_err();
    assert_eq!(world.emulator.faults().fired(fault), 1);
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Aborted, "SYNC_FAILED")
    );
    assert_eq!(
        sync_status(&status).tasks[0].error_message,
        "storage is not available"
    );
    until_gone(&world, &session_of(&status)).await;
}

#[tokio::test]
async fn a_session_whose_context_fails_can_be_kept() {
    let world = World::start().await;
    let context = world.create_context("c").await;
    world.inject("createSession", 1, fail_download());
    let request = pb::CreateSessionRequest {
        failure_action: pb::CreateFailureAction::Keep.into(),
        ..with_context(&context)
    };
    let status = create(&world, request).await.unwrap_err();
    let session = world.get_session(&session_of(&status)).await.unwrap();
    assert_eq!(session.state(), pb::SessionState::Running);
    assert_eq!(world.emulator.request_count("releaseSessionAsync"), 0);
}

#[tokio::test]
async fn a_session_that_the_caller_gave_up_is_released() {
    let world = World::start().await;
    let context = world.create_context("c").await;
    let stall = FaultAction::StallSyncTask { direction: None };
    world.inject("createSession", 1, stall);
    let (_gateway, channel) = world.hasty_replica().await;
    let request = within(with_context(&context));
    let status = SessionServiceClient::new(channel)
        .create_session(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    until_gone(&world, &session_of(&status)).await;
}

#[tokio::test]
async fn a_creation_that_agb_declines_within_a_success_is_an_error() {
    let world = World::start().await;
    let body = r#"{"success": true, "code": "ok", "requestId": "r-7", "data": {"success": false, "errMsg": "no capacity"}}"#;
    let decline = FaultAction::Respond {
        status: 200,
        body: body.to_owned(),
        headers: BTreeMap::new(),
    };
    world.inject("createSession", 1, decline);
    let request = pb::CreateSessionRequest {
        image_id: CODE_IMAGE.to_owned(),
        ..pb::CreateSessionRequest::default()
    };
    let status = create(&world, request).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("no capacity"), "{status:?}");
}

#[tokio::test]
async fn labels_are_set_read_and_filtered_by() {
    let world = World::start().await;
    let first = world.create_session(CODE_IMAGE, vec![]).await;
    let second = world.create_session(CODE_IMAGE, vec![]).await;
    let labels = BTreeMap::from([("team".to_owned(), "blue".to_owned())]);
    let request = pb::SetSessionLabelsRequest {
        session_id: first.clone(),
        labels: labels.clone(),
    };
    world
        .sessions()
        .set_session_labels(within(request))
        .await
        .unwrap();
    let request = pb::GetSessionLabelsRequest {
        session_id: first.clone(),
    };
    let answer = world
        .sessions()
        .get_session_labels(within(request))
        .await
        .unwrap();
    assert_eq!(answer.into_inner().labels, labels);
    let list = |labels, skip, page_size| {
        let request = pb::ListSessionsRequest {
            labels,
            skip,
            page_size,
            ..pb::ListSessionsRequest::default()
        };
        let world = &world;
        async move {
            world
                .sessions()
                .list_sessions(within(request))
                .await
                .unwrap()
                .into_inner()
        }
    };
    let found = list(labels, 0, 0).await;
    assert_eq!(found.sessions.len(), 1);
    assert_eq!(found.sessions[0].session_id, first);
    assert_eq!(found.sessions[0].state(), pb::SessionState::Running);
    let all = list(BTreeMap::new(), 0, 1).await;
    assert_eq!((all.sessions.len(), all.total_size), (1, 2));
    let rest = list(BTreeMap::new(), 1, 1).await;
    let mut ids = [&all.sessions[0].session_id, &rest.sessions[0].session_id];
    ids.sort();
    let mut expected = [&first, &second];
    expected.sort();
    assert_eq!(ids, expected);
    assert_eq!(list(BTreeMap::new(), 5, 1).await.sessions, []);
}

#[tokio::test]
async fn the_gateway_s_own_labels_outlive_a_change_and_are_not_told() {
    let world = World::start().await;
    let session_id = world.create_session(CODE_IMAGE, vec![]).await;
    let labels = r#"{"agb-gateway/own": "1", "team": "blue"}"#;
    let body = serde_json::json!({"success": true, "data": {"labels": labels}}).to_string();
    let fault = FaultAction::Respond {
        status: 200,
        body,
        headers: BTreeMap::new(),
    };
    world.inject("GetLabel", 2, fault);
    let request = pb::GetSessionLabelsRequest {
        session_id: session_id.clone(),
    };
    let told = world
        .sessions()
        .get_session_labels(within(request))
        .await
        .unwrap();
    let team = |team: &str| BTreeMap::from([("team".to_owned(), team.to_owned())]);
    assert_eq!(told.into_inner().labels, team("blue"));
    let request = pb::SetSessionLabelsRequest {
        session_id,
        labels: team("red"),
    };
    world
        .sessions()
        .set_session_labels(within(request))
        .await
        .unwrap();
    let requests = world.emulator.requests().into_iter();
    let mut set = requests.filter(|request| request.operation == "SetLabel");
    assert_eq!(
        set.next_back().unwrap().query["Labels"],
        r#"{"agb-gateway/own":"1","team":"red"}"#
    );
}

#[tokio::test]
async fn a_session_is_kept_alive() {
    let world = World::start().await;
    let session_id = world.create_session(CODE_IMAGE, vec![]).await;
    let request = pb::KeepSessionAliveRequest { session_id };
    world
        .sessions()
        .keep_session_alive(within(request))
        .await
        .unwrap();
    assert_eq!(world.emulator.request_count("refreshSessionIdleTime"), 1);
    let request = pb::KeepSessionAliveRequest {
        session_id: "s-none".to_owned(),
    };
    let status = world
        .sessions()
        .keep_session_alive(within(request))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "SESSION_NOT_FOUND");
}

#[tokio::test]
async fn a_command_runs_where_and_with_what_it_was_told_to() {
    let world = World::start().await;
    let session = world.create_session(CODE_IMAGE, vec![]).await;
    let request = pb::ExecuteCommandRequest {
        session_id: session,
        command: "pwd; echo \"$GREETING\"; echo bad >&2; exit 3".to_owned(),
        timeout: Some(seconds(10)),
        working_directory: "/tmp".to_owned(),
        environment: BTreeMap::from([("GREETING".to_owned(), "it's \"me\"".to_owned())]),
    };
    let answer = world
        .sessions()
        .execute_command(within(request))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.exit_code, 3);
    assert_eq!(answer.stdout, "/tmp\nit's \"me\"\n");
    assert_eq!(answer.stderr, "bad\n");
}

#[tokio::test]
async fn a_command_in_a_session_that_is_not_there_is_not_found() {
    let world = World::start().await;
    let request = pb::ExecuteCommandRequest {
        session_id: "s-none".to_owned(),
        command: "true".to_owned(),
        ..pb::ExecuteCommandRequest::default()
    };
    let status = world
        .sessions()
        .execute_command(within(request))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "SESSION_NOT_FOUND", "{status:?}");
}

#[tokio::test]
async fn a_call_that_agb_does_not_answer_in_time_ends_at_the_deadline() {
    let world = World::start().await;
    let session = world.create_session(CODE_IMAGE, vec![]).await;
    world.inject("getSession", 1, FaultAction::Delay { delay_ms: 60_000 });
    let request = pb::GetSessionRequest {
        session_id: session,
    };
    let (_gateway, channel) = world.hasty_replica().await;
    let status = SessionServiceClient::new(channel)
        .get_session(within(request))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
}
