//! What the gateway makes of an AGB that fails: what may have happened is not repeated, and nothing is claimed.

use std::collections::BTreeMap;
use std::time::Duration;

use agb_emulator::FaultAction;
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::mapping_policy_service_client::MappingPolicyServiceClient;
use agb_gateway::proto::v1::session_service_client::SessionServiceClient;
use figment::Figment;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{CODE_IMAGE, KEY, World, mount, reason, within};

fn respond(status: u16, body: &str, headers: &[(&str, &str)]) -> FaultAction {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    FaultAction::Respond {
        status,
        body: body.to_owned(),
        headers: headers.iter().map(owned).collect::<BTreeMap<_, _>>(),
    }
}

fn new_session() -> pb::CreateSessionRequest {
    pb::CreateSessionRequest {
        image_id: CODE_IMAGE.to_owned(),
        ..pb::CreateSessionRequest::default()
    }
}

async fn create(world: &World) -> Status {
    let answer = world.sessions().create_session(within(new_session())).await;
    answer.unwrap_err()
}

async fn list(world: &World) -> Result<pb::ListContextsResponse, Status> {
    let request = pb::ListContextsRequest::default();
    let answer = world.contexts().list_contexts(within(request)).await?;
    Ok(answer.into_inner())
}

/// Waits until AGB holds no running session any more.
async fn until_no_session_runs(world: &World) {
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    loop {
        let request = pb::ListSessionsRequest::default();
        let answer = world.sessions().list_sessions(within(request)).await;
        if answer.unwrap().into_inner().sessions.is_empty() {
            return;
        }
        pause.tick().await;
    }
}

#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_neither_repeated_nor_called_repeatable() {
    let world = World::start().await;
    for fault in [FaultAction::CloseBeforeWork, FaultAction::CloseAfterWork] {
        let before = world.emulator.request_count("createSession");
        world.inject("createSession", 1, fault);
        // Nor can it be looked for.
        let looks = world.inject("ListSession", u32::MAX, FaultAction::CloseBeforeWork);
        let status = create(&world).await;
        world.emulator.faults().remove(looks);
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unknown, "AGB_OUTCOME_UNKNOWN")
        );
        assert!(status.get_error_details().retry_info().is_none());
        assert_eq!(world.emulator.request_count("createSession"), before + 1);
    }
}

#[tokio::test]
async fn a_creation_that_its_caller_did_not_wait_for_is_released() {
    let world = World::start().await;
    world.inject("createSession", 1, FaultAction::Delay { delay_ms: 1_500 });
    let (_gateway, channel) = world.hasty_replica().await;
    let request = within(new_session());
    let status = SessionServiceClient::new(channel)
        .create_session(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    while world.emulator.request_count("releaseSessionAsync") == 0 {
        pause.tick().await;
    }
    until_no_session_runs(&world).await;
    assert_eq!(world.emulator.request_count("createSession"), 1);
}

#[tokio::test]
async fn redirects_are_refused() {
    let world = World::start().await;
    let elsewhere = world.emulator.url() + "/sdk/ListContexts";
    world.inject(
        "ListContexts",
        1,
        respond(302, "", &[("location", &elsewhere)]),
    );
    let status = list(&world).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Internal, "AGB_REDIRECTED")
    );
    assert_eq!(world.emulator.request_count("ListContexts"), 1);
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_refused() {
    let settings = Figment::new().merge(("agb.max_response_bytes", 1 << 20));
    let world = World::with_settings(settings).await;
    let body = format!(
        r#"{{"success": true, "data": [], "x": "{}"}}"#,
        "x".repeat(2 << 20)
    );
    world.inject("ListContexts", 1, respond(200, &body, &[]));
    let status = list(&world).await.unwrap_err();
    assert_eq!(reason(&status), "AGB_ANSWER_TOO_LARGE");
    assert!(status.message().contains("agb.max_response_bytes"));
}

