//! What a gateway holds in memory when much is asked of it and little taken: 10,000 connections that do nothing, 50 readers of a large
//! file that stop reading, and answers of AGB that are far too long. In each state its health must still be told, on a new connection.
//!
//! `scripts/overload` builds and runs it. It prints the memory, and fails when that is above a bound that is the same for files and
//! answers of any length.

mod support;

use std::path::PathBuf;
use std::time::Duration;

use agb_emulator::{Emulator, Fault, FaultAction};
use agb_gateway::proto::v1 as pb;
use clap::Parser;
use pb::context_service_client::ContextServiceClient;
use pb::download_context_file_response::Payload as Sent;
use pb::upload_context_file_request::Payload as Piece;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use support::{Failure, Gateway};

const MIB: usize = 1 << 20;
const PIECE: usize = MIB;
const PATH: &str = "/home/data/large.bin";
/// How many connections are being made at once.
const AT_ONCE: usize = 200;
/// How an HTTP/2 client begins: the preface, and settings that change nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Only what hangs meets it.
const PATIENCE: Duration = Duration::from_mins(1);

/// What idle connections may take each, in KiB.
const MAX_CONNECTION_KIB: i64 = 64;
/// What readers that have stopped may take each, in MiB.
const MAX_READER_MIB: i64 = 4;
/// What answers may take that are longer than `agb.max_response_bytes`: they say so, and are not read.
const MAX_REFUSED_MIB: i64 = 32;
/// What answers may take that are not: `agb.max_long_answers`, 8, are held at once, each as what came and as what was read from it.
const MAX_LONG_ANSWERS: usize = 8;
const COPIES: usize = 2;

#[derive(Parser)]
struct Cli {
    /// The gateway's program.
    #[arg(long)]
    gateway: PathBuf,
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    #[arg(long, default_value_t = 50)]
    readers: usize,
    /// How many calls are answered with too much at once.
    #[arg(long, default_value_t = 50)]
    answers: usize,
    /// How long the file and each of those answers are, in MB.
    #[arg(long, default_value_t = 100)]
    megabytes: usize,
}

fn main() -> Result<(), Failure> {
    agb_emulator::sandbox::run_if_asked();
    let cli = Cli::parse();
    tokio::runtime::Runtime::new()?.block_on(measure(&cli))
}

async fn measure(cli: &Cli) -> Result<(), Failure> {
    let emulator = Emulator::start(agb_emulator::Config::default()).await?;
    idle_connections(cli, &emulator).await?;
    slow_readers(cli, &emulator).await?;
    let refused = Answers {
        settings: &[],
        reason: "AGB_ANSWER_TOO_LARGE",
        most_mib: MAX_REFUSED_MIB,
    };
    refused.measure(cli, &emulator).await?;
    let held = MAX_LONG_ANSWERS * COPIES * cli.megabytes;
    let read = Answers {
        settings: &[("AGB_GATEWAY_AGB__MAX_RESPONSE_BYTES", "1073741824")],
        // A text, where there should be contexts.
        reason: "AGB_UNINTELLIGIBLE",
        most_mib: i64::try_from(held)? + MAX_REFUSED_MIB,
    };
    read.measure(cli, &emulator).await?;
    emulator.stop().await;
    Ok(())
}

async fn idle_connections(cli: &Cli, emulator: &Emulator) -> Result<(), Failure> {
    let gateway = Gateway::start(&cli.gateway, &emulator.url())?;
    check_health(&gateway).await?;
    let before = gateway.resident_mib()?;
    let mut idle = Vec::new();
    while idle.len() < cli.connections {
        let mut connecting = JoinSet::new();
        for _ in 0..AT_ONCE.min(cli.connections - idle.len()) {
            connecting.spawn(connect_idle(gateway.address.clone()));
        }
        while let Some(connection) = connecting.join_next().await {
            idle.push(connection??);
        }
    }
    check_health(&gateway).await?;
    let grown = gateway.resident_mib()? - before;
    println!(
        "{} idle connections: {grown} MiB more than the {before} MiB before; healthy",
        idle.len()
    );
    let most = i64::try_from(cli.connections)? * MAX_CONNECTION_KIB / 1024;
    within("idle connections", grown, most)
}

/// A connection that is answered and then does nothing.
async fn connect_idle(address: String) -> Result<TcpStream, Failure> {
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(PREFACE).await?;
    // The header of the server's settings: it has taken the connection.
    connection.read_exact(&mut [0; 9]).await?;
    Ok(connection)
}

