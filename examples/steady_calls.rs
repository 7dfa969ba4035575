//! Makes calls without a pause until SIGTERM, on new connections ever again, and fails when one of them has failed: a caller who must
//! not notice that the gateway's keys, tokens and certificates are replaced. `scripts/image` runs it.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agb_gateway::proto::v1::ListContextsRequest;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tonic::Request;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

/// How many calls are made on one connection.
const CALLS_PER_CONNECTION: usize = 50;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Parser)]
struct Cli {
    /// The gateway, for example `https://127.0.0.1:50051`.
    #[arg(long)]
    target: String,
    /// Who must have signed its certificate: a PEM file.
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// The name that the certificate must be for.
    #[arg(long, default_value = "localhost")]
    server_name: String,
    /// A file with the bearer token; it is read again for each connection.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// How many callers there are.
    #[arg(long, default_value_t = 4)]
    callers: usize,
}

/// What one caller has seen.
#[derive(Default)]
struct Seen {
    calls: usize,
    connections: usize,
    slowest: Duration,
    failures: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let cli = Arc::new(Cli::parse());
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..cli.callers)
        .map(|_| tokio::spawn(call_on(cli.clone(), stop.clone())))
        .collect();
    terminate.recv().await;
    stop.store(true, Ordering::Relaxed);
    let mut all = Seen::default();
    for caller in callers {
        let seen = caller.await?;
        all.calls += seen.calls;
        all.connections += seen.connections;
        all.slowest = all.slowest.max(seen.slowest);
        all.failures.extend(seen.failures);
    }
    println!(
        "{} calls on {} connections, {} failed, the slowest took {:.0?}",
        all.calls,
        all.connections,
        all.failures.len(),
        all.slowest
    );
    match all.failures.first() {
        Some(failure) => Err(format!("the first that failed: {failure}").into()),
        None if all.calls == 0 => Err("there was no call".into()),
        None => Ok(()),
    }
}

async fn call_on(cli: Arc<Cli>, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(Ordering::Relaxed) {
        if let Err(error) = one_connection(&cli, &stop, &mut seen).await {
            seen.failures.push(format!("{error:?}"));
            // Nothing is hidden, and nothing is flooded.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    seen
}

async fn one_connection(cli: &Cli, stop: &AtomicBool, seen: &mut Seen) -> Result<(), Failure> {
    let token = match &cli.token_file {
        Some(file) => Some(std::fs::read_to_string(file)?),
        None => None,
    };
    let mut contexts = ContextServiceClient::new(connect(cli).await?);
    seen.connections += 1;
    for _ in 0..CALLS_PER_CONNECTION {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let mut request = Request::new(ListContextsRequest {
            page_size: 1,
            ..ListContextsRequest::default()
        });
        request.set_timeout(Duration::from_secs(20));
        if let Some(token) = &token {
            let header = format!("Bearer {}", token.trim()).parse()?;
            request.metadata_mut().insert("authorization", header);
        }
        let start = Instant::now();
        contexts.list_contexts(request).await?;
        seen.calls += 1;
        seen.slowest = seen.slowest.max(start.elapsed());
    }
    Ok(())
}

async fn connect(cli: &Cli) -> Result<Channel, Failure> {
    let mut endpoint = Endpoint::from_shared(cli.target.clone())?;
    if let Some(file) = &cli.ca_file {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(std::fs::read(file)?))
            .domain_name(&cli.server_name);
        endpoint = endpoint.tls_config(tls)?;
    }
    Ok(endpoint.connect().await?)
}
