//! What was asked of the emulator.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde_json::{Value, json};

use super::error::AdminError;
use crate::app::App;

/// How many are shown unless more are asked for.
const DEFAULT_LIMIT: usize = 100;

/// The latest requests, oldest first, of an operation or with a request id if asked for.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Json<Value>, AdminError> {
    check_names(&query, &["operation", "requestId", "limit"])?;
    let limit = number(&query, "limit", DEFAULT_LIMIT)?;
    let same = |name: &str, actual: &String| query.get(name).is_none_or(|wanted| wanted == actual);
    let requests = app.requests.latest(limit, |request| {
        same("operation", &request.operation) && same("requestId", &request.request_id)
    });
    Ok(Json(json!({ "requests": requests })))
}

/// How many requests there were of each operation.
pub(super) async fn counts(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({ "counts": app.requests.counts() }))
}

/// Refuses parameters that are none: a typing error would silently widen what is asked for.
pub(super) fn check_names(
    query: &BTreeMap<String, String>,
    known: &[&str],
) -> Result<(), AdminError> {
    match query.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let message = format!("there is no parameter {name}, only {}", known.join(", "));
            Err(AdminError::invalid(name, message))
        }
    }
}

pub(super) fn number(
    query: &BTreeMap<String, String>,
    name: &str,
    default: usize,
) -> Result<usize, AdminError> {
    query.get(name).map_or(Ok(default), |text| {
        text.parse()
            .map_err(|_| AdminError::invalid(name, format!("{name} must be a number")))
    })
}
