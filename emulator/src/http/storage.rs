//! The storage behind presigned URLs: takes and gives the bytes of one context file, without an API key.
//!
//! It answers as object storage does, in XML and not in AGB's envelope. Files pass through in pieces, and an
//! upload that breaks off leaves the former file as it was.

use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::{ReaderStream, StreamReader, SyncIoBridge};

use super::grant::{Grant, Verb};
use crate::app::App;
use crate::context::{Context, Phase, StoredFile};
use crate::path::AbsolutePath;

/// What an uploaded file may be done with in a session.
const FILE_MODE: u32 = 0o644;
/// In how large pieces files pass through, in bytes at most: small ones cost a thread's turn each.
const PIECE: usize = 256 * 1024;
/// Why the storage refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Denial {
    Unsigned,
    Expired,
    WrongSignature,
    NoSuchKey,
    NotReady,
    Range(u64),
    Broken(String),
}

pub(super) async fn put(
    State(app): State<Arc<App>>,
    Path((context_id, path)): Path<(String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
    body: Body,
) -> Response {
    match take(&app, context_id, &path, &query, body).await {
        Ok(etag) => (StatusCode::OK, [(header::ETAG, etag)]).into_response(),
        Err(denial) => denial.into_response(),
    }
}

async fn take(
    app: &Arc<App>,
    context_id: String,
    path: &str,
    query: &BTreeMap<String, String>,
    body: Body,
) -> Result<String, Denial> {
    let (context, file) = open(app, Verb::Put, context_id, path, query)?;
    let bytes = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    let mut bytes = BufReader::with_capacity(PIECE, SyncIoBridge::new(Box::pin(bytes)));
    let blobs = app.blobs.clone();
    tokio::task::spawn_blocking(move || {
        let blob = blobs
            .write(&mut bytes)
            .map_err(|error| Denial::Broken(error.to_string()))?;
        if context.is_deleted() {
            return Err(Denial::NoSuchKey);
        }
        if context.summary().phase != Phase::Available {
            return Err(Denial::NotReady);
        }
        context.touch();
        context
            .put(file.clone(), blob, FILE_MODE)
            .map_err(|error| Denial::Broken(error.to_string()))?;
        let stored = context.files.get(&file);
        stored.as_ref().map(etag).ok_or(Denial::NoSuchKey)
    })
    .await
    .map_err(|error| Denial::Broken(error.to_string()))?
}

pub(super) async fn get(
    State(app): State<Arc<App>>,
    Path((context_id, path)): Path<(String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    give(&app, context_id, &path, &query, &headers)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn give(
    app: &App,
    context_id: String,
    path: &str,
    query: &BTreeMap<String, String>,
    headers: &HeaderMap,
) -> Result<Response, Denial> {
    let (context, file) = open(app, Verb::Get, context_id, path, query)?;
    let stored = context.files.get(&file).ok_or(Denial::NoSuchKey)?;
    context.touch();
    let size = stored.blob.size();
    let range = match headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok())
    {
        Some(text) => read_range(text, size)?,
        None => None,
    };
    let tag = etag(&stored);
    // The blob stays whole for this reader: an open file outlives its name.
    let file = tokio::task::spawn_blocking(move || stored.blob.open())
        .await
        .map_err(|error| Denial::Broken(error.to_string()))?
        .map_err(|error| Denial::Broken(error.to_string()))?;
    let mut file = tokio::fs::File::from_std(file);
    let (first, length) = range.unwrap_or((0, size));
    file.seek(io::SeekFrom::Start(first))
        .await
        .map_err(|error| Denial::Broken(error.to_string()))?;
    let mut answer = Response::builder()
        .header(header::CONTENT_LENGTH, length)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::ETAG, tag);
    if range.is_some() {
        let last = first + length.saturating_sub(1);
        answer = answer.status(StatusCode::PARTIAL_CONTENT).header(
            header::CONTENT_RANGE,
            format!("bytes {first}-{last}/{size}"),
        );
    }
    answer
        .body(Body::from_stream(ReaderStream::with_capacity(
            file.take(length),
            PIECE,
        )))
        .map_err(|error| Denial::Broken(error.to_string()))
}

/// The context and the path in it for which a URL was signed.
fn open(
    app: &App,
    verb: Verb,
    context_id: String,
    path: &str,
    query: &BTreeMap<String, String>,
) -> Result<(Arc<Context>, AbsolutePath), Denial> {
    let grant = Grant::read(
        verb,
        context_id,
        path,
        query,
        &app.signer,
        app.clock.now_ms(),
    )?;
    let context = app.contexts.any(&grant.context_id);
    Ok((context.ok_or(Denial::NoSuchKey)?, grant.path))
}

/// The first byte and the length of a single range; `None` for what a server may ignore.
fn read_range(text: &str, size: u64) -> Result<Option<(u64, u64)>, Denial> {
    let Some((from, to)) = text
        .strip_prefix("bytes=")
        .filter(|ranges| !ranges.contains(','))
        .and_then(|range| range.split_once('-'))
    else {
        return Ok(None);
    };
    let (first, last) = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(size.saturating_sub(1))),
        (Ok(first), Err(_)) if to.is_empty() => (first, size.saturating_sub(1)),
        (Err(_), Ok(suffix)) if from.is_empty() && suffix > 0 => {
            (size.saturating_sub(suffix), size.saturating_sub(1))
        }
        _ => return Ok(None),
    };
    if first >= size {
        return Err(Denial::Range(size));
    }
    Ok(Some((first, last - first + 1)))
}