async fn slow_readers(cli: &Cli, emulator: &Emulator) -> Result<(), Failure> {
    let gateway = Gateway::start(&cli.gateway, &emulator.url())?;
    let context_id = upload(cli, &gateway).await?;
    let before = gateway.resident_mib()?;
    let mut readers = Vec::new();
    for _ in 0..cli.readers {
        let mut reader = download(&gateway, &context_id).await?;
        // The header and the first bytes: all others wait for this reader.
        for _ in 0..2 {
            reader.message().await?.ok_or("the download has ended")?;
        }
        readers.push(reader);
    }
    check_health(&gateway).await?;
    let grown = gateway.resident_mib()? - before;
    println!(
        "{} readers of {} MB that have stopped: {grown} MiB more than the {before} MiB before; healthy",
        cli.readers, cli.megabytes
    );
    within(
        "slow readers",
        grown,
        i64::try_from(cli.readers)? * MAX_READER_MIB,
    )?;
    // One that reads on gets all of it, while the others do not.
    let mut reader = readers.pop().ok_or("no reader")?;
    let mut told = None;
    while let Some(answer) = reader.message().await? {
        if let Some(Sent::Trailer(trailer)) = answer.payload {
            told = Some(trailer.size_bytes);
        }
    }
    if told != Some(i64::try_from(cli.megabytes * 1_000_000)?) {
        return Err(format!("a reader that went on came to {told:?}").into());
    }
    let peak = gateway.peak_mib()?;
    println!("one of them read on to the end; the peak was {peak} MiB");
    Ok(())
}

async fn upload(cli: &Cli, gateway: &Gateway) -> Result<String, Failure> {
    let mut contexts = ContextServiceClient::new(connect(gateway).await?);
    let request = pb::CreateContextRequest {
        context: Some(pb::Context {
            name: "large".to_owned(),
            ..pb::Context::default()
        }),
        ..pb::CreateContextRequest::default()
    };
    let created = contexts.create_context(request).await?.into_inner();
    let context_id = created.context.ok_or("no context")?.context_id;
    let header = Piece::Header(pb::UploadContextFileHeader {
        context_id: context_id.clone(),
        path: PATH.to_owned(),
        size_bytes: None,
    });
    let length = cli.megabytes * 1_000_000;
    let data = (0..length)
        .step_by(PIECE)
        .map(move |start| Piece::Data(vec![7; PIECE.min(length - start)]));
    let pieces = std::iter::once(header)
        .chain(data)
        .map(|piece| pb::UploadContextFileRequest {
            payload: Some(piece),
        });
    contexts
        .upload_context_file(tokio_stream::iter(pieces))
        .await?;
    Ok(context_id)
}

async fn download(
    gateway: &Gateway,
    context_id: &str,
) -> Result<Streaming<pb::DownloadContextFileResponse>, Failure> {
    let mut contexts = ContextServiceClient::new(connect(gateway).await?);
    let request = pb::DownloadContextFileRequest {
        context_id: context_id.to_owned(),
        path: PATH.to_owned(),
    };
    Ok(contexts.download_context_file(request).await?.into_inner())
}

/// Answers of AGB that are far too long, and how the gateway is set to meet them.
struct Answers<'a> {
    settings: &'a [(&'a str, &'a str)],
    /// What each caller is told.
    reason: &'a str,
    most_mib: i64,
}

impl Answers<'_> {
    async fn measure(&self, cli: &Cli, emulator: &Emulator) -> Result<(), Failure> {
        let gateway = Gateway::start_with(&cli.gateway, &emulator.url(), self.settings)?;
        let channel = connect(&gateway).await?;
        check_health(&gateway).await?;
        let before = gateway.resident_mib()?;
        emulator.faults().clear();
        emulator.faults().inject(Fault {
            operation: "ListContexts".to_owned(),
            times: u32::MAX,
            action: FaultAction::OversizedAnswer {
                bytes: u64::try_from(cli.megabytes)? * 1_000_000,
                after_work: false,
            },
        });
        let mut calls = JoinSet::new();
        for _ in 0..cli.answers {
            let mut contexts = ContextServiceClient::new(channel.clone());
            calls.spawn(async move {
                let mut request = Request::new(pb::ListContextsRequest::default());
                request.set_timeout(PATIENCE);
                contexts.list_contexts(request).await
            });
        }
        let mut checked = 0;
        while let Some(ended) = calls.join_next().await {
            let status = ended?.err().ok_or("such an answer was taken")?;
            let details = status.get_error_details();
            let reason = details.error_info().map(|info| info.reason.as_str());
            if reason != Some(self.reason) {
                return Err(format!("expected {}, got {status:?}", self.reason).into());
            }
            // While the others go on.
            check_health(&gateway).await?;
            checked += 1;
        }
        let grown = gateway.peak_mib()? - before;
        println!(
            "{} answers of {} MB, {}: {grown} MiB more at the peak than the {before} MiB before; healthy {checked} times meanwhile",
            cli.answers, cli.megabytes, self.reason
        );
        within("long answers", grown, self.most_mib)
    }
}

/// Asks for its health on a connection of its own.
async fn check_health(gateway: &Gateway) -> Result<(), Failure> {
    let mut health = HealthClient::new(connect(gateway).await?);
    let mut request = Request::new(HealthCheckRequest::default());
    request.set_timeout(PATIENCE);
    let status = health.check(request).await?.into_inner().status();
    if status == ServingStatus::Serving {
        Ok(())
    } else {
        Err(format!("the gateway says {}", status.as_str_name()).into())
    }
}

async fn connect(gateway: &Gateway) -> Result<Channel, Failure> {
    let endpoint = Endpoint::from_shared(format!("http://{}", gateway.address))?;
    Ok(endpoint.connect().await?)
}

fn within(what: &str, grown: i64, most: i64) -> Result<(), Failure> {
    if grown > most {
        return Err(format!("{what} took {grown} MiB, which is more than {most} MiB").into());
    }
    Ok(())
}
