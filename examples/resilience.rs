//! A total outage of AGB, the recovery after it, and a rolling restart of two replicas under load.
//!
//! `scripts/resilience` builds and runs it. It fails when an outage costs more than 1.1 requests a call, or when a call fails during the
//! restart that was not told to be made again.

mod support;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use agb_emulator::Emulator;
use agb_gateway::proto::v1::ListContextsRequest;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use clap::Parser;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use support::{Failure, Gateway};

const MAX_AMPLIFICATION: f64 = 1.1;
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
const CALLERS: usize = 20;
const PUSHBACK: &str = "grpc-retry-pushback-ms";

#[derive(Parser)]
struct Cli {
    /// The gateway's program.
    #[arg(long)]
    gateway: PathBuf,
    /// How many calls are made in the outage.
    #[arg(long, default_value_t = 2_000)]
    calls: u64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let cli = Cli::parse();
    let emulator = Emulator::start(agb_emulator::Config::default()).await?;
    let agb = Flaky::start(emulator.address()).await?;
    outage(&cli, &agb, "with the breaker", "20").await?;
    outage(&cli, &agb, "by the throttle alone", "100000").await?;
    rolling_restart(&cli, &agb).await?;
    emulator.stop().await;
    Ok(())
}

/// How many requests a call costs while AGB drops every connection, and how soon calls succeed when it no longer does.
async fn outage(cli: &Cli, agb: &Flaky, name: &str, breaker_failures: &str) -> Result<(), Failure> {
    let settings = [("AGB_GATEWAY_AGB__BREAKER_FAILURES", breaker_failures)];
    let gateway = Gateway::start_with(&cli.gateway, &agb.url, &settings)?;
    let channel = connect(&gateway.address).await?;
    list(channel.clone()).await?;
    agb.break_down();
    let mut callers = JoinSet::new();
    let left = Arc::new(AtomicU64::new(cli.calls));
    for _ in 0..CALLERS {
        let (channel, left) = (channel.clone(), left.clone());
        callers.spawn(async move {
            let mut failed = 0;
            let take = |left: u64| left.checked_sub(1);
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                .is_ok()
            {
                failed += u64::from(list(channel.clone()).await.is_err());
            }
            failed
        });
    }
    let failed: u64 = callers.join_all().await.into_iter().sum();
    let attempts = agb.dropped();
    agb.repair();
    let begin = Instant::now();
    while list(channel.clone()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    #[allow(clippy::cast_precision_loss)] // A few thousand.
    let amplification = attempts as f64 / cli.calls as f64;
    println!(
        "outage, {name}: {failed} of {} calls failed, {attempts} attempts reached AGB ({amplification:.3} a call); the first success came {:.0?} after the end",
        cli.calls,
        begin.elapsed()
    );
    if failed < cli.calls {
        return Err("a call succeeded in a total outage".into());
    }
    if amplification > MAX_AMPLIFICATION {
        return Err("the outage was made worse".into());
    }
    Ok(())
}

/// Two replicas, ended and replaced one after the other, under the load of callers that do as they are told.
async fn rolling_restart(cli: &Cli, agb: &Flaky) -> Result<(), Failure> {
    let replicas = Arc::new(Replicas::default());
    let mut gateways = Vec::new();
    for _ in 0..2 {
        let gateway = Gateway::start(&cli.gateway, &agb.url)?;
        replicas.add(&gateway.address).await?;
        gateways.push(gateway);
    }
    let counts = Arc::new(Counts::default());
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (replicas, counts, stop) = (replicas.clone(), counts.clone(), stop.clone());
        callers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                call_as_told(&replicas, &counts).await;
            }
        });
    }
    let mut successors = Vec::new();
    for old in gateways {
        // As an orchestrator does: the new one is ready first, then the old one is told to end.
        counts.reaches(500).await;
        let new = Gateway::start(&cli.gateway, &agb.url)?;
        replicas.add(&new.address).await?;
        let address = old.address.clone();
        let drained = tokio::task::spawn_blocking(move || old.drain());
        replicas.remove(&address);
        drained.await??;
        counts.reaches(500).await;
        successors.push(new);
    }
    stop.store(true, Ordering::Relaxed);
    while callers.join_next().await.is_some() {}
    let (done, again, failed) = counts.read();
    println!(
        "rolling restart of two replicas: {done} calls succeeded, {again} were told to be made again and succeeded then, {failed} failed"
    );
    if failed > 0 {
        return Err("a call failed".into());
    }
    Ok(())
}

