//! One connection, from its handshake to its end.

use std::convert::Infallible;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tonic::body::Body;
use tower::{Service, ServiceExt as _};

use super::ConnectionSettings;
use super::frames::FrameGuard;
use super::tls::Tls;
use crate::auth::Peer;
use crate::resilience::Drain;

/// What one connection is served with.
pub(super) struct Connection<S> {
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) settings: ConnectionSettings,
    pub(super) service: S,
    pub(super) drain: Drain,
}

impl<S> Connection<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    /// Serves it until either side ends it. Whether it had to be ended because of a flood.
    pub(super) async fn serve(self, stream: TcpStream, address: SocketAddr) -> bool {
        let served = match self.tls.clone() {
            None => {
                let peer = Peer::new(Some(address), None);
                // Each on the heap by itself: a task is as large as the larger of the two.
                Box::pin(self.serve_http(stream, peer)).await
            }
            Some(tls) => {
                let shaken = timeout(self.settings.handshake_timeout, tls.accept(stream));
                match shaken.await {
                    Ok(Ok((stream, certificate))) => {
                        let peer = Peer::new(Some(address), certificate.as_deref());
                        Box::pin(self.serve_http(stream, peer)).await
                    }
                    Ok(Err(error)) => Err(Ended::by(format!("TLS handshake: {error}"))),
                    Err(_elapsed) => Err(Ended::by("TLS handshake: not done in time".to_owned())),
                }
            }
        };
        match served {
            Ok(()) => false,
            Err(Ended { error, is_flood }) => {
                tracing::debug!(%address, error, is_flood, "a connection ended with an error");
                is_flood
            }
        }
    }

    async fn serve_http<IO>(self, io: IO, peer: Peer) -> Result<(), Ended>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            settings,
            service,
            drain,
            ..
        } = self;
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            service.clone().oneshot(request.map(Body::new))
        });
        let guard = FrameGuard::new(io, &settings);
        let is_flood = guard.is_flood();
        let failed = |error: hyper::Error| Ended {
            is_flood: is_flood.load(Ordering::Relaxed) || is_calmed(&error),
            error: in_words(&error),
        };
        let io = TokioIo::new(guard);
        let mut connection = std::pin::pin!(
            http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(settings.keepalive_interval)
                .keep_alive_timeout(settings.keepalive_timeout)
                .max_concurrent_streams(settings.max_streams)
                .max_header_list_size(settings.max_header_bytes)
                .serve_connection(io, service)
        );
        let goes_on = tokio::select! {
            ended = connection.as_mut() => return ended.map_err(failed),
            () = drain.begun() => None,
            () = sleep(jittered(settings.age)) => Some(settings.age_grace),
        };
        // GOAWAY: the calls that are there go on, the next ones go elsewhere.
        connection.as_mut().graceful_shutdown();
        let ended = match goes_on {
            // The drain itself is bounded.
            None => connection.await,
            Some(grace) => match timeout(grace, connection).await {
                Ok(ended) => ended,
                Err(_elapsed) => {
                    return Err(Ended::by("calls outlived the connection's age".to_owned()));
                }
            },
        };
        ended.map_err(failed)
    }
}

/// Why a connection ended.
struct Ended {
    error: String,
    is_flood: bool,
}

impl Ended {
    fn by(error: String) -> Self {
        Self {
            error,
            is_flood: false,
        }
    }
}

/// Whether HTTP/2's own limits were passed: ENHANCE_YOUR_CALM, said by this side. Clients say it too, when a ping was not answered.
fn is_calmed(error: &hyper::Error) -> bool {
    let h2 = error
        .source()
        .and_then(|cause| cause.downcast_ref::<h2::Error>());
    h2.is_some_and(|error| {
        error.is_library() && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)
    })
}

/// Connections that began together do not end together.
fn jittered(age: Duration) -> Duration {
    age.mul_f64(0.9 + 0.2 * fastrand::f64())
}

/// An error with its causes.
fn in_words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (**cause).source());
    causes.fold(error.to_string(), |words, cause| {
        format!("{words}: {cause}")
    })
}
