//! From a path to the service that answers it.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};
use tower::Service;

use super::StartError;
use super::tenants::Tenants;
use crate::auth::Caller;
use crate::proto::FILE_DESCRIPTOR_SET;
use crate::proto::v1::{
    context_service_server::ContextServiceServer,
    mapping_policy_service_server::MappingPolicyServiceServer,
    session_service_server::SessionServiceServer,
    sync_policy_service_server::SyncPolicyServiceServer, sync_service_server::SyncServiceServer,
};
use crate::service::{
    Backend, ContextService, MappingPolicyService, SessionService, SyncPolicyService, SyncService,
};

use crate::status::Failure;

/// Our own services, which work for a tenant.
const OWN: &str = "/agb.gateway.v1.";

macro_rules! limited {
    ($server:expr, $max_message_bytes:expr) => {
        $server
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
            // Also of what is unpacked.
            .max_decoding_message_size($max_message_bytes)
            .max_encoding_message_size(usize::MAX)
    };
}

/// The services that are the same for everybody.
pub(super) fn common_routes<H: Health>(
    health: HealthServer<H>,
    max_message_bytes: usize,
) -> Result<Routes, StartError> {
    let mut routes = Routes::builder();
    routes
        .add_service(limited!(health, max_message_bytes))
        .add_service(limited!(reflection().build_v1()?, max_message_bytes))
        // Older releases of grpcurl speak v1alpha only.
        .add_service(limited!(reflection().build_v1alpha()?, max_message_bytes));
    Ok(routes.routes().prepare())
}

/// The services of one tenant.
pub(super) fn tenant_routes(backend: &Backend, max_message_bytes: usize) -> Routes {
    macro_rules! service {
        ($server:ident, $service:ident) => {
            limited!($server::new($service(backend.clone())), max_message_bytes)
        };
    }
    let mut routes = Routes::builder();
    routes
        .add_service(service!(ContextServiceServer, ContextService))
        .add_service(service!(SessionServiceServer, SessionService))
        .add_service(service!(SyncServiceServer, SyncService))
        .add_service(service!(SyncPolicyServiceServer, SyncPolicyService))
        .add_service(service!(MappingPolicyServiceServer, MappingPolicyService));
    routes.routes().prepare()
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // So that grpcurl can show the details of errors.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

/// Hands each request to the services of its tenant, or to those for everybody.
#[derive(Clone, Debug)]
pub(super) struct Router {
    pub(super) common: Routes,
    pub(super) tenants: Tenants,
}

impl Service<Request<Body>> for Router {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<
        <Routes as Service<Request<Body>>>::Future,
        Ready<Result<Response<Body>, Infallible>>,
    >;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !request.uri().path().starts_with(OWN) {
            return Either::Left(self.common.call(request));
        }
        let caller = request.extensions().get::<Caller>();
        if let Some(mut routes) = caller.and_then(|caller| self.tenants.routes(caller.tenant())) {
            return Either::Left(routes.call(request));
        }
        // The configuration is checked, and the layer that knows callers comes before this.
        let failure = Failure::Internal("nobody knows whose call this is");
        Either::Right(ready(Ok(Status::from(failure).into_http())))
    }
}
