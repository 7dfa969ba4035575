//! The direct route to a session's tools: who has the session's token needs no API key.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use super::envelope::{Answer, Refusal, Reply};
use super::tools::use_tool;
use crate::app::App;
use crate::owner::OwnerId;
use crate::session::Session;

const TOKEN_HEADER: &str = "x-access-token";
const PREFIX: &str = "/direct/";

#[derive(Deserialize)]
struct DirectBody {
    #[serde(default)]
    tool: String,
    args: Option<Value>,
}

/// Where a session is reached directly.
pub(super) fn path(session: &str) -> String {
    format!("{PREFIX}{session}")
}

/// Whom the token of a request on this route stands for.
pub(super) fn owner(app: &App, parts: &Parts) -> Option<OwnerId> {
    let (id, _) = parts.uri.path().strip_prefix(PREFIX)?.split_once('/')?;
    let token = parts.headers.get(TOKEN_HEADER)?.to_str().ok()?;
    let session = app.sessions.any(id)?;
    opens(app, &session, token).then_some(session.owner)
}

/// Whether a token is the session's; it takes the same time for any.
pub(super) fn opens(app: &App, session: &Session, token: &str) -> bool {
    let expected = app.signer.sign(&["token", &session.token]);
    app.signer.verify(&["token", token], &expected)
}

/// The body carries the token as well; it is nobody else's business.
pub(super) fn without_token(mut body: Value) -> Value {
    if let Value::Object(fields) = &mut body {
        fields.remove("token");
    }
    body
}

pub(super) async fn call(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    call: Call,
) -> Answer {
    let body: DirectBody = call.body()?;
    if body.tool.is_empty() {
        return Err(Refusal::missing("tool"));
    }
    let session = call.running_session(&app, &id)?;
    let result = use_tool(&app, &session, &body.tool, body.args).await?;
    Ok(Reply::data(&json!({ "result": result })))
}
