//! A proxy in front of AGB that ends connections at the moments that matter to a pool.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

/// Passes connections on to AGB.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: AbortHandle,
}

struct Shared {
    /// Connections of an earlier generation end when they are next used.
    generation: AtomicU64,
    /// Whether whoever comes is sent away.
    refuses: AtomicBool,
    close: Notify,
    open: watch::Sender<usize>,
}

impl Proxy {
    pub(crate) async fn start(agb: SocketAddr) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), agb).await
    }

    pub(crate) async fn start_at(address: SocketAddr, agb: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            generation: AtomicU64::new(0),
            refuses: AtomicBool::new(false),
            close: Notify::new(),
            open: watch::Sender::new(0),
        });
        let accepting = shared.clone();
        let listening = tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let shared = accepting.clone();
                if shared.refuses.load(Ordering::SeqCst) {
                    let _ = caller.set_zero_linger();
                    continue;
                }
                shared.open.send_modify(|open| *open += 1);
                tokio::spawn(async move {
                    let generation = shared.generation.load(Ordering::SeqCst);
                    let agb = TcpStream::connect(agb).await.unwrap();
                    pass(caller, agb, &shared, generation).await;
                    shared.open.send_modify(|open| *open -= 1);
                });
            }
        });
        Self {
            address,
            shared,
            listening: listening.abort_handle(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The connections that there are now break when they are next used, before AGB hears of it.
    pub(crate) fn make_stale(&self) {
        self.shared.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether whoever comes from now on is sent away.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.shared.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Closes the connections that there are now, and returns when the caller has closed its side too: so its pool knows.
    pub(crate) async fn close_idle(&self) {
        self.shared.close.notify_waiters();
        let mut open = self.shared.open.subscribe();
        open.wait_for(|open| *open == 0).await.unwrap();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn pass(mut caller: TcpStream, mut agb: TcpStream, shared: &Shared, generation: u64) {
    let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    loop {
        tokio::select! {
            () = shared.close.notified() => {
                let _ = caller.shutdown().await;
                while caller.read(&mut up).await.is_ok_and(|count| count > 0) {}
                return;
            }
            read = caller.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                if generation < shared.generation.load(Ordering::SeqCst) {
                    let _ = caller.set_zero_linger();
                    return;
                }
                if agb.write_all(&up[..count]).await.is_err() {
                    return;
                }
            }
            read = agb.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                if caller.write_all(&down[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
