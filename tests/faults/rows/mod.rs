//! Every RPC: what it asks of AGB, and what that does.

mod context;
mod session;
mod sync;
mod tool;

use agb_gateway::proto::v1 as pb;
use pb::mapping_policy_service_client::MappingPolicyServiceClient;
use pb::sync_policy_service_client::SyncPolicyServiceClient;

use crate::row::{Call, Row, unary};

/// Every operation of AGB that is struck.
pub(crate) fn all() -> impl Iterator<Item = &'static Row> {
    [context::ROWS, session::ROWS, sync::ROWS, tool::ROWS]
        .into_iter()
        .flatten()
}

/// The RPCs that ask AGB nothing: whatever is wrong with it, they answer.
pub(crate) const ASKING_NOTHING: &[(&str, Call)] = &[
    (
        "MappingPolicyService/ResolveMapping",
        unary!(MappingPolicyServiceClient.resolve_mapping, |_| {
            pb::ResolveMappingRequest {
                original_path: "/tmp/a".to_owned(),
                target_path: "/home/a".to_owned(),
                paths: vec!["/tmp/a/file".to_owned()],
            }
        }),
    ),
    (
        "SyncPolicyService/GetDefaultSyncPolicy",
        unary!(SyncPolicyServiceClient.get_default_sync_policy, |_| {
            pb::GetDefaultSyncPolicyRequest {}
        }),
    ),
    (
        "SyncPolicyService/ListSyncPolicies",
        unary!(SyncPolicyServiceClient.list_sync_policies, |_| {
            pb::ListSyncPoliciesRequest::default()
        }),
    ),
    (
        "SyncPolicyService/GetSyncPolicy",
        unary!(SyncPolicyServiceClient.get_sync_policy, |_| {
            pb::GetSyncPolicyRequest {
                name: PRESET.to_owned(),
            }
        }),
    ),
    (
        "SyncPolicyService/ValidateSyncPolicy",
        unary!(SyncPolicyServiceClient.validate_sync_policy, |_| {
            pb::ValidateSyncPolicyRequest {
                preset: PRESET.to_owned(),
                ..pb::ValidateSyncPolicyRequest::default()
            }
        }),
    ),
];

/// One that ships.
const PRESET: &str = "development";