#[tokio::test]
async fn answers_that_are_not_agb_s_are_told_apart() {
    let world = World::without_repetition().await;
    for (fault, code, expected) in [
        (
            respond(200, "<html>", &[("content-type", "text/html")]),
            Code::Internal,
            "AGB_NOT_JSON",
        ),
        (
            respond(200, r#"{"success": true, "data": [{"#, &[]),
            Code::Unavailable,
            "AGB_ANSWER_TRUNCATED",
        ),
        (
            respond(502, "<html>", &[]),
            Code::Unavailable,
            "AGB_UNREACHABLE",
        ),
        (
            respond(200, r#"{"success": false, "httpStatusCode": 403}"#, &[]),
            Code::PermissionDenied,
            "AGB_PERMISSION_DENIED",
        ),
        (
            respond(401, r#"{"success": false, "code": "InvalidApiKey"}"#, &[]),
            Code::Internal,
            "AGB_KEY_REJECTED",
        ),
        (
            respond(
                400,
                r#"{"success": false, "code": "InvalidParameter", "message": "not found"}"#,
                &[],
            ),
            Code::InvalidArgument,
            "AGB_INVALID_ARGUMENT",
        ),
        (
            FaultAction::CloseBeforeWork,
            Code::Unavailable,
            "AGB_UNREACHABLE",
        ),
    ] {
        world.inject("ListContexts", 1, fault.clone());
        let status = list(&world).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (code, expected),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_call_that_agb_leaves_unanswered_ends_with_the_timeout_of_one_call() {
    let settings = Figment::new()
        .merge(("agb.request_timeout", "1s"))
        .merge(("agb.max_attempts", 1));
    let world = World::with_settings(settings).await;
    world.inject("ListContexts", 1, FaultAction::Delay { delay_ms: 600_000 });
    let status = list(&world).await.unwrap_err();
    assert_eq!(reason(&status), "AGB_UNREACHABLE", "{status:?}");
    assert!(
        status.message().contains("no answer within 1s"),
        "{status:?}"
    );
}

#[tokio::test]
async fn a_throttled_call_tells_how_long_to_wait() {
    let world = World::without_repetition().await;
    let body = r#"{"success": false, "code": "Throttling", "requestId": "r-429"}"#;
    world.inject(
        "ListContexts",
        1,
        respond(429, body, &[("retry-after", "7")]),
    );
    let status = list(&world).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    let delay = details.retry_info().unwrap().retry_delay;
    assert_eq!(delay, Some(Duration::from_secs(7)));
    assert_eq!(details.request_info().unwrap().request_id, "r-429");
    assert_eq!(
        details.error_info().unwrap().metadata["agb_code"],
        "Throttling"
    );
}

#[tokio::test]
async fn no_caller_is_told_to_wait_for_more_than_an_hour() {
    let world = World::start().await;
    let fault = respond(429, r#"{"success": false}"#, &[("retry-after", "1000000")]);
    world.inject("ListContexts", 1, fault);
    let details = list(&world).await.unwrap_err().get_error_details();
    let delay = details.retry_info().unwrap().retry_delay;
    assert_eq!(delay, Some(Duration::from_hours(1)));
}

#[tokio::test]
async fn a_failure_by_http_is_one_whatever_the_envelope_says() {
    let world = World::start().await;
    world.inject(
        "ListContexts",
        1,
        respond(500, r#"{"success": true, "data": []}"#, &[]),
    );
    assert_eq!(reason(&list(&world).await.unwrap_err()), "AGB_FAILED");
}

#[tokio::test]
async fn a_context_without_an_id_is_none() {
    let world = World::start().await;
    let fault = respond(200, r#"{"success": true, "data": {}}"#, &[]);
    world.inject("GetContext", 1, fault);
    let name = pb::get_context_request::Selector::Name("c".to_owned());
    let request = pb::GetContextRequest {
        selector: Some(name),
        ..pb::GetContextRequest::default()
    };
    let status = world.contexts().get_context(within(request)).await;
    assert_eq!(reason(&status.unwrap_err()), "CONTEXT_NOT_FOUND");
}

#[tokio::test]
async fn files_that_agb_does_not_count_are_all_found() {
    let settings = Figment::new()
        .merge(("limits.max_file_page_size", 2))
        .merge(("limits.default_file_page_size", 2));
    let world = World::with_settings(settings).await;
    let page = |names: &[&str]| {
        let files = names.iter().map(|name| {
            serde_json::json!({"filePath": format!("/tmp/a/{name}"), "fileType": "file", "size": 1, "fileId": 7})
        });
        let files: Vec<_> = files.collect();
        let answer = serde_json::json!({"success": true, "data": files});
        respond(200, &answer.to_string(), &[])
    };
    world.inject("DescribeContextFiles", 1, page(&["1", "2"]));
    world.inject("DescribeContextFiles", 1, page(&["3"]));
    let request = pb::InspectMappingRequest {
        context_id: "c".to_owned(),
        original_path: "/tmp/a".to_owned(),
    };
    let answer = MappingPolicyServiceClient::new(world.channel.clone())
        .inspect_mapping(within(request))
        .await
        .unwrap();
    assert_eq!(answer.into_inner().file_count, 3);
}

#[tokio::test]
async fn a_skip_counts_what_agb_gave_and_not_what_it_was_asked_for() {
    let world = World::start().await;
    let page = |ids: &[&str], next: &str| {
        let sessions: Vec<_> = ids
            .iter()
            .map(|id| serde_json::json!({"sessionId": id, "sessionStatus": "RUNNING"}))
            .collect();
        let answer = serde_json::json!({"success": true, "data": sessions, "nextToken": next});
        respond(200, &answer.to_string(), &[])
    };
    for fault in [page(&["1"], "n"), page(&["2"], "n"), page(&["3"], "")] {
        world.inject("ListSession", 1, fault);
    }
    let request = pb::ListSessionsRequest {
        skip: 2,
        ..pb::ListSessionsRequest::default()
    };
    let answer = world.sessions().list_sessions(within(request)).await;
    assert_eq!(answer.unwrap().into_inner().sessions[0].session_id, "3");
}

#[tokio::test]
async fn the_request_id_of_the_header_counts_where_the_body_has_none() {
    let world = World::start().await;
    let fault = respond(
        500,
        r#"{"success": false}"#,
        &[("x-request-id", "from-header")],
    );
    world.inject("ListContexts", 1, fault);
    let status = list(&world).await.unwrap_err();
    let details = status.get_error_details();
    assert_eq!(details.request_info().unwrap().request_id, "from-header");
}

#[tokio::test]
async fn a_null_list_is_an_empty_one() {
    let world = World::start().await;
    world.inject(
        "ListContexts",
        1,
        respond(200, r#"{"success": true, "data": null}"#, &[]),
    );
    assert_eq!(list(&world).await.unwrap().contexts, []);
}

#[tokio::test]
async fn agb_s_words_reach_the_caller_without_the_key_and_at_any_length() {
    let world = World::start().await;
    let message = format!("the key {KEY} is odd {}", "x".repeat(100_000));
    let body = format!(r#"{{"success": false, "code": "Odd", "message": "{message}"}}"#);
    world.inject("ListContexts", 1, respond(400, &body, &[]));
    let declined =
        format!(r#"{{"success": true, "data": {{"success": false, "errMsg": "{message}"}}}}"#);
    world.inject("createSession", 1, respond(200, &declined, &[]));
    for status in [list(&world).await.unwrap_err(), create(&world).await] {
        assert!(
            status.message().contains("the key [key] is odd"),
            "{status:?}"
        );
        assert!(!format!("{status:?}").contains(KEY));
        assert!(!String::from_utf8_lossy(status.details()).contains(KEY));
    }
}

#[tokio::test]
async fn a_rejected_key_ends_a_wait_at_once() {
    let world = World::start().await;
    let context = world.create_context("c").await;
    let session = world
        .create_session(CODE_IMAGE, vec![mount(&context, "/home/data")])
        .await;
    world.inject(
        "SyncContext",
        1,
        FaultAction::StallSyncTask { direction: None },
    );
    let request = pb::SyncContextsRequest {
        session_id: session,
        return_immediately: true,
        ..pb::SyncContextsRequest::default()
    };
    let started = world.syncs().sync_contexts(within(request)).await.unwrap();
    let token = started.into_inner().status.unwrap().sync_token;
    let rejected = respond(401, r#"{"success": false, "code": "InvalidApiKey"}"#, &[]);
    let fault = world.inject("GetContextInfo", u32::MAX, rejected);
    let target = pb::wait_for_sync_request::Target::SyncToken(token);
    let request = pb::WaitForSyncRequest {
        target: Some(target),
    };
    let status = world
        .syncs()
        .wait_for_sync(within(request))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "AGB_KEY_REJECTED");
    assert_eq!(world.emulator.faults().fired(fault), 1);
}

#[tokio::test]
async fn only_agb_s_own_code_makes_a_session_gone() {
    let world = World::start().await;
    let session = world.create_session(CODE_IMAGE, vec![]).await;
    let other = respond(
        404,
        r#"{"success": false, "code": "InvalidAction.NotFound"}"#,
        &[],
    );
    let fault = world.inject("getSessionInfo", 2, other);
    let request = pb::DeleteSessionRequest {
        session_id: session.clone(),
        allow_missing: true,
        ..pb::DeleteSessionRequest::default()
    };
    world.delete_session(request.clone()).await.unwrap();
    assert_eq!(world.emulator.faults().fired(fault), 2);

    let session_id = world.create_session(CODE_IMAGE, vec![]).await;
    let context = respond(
        400,
        r#"{"success": false, "code": "InvalidContext.NotFound"}"#,
        &[],
    );
    world.inject("SyncContext", 1, context);
    let request = pb::DeleteSessionRequest {
        session_id: session_id.clone(),
        sync_contexts: true,
        ..request
    };
    let status = world.delete_session(request).await.unwrap_err();
    assert_eq!(reason(&status), "CONTEXT_NOT_FOUND");
    let alive = world.get_session(&session_id).await.unwrap();
    assert_eq!(alive.state(), pb::SessionState::Running);
}
