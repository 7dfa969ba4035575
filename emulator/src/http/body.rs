//! Reads bodies, also those that nobody wants: a connection that is closed with bytes unread is reset, and the answer may be
//! lost with it.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::{Duration, timeout};

/// How much of an unwanted body is read, in bytes, and for how long.
const UNWANTED_BYTES: usize = 64 * 1024 * 1024;
const UNWANTED_TIME: Duration = Duration::from_secs(5);

/// The body; `None` when it is longer than that, or does not come whole.
pub(super) async fn read(mut body: Body, most: usize) -> Option<Bytes> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else {
            continue;
        };
        if whole.len() + data.len() > most {
            drop(whole);
            drain(body).await;
            return None;
        }
        whole.extend_from_slice(&data);
    }
    Some(whole.into())
}

async fn drain(mut body: Body) {
    let reading = async {
        let mut read = 0;
        while read < UNWANTED_BYTES
            && let Some(Ok(frame)) = body.frame().await
        {
            read += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    // What comes later than that is lost, and the answer with it.
    let _ = timeout(UNWANTED_TIME, reading).await;
}

/// What the work left of a body that was lent to it.
pub(super) struct Rest(oneshot::Receiver<Body>);

/// Lends the body of a request to whoever works on it.
pub(super) fn lend(request: Request) -> (Request, Rest) {
    let (back, rest) = oneshot::channel();
    // A caller who waits to be told to go on has sent nothing, and shall not be told.
    let waits = request.headers().contains_key(header::EXPECT);
    let back = (!waits).then_some(back);
    let lent = request.map(|body| {
        Body::new(Lent {
            body,
            back,
            ended: false,
        })
    });
    (lent, Rest(rest))
}

impl Rest {
    /// Reads what was left, unless somebody still has it.
    pub(super) async fn drain(mut self) {
        if let Ok(body) = self.0.try_recv() {
            drain(body).await;
        }
    }
}

/// A body that goes back when it is dropped before its end.
struct Lent {
    body: Body,
    back: Option<oneshot::Sender<Body>>,
    ended: bool,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.ended |= matches!(frame, Poll::Ready(None | Some(Err(_))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(back) = self.back.take()
            && !self.ended
            && !self.body.is_end_stream()
        {
            // Nobody may be left who reads it.
            let _ = back.send(std::mem::take(&mut self.body));
        }
    }
}
