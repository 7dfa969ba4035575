//! The list of tools, and the route for tool calls through the API.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use super::envelope::{Answer, Refusal, Reply};
use crate::app::App;
use crate::session::Session;
use crate::tool::{self, Catalog, ToolError};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolBody {
    #[serde(default)]
    session_id: String,
    #[serde(default)]
    name: String,
    args: Option<Value>,
}

pub(super) async fn call(State(app): State<Arc<App>>, call: Call) -> Answer {
    let body: ToolBody = call.body()?;
    for (name, value) in [("sessionId", &body.session_id), ("name", &body.name)] {
        if value.is_empty() {
            return Err(Refusal::missing(name));
        }
    }
    let session = call.running_session(&app, &body.session_id)?;
    let result = use_tool(&app, &session, &body.name, body.args).await?;
    Ok(Reply::data(&result))
}

/// Calls a tool. What it says is in MCP's terms, also when it is an error of its own.
pub(super) async fn use_tool(
    app: &Arc<App>,
    session: &Arc<Session>,
    name: &str,
    arguments: Option<Value>,
) -> Result<Value, Refusal> {
    let result = tool::call(app, session, name, read_arguments(arguments)?).await;
    // A call keeps a session busy until it ends, however long it took.
    session.touch();
    match result {
        Ok(output) => Ok(json!({
            "isError": output.is_error,
            "content": [{ "type": "text", "text": output.text }],
        })),
        Err(ToolError::Unknown) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "InvalidTool.NotFound",
            format!("tool not found: {name}"),
        )),
        Err(ToolError::Arguments(error)) => Err(Refusal::invalid(format!("args: {error}"))),
        Err(ToolError::SessionEnded) => Err(Refusal::session_not_found(&session.id)),
        Err(ToolError::CannotIsolate(error)) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "IsolationUnavailable",
            error.to_string(),
        )),
    }
}

/// The tools of an image, as JSON text.
pub(super) async fn list(call: Call) -> Answer {
    let image = call.required("imageId")?;
    Ok(Reply::data(&Catalog::of_image(image).describe()))
}

/// Arguments come as JSON text; an object is taken as well.
fn read_arguments(args: Option<Value>) -> Result<Value, Refusal> {
    match args {
        None | Some(Value::Null) => Ok(json!({})),
        Some(Value::String(text)) => {
            serde_json::from_str(&text)
                .map(Value::Object)
                .map_err(|error| {
                    Refusal::invalid(format!("args is not the JSON text of an object: {error}"))
                })
        }
        Some(object @ Value::Object(_)) => Ok(object),
        Some(_) => Err(Refusal::invalid("args must be the JSON text of an object")),
    }
}
