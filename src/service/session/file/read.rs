//! ReadFile: a session's file in pieces.

use futures_util::{Stream, stream};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tonic::Status;

use super::super::super::{Backend, shell, translate};
use super::tool;
use crate::domain::{Violations, absolute_path};
use crate::proto::v1 as pb;
use crate::proto::v1::read_file_response::Payload as Sent;
use crate::resilience::Deadline;
use crate::status::Failure;

pub(in crate::service::session) async fn read_file(
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
        let failed = |what: &str| Failure::Tool {
            message: format!("{}: {what} at byte {}", self.path, self.offset),
            request_id: String::new(),
        };
        let data = shell::decode(text.trim()).ok_or_else(|| failed("AGB gave no base64"))?;
        if data.is_empty() {
            return Err(failed("ended before its size"));
        }
        if data.len() as u64 > length {
            return Err(failed("AGB gave more than was asked for"));
        }
        self.offset += data.len() as u64;
        self.count += i64::try_from(data.len()).unwrap_or(i64::MAX);
        self.hash.update(&data);
        Ok(data)
    }
}
