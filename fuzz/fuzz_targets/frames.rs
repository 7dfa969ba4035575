//! The guard of connections: whatever comes, and however it is cut, it passes on unchanged, until there are more frames without
//! data than it lets through. Checked against a reader that has all bytes before it.
#![no_main]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use agb_gateway::listen::{ConnectionSettings, FrameGuard};
use agb_gateway_fuzz::runtime;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};
use tokio::time::Instant;

const PREFACE: usize = 24;
/// Ten seconds' worth of one a second.
const BURST: usize = 10;
const HOUR: Duration = Duration::from_secs(3600);

/// Gives its bytes in pieces of these lengths.
struct Pieces<'a> {
    bytes: &'a [u8],
    lengths: std::iter::Cycle<std::slice::Iter<'a, u8>>,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self
            .lengths
            .next()
            .map_or(1, |length| usize::from(*length).max(1));
        let (now, later) = self
            .bytes
            .split_at(length.min(self.bytes.len()).min(buffer.remaining()));
        buffer.put_slice(now);
        self.bytes = later;
        Poll::Ready(Ok(()))
    }
}

/// How many bytes may pass before there is a control frame too many.
fn allowed(bytes: &[u8]) -> usize {
    let (mut at, mut control) = (PREFACE, 0);
    while let Some(&[a, b, c, kind, flags, ..]) = bytes.get(at..at + 9) {
        let length = usize::from(a) * 65536 + usize::from(b) * 256 + usize::from(c);
        control += usize::from(match kind {
            0 => length == 0 && flags % 2 == 0,
            1 | 8 => false,
            4 | 6 => flags % 2 == 0,
            _ => true,
        });
        at += 9;
        if control > BURST {
            // The frame's ninth byte makes it known.
            return at - 1;
        }
        at += length;
    }
    bytes.len()
}

async fn read(bytes: &[u8], lengths: &[u8]) {
    let settings = ConnectionSettings {
        max_connections: 1,
        max_connections_per_address: 1,
        handshake_timeout: HOUR,
        age: HOUR,
        age_grace: HOUR,
        keepalive_interval: HOUR,
        keepalive_timeout: HOUR,
        max_streams: 1,
        max_header_bytes: 1,
        max_control_frames_per_second: 1,
        flood_pause: HOUR,
    };
    let begun = Instant::now();
    let lengths = lengths.iter().cycle();
    let mut guard = FrameGuard::new(Pieces { bytes, lengths }, &settings);
    let (mut passed, mut buffer) = (Vec::new(), [0; 64]);
    let refused = loop {
        match guard.read(&mut buffer).await {
            Ok(0) => break false,
            Ok(length) => passed.extend_from_slice(&buffer[..length]),
            Err(_refused) => break true,
        }
    };
    assert_eq!(passed, bytes[..passed.len()]);
    // As time passes, more is let through.
    if begun.elapsed() < Duration::from_millis(500) {
        let allowed = allowed(bytes);
        assert_eq!(refused, allowed < bytes.len());
        assert!(passed.len() <= allowed && allowed < passed.len() + 64 || !refused);
    }
}

fuzz_target!(|input: (&[u8], &[u8])| {
    let (lengths, bytes) = input;
    runtime().block_on(read(bytes, lengths));
});
