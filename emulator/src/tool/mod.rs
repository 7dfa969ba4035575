//! The tools that a session offers.

mod catalog;
mod code;
mod file;
mod interpreter;
mod metrics;
mod shell;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

pub(crate) use catalog::Catalog;
pub(crate) use code::{RunCode, run as run_code};
pub(crate) use file::Watched;

use crate::app::App;
use crate::sandbox::CannotIsolate;
use crate::session::Session;

/// What a tool says. An error is a tool's own, such as a command that failed; the call itself went well.
#[derive(Debug)]
pub(crate) struct ToolOutput {
    pub(crate) is_error: bool,
    pub(crate) text: String,
}

/// Why a tool was not called.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    #[error("no such tool")]
    Unknown,
    #[error(transparent)]
    Arguments(#[from] serde_json::Error),
    #[error("the session ended")]
    SessionEnded,
    #[error(transparent)]
    CannotIsolate(#[from] CannotIsolate),
}

/// Calls a tool by name.
pub(crate) async fn call(
    app: &Arc<App>,
    session: &Arc<Session>,
    name: &str,
    arguments: Value,
) -> Result<ToolOutput, ToolError> {
    match name {
        "shell" => shell::call(app, session, serde_json::from_value(arguments)?).await,
        "run_code" => code::call(app, session, serde_json::from_value(arguments)?).await,
        "get_metrics" => metrics::call(session).await,
        "stopChrome" => crate::browser::stop(session).await,
        _ if file::NAMES.contains(&name) => file::call(session, name, arguments).await,
        _ => Err(ToolError::Unknown),
    }
}

/// The environment that commands find.
pub(crate) fn environment() -> BTreeMap<String, String> {
    shell::environment(BTreeMap::new()).unwrap_or_default()
}

impl ToolOutput {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self {
            is_error: false,
            text: text.into(),
        }
    }

    pub(crate) fn error(text: impl Into<String>) -> Self {
        Self {
            is_error: true,
            text: text.into(),
        }
    }
}

impl From<Result<String, String>> for ToolOutput {
    fn from(answer: Result<String, String>) -> Self {
        answer.map_or_else(Self::error, Self::text)
    }
}
