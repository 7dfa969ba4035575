//! SyncPolicyService and MappingPolicyService, and CreateSession with presets.

use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::mapping_policy_service_client::MappingPolicyServiceClient;
use agb_gateway::proto::v1::sync_policy_service_client::SyncPolicyServiceClient;
use figment::Figment;
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::support::{
    BROWSER_IMAGE, CODE_IMAGE, World, mapped, mount, reason, within, wrong_fields,
};

fn policies(world: &World) -> SyncPolicyServiceClient<Channel> {
    SyncPolicyServiceClient::new(world.channel.clone())
}

fn mappings(world: &World) -> MappingPolicyServiceClient<Channel> {
    MappingPolicyServiceClient::new(world.channel.clone())
}

async fn validate(
    world: &World,
    request: pb::ValidateSyncPolicyRequest,
) -> pb::ValidateSyncPolicyResponse {
    let answer = policies(world).validate_sync_policy(within(request)).await;
    answer.unwrap().into_inner()
}

fn upload(auto_upload: Option<bool>, mode: pb::UploadMode) -> pb::SyncPolicy {
    pb::SyncPolicy {
        upload_policy: Some(pb::UploadPolicy {
            auto_upload,
            upload_mode: mode.into(),
            ..pb::UploadPolicy::default()
        }),
        ..pb::SyncPolicy::default()
    }
}

#[tokio::test]
async fn the_default_policy_is_agb_s_with_every_field_set() {
    let world = World::start().await;
    let request = within(pb::GetDefaultSyncPolicyRequest {});
    let answer = policies(&world)
        .get_default_sync_policy(request)
        .await
        .unwrap()
        .into_inner();
    let policy = answer.policy.unwrap();
    assert_eq!(policy.upload_policy.unwrap().auto_upload, Some(true));
    assert_eq!(
        policy.recycle_policy.unwrap().lifecycle(),
        pb::Lifecycle::Forever
    );
    assert_eq!(policy.mapping_policy, None);
    let text: Value = serde_json::from_str(&answer.agb_policy_json).unwrap();
    assert_eq!(text["downloadPolicy"]["downloadStrategy"], "DownloadAsync");
}

