//! UploadContextFile and DownloadContextFile: whole files through the gateway, streamed, in bounded memory.

use std::io;
use std::mem;
use std::pin::pin;

use bytes::Bytes;
use futures_util::{Stream, stream};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::super::incoming::{check_piece, receive, wrong};
use super::super::{Backend, translate};
use super::files::{download_url, failed, upload_url, validate};
use crate::agb::{self, Download};
use crate::domain::{Limits, Violations, file_path};
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
    // An announced length of nothing would be a whole file before the caller's stream has ended.
    let announced = size.filter(|size| *size > 0);
    let put = backend
        .client
        .put_file(&url.url, body(receiver), announced, deadline);
    let forwarding = forward(&mut pieces, sender, size, &backend.limits, deadline);
    let (mut put, mut forwarding) = (pin!(put), pin!(forwarding));
    let failed = |error| {
        failed(
            error,
            "uploading the file",
            &header.context_id,
            &header.path,
        )
    };
    let forwarded = tokio::select! {
        // What broke the upload off explains more than the broken upload.
        biased;
        forwarded = &mut forwarding => forwarded,
        // The storage has refused, and the caller's next piece may be long in coming.
        answer = &mut put => return Err(failed(early(answer)).into()),
    };
    let (size_bytes, sha256) = match forwarded {
        Forwarded::Whole(size, sha256) => (size, sha256),
        Forwarded::BrokenOff(status) => return Err(*status),
        Forwarded::Refused => return Err(failed(early(put.await)).into()),
    };
    put.await.map_err(failed)?;
    Ok(pb::UploadContextFileResponse { size_bytes, sha256 })
}

/// Why the storage has answered before it had the whole file.
fn early(answer: Result<(), agb::Error>) -> agb::Error {
    answer.err().unwrap_or_else(|| {
        let detail = "the storage called the file written before it was complete";
        agb::Error::malformed(&agb::operation::PUT_FILE, "", detail)
    })
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
    sender: mpsc::Sender<Piece>,
    size: Option<u64>,
    limits: &Limits,
    deadline: Deadline,
) -> Forwarded {
    let mut hash = Sha256::new();
    let mut count: u64 = 0;
    // The last piece is held back until it is known to be the last: with it, the storage may have all that was announced.
    let mut held = Bytes::new();
    let end = loop {
        let data = match receive(pieces, |message| message.payload, deadline).await {
            Ok(Some(Received::Data(data))) => Bytes::from(data),
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
        if let Some(size) = size.filter(|size| count > *size) {
            break Err(wrong_size(size, count).into());
        }
        hash.update(&data);
        if data.is_empty() {
            continue;
        }
        let before = mem::replace(&mut held, data);
        if !before.is_empty() && sender.send(Piece::Data(before)).await.is_err() {
            return Forwarded::Refused;
        }
    };
    let end = end.and_then(|()| match size.filter(|size| count < *size) {
        Some(size) => Err(wrong_size(size, count).into()),
        None => Ok(()),
    });
    if let Err(status) = end {
        return Forwarded::BrokenOff(Box::new(status));
    }
    if sender.send(Piece::Last(held)).await.is_err() {
        return Forwarded::Refused;
    }
    Forwarded::Whole(
        i64::try_from(count).unwrap_or(i64::MAX),
        hash.finalize().to_vec(),
    )
}

/// What goes to the storage.
#[derive(Debug)]
enum Piece {
    Data(Bytes),
    /// With these, which may be none, the file is whole. One message, since the storage may answer as soon as it has the last byte.
    Last(Bytes),
}

/// The body of the request to the storage. It ends only when it is told so: a sender that is gone, for whatever reason, is an
/// upload that broke off, and the storage must not take it for a whole file.
fn body(pieces: mpsc::Receiver<Piece>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold(Some(pieces), |pieces| async move {
        let Some(mut pieces) = pieces else {
            return Ok(None);
        };
        match pieces.recv().await {
            Some(Piece::Data(data)) => Ok(Some((data, Some(pieces)))),
            Some(Piece::Last(data)) if data.is_empty() => Ok(None),
            Some(Piece::Last(data)) => Ok(Some((data, None))),
            None => Err(io::Error::other("the upload broke off")),
        }
    })
}

fn checked(header: &pb::UploadContextFileHeader) -> Result<Option<u64>, Violations> {
    let mut violations = Violations::default();
    violations.check(
        "header.context_id",
        translate::identifier(&header.context_id),
    );
    violations.check("header.path", file_path(&header.path));
    let size = header.size_bytes.map(u64::try_from).transpose();
    let size = violations.check(
        "header.size_bytes",
        size.map_err(|_| "must not be negative".to_owned()),
    );
    violations.into_result()?;
    Ok(size.flatten())
}

fn wrong_size(size: u64, count: u64) -> Failure {
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
                if data.is_empty() {
                    self.next = Next::End;
                    Sent::Trailer(pb::DownloadContextFileTrailer {
                        size_bytes: self.count,
                        sha256: self.hash.clone().finalize().to_vec(),
                    })
                } else {
                    self.hash.update(&data);
                    self.count += i64::try_from(data.len()).unwrap_or(i64::MAX);
                    Sent::Data(data.into())
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

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;

    async fn body_of(pieces: Vec<Piece>) -> Result<Vec<Bytes>, io::Error> {
        let (sender, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
        for piece in pieces {
            sender.send(piece).await.unwrap();
        }
        drop(sender);
        body(receiver).try_collect().await
    }

    #[tokio::test]
    async fn a_body_ends_only_when_it_is_told_that_the_file_is_whole() {
        let data = || Piece::Data(Bytes::from_static(b"data"));
        let last = || Piece::Last(Bytes::from_static(b"last"));
        assert_eq!(body_of(vec![last()]).await.unwrap(), ["last"]);
        let body = body_of(vec![data(), last()]).await.unwrap();
        assert_eq!(body, ["data", "last"]);
        assert!(
            body_of(vec![Piece::Last(Bytes::new())])
                .await
                .unwrap()
                .is_empty()
        );
        assert!(body_of(vec![data()]).await.is_err());
        assert!(body_of(vec![]).await.is_err());
    }
}
