//! Limits are settings: what goes beyond one is refused with the field, the rule and the setting, before AGB is asked.

use std::collections::BTreeMap;

use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::mapping_policy_service_client::MappingPolicyServiceClient;
use agb_gateway::proto::v1::sync_policy_service_client::SyncPolicyServiceClient;
use figment::Figment;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{CODE_IMAGE, World, mount, seconds, within, wrong_fields};

/// A gateway with these limits, each as low as its test wants it.
async fn limited(limits: &[(&str, i64)]) -> World {
    let settings = limits
        .iter()
        .fold(Figment::new(), |settings, (name, value)| {
            settings.merge((format!("limits.{name}"), *value))
        });
    World::with_settings(settings).await
}

fn assert_limited(world: &World, status: &Status, field: &str, setting: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(wrong_fields(status), [field], "{status:?}");
    let details = status.get_error_details();
    let violation = &details.bad_request().unwrap().field_violations[0];
    let setting = format!("(setting limits.{setting})");
    assert!(violation.description.ends_with(&setting), "{violation:?}");
    assert_eq!(world.emulator.requests().len(), 0);
}

#[tokio::test]
async fn labels_of_a_session() {
    let world = limited(&[
        ("max_labels", 2),
        ("max_label_key_chars", 3),
        ("max_label_value_chars", 4),
    ])
    .await;
    let labels = |labels: &[(&str, &str)]| {
        labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    for (labels, field, setting) in [
        (
            labels(&[("a", "1"), ("b", "1"), ("c", "1")]),
            "labels",
            "max_labels",
        ),
        (
            labels(&[("long", "1")]),
            "labels[\"long\"]",
            "max_label_key_chars",
        ),
        (
            labels(&[("key", "value")]),
            "labels[\"key\"]",
            "max_label_value_chars",
        ),
    ] {
        let set = pb::SetSessionLabelsRequest {
            session_id: "s".to_owned(),
            labels: labels.clone(),
        };
        let status = world.sessions().set_session_labels(within(set)).await;
        assert_limited(&world, &status.unwrap_err(), field, setting);
        let create = pb::CreateSessionRequest {
            image_id: CODE_IMAGE.to_owned(),
            labels,
            ..pb::CreateSessionRequest::default()
        };
        let status = world.sessions().create_session(within(create)).await;
        assert_limited(&world, &status.unwrap_err(), field, setting);
    }
}

#[tokio::test]
async fn contexts_and_idle_time_of_a_session() {
    let settings = Figment::new()
        .merge(("limits.max_context_syncs", 1))
        .merge(("limits.max_idle_timeout", "1m"));
    let world = World::with_settings(settings).await;
    let good = pb::CreateSessionRequest {
        image_id: CODE_IMAGE.to_owned(),
        ..pb::CreateSessionRequest::default()
    };
    let two = pb::CreateSessionRequest {
        context_syncs: vec![mount("c", "/home/a"), mount("c", "/home/b")],
        ..good.clone()
    };
    let idle = pb::CreateSessionRequest {
        idle_timeout: Some(seconds(61)),
        ..good
    };
    for (request, field, setting) in [
        (two, "context_syncs", "max_context_syncs"),
        (idle, "idle_timeout", "max_idle_timeout"),
    ] {
        let status = world.sessions().create_session(within(request)).await;
        assert_limited(&world, &status.unwrap_err(), field, setting);
    }
}

#[tokio::test]
async fn pages_of_every_list() {
    let world = limited(&[
        ("default_page_size", 1),
        ("max_page_size", 2),
        ("default_file_page_size", 1),
        ("max_file_page_size", 2),
        ("max_skip", 5),
    ])
    .await;
    let contexts = pb::ListContextsRequest {
        page_size: 3,
        ..pb::ListContextsRequest::default()
    };
    let status = world.contexts().list_contexts(within(contexts)).await;
    assert_limited(&world, &status.unwrap_err(), "page_size", "max_page_size");
    let sessions = pb::ListSessionsRequest {
        page_size: 3,
        ..pb::ListSessionsRequest::default()
    };
    let status = world.sessions().list_sessions(within(sessions)).await;
    assert_limited(&world, &status.unwrap_err(), "page_size", "max_page_size");
    let skipping = pb::ListSessionsRequest {
        skip: 6,
        ..pb::ListSessionsRequest::default()
    };
    let status = world.sessions().list_sessions(within(skipping)).await;
    assert_limited(&world, &status.unwrap_err(), "skip", "max_skip");
    let files = pb::ListContextFilesRequest {
        context_id: "c".to_owned(),
        page_size: 3,
        ..pb::ListContextFilesRequest::default()
    };
    let status = world.contexts().list_context_files(within(files)).await;
    assert_limited(
        &world,
        &status.unwrap_err(),
        "page_size",
        "max_file_page_size",
    );
    let presets = pb::ListSyncPoliciesRequest {
        page_size: 3,
        ..pb::ListSyncPoliciesRequest::default()
    };
    let mut policies = SyncPolicyServiceClient::new(world.channel.clone());
    let status = policies.list_sync_policies(within(presets)).await;
    assert_limited(&world, &status.unwrap_err(), "page_size", "max_page_size");
}

#[tokio::test]
async fn the_size_of_a_page_that_names_none_is_the_setting() {
    let world = limited(&[("default_page_size", 1), ("default_file_page_size", 7)]).await;
    for name in ["a", "b"] {
        world.create_context(name).await;
    }
    let request = within(pb::ListContextsRequest::default());
    let page = world.contexts().list_contexts(request).await.unwrap();
    assert_eq!(page.into_inner().contexts.len(), 1);
    let context_id = world.create_context("c").await;
    let request = within(pb::ListContextFilesRequest {
        context_id,
        ..pb::ListContextFilesRequest::default()
    });
    world.contexts().list_context_files(request).await.unwrap();
    let requests = world.emulator.requests();
    let last = requests.last().unwrap();
    assert_eq!(last.query["pageSize"], "7");
}

#[tokio::test]
async fn names_timeouts_and_paths_to_resolve() {
    let settings = Figment::new()
        .merge(("limits.max_name_chars", 3))
        .merge(("limits.max_tool_timeout", "1m"))
        .merge(("limits.max_resolved_paths", 1));
    let world = World::with_settings(settings).await;
    let named = pb::CreateContextRequest {
        context: Some(pb::Context {
            name: "name".to_owned(),
            ..pb::Context::default()
        }),
        ..pb::CreateContextRequest::default()
    };
    let status = world.contexts().create_context(within(named)).await;
    assert_limited(
        &world,
        &status.unwrap_err(),
        "context.name",
        "max_name_chars",
    );
    let command = pb::ExecuteCommandRequest {
        session_id: "s".to_owned(),
        command: "true".to_owned(),
        timeout: Some(seconds(61)),
        ..pb::ExecuteCommandRequest::default()
    };
    let status = world.sessions().execute_command(within(command)).await;
    assert_limited(&world, &status.unwrap_err(), "timeout", "max_tool_timeout");
    let code = pb::RunCodeRequest {
        session_id: "s".to_owned(),
        code: "1".to_owned(),
        language: "python".to_owned(),
        timeout: Some(seconds(61)),
    };
    let status = world.sessions().run_code(within(code)).await;
    assert_limited(&world, &status.unwrap_err(), "timeout", "max_tool_timeout");
    let tool = pb::CallToolRequest {
        session_id: "s".to_owned(),
        name: "shell".to_owned(),
        timeout: Some(seconds(61)),
        ..pb::CallToolRequest::default()
    };
    let status = world.sessions().call_tool(within(tool)).await;
    assert_limited(&world, &status.unwrap_err(), "timeout", "max_tool_timeout");
    let paths = pb::ResolveMappingRequest {
        original_path: "/tmp/a".to_owned(),
        target_path: "/tmp/b".to_owned(),
        paths: vec!["/tmp/a/1".to_owned(), "/tmp/a/2".to_owned()],
    };
    let mut mappings = MappingPolicyServiceClient::new(world.channel.clone());
    let status = mappings.resolve_mapping(within(paths)).await;
    assert_limited(&world, &status.unwrap_err(), "paths", "max_resolved_paths");
}