#[tokio::test]
async fn presets_are_listed_in_pages_and_found_by_name() {
    let world = World::start().await;
    let mut names = Vec::new();
    let mut pages = 0;
    let mut page_token = String::new();
    loop {
        let request = pb::ListSyncPoliciesRequest {
            page_size: 3,
            page_token,
        };
        let page = policies(&world)
            .list_sync_policies(within(request))
            .await
            .unwrap()
            .into_inner();
        pages += 1;
        names.extend(page.presets.into_iter().map(|preset| preset.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(
        names,
        ["development", "large-files", "production", "read-only"]
    );
    assert_eq!(pages, 2);

    let get = |name: &str| {
        within(pb::GetSyncPolicyRequest {
            name: name.to_owned(),
        })
    };
    let preset = policies(&world)
        .get_sync_policy(get("large-files"))
        .await
        .unwrap();
    let policy = preset.into_inner().preset.unwrap().policy.unwrap();
    assert_eq!(
        policy.upload_policy.unwrap().upload_mode(),
        pb::UploadMode::Archive
    );
    let status = policies(&world)
        .get_sync_policy(get("none"))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "SYNC_POLICY_NOT_FOUND");
}

#[tokio::test]
async fn a_configuration_adds_presets_and_changes_those_that_ship() {
    let settings = Figment::new()
        .merge((
            "sync_policies.production.recycle_policy.lifecycle",
            "Lifecycle_90Days",
        ))
        .merge(("sync_policies.mine.upload_policy.auto_upload", false));
    let world = World::with_settings(settings).await;
    let text = |preset: &str| {
        let request = pb::ValidateSyncPolicyRequest {
            preset: preset.to_owned(),
            ..pb::ValidateSyncPolicyRequest::default()
        };
        let world = &world;
        async move {
            serde_json::from_str::<Value>(&validate(world, request).await.agb_policy_json).unwrap()
        }
    };
    let production = text("production").await;
    assert_eq!(production["recyclePolicy"]["lifecycle"], "Lifecycle_90Days");
    assert_eq!(production["deletePolicy"]["syncLocalFile"], false);
    assert_eq!(text("mine").await["uploadPolicy"]["autoUpload"], false);
}

#[tokio::test]
async fn a_session_takes_a_preset_with_single_fields_changed() {
    let world = World::start().await;
    let context = world.create_context("c").await;
    let context_sync = pb::ContextSync {
        preset: "read-only".to_owned(),
        policy: Some(pb::SyncPolicy {
            recycle_policy: Some(pb::RecyclePolicy {
                lifecycle: pb::Lifecycle::Lifecycle5Days.into(),
                paths: vec![],
            }),
            ..pb::SyncPolicy::default()
        }),
        ..mount(&context, "/home/data")
    };
    world.create_session(CODE_IMAGE, vec![context_sync]).await;
    let request = world.first_request("createSession");
    let text = request.body["persistenceDataList"][0]["policy"]
        .as_str()
        .unwrap();
    let policy: Value = serde_json::from_str(text).unwrap();
    assert_eq!(policy["uploadPolicy"]["autoUpload"], false);
    assert_eq!(policy["deletePolicy"]["syncLocalFile"], false);
    assert_eq!(
        policy["recyclePolicy"],
        json!({"lifecycle": "Lifecycle_5Days", "paths": [""]})
    );
}

#[tokio::test]
async fn a_wrong_policy_is_an_answer_with_every_violation() {
    let world = World::start().await;
    let request = pb::ValidateSyncPolicyRequest {
        preset: "none".to_owned(),
        policy: Some(pb::SyncPolicy {
            mapping_policy: Some(pb::MappingPolicy {
                path: "/opt".to_owned(),
            }),
            ..pb::SyncPolicy::default()
        }),
        path: "relative".to_owned(),
        ..pb::ValidateSyncPolicyRequest::default()
    };
    let answer = validate(&world, request).await;
    assert!(!answer.valid);
    let fields: Vec<_> = answer
        .violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    assert_eq!(fields, ["preset", "policy.mapping_policy.path", "path"]);
    assert_eq!(
        (answer.normalized_policy, answer.agb_policy_json.as_str()),
        (None, "")
    );
}

#[tokio::test]
async fn advice_takes_into_account_what_the_context_holds() {
    let world = World::start().await;
    let context_id = with_file(&world).await;
    let empty = world.create_context("empty").await;
    let reasons = |context_id: &str| {
        let request = pb::ValidateSyncPolicyRequest {
            policy: Some(upload(Some(false), pb::UploadMode::Archive)),
            context_id: context_id.to_owned(),
            ..pb::ValidateSyncPolicyRequest::default()
        };
        let world = &world;
        async move {
            let advice = validate(world, request).await.advice;
            advice
                .into_iter()
                .map(|advice| advice.reason)
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(
        reasons(&context_id).await,
        ["NO_AUTO_UPLOAD", "ARCHIVE_MODE_ON_PLAIN_FILES"]
    );
    assert_eq!(reasons(&empty).await, ["NO_AUTO_UPLOAD"]);
    let files = serde_json::json!([{"filePath": "/home/data/A.ZIP", "fileType": "file"}]);
    let body = serde_json::json!({"success": true, "count": 1, "data": files}).to_string();
    let fault = agb_emulator::FaultAction::Respond {
        status: 200,
        body,
        headers: std::collections::BTreeMap::new(),
    };
    world.inject("DescribeContextFiles", 1, fault);
    assert_eq!(reasons(&empty).await, ["NO_AUTO_UPLOAD"]);
}

/// A context with `/tmp/mapping/a.txt` and `/tmp/mapping/deep/b.txt`.
async fn with_file(world: &World) -> String {
    let context = world.create_context("files").await;
    let session = world
        .create_session(BROWSER_IMAGE, vec![mount(&context, "/tmp/mapping")])
        .await;
    let write = "mkdir -p /tmp/mapping/deep && echo 1 > /tmp/mapping/a.txt && echo 22 > /tmp/mapping/deep/b.txt";
    world.run(&session, write).await;
    world.sync_all(&session).await.unwrap();
    world.end(&session).await;
    context
}

#[tokio::test]
async fn a_mapping_is_resolved_without_asking_anybody() {
    let world = World::start().await;
    let request = |paths: &[&str]| pb::ResolveMappingRequest {
        original_path: "/tmp/mapping".to_owned(),
        target_path: "/home/data".to_owned(),
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    };
    let good = within(request(&["/tmp/mapping/deep/b.txt"]));
    let answer = mappings(&world)
        .resolve_mapping(good)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        answer.resolved_paths[0].target_path,
        "/home/data/deep/b.txt"
    );
    for (paths, field) in [(vec!["/tmp/other/a"], "paths[0]"), (vec![], "paths")] {
        let status = mappings(&world)
            .resolve_mapping(within(request(&paths)))
            .await
            .unwrap_err();
        assert_eq!(wrong_fields(&status), [field]);
    }
    assert_eq!(world.emulator.requests().len(), 0);
}

#[tokio::test]
async fn an_inspection_counts_what_is_there_and_names_what_comes_near() {
    let world = World::start().await;
    let context_id = with_file(&world).await;
    let inspect = |original_path: &str| {
        let request = pb::InspectMappingRequest {
            context_id: context_id.clone(),
            original_path: original_path.to_owned(),
        };
        let world = &world;
        async move {
            mappings(world)
                .inspect_mapping(within(request))
                .await
                .unwrap()
                .into_inner()
        }
    };
    let there = inspect("/tmp/mapping").await;
    assert_eq!((there.file_count, there.total_size_bytes), (2, 5));
    assert_eq!(
        there.sample_paths,
        ["/tmp/mapping/a.txt", "/tmp/mapping/deep/b.txt"]
    );
    assert_eq!(there.near_misses, []);
    let misspelt = inspect("/tmp/maping").await;
    assert_eq!(misspelt.file_count, 0);
    assert_eq!(misspelt.near_misses[0].path, "/tmp/mapping");
    assert_eq!(
        (
            misspelt.near_misses[0].file_count,
            misspelt.near_misses[0].edit_distance
        ),
        (2, 1)
    );
}

#[tokio::test]
async fn a_verification_names_what_is_missing_differs_or_cannot_be_read() {
    use pb::MappingDiscrepancyKind::{Missing, SizeDiffers, Unreadable};
    let world = World::start().await;
    let context_id = with_file(&world).await;
    let access = vec![mapped(&context_id, "/home/data", "/tmp/mapping")];
    let session_id = world.create_session(CODE_IMAGE, access).await;
    let request = pb::VerifyMappingRequest {
        session_id: session_id.clone(),
        context_id,
        original_path: "/tmp/mapping".to_owned(),
        target_path: "/home/data".to_owned(),
    };
    let verify = || {
        let (world, request) = (&world, request.clone());
        async move {
            mappings(world)
                .verify_mapping(within(request))
                .await
                .unwrap()
                .into_inner()
        }
    };
    let whole = verify().await;
    assert!(whole.verified, "{whole:?}");
    assert_eq!(whole.file_count, 2);
    world
        .run(
            &session_id,
            "rm /home/data/a.txt; echo 333 > /home/data/deep/b.txt",
        )
        .await;
    let spoilt = verify().await;
    assert!(!spoilt.verified);
    let found: Vec<_> = spoilt
        .discrepancies
        .iter()
        .map(|found| {
            (
                found.target_path.as_str(),
                found.kind(),
                found.actual_size_bytes,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("/home/data/a.txt", Missing, None),
            ("/home/data/deep/b.txt", SizeDiffers, Some(4)),
        ]
    );
    let kinds = || async {
        let answer = verify().await;
        assert!(!answer.verified);
        let found = answer.discrepancies.iter();
        found
            .map(|found| {
                (
                    found.target_path.clone(),
                    found.kind(),
                    found.actual_size_bytes,
                )
            })
            .collect::<Vec<_>>()
    };
    let deep = "/home/data/deep/b.txt".to_owned();
    let missing = ("/home/data/a.txt".to_owned(), Missing, None);
    for closed in ["/home/data/deep/b.txt", "/home/data/deep"] {
        world.run(&session_id, &format!("chmod 000 {closed}")).await;
        let expected = [missing.clone(), (deep.clone(), Unreadable, None)];
        assert_eq!(kinds().await, expected, "{closed}");
    }
}

#[tokio::test]
async fn where_the_context_holds_nothing_nothing_has_arrived() {
    let world = World::start().await;
    let context_id = with_file(&world).await;
    let session_id = world.create_session(CODE_IMAGE, vec![]).await;
    let request = pb::VerifyMappingRequest {
        session_id,
        context_id,
        original_path: "/tmp/maping".to_owned(),
        target_path: "/home/data".to_owned(),
    };
    let answer = mappings(&world).verify_mapping(within(request)).await;
    let answer = answer.unwrap().into_inner();
    assert_eq!((answer.verified, answer.file_count), (false, 0));
}

#[tokio::test]
async fn no_more_entries_of_a_context_are_looked_at_than_the_setting_says() {
    let settings = Figment::new().merge(("mapping.max_entries", 2));
    let world = World::with_settings(settings).await;
    let request = pb::InspectMappingRequest {
        context_id: with_file(&world).await,
        original_path: "/tmp/mapping".to_owned(),
    };
    let status = mappings(&world)
        .inspect_mapping(within(request))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "LIMIT_EXCEEDED");
    assert!(
        status.message().contains("mapping.max_entries"),
        "{status:?}"
    );
}

#[tokio::test]
async fn no_more_files_are_looked_at_than_the_setting_says() {
    let settings = Figment::new().merge(("mapping.max_entries", 5));
    let world = World::with_settings(settings).await;
    let context_id = with_file(&world).await;
    let session_id = world.create_session(CODE_IMAGE, vec![]).await;
    world
        .run(
            &session_id,
            "mkdir /home/data && cd /home/data && touch 1 2 3 4 5 6",
        )
        .await;
    let request = pb::VerifyMappingRequest {
        session_id,
        context_id: context_id.clone(),
        original_path: "/tmp/mapping".to_owned(),
        target_path: "/home/data".to_owned(),
    };
    let status = mappings(&world)
        .verify_mapping(within(request))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "LIMIT_EXCEEDED");
    assert!(
        status.message().contains("files of the session"),
        "{status:?}"
    );
}
