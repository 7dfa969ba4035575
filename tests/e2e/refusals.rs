//! Every RPC that names a session or a context: an empty name is refused with the field, and an unknown one is AGB's refusal,
//! told as such. One table, so that no RPC is forgotten.

#![allow(clippy::needless_update)] // Some requests of the tables have no other field.

use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::mapping_policy_service_client::MappingPolicyServiceClient;
use tonic::{Code, Status};

use crate::support::{World, reason, within, wrong_fields};

const NO_SESSION: &str = "s-none";
const NO_CONTEXT: &str = "SdkCtx-none";

/// Calls one RPC with a name, and gives what it is refused with.
macro_rules! refusal {
    ($client:expr, $call:ident, $message:expr) => {
        $client
            .$call(within($message))
            .await
            .map(|_answer| ())
            .unwrap_err()
    };
}

macro_rules! of_session {
    ($world:expr, $id:expr, $($call:ident: $request:ident {$($field:ident: $value:expr),*};)*) => {
        vec![$((
            stringify!($call),
            refusal!($world.sessions(), $call, pb::$request {
                session_id: $id.to_owned(),
                $($field: $value,)*
                ..pb::$request::default()
            }),
        )),*]
    };
}

async fn about_session(world: &World, id: &str) -> Vec<(&'static str, Status)> {
    let labels = || [("a".to_owned(), "1".to_owned())].into();
    let mut refusals = of_session! {world, id,
        get_session: GetSessionRequest {};
        delete_session: DeleteSessionRequest {};
        keep_session_alive: KeepSessionAliveRequest {};
        set_session_labels: SetSessionLabelsRequest {labels: labels()};
        get_session_labels: GetSessionLabelsRequest {};
        execute_command: ExecuteCommandRequest {command: "true".to_owned()};
        run_code: RunCodeRequest {code: "1".to_owned(), language: "python".to_owned()};
        call_tool: CallToolRequest {name: "shell".to_owned()};
        read_file: ReadFileRequest {path: "/tmp/a".to_owned()};
        list_directory: ListDirectoryRequest {path: "/tmp".to_owned()};
        get_session_link: GetSessionLinkRequest {};
        get_cdp_link: GetCdpLinkRequest {};
        get_session_metrics: GetSessionMetricsRequest {};
        get_session_resource: GetSessionResourceRequest {};
        init_browser: InitBrowserRequest {};
        load_internal_contexts: LoadInternalContextsRequest {context_types: vec!["file_transfer".to_owned()]};
    };
    let sync = pb::SyncContextsRequest {
        session_id: id.to_owned(),
        ..pb::SyncContextsRequest::default()
    };
    refusals.push((
        "sync_contexts",
        refusal!(world.syncs(), sync_contexts, sync),
    ));
    let target = pb::get_sync_status_request::Target::SessionId(id.to_owned());
    let status = pb::GetSyncStatusRequest {
        target: Some(target),
    };
    refusals.push((
        "get_sync_status",
        refusal!(world.syncs(), get_sync_status, status),
    ));
    let target = pb::wait_for_sync_request::Target::SessionId(id.to_owned());
    let wait = pb::WaitForSyncRequest {
        target: Some(target),
    };
    refusals.push((
        "wait_for_sync",
        refusal!(world.syncs(), wait_for_sync, wait),
    ));
    refusals
}

macro_rules! of_context {
    ($world:expr, $id:expr, $($call:ident: $request:ident {$($field:ident: $value:expr),*};)*) => {
        vec![$((
            stringify!($call),
            refusal!($world.contexts(), $call, pb::$request {
                context_id: $id.to_owned(),
                $($field: $value,)*
                ..pb::$request::default()
            }),
        )),*]
    };
}

async fn about_context(world: &World, id: &str) -> Vec<(&'static str, Status)> {
    let path = || "/tmp/a".to_owned();
    let mut refusals = of_context! {world, id,
        delete_context: DeleteContextRequest {};
        clear_context: ClearContextRequest {};
        list_context_files: ListContextFilesRequest {};
        delete_context_file: DeleteContextFileRequest {path: path()};
        create_upload_url: CreateUploadUrlRequest {path: path()};
        create_download_url: CreateDownloadUrlRequest {path: path()};
        download_context_file: DownloadContextFileRequest {path: path()};
    };
    let mappings = MappingPolicyServiceClient::new(world.channel.clone());
    let inspect = pb::InspectMappingRequest {
        context_id: id.to_owned(),
        original_path: "/tmp/mapping".to_owned(),
    };
    refusals.push((
        "inspect_mapping",
        refusal!(mappings.clone(), inspect_mapping, inspect),
    ));
    refusals
}

#[tokio::test]
async fn an_empty_session_is_refused_without_asking_agb() {
    let world = World::start().await;
    for (call, status) in about_session(&world, "").await {
        assert_eq!(status.code(), Code::InvalidArgument, "{call}: {status:?}");
        assert_eq!(wrong_fields(&status), ["session_id"], "{call}");
    }
    assert_eq!(world.emulator.requests().len(), 0);
}

#[tokio::test]
async fn an_unknown_session_is_not_found() {
    let world = World::start().await;
    for (call, status) in about_session(&world, NO_SESSION).await {
        assert_eq!(status.code(), Code::NotFound, "{call}: {status:?}");
        assert_eq!(reason(&status), "SESSION_NOT_FOUND", "{call}");
    }
}

#[tokio::test]
async fn an_empty_context_is_refused_without_asking_agb() {
    let world = World::start().await;
    for (call, status) in about_context(&world, "").await {
        assert_eq!(status.code(), Code::InvalidArgument, "{call}: {status:?}");
        assert_eq!(wrong_fields(&status), ["context_id"], "{call}");
    }
    assert_eq!(world.emulator.requests().len(), 0);
}

#[tokio::test]
async fn an_unknown_context_is_not_found() {
    let world = World::start().await;
    for (call, status) in about_context(&world, NO_CONTEXT).await {
        assert_eq!(status.code(), Code::NotFound, "{call}: {status:?}");
        assert_eq!(reason(&status), "CONTEXT_NOT_FOUND", "{call}");
    }
}
