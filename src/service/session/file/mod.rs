//! Files in a session: ListDirectory here, and ReadFile and WriteFile, in pieces and binary-safe.

mod read;
mod write;

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Backend, translate};
use super::tools::text_of;
use crate::agb::ToolCall;
use crate::domain::{Violations, absolute_path};
use crate::proto::v1 as pb;
use crate::resilience::Deadline;
use crate::status::Failure;

pub(super) use read::read_file;
pub(super) use write::write_file;

pub(super) async fn list_directory(
    backend: &Backend,
    request: &pb::ListDirectoryRequest,
    deadline: Deadline,
) -> Result<pb::ListDirectoryResponse, Failure> {
    let mut violations = Violations::default();
    violations.check("session_id", translate::identifier(&request.session_id));
    violations.check("path", absolute_path(&request.path));
    violations.into_result()?;
    let arguments = json!({"path": request.path});
    let text = tool(
        backend,
        &request.session_id,
        "list_directory",
        arguments,
        deadline,
    )
    .await?;
    Ok(pb::ListDirectoryResponse {
        entries: text.lines().filter_map(entry).collect(),
    })
}

/// One line of the listing: `[DIR] name` or `[FILE] name`.
fn entry(line: &str) -> Option<pb::DirectoryEntry> {
    let (name, is_directory) = match line.strip_prefix("[DIR]") {
        Some(name) => (name, true),
        None => (line.strip_prefix("[FILE]")?, false),
    };
    Some(pb::DirectoryEntry {
        name: name.strip_prefix(' ').unwrap_or(name).to_owned(),
        is_directory,
    })
}

async fn tool(
    backend: &Backend,
    session_id: &str,
    name: &str,
    arguments: Value,
    deadline: Deadline,
) -> Result<String, Failure> {
    let call = ToolCall {
        session_id,
        name,
        arguments,
        duration: Duration::ZERO,
    };
    text_of(
        backend,
        &call,
        "working with a file of the session",
        deadline,
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_read_line_by_line() {
        let directory = entry("[DIR] my dir").unwrap();
        assert_eq!(
            (directory.name.as_str(), directory.is_directory),
            ("my dir", true)
        );
        assert_eq!(entry("[FILE]  x").unwrap().name, " x");
        assert_eq!(entry("total 3"), None);
    }
}
