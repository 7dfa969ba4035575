//! Bad input is refused with each wrong field named, before AGB is asked anything.

use std::collections::BTreeMap;

use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::wait_for_sync_request::Target;
use tonic::{Code, Status};

use crate::support::{World, mount, seconds, within, wrong_fields};

/// A good request, to be spoilt.
fn good_session() -> pb::CreateSessionRequest {
    pb::CreateSessionRequest {
        image_id: "agb-code-space-1".to_owned(),
        context_syncs: vec![mount("SdkCtx-1", "/home/data")],
        ..pb::CreateSessionRequest::default()
    }
}

async fn create_session(world: &World, request: pb::CreateSessionRequest) -> Status {
    world
        .sessions()
        .create_session(within(request))
        .await
        .unwrap_err()
}

/// Every refusal is INVALID_ARGUMENT, names these fields, and costs AGB nothing.
fn assert_refused(world: &World, status: &Status, fields: &[&str]) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(wrong_fields(status), fields, "{status:?}");
    assert_eq!(world.emulator.requests().len(), 0);
}

#[tokio::test]
async fn sessions_with_one_wrong_field() {
    let world = World::start().await;
    let labels = |key: &str, value: &str| pb::CreateSessionRequest {
        labels: BTreeMap::from([(key.to_owned(), value.to_owned())]),
        ..good_session()
    };
    let idle = |seconds: i64, nanos: i32| pb::CreateSessionRequest {
        idle_timeout: Some(prost_types::Duration { seconds, nanos }),
        ..good_session()
    };
    let no_image = pb::CreateSessionRequest {
        image_id: String::new(),
        ..good_session()
    };
    let unknown_action = pb::CreateSessionRequest {
        failure_action: 99,
        ..good_session()
    };
    for (request, field) in [
        (no_image, "image_id"),
        (unknown_action, "failure_action"),
        (idle(0, 0), "idle_timeout"),
        (idle(24 * 3600 + 1, 0), "idle_timeout"),
        (idle(5, 500), "idle_timeout"),
        (labels("", "value"), "labels[\"\"]"),
        (labels("key", ""), "labels[\"key\"]"),
        (
            labels("agb-gateway/mine", "value"),
            "labels[\"agb-gateway/mine\"]",
        ),
    ] {
        let status = create_session(&world, request).await;
        assert_refused(&world, &status, &[field]);
    }
}

#[tokio::test]
async fn context_syncs_with_one_wrong_field() {
    let world = World::start().await;
    let of = |context_syncs| pb::CreateSessionRequest {
        context_syncs,
        ..good_session()
    };
    let path = |path: &str| of(vec![mount("SdkCtx-1", path)]);
    let unknown_preset = pb::ContextSync {
        preset: "none".to_owned(),
        ..mount("SdkCtx-1", "/home/data")
    };
    let overlapping = vec![
        mount("SdkCtx-1", "/home/data"),
        mount("SdkCtx-2", "/home/data/deeper"),
    ];
    for (request, field) in [
        (
            of(vec![mount("", "/home/data")]),
            "context_syncs[0].context_id",
        ),
        (path(""), "context_syncs[0].path"),
        (path("home/data"), "context_syncs[0].path"),
        (path("/home/../etc"), "context_syncs[0].path"),
        (path("/opt/data"), "context_syncs[0].path"),
        (of(overlapping), "context_syncs[1].path"),
        (of(vec![unknown_preset]), "context_syncs[0].preset"),
    ] {
        let status = create_session(&world, request).await;
        assert_refused(&world, &status, &[field]);
    }
}

#[tokio::test]
async fn policies_with_one_wrong_field() {
    let world = World::start().await;
    let mapping = |path: &str| pb::SyncPolicy {
        mapping_policy: Some(pb::MappingPolicy {
            path: path.to_owned(),
        }),
        ..pb::SyncPolicy::default()
    };
    let white_list = pb::SyncPolicy {
        bw_list: Some(pb::BwList {
            white_lists: vec![pb::WhiteList {
                path: "*.log".to_owned(),
                exclude_paths: vec![],
            }],
        }),
        ..pb::SyncPolicy::default()
    };
    let recycle = |lifecycle: i32, path: &str| pb::SyncPolicy {
        recycle_policy: Some(pb::RecyclePolicy {
            lifecycle,
            paths: vec![path.to_owned()],
        }),
        ..pb::SyncPolicy::default()
    };
    let unknown_mode = pb::SyncPolicy {
        upload_policy: Some(pb::UploadPolicy {
            upload_mode: 99,
            ..pb::UploadPolicy::default()
        }),
        ..pb::SyncPolicy::default()
    };
    for (policy, field) in [
        (mapping("data"), "mapping_policy.path"),
        (mapping("/home/a/.."), "mapping_policy.path"),
        (mapping("/opt/data"), "mapping_policy.path"),
        (white_list, "bw_list.white_lists[0].path"),
        (recycle(0, "a?"), "recycle_policy.paths[0]"),
        (recycle(99, "a"), "recycle_policy.lifecycle"),
        (unknown_mode, "upload_policy.upload_mode"),
    ] {
        let mut request = good_session();
        request.context_syncs[0].policy = Some(policy);
        let status = create_session(&world, request).await;
        let field = format!("context_syncs[0].policy.{field}");
        assert_refused(&world, &status, &[field.as_str()]);
    }
}

