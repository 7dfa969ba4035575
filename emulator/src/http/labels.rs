//! The labels of sessions.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use axum::extract::State;
use serde_json::json;

use super::call::Call;
use super::envelope::{Answer, Refusal, Reply};
use crate::app::App;

pub(super) async fn set(State(app): State<Arc<App>>, call: Call) -> Answer {
    let session = call.running_session(&app, call.required("sessionId")?)?;
    let labels = read(call.required("Labels")?)?;
    *session
        .labels
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = labels;
    Ok(Reply::empty())
}

pub(super) async fn get(State(app): State<Arc<App>>, call: Call) -> Answer {
    let session = call.running_session(&app, call.required("sessionId")?)?;
    let labels = session
        .labels
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    Ok(Reply::data(&json!({ "labels": json!(labels).to_string() })))
}

/// Reads labels as AGB carries them: the JSON text of an object of strings.
pub(super) fn read(text: &str) -> Result<BTreeMap<String, String>, Refusal> {
    serde_json::from_str(text).map_err(|error| {
        Refusal::invalid(format!(
            "labels must be the JSON text of an object of strings: {error}"
        ))
    })
}
