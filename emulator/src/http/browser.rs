//! The operations on a session's browser.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::base_url::BaseUrl;
use super::call::Call;
use super::envelope::{Answer, Refusal, Reply};
use super::links;
use crate::app::App;
use crate::browser::{self, BrowserError, BrowserOptions};
use crate::path::AbsolutePath;

/// Where the SDK has browsers keep what they remember.
const DATA_PATH: &str = "/tmp/agb_browser_data";

pub(super) async fn init(State(app): State<Arc<App>>, call: Call) -> Answer {
    let session = call.running_session(&app, call.required("sessionId")?)?;
    let options = read_options(&call)?;
    let endpoint = browser::start(&session, &options).await;
    session.touch();
    let endpoint = endpoint.map_err(|error| refusal(&error, &session.id))?;
    Ok(Reply::data(&json!({ "port": endpoint.port })))
}

pub(super) async fn cdp_link(State(app): State<Arc<App>>, base: BaseUrl, call: Call) -> Answer {
    let session = call.running_session(&app, call.required("sessionId")?)?;
    let endpoint = browser::endpoint(&session)
        .await
        .map_err(|error| refusal(&error, &session.id))?;
    let link = links::path(&app.signer, &session.id, endpoint.port);
    let url = format!("{}{link}{}", base.web_socket(), endpoint.path);
    Ok(Reply::data(&json!({ "url": url })))
}

fn refusal(error: &BrowserError, session: &str) -> Refusal {
    let code = match error {
        BrowserError::SessionEnded => return Refusal::session_not_found(session),
        BrowserError::NotInitialized => "BrowserNotInitialized",
        BrowserError::NoProgram | BrowserError::NotStarted(_) => "BrowserUnavailable",
        BrowserError::CannotIsolate(_) => "IsolationUnavailable",
    };
    Refusal::new(StatusCode::BAD_REQUEST, code, error.to_string())
}

fn read_options(call: &Call) -> Result<BrowserOptions, Refusal> {
    let data_path = AbsolutePath::parse(call.query("persistentPath").unwrap_or(DATA_PATH))
        .map_err(|error| Refusal::invalid(format!("persistentPath: {error}")))?;
    let option: Value = serde_json::from_str(call.query("browserOption").unwrap_or("{}"))
        .map_err(|error| Refusal::invalid(format!("browserOption is no JSON: {error}")))?;
    let text = |name: &str| option[name].as_str().map(str::to_owned);
    let viewport = &option["viewport"];
    Ok(BrowserOptions {
        data_path: data_path.to_string(),
        user_agent: text("userAgent"),
        window: viewport["width"].as_u64().zip(viewport["height"].as_u64()),
        first_page: text("defaultNavigateUrl"),
        arguments: option["cmdArgs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|argument| argument.as_str().map(str::to_owned))
            .collect(),
    })
}
