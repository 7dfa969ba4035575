//! MappingPolicyService. All of it comes with a later release.

use tonic::{Request, Response, Status};

use crate::proto::v1 as pb;
use crate::proto::v1::mapping_policy_service_server as server;
use crate::status::Failure;

/// Mappings: data that one session stored under one path, seen by another session at another path.
#[derive(Clone, Copy, Debug, Default)]
pub struct MappingPolicyService;

#[tonic::async_trait]
impl server::MappingPolicyService for MappingPolicyService {
    async fn resolve_mapping(
        &self,
        _request: Request<pb::ResolveMappingRequest>,
    ) -> Result<Response<pb::ResolveMappingResponse>, Status> {
        Err(Failure::NotImplemented("ResolveMapping").into())
    }

    async fn inspect_mapping(
        &self,
        _request: Request<pb::InspectMappingRequest>,
    ) -> Result<Response<pb::InspectMappingResponse>, Status> {
        Err(Failure::NotImplemented("InspectMapping").into())
    }

    async fn verify_mapping(
        &self,
        _request: Request<pb::VerifyMappingRequest>,
    ) -> Result<Response<pb::VerifyMappingResponse>, Status> {
        Err(Failure::NotImplemented("VerifyMapping").into())
    }
}
