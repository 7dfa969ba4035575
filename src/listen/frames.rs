//! Watches what a connection sends, frame by frame (RFC 9113, section 4.1), for what HTTP/2's own limits let through: a client
//! that never greets, and floods of frames that cost the server work and carry no data.
//!
//! Only the nine bytes before each frame are read; everything passes on as it came.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::ConnectionSettings;

/// The client's preface, `PRI * HTTP/2.0…`.
const PREFACE: usize = 24;
const HEADER: usize = 9;
/// A burst may be as long as so many seconds' worth.
const BURST_SECONDS: f64 = 10.0;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
/// The flag of the last frame of a request.
const END_STREAM: u8 = 1;
/// The flag of an answer to SETTINGS or PING.
const ACK: u8 = 1;

/// A connection that is ended when what it sends is not sane.
pub struct FrameGuard<IO> {
    io: IO,
    /// Runs until the first frame is there.
    greeting: Option<Pin<Box<Sleep>>>,
    scanner: Scanner,
    allowance: Allowance,
    is_flood: Arc<AtomicBool>,
}

impl<IO> FrameGuard<IO> {
    /// Guards a connection from its first byte on.
    pub fn new(io: IO, settings: &ConnectionSettings) -> Self {
        Self {
            io,
            greeting: Some(Box::pin(sleep(settings.handshake_timeout))),
            scanner: Scanner::default(),
            allowance: Allowance::new(settings.max_control_frames_per_second),
            is_flood: Arc::default(),
        }
    }

    /// Tells, also when the guard is given away, whether more came than is let through.
    pub(super) fn is_flood(&self) -> Arc<AtomicBool> {
        self.is_flood.clone()
    }

    fn check(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Self {
            scanner,
            allowance,
            greeting,
            ..
        } = self;
        let mut sane = true;
        scanner.scan(bytes, |header| {
            *greeting = None;
            sane &= !header.is_control() || allowance.take();
        });
        if sane {
            return Ok(());
        }
        self.is_flood.store(true, Ordering::Relaxed);
        Err(io::Error::other(
            "more frames without data than server.max_control_frames_per_second allows",
        ))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for FrameGuard<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if read.is_ready() {
            ready!(read)?;
            let checked = self.check(&buffer.filled()[before..]);
            if checked.is_err() {
                // Who gets an error gets no bytes.
                buffer.set_filled(before);
            }
            return Poll::Ready(checked);
        }
        if let Some(greeting) = &mut self.greeting {
            ready!(greeting.as_mut().poll(context));
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "no HTTP/2 within server.handshake_timeout",
            )));
        }
        Poll::Pending
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for FrameGuard<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// What stands before a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FrameHeader {
    length: usize,
    kind: u8,
    flags: u8,
}

impl FrameHeader {
    fn read(bytes: [u8; HEADER]) -> Self {
        let [a, b, c, kind, flags, ..] = bytes;
        Self {
            length: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c),
            kind,
            flags,
        }
    }

    /// Whether it asks for work and carries nothing of a request. A WINDOW_UPDATE comes with every piece of an answer.
    fn is_control(self) -> bool {
        match self.kind {
            DATA => self.length == 0 && self.flags & END_STREAM == 0,
            HEADERS | WINDOW_UPDATE => false,
            SETTINGS | PING => self.flags & ACK == 0,
            _ => true,
        }
    }
}

/// Finds the frames in the bytes of a connection, however they are cut.
#[derive(Debug)]
struct Scanner {
    /// How many bytes to pass over: the preface, or the rest of a frame.
    skip: usize,
    header: [u8; HEADER],
    /// How much of the header is there.
    have: usize,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            skip: PREFACE,
            header: [0; HEADER],
            have: 0,
        }
    }
}

impl Scanner {
    fn scan(&mut self, mut bytes: &[u8], mut found: impl FnMut(FrameHeader)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEADER - self.have).min(bytes.len());
            if taken == 0 {
                return;
            }
            self.header[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == HEADER {
                let header = FrameHeader::read(self.header);
                self.have = 0;
                self.skip = header.length;
                found(header);
            }
        }
    }
}

/// So many a second, and bursts.
#[derive(Debug)]
struct Allowance {
    left: f64,
    per_second: f64,
    at: Instant,
}