/// Tells one content of a file from another.
fn etag(file: &StoredFile) -> String {
    format!(
        "\"{}-{:x}-{:x}\"",
        file.id,
        file.modified_ms,
        file.blob.size()
    )
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        let (status, code, message) = match &self {
            Self::Unsigned => (
                StatusCode::FORBIDDEN,
                "AccessDenied",
                "The URL is not signed.",
            ),
            Self::Expired => (
                StatusCode::FORBIDDEN,
                "AccessDenied",
                "Request has expired.",
            ),
            Self::WrongSignature => (
                StatusCode::FORBIDDEN,
                "SignatureDoesNotMatch",
                "The signature is not one for this method and URL.",
            ),
            Self::NoSuchKey => (
                StatusCode::NOT_FOUND,
                "NoSuchKey",
                "The specified key does not exist.",
            ),
            Self::NotReady => (
                StatusCode::CONFLICT,
                "OperationAborted",
                "The context is being cleared.",
            ),
            Self::Range(_) => (
                StatusCode::RANGE_NOT_SATISFIABLE,
                "InvalidRange",
                "The range begins beyond the end of the file.",
            ),
            Self::Broken(reason) => {
                tracing::warn!(reason, "a presigned transfer failed");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "InternalError",
                    "The file was not transferred whole.",
                )
            }
        };
        let mut answer = refuse(status.as_u16(), code, message);
        if let Self::Range(size) = self
            && let Ok(value) = format!("bytes */{size}").parse()
        {
            answer.headers_mut().insert(header::CONTENT_RANGE, value);
        }
        answer
    }
}

/// Refuses as object storage does.
pub(super) fn refuse(status: u16, code: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (code, message) = (escape(code), escape(message));
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>\n"
    );
    (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_within_the_file() {
        assert_eq!(read_range("bytes=2-3", 10), Ok(Some((2, 2))));
        assert_eq!(read_range("bytes=2-", 10), Ok(Some((2, 8))));
        assert_eq!(read_range("bytes=-3", 10), Ok(Some((7, 3))));
        assert_eq!(read_range("bytes=8-99", 10), Ok(Some((8, 2))));
        assert_eq!(read_range("lines=1-2", 10), Ok(None));
        assert_eq!(read_range("bytes=10-", 10), Err(Denial::Range(10)));
    }
}
