//! Files in a session: ReadFile, WriteFile and ListDirectory, in pieces and binary-safe.

use std::time::Duration;

use futures_util::{Stream, stream};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::super::incoming::{check_piece, receive, wrong};
use super::super::{Backend, shell, translate};
use super::tools::text_of;
use crate::agb::ToolCall;
use crate::domain::{Violations, absolute_path};
use crate::proto::v1 as pb;
use crate::proto::v1::read_file_response::Payload as Sent;
use crate::proto::v1::write_file_request::Payload as Received;
use crate::resilience::Deadline;
use crate::status::Failure;

pub(super) async fn list_directory(
    backend: &Backend,
    request: &pb::ListDirectoryRequest,
    deadline: Deadline,
) -> Result<pb::ListDirectoryResponse, Failure> {
    validate(&request.session_id, &request.path, "path")?;
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

pub(super) async fn read_file(
    backend: &Backend,
    request: pb::ReadFileRequest,
    deadline: Deadline,
) -> Result<impl Stream<Item = Result<pb::ReadFileResponse, Status>> + Send + use<>, Failure> {
    let mut violations = Violations::default();
    violations.check("session_id", translate::identifier(&request.session_id));
    violations.check("path", absolute_path(&request.path));
    let offset = violations.check("offset", not_negative(request.offset));
    let length = violations.check("length", not_negative(request.length));
    violations.into_result()?;
    let size = size_of(backend, &request.session_id, &request.path, deadline).await?;
    let offset = offset.unwrap_or_default().min(size);
    let end = match length.unwrap_or_default() {
        0 => size,
        length => size.min(offset.saturating_add(length)),
    };
    let reading = Reading {
        backend: backend.clone(),
        session_id: request.session_id,
        path: request.path,
        size,
        next: Next::Header,
        offset,
        end,
        count: 0,
        hash: Sha256::new(),
        deadline,
    };
    Ok(stream::try_unfold(reading, Reading::piece))
}

fn not_negative(number: i64) -> Result<u64, String> {
    u64::try_from(number).map_err(|_| format!("must not be negative, got {number}"))
}

/// The size of a file, by the lines `size: 12` and `isDirectory: false` of `get_file_info`.
async fn size_of(
    backend: &Backend,
    session_id: &str,
    path: &str,
    deadline: Deadline,
) -> Result<u64, Failure> {
    let text = tool(
        backend,
        session_id,
        "get_file_info",
        json!({"path": path}),
        deadline,
    )
    .await?;
    let field = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    let failed = |message: &str| Failure::Tool {
        message: format!("{path}: {message}"),
        request_id: String::new(),
    };
    if field("isDirectory").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(failed("is a directory"));
    }
    let size = field("size").and_then(|size| size.parse().ok());
    size.ok_or_else(|| failed("AGB does not tell its size"))
}

struct Reading {
    backend: Backend,
    session_id: String,
    path: String,
    size: u64,
    next: Next,
    offset: u64,
    end: u64,
    count: i64,
    hash: Sha256,
    deadline: Deadline,
}

enum Next {
    Header,
    Data,
    End,
}

impl Reading {
    async fn piece(mut self) -> Result<Option<(pb::ReadFileResponse, Self)>, Status> {
        let payload = match self.next {
            Next::Header => {
                self.next = Next::Data;
                Sent::Header(pb::ReadFileHeader {
                    size_bytes: i64::try_from(self.size).unwrap_or(i64::MAX),
                })
            }
            Next::Data if self.offset < self.end => Sent::Data(self.data().await?),
            Next::Data => {
                self.next = Next::End;
                Sent::Trailer(pb::ReadFileTrailer {
                    size_bytes: self.count,
                    sha256: self.hash.clone().finalize().to_vec(),
                })
            }
            Next::End => return Ok(None),
        };
        let message = pb::ReadFileResponse {
            payload: Some(payload),
        };
        Ok(Some((message, self)))
    }

