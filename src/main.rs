//! The commands: `serve`, `dev`, `check-config`, `new-token` and `healthcheck`.

#[cfg(feature = "emulator")]
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agb_gateway::app::Gateway;
use agb_gateway::auth::NewToken;
use agb_gateway::config::{Config, Problems};
use agb_gateway::telemetry;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

#[cfg(feature = "emulator")]
mod dev;
mod healthcheck;

use healthcheck::Healthcheck;

/// A call allocates a hundred and sixty times, and much of it in another thread than the one that frees it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A gRPC gateway between internal services and the AGB cloud sandbox API.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve, as the configuration says. SIGTERM drains.
    Serve {
        /// A TOML file. Without it, defaults and the environment count.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Serve in plaintext with an emulated AGB in the same process, to try things out without an account.
    #[cfg(feature = "emulator")]
    Dev {
        /// Where the gateway listens.
        #[arg(long, default_value = "127.0.0.1:50051")]
        listen: SocketAddr,
        /// Where the emulated AGB listens. Port 0: any free port.
        #[arg(long, default_value = "127.0.0.1:0")]
        emulator_listen: SocketAddr,
        /// Where the admin service listens, on loopback. Without it, there is none.
        #[arg(long)]
        admin_listen: Option<SocketAddr>,
    },
    /// Check the configuration, and tell every problem in a line of its own.
    CheckConfig {
        /// A TOML file. Without it, defaults and the environment count.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Make a bearer token: prints the token for the caller, and the line for the token file.
    NewToken {
        /// What the caller is called; in rules and logs, after `token:`.
        principal: String,
    },
    /// Ask a running gateway whether it is serving: for probes. Exits with 0 only when it is.
    Healthcheck(Healthcheck),
}

fn main() -> ExitCode {
    // The emulator starts this very program again to isolate commands; then nothing below is reached.
    #[cfg(feature = "emulator")]
    agb_emulator::sandbox::run_if_asked();

    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(format!("could not start the runtime: {error}")),
    };
    let result = runtime.block_on(run(cli.command));
    // Calls that outlived the drain must not hold up the exit.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => failed(message),
    }
}

fn failed(message: impl std::fmt::Display) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}

async fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Serve { config } => serve(config.as_deref()).await,
        #[cfg(feature = "emulator")]
        Command::Dev {
            listen,
            emulator_listen,
            admin_listen,
        } => dev::dev(listen, emulator_listen, admin_listen).await,
        Command::CheckConfig { config } => check_config(config.as_deref()),
        Command::NewToken { principal } => new_token(&principal),
        Command::Healthcheck(healthcheck) => healthcheck.run().await,
    }
}

async fn serve(file: Option<&Path>) -> Result<(), String> {
    let config = Config::load(file).map_err(|problems| in_lines(&problems))?;
    let stop = stop_signal()?;
    // The last lines are written when this is dropped.
    let logs = telemetry::start_logs(&config.log)?;
    let gateway = Gateway::start_with(config, Some(logs.filter.clone()))
        .await
        .map_err(|error| error.to_string())?;
    gateway
        .run_until(stop)
        .await
        .map_err(|error| error.to_string())
}

fn check_config(file: Option<&Path>) -> Result<(), String> {
    Config::load(file).map_err(|problems| in_lines(&problems))?;
    println!("the configuration is valid");
    Ok(())
}

fn new_token(principal: &str) -> Result<(), String> {
    let new = NewToken::generate(principal)?;
    println!("token, shown only now:  {}", new.expose());
    println!("line for the file:      {}", new.line);
    Ok(())
}

fn in_lines(problems: &Problems) -> String {
    format!("the configuration is not valid:\n{problems}")
}

/// Ends at SIGTERM or SIGINT. The signals are caught from the moment on when this returns.
fn stop_signal() -> Result<impl Future<Output = ()>, String> {
    let catch = |kind| signal(kind).map_err(|error| format!("could not catch signals: {error}"));
    let mut terminate = catch(SignalKind::terminate())?;
    let mut interrupt = catch(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