#[tokio::test]
async fn every_wrong_field_of_a_session_is_named_at_once() {
    let world = World::start().await;
    let request = pb::CreateSessionRequest {
        image_id: String::new(),
        labels: BTreeMap::from([(String::new(), "value".to_owned())]),
        idle_timeout: Some(seconds(-1)),
        context_syncs: vec![mount("", "relative")],
        browser_context: Some(pb::BrowserContext::default()),
        ..pb::CreateSessionRequest::default()
    };
    let status = create_session(&world, request).await;
    let fields = [
        "image_id",
        "labels[\"\"]",
        "idle_timeout",
        "context_syncs[0].context_id",
        "context_syncs[0].path",
        "browser_context.context_id",
    ];
    assert_refused(&world, &status, &fields);
}

#[tokio::test]
async fn contexts() {
    let world = World::start().await;
    let neither = pb::GetContextRequest::default();
    let status = world
        .contexts()
        .get_context(within(neither))
        .await
        .unwrap_err();
    assert_refused(&world, &status, &["selector"]);

    let create = |context_id: &str, name: &str| pb::CreateContextRequest {
        context: Some(pb::Context {
            context_id: context_id.to_owned(),
            name: name.to_owned(),
            ..pb::Context::default()
        }),
        ..pb::CreateContextRequest::default()
    };
    for (request, field) in [
        (create("SdkCtx-1", "name"), "context.context_id"),
        (create("", ""), "context.name"),
        (pb::CreateContextRequest::default(), "context.name"),
    ] {
        let status = world
            .contexts()
            .create_context(within(request))
            .await
            .unwrap_err();
        assert_refused(&world, &status, &[field]);
    }

    let list = |page_size, page_token: &str| pb::ListContextsRequest {
        page_size,
        page_token: page_token.to_owned(),
    };
    for (request, field) in [
        (list(-1, ""), "page_size"),
        (list(101, ""), "page_size"),
        (list(0, "made up"), "page_token"),
    ] {
        let status = world
            .contexts()
            .list_contexts(within(request))
            .await
            .unwrap_err();
        assert_refused(&world, &status, &[field]);
    }

    let request = pb::DeleteContextRequest::default();
    let status = world
        .contexts()
        .delete_context(within(request))
        .await
        .unwrap_err();
    assert_refused(&world, &status, &["context_id"]);
}

#[tokio::test]
async fn syncs() {
    let world = World::start().await;
    let sync =
        |session_id: &str, context_id: &str, path: &str, direction| pb::SyncContextsRequest {
            session_id: session_id.to_owned(),
            context_id: context_id.to_owned(),
            path: path.to_owned(),
            direction,
            return_immediately: false,
        };
    for (request, field) in [
        (sync("", "", "", 0), "session_id"),
        (sync("s", "SdkCtx-1", "", 0), "path"),
        (sync("s", "", "/home/data", 0), "context_id"),
        (sync("s", "SdkCtx-1", "/etc", 0), "path"),
        (sync("s", "", "", 99), "direction"),
    ] {
        let status = world
            .syncs()
            .sync_contexts(within(request))
            .await
            .unwrap_err();
        assert_refused(&world, &status, &[field]);
    }

    for (target, field) in [
        (None, "target"),
        (Some(Target::SessionId(String::new())), "session_id"),
        (Some(Target::SyncToken("made up".to_owned())), "sync_token"),
    ] {
        let request = pb::WaitForSyncRequest { target };
        let status = world
            .syncs()
            .wait_for_sync(within(request))
            .await
            .unwrap_err();
        assert_refused(&world, &status, &[field]);
    }
}

#[tokio::test]
async fn commands() {
    let world = World::start().await;
    let good = || pb::ExecuteCommandRequest {
        session_id: "s".to_owned(),
        command: "true".to_owned(),
        ..pb::ExecuteCommandRequest::default()
    };
    let spoilt = |spoil: fn(&mut pb::ExecuteCommandRequest)| {
        let mut request = good();
        spoil(&mut request);
        request
    };
    for (request, field) in [
        (spoilt(|request| request.session_id.clear()), "session_id"),
        (spoilt(|request| request.command.clear()), "command"),
        (
            spoilt(|request| request.timeout = Some(seconds(3601))),
            "timeout",
        ),
        (
            spoilt(|request| request.working_directory = "tmp".to_owned()),
            "working_directory",
        ),
        (
            spoilt(|request| {
                request.environment = BTreeMap::from([("1A".to_owned(), "x".to_owned())]);
            }),
            "environment[\"1A\"]",
        ),
    ] {
        let status = world
            .sessions()
            .execute_command(within(request))
            .await
            .unwrap_err();
        assert_refused(&world, &status, &[field]);
    }
}

#[tokio::test]
async fn a_forced_deletion_without_an_upload() {
    let world = World::start().await;
    let request = pb::DeleteSessionRequest {
        session_id: "s".to_owned(),
        delete_despite_failed_sync: true,
        ..pb::DeleteSessionRequest::default()
    };
    let status = world.delete_session(request).await.unwrap_err();
    assert_refused(&world, &status, &["delete_despite_failed_sync"]);
}

#[tokio::test]
async fn a_request_id_is_one_word_of_bounded_length() {
    let world = World::start().await;
    for request_id in ["two words".to_owned(), "x".repeat(256)] {
        let request = pb::CreateSessionRequest {
            request_id,
            ..good_session()
        };
        let status = create_session(&world, request).await;
        assert_refused(&world, &status, &["request_id"]);
    }
}
