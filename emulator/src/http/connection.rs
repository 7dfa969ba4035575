//! A connection that can be ended, or its answer cut, on demand.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::fault::AnswerPart;

/// What ends the head of an answer.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionEnd {
    /// In order (TCP FIN).
    Close,
    /// By a TCP RST.
    Reset,
}

/// Where an answer is cut, and what happens then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) of: AnswerPart,
    pub(super) after_bytes: u64,
    /// `None`: nothing more is sent, and the connection stays open.
    pub(super) then: Option<ConnectionEnd>,
}

/// Ends the connection that a request came on, or cuts its answer. Whoever serves the connection puts it into
/// the request.
#[derive(Debug, Clone, Default)]
pub(super) struct ConnectionControl(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    end_asked: Notify,
}

#[derive(Debug, Default)]
struct State {
    cut: Option<CutCourse>,
    reset: bool,
}

#[derive(Debug)]
struct CutCourse {
    /// How many bytes of [`HEAD_END`] have just gone by; `None` where the head does not matter or has gone by.
    head: Option<usize>,
    left: u64,
    then: Option<ConnectionEnd>,
}

impl ConnectionControl {
    /// That of the connection on which the request came.
    pub(super) fn of(request: &Request) -> Self {
        let control = request.extensions().get::<Self>();
        control.cloned().unwrap_or_default()
    }

    /// Ready when the connection shall end.
    pub(super) async fn end_asked(&self) {
        self.0.end_asked.notified().await;
    }

    /// Has the connection ended; never returns, since there is nobody to answer any more.
    pub(super) async fn end(&self, end: ConnectionEnd) -> ! {
        self.ask(end);
        std::future::pending::<()>().await;
        unreachable!("a pending future is never ready")
    }

    /// Cuts the next answer.
    pub(super) fn cut_answer(&self, cut: Cut) {
        self.lock().cut = Some(CutCourse {
            head: (cut.of == AnswerPart::Body).then_some(0),
            left: cut.after_bytes,
            then: cut.then,
        });
    }

    /// Forgets a cut that an earlier answer was too short for.
    pub(super) fn begin_answer(&self) {
        self.lock().cut = None;
    }

    fn ask(&self, end: ConnectionEnd) {
        self.lock().reset = end == ConnectionEnd::Reset;
        self.0.end_asked.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CutCourse {
    /// How many of these bytes may be sent.
    fn allowed(&self, bytes: &[u8]) -> usize {
        let head = self.head_of(bytes).0;
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        head + left.min(bytes.len() - head)
    }

    /// Notes that these bytes were sent.
    fn sent(&mut self, bytes: &[u8]) {
        let (head, state) = self.head_of(bytes);
        self.head = state;
        self.left -= (bytes.len() - head) as u64;
    }

    /// How many of these bytes belong to the head, and the state after them.
    fn head_of(&self, bytes: &[u8]) -> (usize, Option<usize>) {
        let Some(mut matched) = self.head else {
            return (0, None);
        };
        for (index, byte) in bytes.iter().enumerate() {
            matched = match (*byte == HEAD_END[matched], *byte == HEAD_END[0]) {
                (true, _) => matched + 1,
                (false, true) => 1,
                (false, false) => 0,
            };
            if matched == HEAD_END.len() {
                return (index + 1, None);
            }
        }
        (bytes.len(), Some(matched))
    }
}

/// A TCP stream that does what its control says.
#[derive(Debug)]
pub(super) struct ControlledStream {
    stream: TcpStream,
    control: ConnectionControl,
}

impl ControlledStream {
    pub(super) fn new(stream: TcpStream, control: ConnectionControl) -> Self {
        Self { stream, control }
    }
}

impl AsyncWrite for ControlledStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let control = self.control.clone();
        let mut state = control.lock();
        let Some(cut) = &mut state.cut else {
            drop(state);
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        };
        let allowed = cut.allowed(bytes);
        if allowed > 0 || bytes.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, &bytes[..allowed]))?;
            cut.sent(&bytes[..sent]);
            return Poll::Ready(Ok(sent));
        }
        let then = cut.then;
        drop(state);
        let Some(end) = then else {
            // Until the connection is dropped: by us, or because the caller has closed it.
            return Poll::Pending;
        };
        control.ask(end);
        // For a web socket: whoever has it now drops it.
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncRead for ControlledStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Drop for ControlledStream {
    fn drop(&mut self) {
        if self.control.lock().reset {
            // With nothing to linger for, the system resets the connection when it is closed, which is next.
            if let Err(error) = self.stream.set_zero_linger() {
                tracing::warn!(%error, "a connection was closed instead of reset");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(of: AnswerPart, after_bytes: u64) -> CutCourse {
        let control = ConnectionControl::default();
        control.cut_answer(Cut {
            of,
            after_bytes,
            then: None,
        });
        control.lock().cut.take().unwrap()
    }

    /// Sends in portions of that size and returns what went through.
    fn sent(mut course: CutCourse, answer: &str, portion: usize) -> String {
        let mut sent = Vec::new();
        for bytes in answer.as_bytes().chunks(portion) {
            let allowed = course.allowed(bytes);
            course.sent(&bytes[..allowed]);
            sent.extend_from_slice(&bytes[..allowed]);
            if allowed < bytes.len() {
                break;
            }
        }
        String::from_utf8(sent).unwrap()
    }

    #[test]
    fn an_answer_is_cut_at_the_byte_however_it_is_sent() {
        let answer = "HTTP/1.1 200 OK\r\na: b\r\n\r\nbody\r\n\r\nmore";
        for portion in 1..=answer.len() {
            let cut = |of, after| sent(course(of, after), answer, portion);
            assert_eq!(cut(AnswerPart::Whole, 0), "");
            assert_eq!(cut(AnswerPart::Whole, 8), "HTTP/1.1");
            assert_eq!(cut(AnswerPart::Body, 0), "HTTP/1.1 200 OK\r\na: b\r\n\r\n");
            assert_eq!(
                cut(AnswerPart::Body, 2),
                "HTTP/1.1 200 OK\r\na: b\r\n\r\nbo"
            );
            assert_eq!(cut(AnswerPart::Body, 100), answer);
        }
    }
}
