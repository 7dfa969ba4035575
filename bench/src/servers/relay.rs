//! A way to a server that takes a round trip: all bytes arrive half of it later, and a new connection carries nothing for a whole one,
//! which is what TCP's handshake takes on such a way.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::{answer_questions, listen};
use crate::Failure;

/// Where to, and how long it takes.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Relay {
    /// The server.
    #[arg(long)]
    to: SocketAddr,
    /// The round trip.
    #[arg(long, default_value = "20ms", value_parser = humantime::parse_duration)]
    round_trip: Duration,
}

pub(crate) async fn serve(relay: Relay) -> Result<(), Failure> {
    let listener = listen().await?;
    answer_questions(listener.local_addr()?, || Value::Null);
    loop {
        let (near, _address) = listener.accept().await?;
        tokio::spawn(carry(near, relay));
    }
}

async fn carry(near: TcpStream, relay: Relay) -> io::Result<()> {
    sleep(relay.round_trip).await;
    let far = TcpStream::connect(relay.to).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let delay = relay.round_trip / 2;
    let there = tokio::spawn(one_way(near_read, far_write, delay));
    let back = one_way(far_read, near_write, delay).await;
    there.abort();
    back
}

async fn one_way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: Duration,
) -> io::Result<()> {
    let (send, mut under_way) = mpsc::unbounded_channel();
    let reading = async move {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let length = from.read(&mut buffer).await?;
            let arrival = Instant::now() + delay;
            if length == 0 || send.send((arrival, buffer[..length].to_vec())).is_err() {
                return io::Result::Ok(());
            }
        }
    };
    let writing = async move {
        while let Some((arrival, bytes)) = under_way.recv().await {
            sleep_until(arrival).await;
            to.write_all(&bytes).await?;
        }
        to.shutdown().await
    };
    let (read, written) = tokio::join!(reading, writing);
    read.and(written)
}
