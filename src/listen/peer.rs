//! Stand-in until `auth` is there.

use std::net::SocketAddr;

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// From where.
    pub address: Option<SocketAddr>,
}

impl Peer {
    pub(super) fn new(address: Option<SocketAddr>, _certificate: Option<&[u8]>) -> Self {
        Self { address }
    }
}
