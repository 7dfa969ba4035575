//! The commands: `serve`, `dev`, `check-config`, `new-token` and `healthcheck`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use agb_gateway::app::Gateway;
use agb_gateway::auth::NewToken;
use agb_gateway::config::{Config, Problems};
use agb_gateway::telemetry;
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

#[cfg(feature = "emulator")]
mod dev;

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
    Healthcheck {
        #[command(flatten)]
        tls: ProbeTls,
        /// Where the gateway listens.
        #[arg(long, default_value = "127.0.0.1:50051")]
        address: SocketAddr,
        /// How long the answer may take.
        #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
        timeout: Duration,
    },
}

/// How a probe reaches a gateway that serves in TLS.
#[derive(Args)]
struct ProbeTls {
    /// Who must have signed the gateway's certificate: a PEM file. With it, TLS is spoken.
    #[arg(long = "tls-ca-file")]
    ca_file: Option<PathBuf>,
    /// The name that the certificate must be for.
    #[arg(long = "tls-server-name", default_value = "localhost")]
    server_name: String,
    /// A certificate to show to the gateway: a PEM file.
    #[arg(
        long = "tls-certificate-file",
        requires = "ca_file",
        requires = "key_file"
    )]
    certificate_file: Option<PathBuf>,
    /// The key of that certificate: a PEM file.
    #[arg(long = "tls-key-file", requires = "certificate_file")]
    key_file: Option<PathBuf>,
}

impl ProbeTls {
    fn endpoint(&self, address: SocketAddr) -> Result<Endpoint, String> {
        let read = |file: &PathBuf| {
            let content = std::fs::read(file);
            content.map_err(|error| format!("could not read {}: {error}", file.display()))
        };
        let scheme = if self.ca_file.is_some() {
            "https"
        } else {
            "http"
        };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
            .map_err(|error| error.to_string())?;
        let Some(ca) = &self.ca_file else {
            return Ok(endpoint);
        };
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(ca)?))
            .domain_name(&self.server_name);
        if let (Some(certificate), Some(key)) = (&self.certificate_file, &self.key_file) {
            tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        endpoint.tls_config(tls).map_err(|error| in_words(&error))
    }
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
        Command::Healthcheck {
            tls,
            address,
            timeout,
        } => {
            let check = healthcheck(address, &tls);
            tokio::time::timeout(timeout, check)
                .await
                .map_err(|_elapsed| format!("{address} did not answer within {timeout:?}"))?
        }
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

async fn healthcheck(address: SocketAddr, tls: &ProbeTls) -> Result<(), String> {
    let channel = tls
        .endpoint(address)?
        .connect()
        .await
        .map_err(|error| format!("{address} could not be reached: {}", in_words(&error)))?;
    let answer = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await
        .map_err(|status| format!("{address} does not tell its health: {status}"))?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        other => Err(format!("{address} is {}", other.as_str_name())),
    }
}

/// An error with its causes.
fn in_words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |words, cause| {
        format!("{words}: {cause}")
    })
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
