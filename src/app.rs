//! The composition root: from a configuration to a running server, and its orderly end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::service::InterceptorLayer;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::agb::{Client, Tools};
use crate::auth::Guard;
use crate::config::{Config, ServerConfig};
use crate::creation::{Clock, Creations, Sweeper};
use crate::layer::{
    AdmissionLayer, AuthLayer, BrokenOffLayer, CutOffLayer, DeadlineInterceptor, DeadlineLimits,
    ExplainLayer,
};
use crate::proto::FILE_DESCRIPTOR_SET;
use crate::proto::v1::{
    context_service_server::ContextServiceServer,
    mapping_policy_service_server::MappingPolicyServiceServer,
    session_service_server::SessionServiceServer,
    sync_policy_service_server::SyncPolicyServiceServer, sync_service_server::SyncServiceServer,
};
use crate::resilience::Drain;
use crate::service::background::Background;
use crate::service::{
    Backend, ContextService, MappingPolicyService, Owned, SessionService, SyncPolicyService,
    SyncService,
};
use crate::sync::Syncs;

/// The name under which grpc.health.v1 tells of the server as a whole.
const WHOLE_SERVER: &str = "";

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The client towards AGB could not be built.
    #[error("the client towards AGB could not be built: {0}")]
    Client(String),
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
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
    background: Background,
    sweeping: Option<JoinHandle<()>>,
}

impl Gateway {
    /// Starts everything, or nothing.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let client = Client::try_new(config.agb.client.clone()).map_err(StartError::Client)?;
        let guard = Guard::start(&config.auth).await.map_err(StartError::Auth)?;
        let background = Background::default();
        let drain = Drain::new(config.server.drain_timeout);
        let creations = Creations::new(
            Arc::new(client.clone()),
            config.session.keys.clone(),
            config.session.settings,
            Clock::system(),
            background.tasks(),
        );
        let backend = Backend {
            creations: creations.clone(),
            tools: Tools::new(client.clone()),
            background: background.clone(),
            syncs: Syncs::new(
                Arc::new(client.clone()),
                &config.sync.settings,
                config.sync.token_keys.clone(),
                drain.clone(),
            ),
            pace: config.sync.settings.pace,
            max_walk_entries: config.mapping.max_entries,
            limits: config.limits,
            owned: Owned::default(),
            presets: Arc::new(config.presets),
            client,
        };
        let (listener, address) = listen(config.server.listen).await?;
        let sweeping = {
            let drain = drain.clone();
            sweep(creations, config.session.sweep_interval, async move {
                drain.begun().await;
            })
        };
        let (health, health_service) = tonic_health::server::health_reporter();
        health
            .set_service_status(WHOLE_SERVER, ServingStatus::Serving)
            .await;
        let limits = DeadlineLimits {
            max: config.server.max_deadline,
            default: config.server.default_deadline,
            reserve: config.server.deadline_reserve,
            attempts: config.agb.client.retry.policy.max_attempts(),
        };
        let max_message_bytes = config.server.max_message_bytes;
        macro_rules! limited {
            ($server:expr) => {
                $server
                    .max_decoding_message_size(max_message_bytes)
                    .max_encoding_message_size(usize::MAX)
            };
        }
        let router = builder(&config.server)
            // Outermost, so that it sees every answer: also those to requests that nothing below has seen.
            .layer(ExplainLayer)
            // Before anything costs time or memory.
            .layer(AdmissionLayer::new(config.server.max_concurrent_calls))
            // Around all that may take long.
            .layer(CutOffLayer(drain.clone()))
            // Before anything reads the request.
            .layer(BrokenOffLayer)
            // Every service reads its deadline from the request, so this comes before them all.
            .layer(InterceptorLayer::new(DeadlineInterceptor(limits)))
            // Before any service sees the call, and within the deadline: it may have to wait for an issuer's keys.
            .layer(AuthLayer(guard))
            .add_service(limited!(health_service))
            .add_service(limited!(reflection().build_v1()?))
            // Older releases of grpcurl speak v1alpha only.
            .add_service(limited!(reflection().build_v1alpha()?))
            .add_service(limited!(ContextServiceServer::new(ContextService(
                backend.clone()
            ))))
            .add_service(limited!(SessionServiceServer::new(SessionService(
                backend.clone()
            ))))
            .add_service(limited!(SyncServiceServer::new(SyncService(
                backend.clone()
            ))))
            .add_service(limited!(SyncPolicyServiceServer::new(SyncPolicyService(
                backend.clone()
            ))))
            .add_service(limited!(MappingPolicyServiceServer::new(
                MappingPolicyService(backend)
            )));
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let drained = {
            let drain = drain.clone();
            async move { drain.begun().await }
        };
        let serving = tokio::spawn(router.serve_with_incoming_shutdown(incoming, drained));
        tracing::info!(%address, endpoint = %config.agb.client.endpoint, "serving");
        Ok(Self {
            address,
            drain,
            health,
            serving,
            background,
            sweeping,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
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
            ended
        };
        match tokio::time::timeout(self.drain.timeout(), drain).await {
            Ok(Ok(Ok(()))) => {
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
    fn ended(ended: Result<Result<(), tonic::transport::Error>, tokio::task::JoinError>) -> Self {
        Self::Server(match ended {
            Ok(Ok(())) => "without an error".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(panicked) => panicked.to_string(),
        })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.drain.begin();
        self.serving.abort();
        if let Some(sweeping) = &self.sweeping {
            sweeping.abort();
        }
    }
}

/// A server with the bounds of the configuration.
fn builder(config: &ServerConfig) -> Server {
    // Replicas that were started together do not send their callers away together.
    let age = config.connection_age.mul_f64(0.9 + 0.2 * fastrand::f64());
    Server::builder()
        .max_connection_age(age)
        .http2_keepalive_interval(Some(config.keepalive_interval))
        .http2_keepalive_timeout(Some(config.keepalive_timeout))
        .max_concurrent_streams(u32::try_from(config.max_streams_per_connection).ok())
}

/// Sweeps for sessions that nobody has until `stop` ends; not at all where the interval is zero.
fn sweep(
    creations: Creations,
    interval: Duration,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Option<JoinHandle<()>> {
    (!interval.is_zero()).then(|| {
        tokio::spawn(async move {
            tokio::select! {
                () = stop => {}
                () = Sweeper::new(creations, interval).run() => {}
            }
        })
    })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // So that grpcurl can show the details of errors.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}