    async fn data(&mut self) -> Result<Vec<u8>, Failure> {
        let piece = self.backend.limits.session_piece_bytes.value;
        let length = (self.end - self.offset).min(piece as u64);
        let arguments = json!({
            "path": self.path, "offset": self.offset, "length": length, "format": "binary",
        });
        let text = tool(
            &self.backend,
            &self.session_id,
            "read_file",
            arguments,
            self.deadline,
        )
        .await?;
        let data = shell::decode(text.trim()).unwrap_or_default();
        if data.is_empty() {
            return Err(Failure::Tool {
                message: format!(
                    "{}: ended at byte {}, before its size",
                    self.path, self.offset
                ),
                request_id: String::new(),
            });
        }
        self.offset += data.len() as u64;
        self.count += i64::try_from(data.len()).unwrap_or(i64::MAX);
        self.hash.update(&data);
        Ok(data)
    }
}

/// Writes to a file beside the one that is meant, and puts it in place at the end: a write that breaks off changes nothing.
pub(super) async fn write_file(
    backend: &Backend,
    mut pieces: Streaming<pb::WriteFileRequest>,
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
    violations.check("header.path", absolute_path(&header.path));
    let mode = violations.check("header.mode", translate::choice(header.mode));
    violations.into_result().map_err(Failure::from)?;
    let writing = Writing {
        backend,
        session_id: &header.session_id,
        part: format!("{}.{}.part", header.path, Uuid::new_v4().simple()),
        deadline,
    };
    let written = writing.all(&mut pieces).await;
    let placed = match written {
        Ok(written) => {
            let append = mode == Some(pb::WriteMode::Append);
            writing
                .put_in_place(&header.path, append)
                .await
                .map(|()| written)
        }
        Err(status) => Err(status),
    };
    if placed.is_err() {
        writing.discard().await;
    }
    placed
}

struct Writing<'a> {
    backend: &'a Backend,
    session_id: &'a str,
    part: String,
    deadline: Deadline,
}

impl Writing<'_> {
    async fn all(
        &self,
        pieces: &mut Streaming<pb::WriteFileRequest>,
    ) -> Result<pb::WriteFileResponse, Status> {
        let mut hash = Sha256::new();
        let mut count = 0;
        self.run(&format!(": > {}", shell::quote(&self.part)))
            .await?;
        loop {
            let data = match receive(pieces, |message| message.payload, self.deadline).await? {
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
                self.append(piece).await?;
            }
        }
        Ok(pb::WriteFileResponse {
            size_bytes: count,
            sha256: hash.finalize().to_vec(),
        })
    }

    /// AGB's `write_file` takes text alone; what is none goes as base64 through the shell.
    async fn append(&self, piece: &[u8]) -> Result<(), Failure> {
        let Ok(text) = std::str::from_utf8(piece) else {
            let command = format!(
                "printf %s {} | base64 -d >> {}",
                shell::encode(piece),
                shell::quote(&self.part)
            );
            return self.run(&command).await;
        };
        let arguments = json!({"path": self.part, "content": text, "mode": "append"});
        let written = tool(
            self.backend,
            self.session_id,
            "write_file",
            arguments,
            self.deadline,
        );
        written.await.map(|_text| ())
    }

    async fn put_in_place(&self, path: &str, append: bool) -> Result<(), Status> {
        let (part, path) = (shell::quote(&self.part), shell::quote(path));
        let command = if append {
            format!("cat {part} >> {path} && rm -f {part}")
        } else {
            format!("mv -f {part} {path}")
        };
        Ok(self.run(&command).await?)
    }

    async fn discard(&self) {
        if let Err(failure) = self
            .run(&format!("rm -f {}", shell::quote(&self.part)))
            .await
        {
            tracing::warn!(
                session_id = self.session_id,
                part = self.part,
                ?failure,
                "could not remove a part"
            );
        }
    }

    async fn run(&self, command: &str) -> Result<(), Failure> {
        let arguments = json!({"command": command});
        let ran = shell::run(self.backend, self.session_id, arguments, self.deadline).await;
        ran.map(|_output| ())
    }
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

fn validate(session_id: &str, path: &str, field: &str) -> Result<(), Violations> {
    let mut violations = Violations::default();
    violations.check("session_id", translate::identifier(session_id));
    violations.check(field, absolute_path(path));
    violations.into_result()
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
