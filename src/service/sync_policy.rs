//! SyncPolicyService. All of it comes with a later release.

use tonic::{Request, Response, Status};

use crate::proto::v1 as pb;
use crate::proto::v1::sync_policy_service_server as server;
use crate::status::Failure;

/// Policies of synchronisation.
#[derive(Clone, Copy, Debug, Default)]
pub struct SyncPolicyService;

#[tonic::async_trait]
impl server::SyncPolicyService for SyncPolicyService {
    async fn get_default_sync_policy(
        &self,
        _request: Request<pb::GetDefaultSyncPolicyRequest>,
    ) -> Result<Response<pb::GetDefaultSyncPolicyResponse>, Status> {
        Err(Failure::NotImplemented("GetDefaultSyncPolicy").into())
    }

    async fn list_sync_policies(
        &self,
        _request: Request<pb::ListSyncPoliciesRequest>,
    ) -> Result<Response<pb::ListSyncPoliciesResponse>, Status> {
        Err(Failure::NotImplemented("ListSyncPolicies").into())
    }

    async fn get_sync_policy(
        &self,
        _request: Request<pb::GetSyncPolicyRequest>,
    ) -> Result<Response<pb::GetSyncPolicyResponse>, Status> {
        Err(Failure::NotImplemented("GetSyncPolicy").into())
    }

    async fn validate_sync_policy(
        &self,
        _request: Request<pb::ValidateSyncPolicyRequest>,
    ) -> Result<Response<pb::ValidateSyncPolicyResponse>, Status> {
        Err(Failure::NotImplemented("ValidateSyncPolicy").into())
    }
}
