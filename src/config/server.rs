//! Section `server`: the listening side.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderValue, Uri};

use super::read_all;
use super::reader::Reader;
use crate::listen::{ClientCertificates, ConnectionSettings, TlsFiles};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const MIB: i64 = 1 << 20;
const CLIENTS: &str = "server.tls_client_certificates";
const ORIGINS: &str = "server.grpc_web_origins";
const CERTIFICATE: &str = "server.tls_certificate_file";

/// The listening side.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen. Default: `127.0.0.1:50051`.
    pub listen: SocketAddr,
    /// The longest deadline that a caller can have: 1 s to 1 day. Default: 15 min.
    pub max_deadline: Duration,
    /// The deadline of a caller who names none: 1 s to 1 day, at most `max_deadline`. Default: 5 min.
    pub default_deadline: Duration,
    /// How much earlier than the caller's deadline the gateway answers, so that its answer arrives: 0 to 10 s. A tenth of
    /// the deadline at most. Default: 100 ms.
    pub deadline_reserve: Duration,
    /// How long calls may go on after SIGTERM: 0 to 1 day. Default: 30 s.
    pub drain_timeout: Duration,
    /// The bounds of connections. `server.max_connections`, 1 to 1,000,000, default 20,000, of which
    /// `server.max_connections_per_address`, 1 to 1,000,000, default 2,000, may come from one address; further ones are closed.
    /// `server.handshake_timeout`: how long the TLS handshake may take, and then HTTP/2's greeting, 100 ms to 1 min, default 10 s.
    /// `server.connection_age`: how long a connection lives before it is told to go elsewhere, give or take a tenth, 10 s to 1 day,
    /// default 30 min; calls may go on for `server.max_deadline` after that. `server.keepalive_interval`: after how much silence it
    /// is asked whether it is still there, 1 s to 1 h, default 1 min, and `server.keepalive_timeout`: how long it may take to say
    /// so, 1 s to 1 h, default 20 s. `server.max_streams_per_connection`: how many calls it may have at once, 1 to 1,000,000,
    /// default 1,000; further ones wait in the client. `server.max_header_bytes` of a request, as HTTP/2 counts them, 1 KiB to
    /// 1 MiB, default 16 KiB. `server.max_control_frames_per_second`: how many frames that carry no data (pings, settings, resets
    /// of calls) it may send, in bursts of up to ten seconds' worth, 10 to 1,000,000, default 1,000; one that sends more is closed,
    /// and its address gets no new one for `server.flood_pause`, 0 to 1 h, default 1 s; those that it has stay.
    pub connections: ConnectionSettings,
    /// TLS, where there is any: PEM files. `server.tls_certificate_file`: the chain, the server's own first.
    /// `server.tls_key_file`: its private key. `server.tls_client_ca_file`: who may have signed certificates of clients, and
    /// `server.tls_client_certificates`: whether they are `required`, the default, or `optional`.
    pub tls: Option<TlsFiles>,
    /// How many calls there may be at once; further ones are refused. 1 to 10,000,000. Default: 100,000.
    pub max_concurrent_calls: usize,
    /// The longest message that is read, in bytes: 1 KiB to 1 GiB. Default: 4 MiB.
    pub max_message_bytes: usize,
    /// The origins of pages that may call by gRPC-Web, such as `https://tools.example`. Default: none, and then there is no gRPC-Web.
    pub grpc_web_origins: Vec<HeaderValue>,
}

impl ServerConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let listen = reader.parsed("server.listen", "127.0.0.1:50051", |text| {
            text.parse().map_err(|_| {
                format!("must be an address such as \"127.0.0.1:50051\", got {text:?}")
            })
        });
        let max_deadline = reader.duration("server.max_deadline", "15m", SECOND..=DAY);
        let default_deadline = reader.duration("server.default_deadline", "5m", SECOND..=DAY);
        let deadline_reserve = reader.duration(
            "server.deadline_reserve",
            "100ms",
            Duration::ZERO..=10 * SECOND,
        );
        let drain_timeout = reader.duration("server.drain_timeout", "30s", Duration::ZERO..=DAY);
        let max_concurrent_calls =
            reader.number("server.max_concurrent_calls", 100_000, 1..=10_000_000);
        let max_message_bytes =
            reader.number("server.max_message_bytes", 4 * MIB, 1024..=1024 * MIB);
        let connections = read_connections(reader, max_deadline);
        let tls = read_tls(reader);
        let grpc_web_origins = read_origins(reader);
        let (max_deadline, default_deadline) = (max_deadline?, default_deadline?);
        if default_deadline > max_deadline {
            reader.problem(
                "server.default_deadline",
                "must not be above server.max_deadline",
            );
        }
        Some(Self {
            listen: listen?,
            max_deadline,
            default_deadline,
            deadline_reserve: deadline_reserve?,
            drain_timeout: drain_timeout?,
            connections: connections?,
            tls: tls?,
            max_concurrent_calls: max_concurrent_calls?,
            max_message_bytes: max_message_bytes?,
            grpc_web_origins: grpc_web_origins?,
        })
    }
}

