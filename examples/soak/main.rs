//! The gateway at half of its full speed for ten minutes, with random faults: memory, descriptors and tasks end where they began.
//!
//! `scripts/soak` builds and runs it. First callers go as fast as they can, for a while: that is full speed. Then they go at half of
//! that, first to warm up, while faults come and go at AGB, some callers leave and some have next to no time. In the end there are
//! no faults and no callers. The gateway runs in a process of its own, started from this program, which can tell its number of tasks.

mod caller;
mod host;
mod load;
#[allow(dead_code)] // The gateway of the other measurements cannot tell its tasks.
#[path = "../support/mod.rs"]
mod support;
mod weather;

use std::time::{Duration, Instant};

use agb_emulator::Emulator;
use agb_gateway::proto::v1::session_service_client::SessionServiceClient;
use agb_gateway::proto::v1::{DeleteSessionRequest, ListSessionsRequest};
use clap::{Parser, Subcommand};
use tokio::time::{interval, timeout};
use tonic::Request;

use host::{Host, Reading};
use load::Load;
use support::Failure;
use weather::Weather;

/// How many callers go as fast as they can.
const CALLERS: usize = 128;
/// How many share half of that speed: more, since faults hold some of them up.
const PACED_CALLERS: usize = 192;
/// The longest that the gateway may take to come to rest.
const REST: Duration = Duration::from_secs(90);
/// How much of the rate the callers must come to, or the run shows little.
const MIN_SHARE: f64 = 0.9;
const TICK: Duration = Duration::from_millis(100);
const MINUTE: Duration = Duration::from_mins(1);

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// How long it runs at half speed.
    #[arg(long, default_value = "10m", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// How long it runs at full speed before, and then at half speed with faults, before memory is compared.
    #[arg(long, default_value = "1m", value_parser = humantime::parse_duration)]
    warm_up: Duration,
    /// What faults and callers are drawn from; a random one unless named.
    #[arg(long)]
    seed: Option<u64>,
    /// By how many MiB the memory may have grown since the warm-up.
    #[arg(long, default_value_t = 32)]
    max_growth_mib: i64,
}

#[derive(Subcommand)]
enum Command {
    /// The gateway: what this program starts itself as.
    Host,
}

fn main() -> Result<(), Failure> {
    agb_emulator::sandbox::run_if_asked();
    let cli = Cli::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    match cli.command {
        Some(Command::Host) => host::serve(&runtime),
        None => runtime.block_on(soak(&cli)),
    }
}

async fn soak(cli: &Cli) -> Result<(), Failure> {
    let seed = cli.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let emulator = Emulator::start(agb_emulator::Config {
        admin_listen: Some(([127, 0, 0, 1], 0).into()),
        max_sessions: 10_000,
        sync_duration: Duration::from_millis(20),
        task_visibility_delay: Duration::from_millis(5),
        release_duration: Duration::from_millis(5),
        ..agb_emulator::Config::default()
    })
    .await?;
    let mut host = Host::start(&emulator.url())?;
    let fresh = host.read()?;
    println!("fresh:          {fresh}");
    // What the first call to AGB sets up stays: the care of its connections.
    Load::new(&host.address, CALLERS, seed)
        .await?
        .stop()
        .await?;
    let begin = rest(&mut host, None, fresh.descriptors).await?;
    println!("after a call:   {begin}");

    let mut load = Load::new(&host.address, CALLERS, seed).await?;
    load.run(None);
    tokio::time::sleep(cli.warm_up).await;
    let (calls, failed) = load.counts();
    #[allow(clippy::cast_precision_loss)] // Some ten thousands.
    let full_speed = calls as f64 / cli.warm_up.as_secs_f64();
    load.stop().await?;
    println!("full speed:     {full_speed:.0} calls/s, {failed} of {calls} failed");
    if failed > 0 {
        return Err("a call failed without a fault".into());
    }
    release_all(&host.address).await?;
    let at_rest = rest(&mut host, Some(begin.tasks), fresh.descriptors).await?;
    println!("at rest:        {at_rest}");

    let soak = Soak {
        admin: emulator.admin_url().ok_or("no admin API")?,
        rate: full_speed / 2.0,
    };
    // With faults for a while, so that the memory that these take is no growth.
    soak.run(&mut host, cli.warm_up, seed).await?;
    let warm = rest(&mut host, Some(begin.tasks), fresh.descriptors).await?;
    println!("after warm-up:  {warm}");
    soak.run(&mut host, cli.duration, seed.wrapping_add(1))
        .await?;
    let end = rest(&mut host, Some(begin.tasks), fresh.descriptors).await?;
    println!("at the end:     {end}");
    emulator.stop().await;
    let growth = end.memory_mib - warm.memory_mib;
    if growth > cli.max_growth_mib {
        return Err(format!("the memory has grown by {growth} MiB").into());
    }
    println!("descriptors and tasks are as they were, and the memory has grown by {growth} MiB");
    Ok(())
}

