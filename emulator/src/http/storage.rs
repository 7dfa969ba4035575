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
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::{ReaderStream, StreamReader, SyncIoBridge};

use crate::app::App;
use crate::context::{Phase, StoredFile};
use crate::path::AbsolutePath;
use crate::signature::Signer;

/// What an uploaded file may be done with in a session.
const FILE_MODE: u32 = 0o644;
/// In how large pieces files pass through, in bytes at most: small ones cost a thread's turn each.
const PIECE: usize = 256 * 1024;
/// The parameters of a presigned URL.
const EXPIRES: &str = "Expires";
pub(super) const SIGNATURE: &str = "Signature";
/// What stands for itself in a URL's path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What a presigned URL allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Put,
}

/// One act on one file until some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) verb: Verb,
    pub(super) context_id: String,
    pub(super) path: AbsolutePath,
    /// Milliseconds since the epoch.
    pub(super) expires_ms: i64,
}

/// Why the storage refused.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Denial {
    Unsigned,
    Expired,
    WrongSignature,
    NoSuchKey,
    NotReady,
    Range(u64),
    Broken(String),
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
        }
    }
}

impl Grant {
    /// The path and query of the URL that carries this grant.
    pub(super) fn to_uri(&self, signer: &Signer) -> String {
        let signature = self.with_parts(|parts| signer.sign(parts));
        format!(
            "/storage/{}{}?{EXPIRES}={}&{SIGNATURE}={signature}",
            self.context_id,
            utf8_percent_encode(self.path.as_str(), PATH),
            self.expires_ms,
        )
    }

    fn read(
        verb: Verb,
        context_id: String,
        path: &str,
        query: &BTreeMap<String, String>,
        signer: &Signer,
        now_ms: i64,
    ) -> Result<Self, Denial> {
        let (Some(expires), Some(signature)) = (query.get(EXPIRES), query.get(SIGNATURE)) else {
            return Err(Denial::Unsigned);
        };
        let grant = Self {
            verb,
            context_id,
            path: AbsolutePath::parse(&format!("/{path}")).map_err(|_| Denial::WrongSignature)?,
            expires_ms: expires.parse().map_err(|_| Denial::WrongSignature)?,
        };
        if !grant.with_parts(|parts| signer.verify(parts, signature)) {
            return Err(Denial::WrongSignature);
        }
        if now_ms > grant.expires_ms {
            return Err(Denial::Expired);
        }
        Ok(grant)
    }

    fn with_parts<T>(&self, act: impl FnOnce(&[&str]) -> T) -> T {
        act(&[
            "storage",
            self.verb.as_str(),
            &self.context_id,
            self.path.as_str(),
            &self.expires_ms.to_string(),
        ])
    }
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
    let grant = Grant::read(
        Verb::Put,
        context_id,
        path,
        query,
        &app.signer,
        app.clock.now_ms(),
    )?;
    let context = app
        .contexts
        .any(&grant.context_id)
        .ok_or(Denial::NoSuchKey)?;
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
            .put(grant.path.clone(), blob, FILE_MODE)
            .map_err(|error| Denial::Broken(error.to_string()))?;
        let stored = context.files.get(&grant.path);
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
    let grant = Grant::read(
        Verb::Get,
        context_id,
        path,
        query,
        &app.signer,
        app.clock.now_ms(),
    )?;
    let context = app
        .contexts
        .any(&grant.context_id)
        .ok_or(Denial::NoSuchKey)?;
    let stored = context.files.get(&grant.path).ok_or(Denial::NoSuchKey)?;
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

    fn grant(expires_ms: i64) -> Grant {
        Grant {
            verb: Verb::Put,
            context_id: "SdkCtx-1".to_owned(),
            path: AbsolutePath::parse("/tmp/a b/ü?&%.txt").unwrap(),
            expires_ms,
        }
    }

    fn query(uri: &str) -> BTreeMap<String, String> {
        let pairs = uri.split_once('?').unwrap().1.split('&');
        pairs
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn a_grant_is_read_back_for_its_own_verb_context_path_and_time_only() {
        let signer = Signer::with_secret(Signer::new_secret());
        let grant = grant(i64::MAX);
        let query = query(&grant.to_uri(&signer));
        let read = |verb, context: &str, path| {
            Grant::read(verb, context.to_owned(), path, &query, &signer, 0)
        };
        assert_eq!(read(Verb::Put, "SdkCtx-1", "tmp/a b/ü?&%.txt"), Ok(grant));
        for wrong in [
            read(Verb::Get, "SdkCtx-1", "tmp/a b/ü?&%.txt"),
            read(Verb::Put, "SdkCtx-2", "tmp/a b/ü?&%.txt"),
            read(Verb::Put, "SdkCtx-1", "tmp/other"),
        ] {
            assert_eq!(wrong, Err(Denial::WrongSignature));
        }
    }

    #[test]
    fn a_grant_ends() {
        let signer = Signer::with_secret(Signer::new_secret());
        let query = query(&grant(1).to_uri(&signer));
        let read = |now_ms| {
            let context = "SdkCtx-1".to_owned();
            let path = "tmp/a b/ü?&%.txt";
            Grant::read(Verb::Put, context, path, &query, &signer, now_ms)
        };
        assert_eq!(read(1), Ok(grant(1)));
        assert_eq!(read(2), Err(Denial::Expired));
    }

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