impl Allowance {
    fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self {
            left: per_second * BURST_SECONDS,
            per_second,
            at: Instant::now(),
        }
    }

    fn take(&mut self) -> bool {
        let now = Instant::now();
        let grown = self.left + (now - self.at).as_secs_f64() * self.per_second;
        self.left = grown.min(self.per_second * BURST_SECONDS) - 1.0;
        self.at = now;
        self.left >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        bytes.resize(HEADER + usize::from(length), 0xff);
        bytes
    }

    /// The other end, and a guard that lets two control frames a second through.
    fn guarded() -> (DuplexStream, FrameGuard<DuplexStream>) {
        let (client, server) = duplex(1 << 20);
        let guard = FrameGuard {
            io: server,
            greeting: Some(Box::pin(sleep(SECOND))),
            scanner: Scanner::default(),
            allowance: Allowance::new(2),
            is_flood: Arc::default(),
        };
        (client, guard)
    }

    async fn sent(frames: &[Vec<u8>]) -> io::Result<usize> {
        let (mut client, mut guard) = guarded();
        client.write_all(&[b'x'; PREFACE]).await?;
        client.write_all(&frames.concat()).await?;
        drop(client);
        guard.read_to_end(&mut Vec::new()).await
    }

    #[tokio::test(start_paused = true)]
    async fn floods_end_the_connection_and_frames_of_calls_do_not() {
        for flood in [
            frame(PING, 0, 8),
            frame(SETTINGS, 0, 0),
            frame(3, 0, 4),
            frame(2, 0, 5),
            frame(DATA, 0, 0),
            frame(9, 0, 1),
            frame(77, 0, 0),
        ] {
            assert!(sent(&vec![flood.clone(); 20]).await.is_ok(), "{flood:?}");
            assert!(sent(&vec![flood.clone(); 21]).await.is_err(), "{flood:?}");
        }
        for harmless in [
            frame(DATA, 0, 1),
            frame(DATA, END_STREAM, 0),
            frame(HEADERS, 4, 9),
            frame(WINDOW_UPDATE, 0, 4),
            frame(PING, ACK, 8),
            frame(SETTINGS, ACK, 0),
        ] {
            assert!(sent(&vec![harmless.clone(); 100]).await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_spread_over_time_is_no_flood() {
        let (mut client, mut guard) = guarded();
        client.write_all(&[b'x'; PREFACE]).await.unwrap();
        let ping = frame(PING, 0, 8);
        let mut buffer = [0; 100];
        for _ in 0..100 {
            client.write_all(&ping).await.unwrap();
            assert!(guard.read(&mut buffer).await.unwrap() > 0);
            tokio::time::advance(SECOND / 2).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_greets_is_not_waited_for() {
        let (mut client, mut guard) = guarded();
        let mut buffer = [0; 100];
        client.write_all(b"PRI * HTTP/2.0").await.unwrap();
        assert!(guard.read(&mut buffer).await.unwrap() > 0);
        let error = guard.read(&mut buffer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);

        let (mut client, mut guard) = guarded();
        client.write_all(&[b'x'; PREFACE]).await.unwrap();
        client.write_all(&frame(SETTINGS, 0, 0)).await.unwrap();
        assert!(guard.read(&mut buffer).await.unwrap() > 0);
        let silent = tokio::time::timeout(10 * SECOND, guard.read(&mut buffer));
        assert!(
            silent.await.is_err(),
            "it may be silent once it has greeted"
        );
    }

    proptest! {
        #[test]
        fn frames_are_found_however_they_are_cut(
            lengths in prop::collection::vec(0u8..50, 0..20),
            cuts in prop::collection::vec(1usize..30, 1..20),
        ) {
            let mut bytes = vec![b'x'; PREFACE];
            for length in &lengths {
                bytes.extend(frame(HEADERS, 0, *length));
            }
            let mut scanner = Scanner::default();
            let mut found = Vec::new();
            let mut cuts = cuts.into_iter().cycle();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                scanner.scan(now, |header| found.push(header.length));
                rest = later;
            }
            let lengths: Vec<usize> = lengths.into_iter().map(usize::from).collect();
            prop_assert_eq!(found, lengths);
        }
    }
}