fn read_connections(
    reader: &mut Reader<'_>,
    age_grace: Option<Duration>,
) -> Option<ConnectionSettings> {
    let max_connections = reader.number("server.max_connections", 20_000, 1..=1_000_000);
    let max_connections_per_address =
        reader.number("server.max_connections_per_address", 2_000, 1..=1_000_000);
    let handshake_timeout =
        reader.duration("server.handshake_timeout", "10s", SECOND / 10..=60 * SECOND);
    let age = reader.duration("server.connection_age", "30m", 10 * SECOND..=DAY);
    let keepalive_interval = reader.duration("server.keepalive_interval", "1m", SECOND..=HOUR);
    let keepalive_timeout = reader.duration("server.keepalive_timeout", "20s", SECOND..=HOUR);
    let max_streams = reader.number("server.max_streams_per_connection", 1000, 1..=1_000_000);
    let max_header_bytes = reader.number("server.max_header_bytes", 16 * 1024, 1024..=MIB);
    let max_control_frames_per_second = reader.number(
        "server.max_control_frames_per_second",
        1_000,
        10..=1_000_000,
    );
    let flood_pause = reader.duration("server.flood_pause", "1s", Duration::ZERO..=HOUR);
    Some(ConnectionSettings {
        flood_pause: flood_pause?,
        max_connections: max_connections?,
        max_connections_per_address: max_connections_per_address?,
        handshake_timeout: handshake_timeout?,
        age: age?,
        age_grace: age_grace?,
        keepalive_interval: keepalive_interval?,
        keepalive_timeout: keepalive_timeout?,
        max_streams: u32::try_from(max_streams?).ok()?,
        max_header_bytes: u32::try_from(max_header_bytes?).ok()?,
        max_control_frames_per_second: u32::try_from(max_control_frames_per_second?).ok()?,
    })
}

fn read_origins(reader: &mut Reader<'_>) -> Option<Vec<HeaderValue>> {
    let written: Vec<String> = reader.or_default(ORIGINS, Vec::new());
    let origins: Vec<_> = written.iter().filter_map(|text| origin(text)).collect();
    if origins.len() == written.len() {
        return Some(origins);
    }
    let rule = "must be origins as browsers write them, such as \"https://tools.example\": http or https, in lower case, without a path";
    reader.problem(ORIGINS, format!("{rule}, got {written:?}"));
    None
}

/// An origin (RFC 6454, section 6.2), to be compared byte by byte. No `*`: pages have credentials.
fn origin(text: &str) -> Option<HeaderValue> {
    let uri: Uri = text.parse().ok()?;
    let scheme = uri
        .scheme_str()
        .filter(|scheme| ["http", "https"].contains(scheme))?;
    let authority = uri.authority()?;
    let is_whole = text == format!("{scheme}://{authority}");
    let is_plain = !authority.as_str().contains(['*', '@']) && text == text.to_lowercase();
    let is_default = match scheme {
        "https" => authority.port_u16() == Some(443),
        _ => authority.port_u16() == Some(80),
    };
    (is_whole && is_plain && !is_default).then(|| HeaderValue::from_str(text).ok())?
}

/// The outer `None`: something is wrong.
#[allow(clippy::option_option)]
fn read_tls(reader: &mut Reader<'_>) -> Option<Option<TlsFiles>> {
    let certificate: Option<PathBuf> = reader.optional(CERTIFICATE);
    let key: Option<PathBuf> = reader.optional("server.tls_key_file");
    let client_ca: Option<PathBuf> = reader.optional("server.tls_client_ca_file");
    let clients = reader.parsed(CLIENTS, "required", |text| match text {
        "required" => Ok(ClientCertificates::Required),
        "optional" => Ok(ClientCertificates::Optional),
        other => Err(format!(
            "must be \"required\" or \"optional\", got {other:?}"
        )),
    })?;
    if client_ca.is_none() && reader.optional::<String>(CLIENTS).is_some() {
        // Who sets it believes that clients' certificates are checked.
        reader.problem(CLIENTS, "needs server.tls_client_ca_file");
    }
    let files = match (certificate, key) {
        (None, None) if client_ca.is_none() => return Some(None),
        (Some(certificate), Some(key)) => TlsFiles {
            certificate,
            key,
            client_ca: client_ca.map(|file| (file, clients)),
        },
        _ => {
            let rule = "must be set together with server.tls_key_file, and before server.tls_client_ca_file";
            reader.problem(CERTIFICATE, rule);
            return None;
        }
    };
    match read_all(&files.paths()).and_then(|contents| files.make(&contents)) {
        Ok(_tls) => Some(Some(files)),
        Err(rule) => {
            reader.problem(CERTIFICATE, rule);
            None
        }
    }
}
