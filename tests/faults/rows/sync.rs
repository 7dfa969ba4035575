//! SyncService and MappingPolicyService.

use agb_gateway::proto::v1 as pb;
use pb::mapping_policy_service_client::MappingPolicyServiceClient;
use pb::sync_service_client::SyncServiceClient;

use crate::row::{About, Call, Class, Row, server_stream, unary};
use crate::support::{Effect, MOUNT};

pub(crate) const ROWS: &[Row] = &[
    Row::new(
        "SyncService/SyncContexts",
        "GetContextInfo",
        Class::Safe,
        About::Session,
        Effect::Nothing,
        SYNC_CONTEXTS,
    )
    .before(Effect::NewUpload),
    Row::new(
        "SyncService/SyncContexts",
        "SyncContext",
        Class::Once,
        About::Session,
        Effect::NewUpload,
        SYNC_CONTEXTS,
    )
    .later(),
    Row::new(
        "SyncService/GetSyncStatus",
        "GetContextInfo",
        Class::Safe,
        About::Session,
        Effect::Nothing,
        unary!(SyncServiceClient.get_sync_status, |fixture| {
            pb::GetSyncStatusRequest {
                target: Some(pb::get_sync_status_request::Target::SessionId(
                    fixture.session_id,
                )),
            }
        }),
    )
    .and_more(0),
    Row::new(
        "SyncService/WaitForSync",
        "GetContextInfo",
        Class::Look,
        About::Session,
        Effect::Nothing,
        unary!(SyncServiceClient.wait_for_sync, |fixture| {
            pb::WaitForSyncRequest {
                target: Some(pb::wait_for_sync_request::Target::SessionId(
                    fixture.session_id,
                )),
            }
        }),
    )
    .and_more(0),
    Row::new(
        "SyncService/WatchSync",
        "GetContextInfo",
        Class::Look,
        About::Session,
        Effect::Nothing,
        server_stream!(SyncServiceClient.watch_sync, |fixture| {
            pb::WatchSyncRequest {
                target: Some(pb::watch_sync_request::Target::SessionId(
                    fixture.session_id,
                )),
                heartbeat_interval: None,
            }
        }),
    )
    .and_more(0),
    Row::new(
        "MappingPolicyService/InspectMapping",
        "DescribeContextFiles",
        Class::Safe,
        About::Context,
        Effect::Nothing,
        unary!(MappingPolicyServiceClient.inspect_mapping, |fixture| {
            pb::InspectMappingRequest {
                context_id: fixture.context_id,
                original_path: "/tmp/original".to_owned(),
            }
        }),
    ),
    Row::new(
        "MappingPolicyService/VerifyMapping",
        "DescribeContextFiles",
        Class::Safe,
        About::Context,
        Effect::Nothing,
        VERIFY_MAPPING,
    ),
    Row::new(
        "MappingPolicyService/VerifyMapping",
        "callTool",
        Class::Never,
        About::Session,
        Effect::Nothing,
        VERIFY_MAPPING,
    )
    .later(),
];

const SYNC_CONTEXTS: Call = unary!(SyncServiceClient.sync_contexts, |fixture| {
    pb::SyncContextsRequest {
        session_id: fixture.session_id,
        return_immediately: true,
        ..pb::SyncContextsRequest::default()
    }
});

const VERIFY_MAPPING: Call = unary!(MappingPolicyServiceClient.verify_mapping, |fixture| {
    pb::VerifyMappingRequest {
        session_id: fixture.session_id,
        context_id: fixture.context_id,
        original_path: "/tmp/original".to_owned(),
        target_path: MOUNT.to_owned(),
    }
});
