//! gRPC-Web: calls of pages in browsers, from origins that are listed.
//!
//! A browser asks first whether a page's origin may call (CORS); one that is not listed is told nothing, and the browser refuses
//! its page. Pages are callers like any other: they still have to be known.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use tonic_web::GrpcWebLayer;
use tower::layer::util::Stack;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::observe::{AGB_REQUEST_ID, TRACE_ID};
use crate::auth::KEY_HEADER;

/// What the libraries of gRPC-Web send, beside credentials, and what traces need.
const REQUEST_HEADERS: [&str; 6] = [
    "x-grpc-web",
    "x-user-agent",
    "grpc-timeout",
    "traceparent",
    "tracestate",
    KEY_HEADER,
];
/// Where a status is when an answer has no messages, and what is told beside it.
const ANSWER_HEADERS: [&str; 5] = [
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
    TRACE_ID,
    AGB_REQUEST_ID,
];
/// How long a browser may remember that an origin may call.
const MAX_AGE: Duration = Duration::from_hours(1);

/// Translates gRPC-Web, and answers browsers that ask for these origins; `None` where there are none.
pub fn web_layers(origins: &[HeaderValue]) -> Option<Stack<GrpcWebLayer, CorsLayer>> {
    if origins.is_empty() {
        return None;
    }
    let headers = REQUEST_HEADERS.map(HeaderName::from_static).into_iter();
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.to_vec()))
        .allow_methods([Method::POST])
        .allow_headers(
            headers
                .chain([CONTENT_TYPE, AUTHORIZATION])
                .collect::<Vec<_>>(),
        )
        .expose_headers(ANSWER_HEADERS.map(HeaderName::from_static))
        .max_age(MAX_AGE);
    Some(Stack::new(GrpcWebLayer::new(), cors))
}