#[derive(Default)]
struct Counts {
    done: AtomicU64,
    again: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    fn read(&self) -> (u64, u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.done), read(&self.again), read(&self.failed))
    }

    /// Ends when so many more calls have succeeded.
    async fn reaches(&self, more: u64) {
        let goal = self.read().0 + more;
        while self.read().0 < goal && self.read().2 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Makes a call again where it was told to, or where it could not be sent.
async fn call_as_told(replicas: &Replicas, counts: &Counts) {
    let mut again = false;
    for _ in 0..10 {
        match list(replicas.next()).await {
            Ok(()) => {
                counts.done.fetch_add(1, Ordering::Relaxed);
                counts.again.fetch_add(u64::from(again), Ordering::Relaxed);
                return;
            }
            Err(status) if may_be_made_again(&status) => again = true,
            Err(status) => {
                eprintln!("failed: {status:?}");
                break;
            }
        }
    }
    counts.failed.fetch_add(1, Ordering::Relaxed);
}

/// UNAVAILABLE is what clients make again: from the gateway with a pushback that allows it, from the client itself when it could not send.
fn may_be_made_again(status: &Status) -> bool {
    let pushback = status.metadata().get(PUSHBACK);
    let forbidden = pushback.is_some_and(|pushback| pushback.as_bytes().starts_with(b"-"));
    status.code() == Code::Unavailable && !forbidden
}

async fn list(channel: Channel) -> Result<(), Status> {
    let mut request = Request::new(ListContextsRequest::default());
    request.set_timeout(CALL_TIMEOUT);
    let mut contexts = ContextServiceClient::new(channel);
    contexts.list_contexts(request).await.map(drop)
}

/// The replicas that are ready, in turn.
#[derive(Default)]
struct Replicas {
    ready: Mutex<Vec<(String, Channel)>>,
    turn: AtomicUsize,
}

impl Replicas {
    fn ready(&self) -> std::sync::MutexGuard<'_, Vec<(String, Channel)>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn add(&self, address: &str) -> Result<(), Failure> {
        let channel = connect(address).await?;
        self.ready().push((address.to_owned(), channel));
        Ok(())
    }

    fn remove(&self, address: &str) {
        self.ready().retain(|(ready, _)| ready != address);
    }

    fn next(&self) -> Channel {
        let ready = self.ready();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        ready[turn % ready.len()].1.clone()
    }
}

async fn connect(address: &str) -> Result<Channel, Failure> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    Ok(endpoint.connect().await?)
}

/// Stands before AGB, and drops every connection while it is broken.
struct Flaky {
    url: String,
    broken: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl Flaky {
    async fn start(agb: std::net::SocketAddr) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let flaky = Self {
            url: format!("http://{}", listener.local_addr()?),
            broken: Arc::default(),
            dropped: Arc::default(),
            connections: Arc::default(),
        };
        let (broken, dropped) = (flaky.broken.clone(), flaky.dropped.clone());
        let connections = flaky.connections.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                if broken.load(Ordering::Relaxed) {
                    dropped.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                lock(&connections).spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(agb).await {
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Ok(flaky)
    }

    fn break_down(&self) {
        self.dropped.store(0, Ordering::Relaxed);
        self.broken.store(true, Ordering::Relaxed);
        lock(&self.connections).abort_all();
    }

    fn repair(&self) {
        self.broken.store(false, Ordering::Relaxed);
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
