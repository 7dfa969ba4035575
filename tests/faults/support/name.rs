//! A name for AGB's host that points to one address and then to another, on a machine of the gateway's own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::NamedTempFile;

use super::proxy::Proxy;

const NAME: &str = "agb.test";
const ADDRESSES: [[u8; 4]; 2] = [[127, 0, 0, 1], [127, 0, 0, 2]];

/// The name, and what listens where it points to and where it pointed to before.
pub(crate) struct Name {
    hosts: NamedTempFile,
    proxies: [Proxy; 2],
    turn: AtomicUsize,
}

impl Name {
    pub(crate) async fn start(agb: SocketAddr) -> Self {
        let first = Proxy::start_at((ADDRESSES[0], 0).into(), agb).await;
        let port = first.address().port();
        let second = Proxy::start_at((ADDRESSES[1], port).into(), agb).await;
        let name = Self {
            hosts: NamedTempFile::new().unwrap(),
            proxies: [first, second],
            turn: AtomicUsize::new(0),
        };
        name.proxies[1].refuse(true);
        name.point();
        name
    }

    pub(crate) fn hosts(&self) -> &Path {
        self.hosts.path()
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{NAME}:{}", self.proxies[0].address().port())
    }

    /// The name points elsewhere from now on, and whoever was there has gone.
    pub(crate) async fn point_elsewhere(&self) {
        let before = self.turn.fetch_xor(1, Ordering::SeqCst);
        self.proxies[before].refuse(true);
        self.proxies[1 - before].refuse(false);
        self.point();
        self.proxies[before].close_idle().await;
    }

    fn point(&self) {
        let address = Ipv4Addr::from(ADDRESSES[self.turn.load(Ordering::SeqCst)]);
        // Into the same file: another one in its place would not be seen through the mount.
        std::fs::write(self.hosts.path(), format!("{address} {NAME}\n")).unwrap();
    }
}
