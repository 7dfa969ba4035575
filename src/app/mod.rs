//! The composition root: from a configuration to a running server, and its orderly end.

mod operators;
mod routes;
mod tenants;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::InterceptorLayer;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::ServiceBuilder;

use crate::admin::{AdminService, Sources};
use crate::auth::Guard;
use crate::config::Config;
use crate::layer::{
    AdmissionLayer, AuthLayer, BrokenOffLayer, CompressionInterceptor, CutOffLayer,
    DeadlineInterceptor, DeadlineLimits, ExplainLayer, ObserveLayer, web_layers,
};
use crate::listen::Listener;
use crate::resilience::Drain;
use crate::secret::Reloaded;
use crate::service::background::Background;
use crate::telemetry::{LogFilter, Telemetry};
use operators::Operators;
use routes::{Router, common_routes};
use tenants::Tenants;

/// The name under which grpc.health.v1 tells of the server as a whole.
const WHOLE_SERVER: &str = "";

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The client towards AGB could not be built.
    #[error("the client towards AGB could not be built: {0}")]
    Client(String),
    /// A file with a key or a certificate could not be used.
    #[error("{0}")]
    Secret(String),
    /// The address could not be listened at.
    #[error("could not listen at {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// What callers are known by could not be read.
    #[error("{0}")]
    Auth(String),
    /// What the gateway tells about itself has nowhere to go.
    #[error("{0}")]
    Telemetry(String),
    /// The address of the metrics page could not be listened at.
    #[error("could not listen at telemetry.metrics_listen, {address}: {source}")]
    MetricsPage {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The descriptors for reflection could not be read.
    #[error("server reflection could not be built: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    drain: Drain,
    health: HealthReporter,
    serving: JoinHandle<()>,
    background: Background,
    telemetry: Telemetry,
    metrics_page: Option<(SocketAddr, AbortOnDropHandle<()>)>,
    operators: Option<Operators>,
}

