//! Takes connections: TCP, then TLS where it is set up, then HTTP/2, each within bounds and up to an age of its own.
//!
//! tonic's own server gives all connections one age, has no bound for their number, and cannot change its certificate. What is
//! asked over a connection is for the services that it is given.

mod connection;
mod frames;
mod places;
mod tls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use opentelemetry::KeyValue;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tower::Service;

use crate::resilience::Drain;
use crate::secret::Reloaded;
use crate::telemetry::Telemetry;
use connection::Connection;
pub use frames::FrameGuard;
pub use places::Occupancy;
use places::Places;
pub use tls::{ClientCertificates, Tls, TlsFiles};

/// How long to wait before accepting again when the system has no descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bounds of connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionSettings {
    /// How many there may be at once.
    pub max_connections: usize,
    /// How many of them may come from one address.
    pub max_connections_per_address: usize,
    /// How long the TLS handshake may take, and then HTTP/2's greeting.
    pub handshake_timeout: Duration,
    /// How long one lives before it is told to go elsewhere, give or take a tenth.
    pub age: Duration,
    /// How long calls may go on after that.
    pub age_grace: Duration,
    /// After how much silence it is asked whether it is still there.
    pub keepalive_interval: Duration,
    /// How long it may take to say so.
    pub keepalive_timeout: Duration,
    /// How many calls one may have at once.
    pub max_streams: u32,
    /// The longest header list of a request, in bytes as HTTP/2 counts them.
    pub max_header_bytes: u32,
    /// How many frames that carry no data it may send a second.
    pub max_control_frames_per_second: u32,
    /// For how long an address gets no new connection after one of its own was ended because of a flood.
    pub flood_pause: Duration,
}

/// Takes connections.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Reloaded<Tls>>,
    settings: ConnectionSettings,
    telemetry: Telemetry,
    places: Places,
}

impl Listener {
    /// Connections of `tcp`, in TLS where there is `tls`.
    pub fn new(
        tcp: TcpListener,
        tls: Option<Reloaded<Tls>>,
        settings: ConnectionSettings,
        telemetry: Telemetry,
    ) -> Self {
        Self {
            places: Places::new(&settings),
            tcp,
            tls,
            settings,
            telemetry,
        }
    }

    /// How many connections there are, also while it serves.
    pub fn occupancy(&self) -> Occupancy {
        self.places.occupancy()
    }

    /// Serves until the drain begins and all connections have ended.
    pub async fn serve<S>(self, service: S, drain: Drain)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        let connections = TaskTracker::new();
        let instruments = self.telemetry.instruments().clone();
        let occupancy = self.places.occupancy();
        let count = move || u32::try_from(occupancy.now().0).ok().map(f64::from);
        instruments.connections.watch([], count);
        loop {
            let accepted = tokio::select! {
                () = drain.begun() => break,
                accepted = self.tcp.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match self.places.take(address.ip()) {
                Ok(place) => {
                    let connection = Connection {
                        tls: self.tls.as_ref().map(Reloaded::current),
                        settings: self.settings,
                        service: service.clone(),
                        drain: drain.clone(),
                    };
                    let floods = instruments.floods.clone();
                    connections.spawn(async move {
                        if connection.serve(prepared(stream), address).await {
                            floods.add(1, &[]);
                            tracing::warn!(%address, "a connection that flooded was ended");
                            place.refuse_more();
                        }
                    });
                }
                Err(setting) => {
                    let setting_attribute = KeyValue::new("agb_gateway.setting", setting);
                    instruments.connections_refused.add(1, &[setting_attribute]);
                    tracing::warn!(%address, setting, "a connection too many was closed");
                }
            }
        }
        // Who connects from here on is refused at once, and goes elsewhere.
        drop(self.tcp);
        connections.close();
        connections.wait().await;
    }
}

/// Small frames go out at once.
fn prepared(stream: TcpStream) -> TcpStream {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps small frames back");
    }
    stream
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address: Option<SocketAddr> = self.tcp.local_addr().ok();
        formatter
            .debug_struct("Listener")
            .field("address", &address)
            .finish_non_exhaustive()
    }
}
