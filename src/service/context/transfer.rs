//! UploadContextFile and DownloadContextFile: whole files through the gateway, streamed, in bounded memory.

use std::io;

use bytes::Bytes;
use futures_util::{Stream, stream};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::super::Backend;
use super::super::incoming::{check_piece, receive, wrong};
use super::files::{download_url, failed, upload_url, validate};
use crate::agb::Download;
use crate::domain::{Limits, Violations};
use crate::proto::v1 as pb;
use crate::proto::v1::download_context_file_response::Payload as Sent;
use crate::proto::v1::upload_context_file_request::Payload as Received;
use crate::resilience::Deadline;
use crate::status::Failure;

/// How many pieces wait between the caller and the storage.
const PIECES_IN_FLIGHT: usize = 4;

pub(super) async fn upload_context_file(
    backend: &Backend,
    mut pieces: Streaming<pb::UploadContextFileRequest>,
    deadline: Deadline,
) -> Result<pb::UploadContextFileResponse, Status> {
    let Some(Received::Header(header)) =
        receive(&mut pieces, |message| message.payload, deadline).await?
    else {
        return Err(wrong("header", "must come first, once").into());
    };
    let size = checked(&header).map_err(Failure::from)?;
    let url = upload_url(backend, &header.context_id, &header.path, deadline).await?;
    let (sender, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
    let body = ReceiverStream::new(receiver);
    let put = backend.client.put_file(&url.url, body, size, deadline);
    let (forwarded, put) = tokio::join!(
        forward(&mut pieces, sender, size, &backend.limits, deadline),
        put
    );
    // What broke the upload off explains more than the broken upload.
    let (size_bytes, sha256) = match (forwarded, &put) {
        (Forwarded::Whole(size, sha256), _) => (size, sha256),
        (Forwarded::BrokenOff(status), _) => return Err(*status),
        (Forwarded::Refused, Ok(())) => {
            let what = "the storage answered before the upload was complete";
            return Err(Failure::Internal(what).into());
        }
        (Forwarded::Refused, Err(_)) => (0, Vec::new()),
    };
    put.map_err(|error| {
        failed(
            error,
            "uploading the file",
            &header.context_id,
            &header.path,
        )
    })?;
    Ok(pb::UploadContextFileResponse { size_bytes, sha256 })
}

/// How the way from the caller to the storage has ended.
enum Forwarded {
    /// All bytes were handed on: how many, and their SHA-256.
    Whole(i64, Vec<u8>),
    /// The caller's stream was wrong or broke off.
    BrokenOff(Box<Status>),
    /// The storage takes no more.
    Refused,
}

async fn forward(
    pieces: &mut Streaming<pb::UploadContextFileRequest>,
    sender: mpsc::Sender<io::Result<Bytes>>,
    size: Option<u64>,
    limits: &Limits,
    deadline: Deadline,
) -> Forwarded {
    let mut hash = Sha256::new();
    let mut count: u64 = 0;
    let end = loop {
        let data = match receive(pieces, |message| message.payload, deadline).await {
            Ok(Some(Received::Data(data))) => data,
            Ok(Some(Received::Header(_))) => {
                break Err(wrong("header", "must come only once").into());
            }
            Ok(None) => break Ok(()),
            Err(status) => break Err(status),
        };
        if let Err(failure) = check_piece(&data, limits) {
            break Err(failure.into());
        }
        count += data.len() as u64;
        if size.is_some_and(|size| count > size) {
            break Err(wrong_size(size, count).into());
        }
        hash.update(&data);
        if sender.send(Ok(Bytes::from(data))).await.is_err() {
            return Forwarded::Refused;
        }
    };
    let end = end.and_then(|()| match size {
        Some(size) if count < size => Err(wrong_size(Some(size), count).into()),
        _ => Ok(()),
    });
    if let Err(status) = end {
        // Without this the storage would take a stream that ends here for a whole file.
        let _ = sender
            .send(Err(io::Error::other("the upload broke off")))
            .await;
        return Forwarded::BrokenOff(Box::new(status));
    }
    Forwarded::Whole(
        i64::try_from(count).unwrap_or(i64::MAX),
        hash.finalize().to_vec(),
    )
}

fn checked(header: &pb::UploadContextFileHeader) -> Result<Option<u64>, Violations> {
    validate(&header.context_id, &header.path)?;
    match header.size_bytes.map(u64::try_from) {
        None => Ok(None),
        Some(Ok(size)) => Ok(Some(size)),
        Some(Err(_)) => {
            let mut violations = Violations::default();
            violations.add("header.size_bytes", "must not be negative");
            Err(violations)
        }
    }
}

fn wrong_size(size: Option<u64>, count: u64) -> Failure {
    let size = size.unwrap_or_default();
    wrong(
        "header.size_bytes",
        &format!("says {size}, and {count} bytes or more were sent; nothing was written"),
    )
}

pub(super) async fn download_context_file(
    backend: &Backend,
    request: pb::DownloadContextFileRequest,
    deadline: Deadline,
) -> Result<
    impl Stream<Item = Result<pb::DownloadContextFileResponse, Status>> + Send + use<>,
    Failure,
> {
    let pb::DownloadContextFileRequest { context_id, path } = request;
    validate(&context_id, &path)?;
    let url = download_url(backend, &context_id, &path, deadline).await?;
    let download = backend
        .client
        .get_file(&url.url, deadline)
        .await
        .map_err(|error| failed(error, "downloading the file", &context_id, &path))?;
    let sending = Sending {
        download,
        rest: Bytes::new(),
        piece_bytes: backend.limits.piece_bytes.value,
        next: Next::Header,
        hash: Sha256::new(),
        count: 0,
        context_id,
        path,
    };
    Ok(stream::try_unfold(sending, Sending::piece))
}

struct Sending {
    download: Download,
    /// What has come and is not yet sent.
    rest: Bytes,
    piece_bytes: usize,
    next: Next,
    hash: Sha256,
    count: i64,
    context_id: String,
    path: String,
}

enum Next {
    Header,
    Data,
    End,
}

impl Sending {
    async fn piece(mut self) -> Result<Option<(pb::DownloadContextFileResponse, Self)>, Status> {
        let payload = match self.next {
            Next::Header => {
                self.next = Next::Data;
                let size = self.download.size();
                Sent::Header(pb::DownloadContextFileHeader {
                    size_bytes: size.and_then(|size| i64::try_from(size).ok()),
                })
            }
            Next::Data => {
                if self.rest.is_empty() {
                    let chunk = self.download.chunk().await;
                    let failed =
                        |error| failed(error, "downloading the file", &self.context_id, &self.path);
                    self.rest = chunk.map_err(failed)?.unwrap_or_default();
                }
                let data = self.rest.split_to(self.rest.len().min(self.piece_bytes));
                if !data.is_empty() {
                    self.hash.update(&data);
                    self.count += i64::try_from(data.len()).unwrap_or(i64::MAX);
                    Sent::Data(data.into())
                } else {
                    self.next = Next::End;
                    Sent::Trailer(pb::DownloadContextFileTrailer {
                        size_bytes: self.count,
                        sha256: self.hash.clone().finalize().to_vec(),
                    })
                }
            }
            Next::End => return Ok(None),
        };
        let message = pb::DownloadContextFileResponse {
            payload: Some(payload),
        };
        Ok(Some((message, self)))
    }
}
