//! The emulator as a program of its own.

#![forbid(unsafe_code)]

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use agb_emulator::{Config, Emulator};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A stand-in for the AGB cloud sandbox API. It keeps nothing after it ends, unless it is told where.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// Where to keep contexts and their files; without it nothing is kept
    #[arg(long, env = "AGB_EMULATOR_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// An API key to accept; may be given several times. Without any, every key is accepted
    #[arg(
        long = "api-key",
        env = "AGB_EMULATOR_API_KEYS",
        value_delimiter = ',',
        hide_env_values = true
    )]
    api_keys: Vec<String>,
}

fn main() -> ExitCode {
    agb_emulator::sandbox::run_if_asked();
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agb-emulator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let config = Config {
        listen: arguments.listen,
        data_dir: arguments.data_dir,
        api_keys: arguments.api_keys,
        ..Config::default()
    };
    let emulator = Emulator::start(config).await?;
    println!("listening on {}", emulator.url());
    if let Err(reason) = emulator.check_isolation().await {
        tracing::warn!(reason, "commands will be refused");
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    emulator.stop().await;
    Ok(())
}
