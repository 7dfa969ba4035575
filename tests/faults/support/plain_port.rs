//! A port that speaks no TLS, and counts who tries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// Answers whatever comes with plain HTTP.
pub(crate) struct PlainPort {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    listening: AbortHandle,
}

impl PlainPort {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::<AtomicU64>::default();
        let counter = connections.clone();
        let listening = tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut hello = [0; 512];
                    if connection.read(&mut hello).await.is_ok() {
                        let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
                        // The other side may have gone, which is its affair.
                        let _ = connection.write_all(answer).await;
                    }
                });
            }
        });
        Self {
            address,
            connections,
            listening: listening.abort_handle(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for PlainPort {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
