//! Sends a large file up and down through a gateway in a process of its own, and measures that process's memory.
//!
//! `scripts/large-file` builds and runs it. It fails when the bytes differ or when the memory grows by 64 MiB or more.

mod support;

use std::path::PathBuf;
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

use support::{Failure, Gateway};

const PIECE: usize = 1 << 20;
const MIB: i64 = 1 << 20;
const MAX_GROWTH_MIB: i64 = 64;
const PATH: &str = "/home/data/large.bin";

#[derive(Parser)]
struct Cli {
    /// The gateway's program.
    #[arg(long)]
    gateway: PathBuf,
    /// The size of the file in MiB.
    #[arg(long, default_value_t = 2048)]
    size_mib: i64,
}

fn main() -> Result<(), Failure> {
    agb_emulator::sandbox::run_if_asked();
    let cli = Cli::parse();
    tokio::runtime::Runtime::new()?.block_on(measure(&cli))
}

async fn measure(cli: &Cli) -> Result<(), Failure> {
    let emulator = Emulator::start(agb_emulator::Config::default()).await?;
    let gateway = Gateway::start(&cli.gateway, &emulator.url())?;
    let channel = Channel::from_shared(format!("http://{}", gateway.address))?
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

    let before = gateway.resident_mib()?;
    let start = Instant::now();
    let sent = upload(&mut contexts, &context_id, cli.size_mib).await?;
    let up = start.elapsed();
    let start = Instant::now();
    let received = download(&mut contexts, &context_id).await?;
    let down = start.elapsed();
    let growth = gateway.peak_mib()? - before;

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
