//! Where operators ask: the admin service, with reflection and health of its own, on a port of its own.

use std::net::SocketAddr;

use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tower::ServiceBuilder;

use super::{StartError, WHOLE_SERVER, listen};
use crate::admin::AdminService;
use crate::layer::ExplainLayer;
use crate::listen::{ConnectionSettings, Listener};
use crate::proto::ADMIN_FILE_DESCRIPTOR_SET;
use crate::proto::admin::admin_service_server::AdminServiceServer;
use crate::resilience::Drain;
use crate::telemetry::Telemetry;

/// The admin service, for as long as this is held: also while the gateway drains, which may be what somebody asks about.
#[derive(Debug)]
pub(super) struct Operators {
    pub(super) address: SocketAddr,
    end: Drain,
    _serving: AbortOnDropHandle<()>,
}

impl Operators {
    pub(super) async fn serve(
        address: SocketAddr,
        service: AdminService,
        connections: ConnectionSettings,
    ) -> Result<Self, StartError> {
        let (listener, address) = listen(address).await?;
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "whoever reaches the admin service is let in");
        }
        let (health, health_service) = tonic_health::server::health_reporter();
        health
            .set_service_status(WHOLE_SERVER, ServingStatus::Serving)
            .await;
        let mut routes = Routes::builder();
        routes
            .add_service(AdminServiceServer::new(service))
            .add_service(health_service)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?);
        let service = ServiceBuilder::new()
            // So that mistakes are explained here as they are to callers.
            .layer(ExplainLayer)
            .service(routes.routes().prepare());
        let end = Drain::new(std::time::Duration::ZERO);
        let listener = Listener::new(listener, None, connections, Telemetry::off());
        let serving = tokio::spawn(listener.serve(service, end.clone()));
        tracing::info!(%address, "serving operators");
        Ok(Self {
            address,
            end,
            _serving: AbortOnDropHandle::new(serving),
        })
    }
}

impl Drop for Operators {
    fn drop(&mut self) {
        self.end.begin();
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(ADMIN_FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // So that grpcurl can show the details of errors.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}
