//! The page for Prometheus, and where it listens. Its own port, so that it is not where callers are.

use std::net::SocketAddr;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use prometheus::{Registry, TextEncoder};
use tokio::net::TcpListener;

/// The page.
#[derive(Clone, Debug)]
pub struct MetricsPage(Registry);

impl MetricsPage {
    pub(super) fn new(registry: Registry) -> Self {
        Self(registry)
    }

    /// The page as it is now, in Prometheus' text format. The error is for people.
    pub fn text(&self) -> Result<String, String> {
        let mut text = String::new();
        TextEncoder::new()
            .encode_utf8(&self.0.gather(), &mut text)
            .map_err(|error| error.to_string())?;
        Ok(text)
    }

    /// Serves it at `/metrics` until it is dropped.
    pub async fn serve(
        self,
        address: SocketAddr,
    ) -> std::io::Result<(SocketAddr, impl Future<Output = ()>)> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let router =
            Router::new().route("/metrics", get(move || std::future::ready(self.answer())));
        let serving = async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the metrics page is served no more");
            }
        };
        Ok((address, serving))
    }

    fn answer(&self) -> Response {
        match self.text() {
            Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error).into_response(),
        }
    }
}
