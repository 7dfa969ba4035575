//! The clock that decides when files are recycled, sessions end and URLs expire: it can be read, and moved forward.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use super::error::AdminError;
use crate::app::App;

/// The furthest that it is moved at once: ten years.
const MAX_SECONDS: u64 = 10 * 366 * 24 * 60 * 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: u64,
}

pub(super) async fn get(State(app): State<Arc<App>>) -> Json<Value> {
    Json(told(&app))
}

pub(super) async fn advance(
    State(app): State<Arc<App>>,
    bytes: Bytes,
) -> Result<Json<Value>, AdminError> {
    let Advance { seconds } = body::read(&bytes)?;
    if seconds > MAX_SECONDS {
        let message = format!("seconds must be at most {MAX_SECONDS}, ten years");
        return Err(AdminError::invalid("seconds", message));
    }
    app.clock.advance(Duration::from_secs(seconds));
    Ok(Json(told(&app)))
}

fn told(app: &App) -> Value {
    let ahead_ms = u64::try_from(app.clock.ahead().as_millis()).unwrap_or(u64::MAX);
    json!({ "timeMs": app.clock.now_ms(), "aheadMs": ahead_ms })
}
