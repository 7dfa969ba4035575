//! Section `admin`: where operators ask a running gateway.

use std::net::SocketAddr;

use super::reader::Reader;
use super::telemetry::read_address;

const LISTEN: &str = "admin.listen";
const FORCE: &str = "admin.allow_remote";

/// Where operators ask.
#[derive(Clone, Copy, Debug)]
pub struct AdminConfig {
    /// `admin.listen`: where the admin service listens, in plaintext and for everybody who reaches it; default: nowhere. On
    /// loopback, unless `admin.allow_remote` is true.
    pub listen: Option<SocketAddr>,
}

impl AdminConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let listen = read_address(reader, LISTEN, "127.0.0.1:50052");
        let is_forced = reader.or_default(FORCE, false);
        let listen = listen?;
        if listen.is_some_and(|address| !address.ip().is_loopback()) && !is_forced {
            let rule = format!(
                "must be on loopback: whoever reaches it sees what callers do. {FORCE} = true allows more"
            );
            reader.problem(LISTEN, rule);
            return None;
        }
        Some(Self { listen })
    }
}
