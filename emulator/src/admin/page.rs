//! The page for people. It only reads the admin API; everything that it shows is put in as text, never as HTML.

use axum::http::{HeaderName, header};
use axum::response::IntoResponse;

const HTML: &str = include_str!("page/page.html");
const CSS: &str = include_str!("page/page.css");
const JS: &str = include_str!("page/page.js");
/// A second wall: nothing runs or loads but our own files, and no other page may frame this one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) async fn html() -> impl IntoResponse {
    (headers("text/html; charset=utf-8"), HTML)
}

pub(super) async fn css() -> impl IntoResponse {
    (headers("text/css; charset=utf-8"), CSS)
}

pub(super) async fn js() -> impl IntoResponse {
    (headers("text/javascript; charset=utf-8"), JS)
}

fn headers(content_type: &'static str) -> [(HeaderName, &'static str); 4] {
    [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ]
}
