//! The file tools. They see the session's files as its commands do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::{ToolError, ToolOutput};
use crate::sandbox::{FileRequest, Request, Snapshot};
use crate::session::{Session, SessionStatus};

/// Every file tool.
pub(super) const NAMES: [&str; 11] = [
    "read_file",
    "write_file",
    "list_directory",
    "get_file_info",
    "create_directory",
    "move_file",
    "delete_file",
    "edit_file",
    "read_multiple_files",
    "search_files",
    CHANGES,
];
const CHANGES: &str = "get_file_change";
/// How many folders of one session can be watched.
const MAX_WATCHED: usize = 64;

/// How the folders that a session watches looked when they were last asked about.
#[derive(Debug, Default)]
pub(crate) struct Watched(Mutex<HashMap<String, Snapshot>>);

pub(super) async fn call(
    session: &Arc<Session>,
    name: &str,
    mut arguments: Value,
) -> Result<ToolOutput, ToolError> {
    arguments["tool"] = json!(name);
    // A null stands for an argument that was left out.
    if let Value::Object(arguments) = &mut arguments {
        arguments.retain(|_, value| !value.is_null());
    }
    let request: FileRequest = serde_json::from_value(arguments)?;
    let _in_use = session.in_use.read().await;
    if session.status() != SessionStatus::Running {
        return Err(ToolError::SessionEnded);
    }
    let watched = match &request {
        FileRequest::GetFileChange { path } => Some(path.clone()),
        _ => None,
    };
    let answer = session.machine.ask(Request::Files(request)).await?;
    Ok(match (watched, answer) {
        (Some(path), Ok(snapshot)) => session.watched.changes(path, &snapshot)?.into(),
        (_, answer) => answer.into(),
    })
}

impl Watched {
    /// The changes since the last call for this path, as JSON; the first call has none.
    fn changes(&self, path: String, snapshot: &str) -> serde_json::Result<Result<String, String>> {
        let now: Snapshot = serde_json::from_str(snapshot)?;
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.len() >= MAX_WATCHED && !watched.contains_key(&path) {
            return Ok(Err(format!(
                "more than {MAX_WATCHED} folders cannot be watched at once"
            )));
        }
        let changes = match watched.get(&path) {
            Some(before) => now.since(before),
            None => Vec::new(),
        };
        watched.insert(path, now);
        serde_json::to_string(&changes).map(Ok)
    }
}
