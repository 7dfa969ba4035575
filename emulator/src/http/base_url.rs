//! The address under which the caller reached us: the links in answers lead there.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{header, uri::Authority};

use super::envelope::Refusal;
use crate::app::App;

/// `http://host:port`, without a trailing slash.
pub(super) struct BaseUrl(pub(super) String);

impl BaseUrl {
    /// The same place for web sockets.
    pub(super) fn web_socket(&self) -> String {
        self.0.replacen("http", "ws", 1)
    }
}

impl FromRequestParts<Arc<App>> for BaseUrl {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let host = parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .filter(|host| host.parse::<Authority>().is_ok());
        Ok(Self(host.map_or_else(
            || app.url.clone(),
            |host| format!("http://{host}"),
        )))
    }
}
