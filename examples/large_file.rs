//! Sends a large file up and down through a gateway in a process of its own, and measures that process's memory.
//!
//! `scripts/large-file` builds and runs it. It fails when the bytes differ or when the memory grows by 64 MiB or more.

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agb_emulator::Emulator;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use agb_gateway::proto::v1::download_context_file_response::Payload as Sent;
use agb_gateway::proto::v1::upload_context_file_request::Payload as Piece;
use agb_gateway::proto::v1::{
    Context, CreateContextRequest, DownloadContextFileRequest, UploadContextFileHeader,
    UploadContextFileRequest,
};
use clap::Parser;
use sha2::{Digest as _, Sha256};
use tokio_stream::StreamExt as _;
use tonic::Request;
use tonic::transport::Channel;

const PIECE: usize = 1 << 20;
const MIB: i64 = 1 << 20;
const MAX_GROWTH_MIB: i64 = 64;
const PATH: &str = "/home/data/large.bin";

type Failure = Box<dyn Error>;

#[derive(Parser)]
struct Cli {
    /// The gateway's program.
    #[arg(long)]
    gateway: PathBuf,
    /// The size of the file in MiB.
    #[arg(long, default_value_t = 2048)]
    size_mib: i64,
}

/// The gateway's process; it ends with the measurement.
struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> Result<(), Failure> {
    agb_emulator::sandbox::run_if_asked();
    let cli = Cli::parse();
    tokio::runtime::Runtime::new()?.block_on(measure(&cli))
}

async fn measure(cli: &Cli) -> Result<(), Failure> {
    let emulator = Emulator::start(agb_emulator::Config::default()).await?;
    let (gateway, address) = start(cli, &emulator.url())?;
    let channel = Channel::from_shared(format!("http://{address}"))?
        .connect()
        .await?;
    let mut contexts = ContextServiceClient::new(channel);
    let request = CreateContextRequest {
        context: Some(Context {
            name: "large".to_owned(),
            ..Context::default()
        }),
        ..CreateContextRequest::default()
    };
    let created = contexts.create_context(within(request)).await?.into_inner();
    let context_id = created.context.ok_or("no context")?.context_id;

    let before = resident_mib(gateway.0.id())?;
    let start = Instant::now();
    let sent = upload(&mut contexts, &context_id, cli.size_mib).await?;
    let up = start.elapsed();
    let start = Instant::now();
    let received = download(&mut contexts, &context_id).await?;
    let down = start.elapsed();
    let growth = peak_mib(gateway.0.id())? - before;

    println!("{} MiB up in {up:.1?}, down in {down:.1?}", cli.size_mib);
    println!("resident memory of the gateway: {before} MiB before, at most {growth} MiB more");
    emulator.stop().await;
    if sent != received {
        return Err("the bytes differ".into());
    }
    if growth >= MAX_GROWTH_MIB {
        return Err(format!("the memory grew by {MAX_GROWTH_MIB} MiB or more").into());
    }
    println!("byte-identical");
    Ok(())
}

fn start(cli: &Cli, endpoint: &str) -> Result<(Gateway, String), Failure> {
    let mut child = Command::new(&cli.gateway)
        .arg("serve")
        .env("AGB_API_KEY", "large-file")
        .env("AGB_ENDPOINT", endpoint)
        .env("AGB_GATEWAY_SERVER__LISTEN", "127.0.0.1:0")
        .stderr(Stdio::piped())
        .spawn()?;
    let logs = child.stderr.take().ok_or("no logs")?;
    let gateway = Gateway(child);
    let mut lines = BufReader::new(logs).lines();
    while let Some(line) = lines.next().transpose()? {
        let event: serde_json::Value = serde_json::from_str(&line)?;
        if let ("serving", Some(address)) = (
            event["message"].as_str().unwrap_or_default(),
            event["address"].as_str(),
        ) {
            let address = address.to_owned();
            std::thread::spawn(move || lines.for_each(drop));
            return Ok((gateway, address));
        }
    }
    Err("the gateway did not start".into())
}

async fn upload(
    contexts: &mut ContextServiceClient<Channel>,
    context_id: &str,
    size_mib: i64,
) -> Result<Vec<u8>, Failure> {
    let header = Piece::Header(UploadContextFileHeader {
        context_id: context_id.to_owned(),
        path: PATH.to_owned(),
        size_bytes: Some(size_mib * MIB),
    });
    let pieces = (0..size_mib).map(|index| Piece::Data(piece(index)));
    let messages = std::iter::once(header)
        .chain(pieces)
        .map(|payload| UploadContextFileRequest {
            payload: Some(payload),
        });
    let request = within(tokio_stream::iter(messages));
    Ok(contexts
        .upload_context_file(request)
        .await?
        .into_inner()
        .sha256)
}

/// Bytes that no storage can store in less: a hash stretched, another one for each piece.
fn piece(index: i64) -> Vec<u8> {
    let seed = Sha256::digest(index.to_le_bytes());
    seed.iter().copied().cycle().take(PIECE).collect()
}

async fn download(
    contexts: &mut ContextServiceClient<Channel>,
    context_id: &str,
) -> Result<Vec<u8>, Failure> {
    let request = DownloadContextFileRequest {
        context_id: context_id.to_owned(),
        path: PATH.to_owned(),
    };
    let mut pieces = contexts
        .download_context_file(within(request))
        .await?
        .into_inner();
    let mut hash = Sha256::new();
    while let Some(piece) = pieces.next().await {
        if let Some(Sent::Data(data)) = piece?.payload {
            hash.update(&data);
        }
    }
    Ok(hash.finalize().to_vec())
}

fn within<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_mins(14));
    request
}

fn resident_mib(pid: u32) -> Result<i64, Failure> {
    memory_mib(pid, "VmRSS:")
}

fn peak_mib(pid: u32) -> Result<i64, Failure> {
    memory_mib(pid, "VmHWM:")
}

fn memory_mib(pid: u32, field: &str) -> Result<i64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .ok_or("no such field")?;
    let kib: i64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024)
}
