//! WriteFile: a session's file from pieces, put in place as a whole.

use std::time::Duration;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::super::super::incoming::{check_piece, receive, wrong};
use super::super::super::scope::Scope;
use super::super::super::{Backend, shell, translate};
use super::tool;
use crate::domain::{Violations, file_path};
use crate::proto::v1 as pb;
use crate::proto::v1::write_file_request::Payload as Received;
use crate::resilience::Deadline;
use crate::status::Failure;

/// How long the removal of a part may take, whose caller may have gone.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Writes to a file beside the one that is meant, and puts it in place at the end: a write that breaks off changes nothing.
pub(in crate::service::session) async fn write_file(
    backend: &Backend,
    mut pieces: Streaming<pb::WriteFileRequest>,
    scope: &Scope,
    deadline: Deadline,
) -> Result<pb::WriteFileResponse, Status> {
    let Some(Received::Header(header)) =
        receive(&mut pieces, |message| message.payload, deadline).await?
    else {
        return Err(wrong("header", "must come first, once").into());
    };
    let mut violations = Violations::default();
    violations.check(
        "header.session_id",
        translate::identifier(&header.session_id),
    );
    violations.check("header.path", file_path(&header.path));
    let mode = violations.check("header.mode", translate::choice(header.mode));
    violations.into_result().map_err(Failure::from)?;
    scope.check(backend, &header.session_id, deadline).await?;
    let append = mode == Some(pb::WriteMode::Append);
    let mut part = Part::beside(&header.path, backend, header.session_id);
    let written = match part.fill(&mut pieces, deadline).await {
        Ok(written) => part
            .put_in_place(&header.path, append, deadline)
            .await
            .map(|()| written)
            .map_err(Status::from),
        Err(status) => Err(status),
    };
    if let Some(removal) = part.remove() {
        // When the deadline comes first, it goes on by itself.
        let _ = deadline.bound(removal).await;
    }
    written
}

/// A file beside the one that is meant. Whatever becomes of the call, it does not stay.
struct Part {
    backend: Backend,
    session_id: String,
    path: String,
    /// Whether it may be there.
    there: bool,
}

impl Part {
    fn beside(path: &str, backend: &Backend, session_id: String) -> Self {
        let folder = path.rfind('/').map_or("", |end| &path[..end]);
        Self {
            backend: backend.clone(),
            session_id,
            path: format!("{folder}/.{}.part", Uuid::new_v4().simple()),
            there: false,
        }
    }

    async fn fill(
        &mut self,
        pieces: &mut Streaming<pb::WriteFileRequest>,
        deadline: Deadline,
    ) -> Result<pb::WriteFileResponse, Status> {
        let mut hash = Sha256::new();
        let mut count = 0;
        self.there = true;
        let created = self
            .run(&format!(": > {}", shell::quote(&self.path)), deadline)
            .await;
        if let Err(failure) = created {
            // A session that cannot be reached at all is not asked to remove what it never got.
            self.there = failure.leaves_outcome_unknown();
            return Err(failure.into());
        }
        loop {
            let data = match receive(pieces, |message| message.payload, deadline).await? {
                None => break,
                Some(Received::Data(data)) => data,
                Some(Received::Header(_)) => {
                    return Err(wrong("header", "must come only once").into());
                }
            };
            check_piece(&data, &self.backend.limits)?;
            hash.update(&data);
            count += i64::try_from(data.len()).unwrap_or(i64::MAX);
            for piece in data.chunks(self.backend.limits.session_piece_bytes.value) {
                self.append(piece, deadline).await?;
            }
        }
        Ok(pb::WriteFileResponse {
            size_bytes: count,
            sha256: hash.finalize().to_vec(),
        })
    }

    /// AGB's `write_file` takes text alone; what is none goes as base64 through the shell.
    async fn append(&self, piece: &[u8], deadline: Deadline) -> Result<(), Failure> {
        let Ok(text) = std::str::from_utf8(piece) else {
            let command = format!(
                "printf %s {} | base64 -d >> {}",
                shell::encode(piece),
                shell::quote(&self.path)
            );
            return self.run(&command, deadline).await;
        };
        let arguments = json!({"path": self.path, "content": text, "mode": "append"});
        let written = tool(
            &self.backend,
            &self.session_id,
            "write_file",
            arguments,
            deadline,
        );
        written.await.map(|_text| ())
    }

    /// A file that is replaced keeps its mode. A folder is not replaced, and nothing is put into it.
    async fn put_in_place(
        &mut self,
        path: &str,
        append: bool,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let (part, path) = (shell::quote(&self.path), shell::quote(path));
        let command = if append {
            format!("cat {part} >> {path} && rm -f {part}")
        } else {
            format!(
                "if [ -f {path} ]; then chmod --reference={path} {part}; fi && mv -fT {part} {path}"
            )
        };
        self.run(&command, deadline).await?;
        self.there = false;
        Ok(())
    }

    /// Removes it, unless it is gone, in a task that goes on when the caller has gone.
    fn remove(&mut self) -> Option<JoinHandle<()>> {
        if !std::mem::take(&mut self.there) {
            return None;
        }
        let removing = Self {
            backend: self.backend.clone(),
            session_id: self.session_id.clone(),
            path: self.path.clone(),
            there: false,
        };
        Some(self.backend.background.spawn(async move {
            let command = format!("rm -f {}", shell::quote(&removing.path));
            let removed = removing.run(&command, Deadline::after(REMOVAL_TIMEOUT));
            if let Err(failure) = removed.await {
                let (session_id, part) = (&removing.session_id, &removing.path);
                tracing::warn!(session_id, part, ?failure, "could not remove a part");
            }
        }))
    }

    async fn run(&self, command: &str, deadline: Deadline) -> Result<(), Failure> {
        let arguments = json!({"command": command});
        let ran = shell::run(&self.backend, &self.session_id, arguments, deadline).await;
        ran.map(|_output| ())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        drop(self.remove());
    }
}
