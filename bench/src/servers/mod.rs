//! The servers beside the gateway, each a process of its own: this program with another command.
//!
//! Each prints `listening on ADDRESS`, answers each line on stdin with a line of JSON that tells what it has counted, and ends with
//! stdin, so that none outlives the measurement.

pub(crate) mod collector;
pub(crate) mod limit;
pub(crate) mod relay;
pub(crate) mod upstream;

use std::io::Write as _;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::Failure;

/// Listens on loopback at a free port.
pub(crate) async fn listen() -> Result<TcpListener, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0").await?)
}

/// Says where the server is, and from then on answers questions in a thread of its own; with the last question the process ends.
pub(crate) fn answer_questions(
    address: SocketAddr,
    answer: impl Fn() -> serde_json::Value + Send + 'static,
) {
    println!("listening on {address}");
    std::thread::spawn(move || {
        for question in std::io::stdin().lines() {
            if question.is_err() {
                break;
            }
            println!("{}", answer());
            let _ = std::io::stdout().flush();
        }
        std::process::exit(0);
    });
}
