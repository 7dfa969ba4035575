//! What an honest client notices while others flood the gateway: its calls a second beside each attack, and those that failed.
//!
//! `scripts/abuse` builds and runs it. It fails when a call of the honest client fails, or when a flood is not ended. The attacks are
//! those of `tests/e2e`.

mod support;

#[path = "../tests/e2e/attacks.rs"]
mod attacks;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use agb_emulator::Emulator;
use agb_gateway::proto::v1::ListContextsRequest;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use clap::Parser;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

use attacks::Attack;
use support::{Failure, Gateway};

#[derive(Parser)]
struct Cli {
    /// The gateway's program.
    #[arg(long)]
    gateway: PathBuf,
    /// How long each attack goes on.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// How many connections attack at once; each that is ended is made anew.
    #[arg(long, default_value_t = 4)]
    attackers: usize,
    /// How many frames a connection sends at most.
    #[arg(long, default_value_t = 1_000_000)]
    frames: u32,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let cli = Cli::parse();
    let emulator = Emulator::start(agb_emulator::Config::default()).await?;
    let settings = [("AGB_GATEWAY_SERVER__HANDSHAKE_TIMEOUT", "1s")];
    let gateway = Gateway::start_with(&cli.gateway, &emulator.url(), &settings)?;
    let address: SocketAddr = gateway.address.parse()?;
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .connect()
        .await?;
    println!(
        "attack: honest calls a second (of those without an attack), connections ended, frames they sent"
    );
    let alone = honest(channel.clone(), cli.duration).await?;
    println!("none: {alone:.0}");
    for attack in Attack::ALL {
        let attackers = attackers(&cli, attack, address);
        let beside = honest(channel.clone(), cli.duration).await?;
        let (mut ended, mut frames) = (0, 0);
        for result in attackers.join_all().await {
            let (connections, sent) = result?;
            ended += connections;
            frames += sent;
        }
        let share = beside / alone;
        println!("{attack:?}: {beside:.0} ({share:.2}), {ended}, {frames}");
    }
    println!(
        "resident memory: {} MiB, at most {} MiB",
        gateway.resident_mib()?,
        gateway.peak_mib()?
    );
    emulator.stop().await;
    Ok(())
}

/// Attacks for as long as the honest client is measured: how many connections were ended, and what they had sent.
fn attackers(
    cli: &Cli,
    attack: Attack,
    address: SocketAddr,
) -> JoinSet<Result<(u64, u64), Failure>> {
    let end = Instant::now() + cli.duration;
    let frames = cli.frames;
    let mut attackers = JoinSet::new();
    for _ in 0..cli.attackers {
        attackers.spawn(async move {
            let (mut ended, mut all_sent) = (0, 0);
            while Instant::now() < end {
                let sent = attack.run(address, frames).await?;
                if sent == frames {
                    return Err(format!("{attack:?}: all {sent} frames were taken").into());
                }
                ended += 1;
                all_sent += u64::from(sent);
            }
            Ok((ended, all_sent))
        });
    }
    attackers
}

/// Calls one after the other: how many a second. Each has to succeed.
async fn honest(channel: Channel, duration: Duration) -> Result<f64, Failure> {
    let begin = Instant::now();
    let mut calls = 0.0;
    let mut contexts = ContextServiceClient::new(channel);
    while begin.elapsed() < duration {
        contexts
            .list_contexts(ListContextsRequest::default())
            .await?;
        calls += 1.0;
    }
    Ok(calls / begin.elapsed().as_secs_f64())
}
