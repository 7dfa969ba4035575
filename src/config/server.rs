//! Section `server`: the listening side.

use std::net::SocketAddr;
use std::time::Duration;

use super::reader::Reader;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const MIB: i64 = 1 << 20;

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
    /// How long a connection lives before it is told to go elsewhere, 10 s to 1 day; up to a tenth of it is added or taken, anew
    /// by each replica. Default: 30 min.
    pub connection_age: Duration,
    /// After how much silence a connection is asked whether it is still there: 1 s to 1 h. Default: 1 min.
    pub keepalive_interval: Duration,
    /// How long it may take to say so: 1 s to 1 h. Default: 20 s.
    pub keepalive_timeout: Duration,
    /// How many calls one connection may have at once: 1 to 1,000,000. Further ones wait in the client. Default: 1000.
    pub max_streams_per_connection: usize,
    /// How many calls there may be at once; further ones are refused. 1 to 10,000,000. Default: 100,000.
    pub max_concurrent_calls: usize,
    /// The longest message that is read, in bytes: 1 KiB to 1 GiB. Default: 4 MiB.
    pub max_message_bytes: usize,
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
        let connection_age = reader.duration("server.connection_age", "30m", 10 * SECOND..=DAY);
        let keepalive_interval = reader.duration("server.keepalive_interval", "1m", SECOND..=HOUR);
        let keepalive_timeout = reader.duration("server.keepalive_timeout", "20s", SECOND..=HOUR);
        let max_streams_per_connection =
            reader.number("server.max_streams_per_connection", 1000, 1..=1_000_000);
        let max_concurrent_calls =
            reader.number("server.max_concurrent_calls", 100_000, 1..=10_000_000);
        let max_message_bytes =
            reader.number("server.max_message_bytes", 4 * MIB, 1024..=1024 * MIB);
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
            connection_age: connection_age?,
            keepalive_interval: keepalive_interval?,
            keepalive_timeout: keepalive_timeout?,
            max_streams_per_connection: max_streams_per_connection?,
            max_concurrent_calls: max_concurrent_calls?,
            max_message_bytes: max_message_bytes?,
        })
    }
}
