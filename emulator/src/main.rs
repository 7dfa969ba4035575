//! The emulator as a program of its own.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use agb_emulator::{Config, Emulator, StartError};
use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT_LOG: &str = "info,agb_emulator::request=debug";

/// A stand-in for the AGB cloud sandbox API. It keeps nothing after it ends, unless it is told where.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// Where to serve the admin API and the page, which ask for no key. Unless named: on loopback, at the port
    /// after that of --listen, if that is free
    #[arg(long)]
    admin_listen: Option<SocketAddr>,
    /// Do not serve the admin API
    #[arg(long, conflicts_with = "admin_listen")]
    no_admin: bool,
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
    /// How to write the log to stderr
    #[arg(long, value_enum, default_value_t = LogFormat::Auto)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// Text on a terminal, JSON otherwise
    Auto,
    Text,
    Json,
}

fn main() -> ExitCode {
    agb_emulator::sandbox::run_if_asked();
    let arguments = Arguments::parse();
    begin_log(arguments.log_format);
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agb-emulator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn begin_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    match format {
        LogFormat::Json => log.json().flatten_event(true).init(),
        LogFormat::Auto if !terminal => log.json().flatten_event(true).init(),
        LogFormat::Auto | LogFormat::Text => log.with_ansi(terminal).init(),
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
    let emulator = start(arguments).await?;
    announce(&emulator);
    // Only now: it takes longer than everything before it.
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

/// Tells where it is, in one go. Whoever started it may not care to listen.
fn announce(emulator: &Emulator) {
    let mut text = format!("listening on {}\n", emulator.url());
    if let Some(url) = emulator.admin_url() {
        let _ = writeln!(text, "admin API and page on {url}");
    }
    let _ = std::io::stdout().write_all(text.as_bytes());
}

async fn start(arguments: Arguments) -> Result<Emulator, StartError> {
    let unasked = admin_beside(arguments.listen).filter(|_| !arguments.no_admin);
    let config = Config {
        listen: arguments.listen,
        admin_listen: arguments.admin_listen.or(unasked),
        data_dir: arguments.data_dir,
        api_keys: arguments.api_keys,
        ..Config::default()
    };
    match Emulator::start(config.clone()).await {
        // Nobody asked for it there, so it is no reason not to start.
        Err(StartError::Listen { address, source })
            if arguments.admin_listen.is_none() && Some(address) == unasked =>
        {
            tracing::warn!(%address, %source, "there is no admin API: name a free address with --admin-listen");
            let config = Config {
                admin_listen: None,
                ..config
            };
            Emulator::start(config).await
        }
        other => other,
    }
}

/// Loopback, at the next port; a free one beside a free one. `None` after the last port.
fn admin_beside(listen: SocketAddr) -> Option<SocketAddr> {
    let port = match listen.port() {
        0 => 0,
        port => port.checked_add(1)?,
    };
    Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}