impl Gateway {
    /// Starts everything, or nothing. Which events are logged cannot be changed.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, None).await
    }

    /// The same, with the filter of the log, which operators can change.
    pub async fn start_with(
        config: Config,
        log_filter: Option<LogFilter>,
    ) -> Result<Self, StartError> {
        let background = Background::default();
        let drain = Drain::new(config.server.drain_timeout);
        let telemetry = Telemetry::start(&config.telemetry).map_err(StartError::Telemetry)?;
        let guard = Guard::start(&config.auth, &telemetry)
            .await
            .map_err(StartError::Auth)?;
        let tenants = Tenants::start(config.clone(), &background, &drain, &telemetry).await?;
        let tls = match &config.server.tls {
            None => None,
            Some(files) => {
                let (paths, files) = (files.paths(), files.clone());
                let looking = config.secrets.looking(&telemetry);
                let make = move |contents: &[Vec<u8>]| files.make(contents);
                let tls = Reloaded::watch("server.tls", paths, looking, make);
                Some(tls.await.map_err(StartError::Secret)?)
            }
        };
        let metrics_page = match config.telemetry.metrics_listen {
            None => None,
            Some(address) => {
                let failed = |source| StartError::MetricsPage { address, source };
                let (address, page) = telemetry.page().serve(address).await.map_err(failed)?;
                tracing::info!(%address, "serving metrics");
                Some((address, AbortOnDropHandle::new(tokio::spawn(page))))
            }
        };
        let (listener, address) = listen(config.server.listen).await?;
        if tls.is_none() && !address.ip().is_loopback() {
            tracing::warn!(
                %address,
                "callers' credentials come in plain text: set server.tls_certificate_file, unless a mesh encrypts"
            );
        }
        let (health, health_service) = tonic_health::server::health_reporter();
        health
            .set_service_status(WHOLE_SERVER, ServingStatus::Serving)
            .await;
        let listener = Listener::new(listener, tls, config.server.connections, telemetry.clone());
        let operators = match config.admin.listen {
            None => None,
            Some(address) => {
                let service = AdminService::new(Sources {
                    settings: config.settings,
                    upstream: tenants.connections().clone(),
                    tenants: Box::new(tenants.clone()),
                    callers: listener.occupancy(),
                    log_filter,
                });
                let connections = config.server.connections;
                Some(Operators::serve(address, service, connections).await?)
            }
        };
        let router = Router {
            common: common_routes(health_service, config.server.max_message_bytes)?,
            tenants,
        };
        let limits = DeadlineLimits {
            max: config.server.max_deadline,
            default: config.server.default_deadline,
            reserve: config.server.deadline_reserve,
            attempts: config.agb.client.retry.policy.max_attempts(),
        };
        let service = ServiceBuilder::new()
            // Around everything: what is below sees calls of pages as calls like any other.
            .option_layer(web_layers(&config.server.grpc_web_origins))
            // Outermost of gRPC: a call is what the caller sees of it.
            .layer(ObserveLayer(telemetry.clone()))
            // So that it sees every answer: also those to requests that nothing below has seen.
            .layer(ExplainLayer)
            // Before anything costs time or memory.
            .layer(AdmissionLayer::new(config.server.max_concurrent_calls))
            // Around all that may take long.
            .layer(CutOffLayer(drain.clone()))
            // Before anything reads the request.
            .layer(BrokenOffLayer)
            // Every service reads its deadline from the request, so this comes before them all.
            .layer(InterceptorLayer::new(DeadlineInterceptor(limits)))
            // Before any service decides how it answers.
            .layer(InterceptorLayer::new(CompressionInterceptor))
            // Before any service sees the call, and within the deadline: it may have to wait for an issuer's keys.
            .layer(AuthLayer(guard))
            .service(router);
        let serving = tokio::spawn(listener.serve(service, drain.clone()));
        tracing::info!(%address, endpoint = %config.agb.client.endpoint, "serving");
        Ok(Self {
            address,
            drain,
            health,
            serving,
            background,
            telemetry,
            metrics_page,
            operators,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it tells about itself.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Where the metrics page is, if there is one.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        let (address, _page) = self.metrics_page.as_ref()?;
        Some(*address)
    }

    /// Where operators ask, if they may.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        let operators = self.operators.as_ref()?;
        Some(operators.address)
    }

    /// Serves until `stop` ends, then drains: readiness off, no new calls, running calls go on until the drain timeout.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Result<(), RunError> {
        tokio::select! {
            () = stop => {}
            ended = &mut self.serving => return Err(RunError::ended(ended)),
        }
        tracing::info!("draining");
        self.health
            .set_service_status(WHOLE_SERVER, ServingStatus::NotServing)
            .await;
        self.drain.begin();
        // Ends the streams of those who watch its health, once they have heard; they would never end by themselves.
        self.health.clear_service_status(WHOLE_SERVER).await;
        let drain = async {
            let ended = (&mut self.serving).await;
            self.background.finished().await;
            self.telemetry.finish().await;
            ended
        };
        match tokio::time::timeout(self.drain.timeout(), drain).await {
            Ok(Ok(())) => {
                tracing::info!("drained");
                Ok(())
            }
            Ok(ended) => Err(RunError::ended(ended)),
            Err(_elapsed) => {
                self.serving.abort();
                Err(RunError::DrainTimeout(self.drain.timeout()))
            }
        }
    }
}

/// Why serving did not end as it should.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The server failed, or ended unasked.
    #[error("the server ended by itself: {0}")]
    Server(String),
    /// Calls were still running when the drain timeout came.
    #[error("the drain timeout of {0:?} came before all calls had ended; they were cut off")]
    DrainTimeout(Duration),
}

impl RunError {
    fn ended(ended: Result<(), tokio::task::JoinError>) -> Self {
        Self::Server(match ended {
            Ok(()) => "without an error".to_owned(),
            Err(panicked) => panicked.to_string(),
        })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.drain.begin();
        self.serving.abort();
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
