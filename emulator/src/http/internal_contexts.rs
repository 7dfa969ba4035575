//! The operation that brings a session's own contexts along.

use std::sync::Arc;

use axum::extract::State;
use serde_json::json;

use super::call::Call;
use super::envelope::{Answer, Refusal, Reply};
use crate::app::App;
use crate::session;

pub(super) async fn load(State(app): State<Arc<App>>, call: Call) -> Answer {
    let session = call.running_session(&app, call.required("sessionId")?)?;
    let types: Vec<String> = serde_json::from_str(call.required("contextTypes")?)
        .map_err(|error| Refusal::invalid(format!("contextTypes must be a JSON list: {error}")))?;
    let mut contexts = Vec::new();
    for kind in types {
        let mount = session::load_internal(&app, &session, &kind)
            .await
            .map_err(|error| Refusal::internal(error.to_string()))?
            .ok_or_else(|| Refusal::invalid(format!("unknown context type: {kind}")))?;
        contexts.push(json!({
            "contextId": mount.context.id,
            "contextType": kind,
            "contextPath": mount.path.as_str(),
        }));
    }
    Ok(Reply::data(&contexts))
}
