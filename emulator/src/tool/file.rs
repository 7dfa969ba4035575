//! The file tools. They work on the session's own folders, `/tmp` and `/home`; the system's files are not in
//! their reach. Links are followed, but never out of the session.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{ToolError, ToolOutput};
use crate::path::AbsolutePath;
use crate::session::{Session, SessionStatus};
use crate::world::{EntryKind, WriteMode};

/// The most that one call reads, in bytes.
const MAX_READ: u64 = 16 * 1024 * 1024;

#[derive(Deserialize)]
pub(super) struct ReadArguments {
    path: String,
    #[serde(default)]
    offset: u64,
    /// 0 for the rest of the file.
    #[serde(default)]
    length: u64,
    format: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct WriteArguments {
    path: String,
    content: String,
    mode: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ListArguments {
    path: String,
}

pub(super) async fn read(
    session: &Arc<Session>,
    arguments: ReadArguments,
) -> Result<ToolOutput, ToolError> {
    on_files(session, move |session| {
        let mut file = session.world.open_for_reading(&path(&arguments.path)?)?;
        let bytes = read_part(&mut file, arguments.offset, arguments.length)?;
        Ok(match arguments.format.as_deref() {
            Some("binary") => STANDARD.encode(bytes),
            _ => String::from_utf8_lossy(&bytes).into_owned(),
        })
    })
    .await
}

pub(super) async fn write(
    session: &Arc<Session>,
    arguments: WriteArguments,
) -> Result<ToolOutput, ToolError> {
    on_files(session, move |session| {
        let mode = match arguments.mode.as_deref() {
            None | Some("overwrite") => WriteMode::Overwrite,
            Some("append") => WriteMode::Append,
            Some(other) => {
                return Err(io::Error::other(format!(
                    "mode must be overwrite or append, not {other}"
                )));
            }
        };
        let mut file = session
            .world
            .open_for_writing(&path(&arguments.path)?, mode)?;
        file.write_all(arguments.content.as_bytes())?;
        Ok(format!("Successfully wrote to {}", arguments.path))
    })
    .await
}

pub(super) async fn list(
    session: &Arc<Session>,
    arguments: ListArguments,
) -> Result<ToolOutput, ToolError> {
    on_files(session, move |session| {
        let mut listing = String::new();
        for (name, kind) in session.world.list(&path(&arguments.path)?)? {
            let kind = match kind {
                EntryKind::Folder => "[DIR]",
                EntryKind::Other => "[FILE]",
            };
            let _ = writeln!(listing, "{kind} {name}");
        }
        Ok(listing)
    })
    .await
}

/// Does file work where it may block, while the session cannot go away. What goes wrong is the tool's own error.
async fn on_files(
    session: &Arc<Session>,
    work: impl FnOnce(&Session) -> io::Result<String> + Send + 'static,
) -> Result<ToolOutput, ToolError> {
    let _in_use = session.in_use.read().await;
    if session.status() != SessionStatus::Running {
        return Err(ToolError::SessionEnded);
    }
    let session = Arc::clone(session);
    match tokio::task::spawn_blocking(move || work(&session)).await {
        Ok(Ok(text)) => Ok(ToolOutput::text(text)),
        Ok(Err(error)) => Ok(ToolOutput::error(error.to_string())),
        Err(error) => Ok(ToolOutput::error(error.to_string())),
    }
}

fn path(text: &str) -> io::Result<AbsolutePath> {
    AbsolutePath::parse(text).map_err(|error| io::Error::other(format!("{text}: {error}")))
}

fn read_part(file: &mut File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let most = if length == 0 {
        MAX_READ
    } else {
        length.min(MAX_READ)
    };
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let cut = bytes.len() as u64 == MAX_READ && file.read_at(&mut [0], offset + MAX_READ)? > 0;
    if cut && (length == 0 || length > MAX_READ) {
        return Err(io::Error::other(format!(
            "more than {MAX_READ} bytes: read it in parts"
        )));
    }
    Ok(bytes)
}
