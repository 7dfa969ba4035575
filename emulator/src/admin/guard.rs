//! Keeps web pages from elsewhere, and bodies that are too large, out of the admin API.
//!
//! A browser on this machine reaches loopback for every page that it shows. So a request that comes from a page of
//! another origin is refused, and so is one for a public name, which may have been pointed at this address to make
//! another page's origin look like ours.

use std::net::{IpAddr, Ipv6Addr};

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::AdminError;

/// The largest body that is read, in bytes.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Names that end like this are never public.
const PRIVATE: [&str; 3] = [".localhost", ".local", ".internal"];

pub(super) async fn pass(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // Read whole in any case: an answer could get lost on a connection that is closed with a body unread.
    let body = to_bytes(body, MAX_BODY_BYTES).await;
    let body = match (check(&parts.headers), body) {
        (Err(refusal), _) => return refusal.into_response(),
        (_, Err(_)) => {
            let message = format!("a body is at most {MAX_BODY_BYTES} bytes long");
            return AdminError::too_large(message).into_response();
        }
        (Ok(()), Ok(body)) => body,
    };
    next.run(Request::from_parts(parts, body.into())).await
}

fn check(headers: &HeaderMap) -> Result<(), AdminError> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(header::HOST);
    if let Some(host) = host
        && !is_private(host)
    {
        return Err(AdminError::forbidden(format!(
            "the Host header must be an address or a private name, not {host}"
        )));
    }
    match text(header::ORIGIN) {
        Some(origin) if host.is_none_or(|host| origin != format!("http://{host}")) => Err(
            AdminError::forbidden("pages from elsewhere have no access to the admin API"),
        ),
        _ => Ok(()),
    }
}

fn is_private(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    let unbracketed = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    unbracketed.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
        || name.parse::<IpAddr>().is_ok()
        || !name.contains('.')
        || PRIVATE.iter().any(|ending| {
            let name = name.to_ascii_lowercase();
            name.ends_with(ending)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_private_names_are_served_and_public_names_are_not() {
        for host in [
            "127.0.0.1:7071",
            "[::1]:7071",
            "localhost:7071",
            "emulator",
            "emulator.default.svc.cluster.local:7071",
            "host.docker.internal",
        ] {
            assert!(is_private(host), "{host}");
        }
        for host in [
            "example.com:7071",
            "localhost.example.com",
            "local.",
            "",
            "a b",
        ] {
            assert!(!is_private(host), "{host}");
        }
    }
}
