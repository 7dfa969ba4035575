//! The tools that a session offers.

mod file;
mod shell;

use std::sync::Arc;

use serde_json::Value;

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
        "read_file" => file::read(session, serde_json::from_value(arguments)?).await,
        "write_file" => file::write(session, serde_json::from_value(arguments)?).await,
        "list_directory" => file::list(session, serde_json::from_value(arguments)?).await,
        _ => Err(ToolError::Unknown),
    }
}

impl ToolOutput {
    fn text(text: impl Into<String>) -> Self {
        Self {
            is_error: false,
            text: text.into(),
        }
    }

    fn error(text: impl Into<String>) -> Self {
        Self {
            is_error: true,
            text: text.into(),
        }
    }
}