/// Callers at a rate while faults come and go.
struct Soak<'a> {
    admin: &'a str,
    /// Calls a second.
    rate: f64,
}

impl Soak<'_> {
    async fn run(&self, host: &mut Host, duration: Duration, seed: u64) -> Result<(), Failure> {
        let mut load = Load::new(&host.address, PACED_CALLERS, seed).await?;
        let weather = Weather::start(self.admin, seed);
        load.run(Some(self.rate));
        let begin = Instant::now();
        while begin.elapsed() < duration {
            let left = duration.saturating_sub(begin.elapsed());
            tokio::time::sleep(left.min(MINUTE)).await;
            let (calls, failed) = load.counts();
            println!(
                "{:>4} s:         {}; {calls} calls, {failed} failed",
                begin.elapsed().as_secs(),
                host.read()?
            );
        }
        #[allow(clippy::cast_precision_loss)] // Some hundred thousands.
        let share = load.counts().0 as f64 / duration.as_secs_f64() / self.rate;
        let faults = weather.end().await?;
        load.stop().await?;
        println!("{faults} faults were scripted; {}", load.tally());
        let left = release_all(&host.address).await?;
        println!(
            "at {:.0} % of full speed; {left} sessions were left whose callers had gone",
            share * 50.0
        );
        if share < MIN_SHARE {
            return Err("the callers did not come to half of full speed".into());
        }
        Ok(())
    }
}

/// Waits until the gateway has no more descriptors and tasks than these, and returns what it has then.
async fn rest(
    host: &mut Host,
    tasks: Option<usize>,
    descriptors: usize,
) -> Result<Reading, Failure> {
    let mut tick = interval(TICK);
    let resting = async {
        loop {
            tick.tick().await;
            let reading = host.read()?;
            let is_quiet = tasks.is_none_or(|tasks| reading.tasks <= tasks);
            if is_quiet && reading.descriptors <= descriptors {
                return Ok(reading);
            }
        }
    };
    if let Ok(reading) = timeout(REST, resting).await {
        return reading;
    }
    let reading = host.read()?;
    Err(format!("after {REST:?} without callers there are still {reading}; expected at most {descriptors} descriptors and {tasks:?} tasks").into())
}

/// Releases the sessions that are left, until AGB lists none, and tells how many there were: their callers left before they heard of
/// them, or could not release them.
async fn release_all(address: &str) -> Result<usize, Failure> {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?;
    let mut sessions = SessionServiceClient::new(channel.connect().await?);
    let mut released = 0;
    let releasing = async {
        loop {
            let request = ListSessionsRequest {
                page_size: 100,
                ..ListSessionsRequest::default()
            };
            let listed = sessions.list_sessions(request).await?.into_inner().sessions;
            if listed.is_empty() {
                return Ok::<_, Failure>(released);
            }
            for session in listed {
                let request = DeleteSessionRequest {
                    session_id: session.session_id,
                    ..DeleteSessionRequest::default()
                };
                // One that the sweeper has released meanwhile is not found, and is not listed any more.
                let mut request = Request::new(request);
                request.set_timeout(Duration::from_secs(20));
                released += usize::from(sessions.delete_session(request).await.is_ok());
            }
        }
    };
    match timeout(REST, releasing).await {
        Ok(released) => released,
        Err(_elapsed) => Err("the sessions that were left could not be released".into()),
    }
}
