//! Who is measured: the gateway with everything on, the limit, and what a team would write instead. Each a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Failure;
use crate::load::Target;
use crate::process::{Process, Server, start_gateway};

/// Where things are, and where logs and keys go.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    /// The gateway's program.
    pub(crate) gateway: PathBuf,
    /// Another one, to be compared with it.
    pub(crate) other: Option<PathBuf>,
    /// A folder for what the run makes.
    pub(crate) folder: PathBuf,
    /// A Python with the official SDK and gRPC.
    pub(crate) python: Option<PathBuf>,
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) process: Process,
    pub(crate) started_in: Duration,
    address: SocketAddr,
    token: String,
}

impl Gateway {
    pub(crate) fn target(&self) -> Target {
        Target {
            address: self.address,
            token: Some(self.token.clone()),
            pid: self.process.id(),
        }
    }
}

/// What a gateway tells about itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Telling<'a> {
    /// As in production: 1 % of the traces and all metrics to a collector, the access log into a file. The metrics go each second, which
    /// is more often than by default.
    Everything { collector: &'a str },
    /// Nothing: no spans, no metrics, no log beyond the start.
    Nothing,
}

impl Bench {
    /// A program that makes a gateway's process: the gateway itself, unless something stands in front of it.
    pub(crate) fn gateway_command(&self) -> Command {
        Command::new(&self.gateway)
    }

    /// Starts a gateway with token authentication in front of `upstream`.
    pub(crate) fn start_gateway(
        &self,
        name: &str,
        upstream: &str,
        telling: Telling<'_>,
        settings: &[(&str, &str)],
    ) -> Result<Gateway, Failure> {
        self.start_gateway_by(self.gateway_command(), name, upstream, telling, settings)
    }

    /// The same, by a command of one's own.
    pub(crate) fn start_gateway_by(
        &self,
        mut command: Command,
        name: &str,
        upstream: &str,
        telling: Telling<'_>,
        settings: &[(&str, &str)],
    ) -> Result<Gateway, Failure> {
        let (token, tokens) = self.new_token()?;
        command
            .arg("serve")
            .env("AGB_API_KEY", "measurement")
            .env("AGB_ENDPOINT", upstream)
            .env("AGB_GATEWAY_SERVER__LISTEN", "127.0.0.1:0")
            .env("AGB_GATEWAY_SERVER__MAX_CONNECTIONS_PER_ADDRESS", "20000")
            .env("AGB_GATEWAY_AUTH__METHODS", "[\"token\"]")
            .env("AGB_GATEWAY_AUTH__TOKEN_FILE", tokens);
        match telling {
            Telling::Everything { collector } => {
                command
                    .env("AGB_GATEWAY_TELEMETRY__OTLP__ENDPOINT", collector)
                    .env("AGB_GATEWAY_TELEMETRY__OTLP__METRICS_INTERVAL", "1s");
            }
            Telling::Nothing => {
                // The line by which it is known that it serves.
                command.env("AGB_GATEWAY_LOG__FILTER", "off,agb_gateway::app=info");
            }
        }
        command.envs(settings.iter().copied());
        let log = self.folder.join(format!("{name}.log"));
        let (process, address, started_in) = start_gateway(command, &log)?;
        Ok(Gateway {
            process,
            started_in,
            address,
            token,
        })
    }

    fn new_token(&self) -> Result<(String, PathBuf), Failure> {
        let output = self
            .gateway_command()
            .args(["new-token", "bench"])
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let after = |label: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(label));
            line.map(str::trim)
                .ok_or("new-token prints something else by now")
        };
        let file = self.folder.join("tokens");
        // Gateways that read this file already keep their tokens: each gets a line of its own.
        let mut lines = std::fs::read_to_string(&file).unwrap_or_default();
        lines += after("line for the file:")?;
        lines += "\n";
        std::fs::write(&file, lines)?;
        Ok((after("token, shown only now:")?.to_owned(), file))
    }

    /// Starts the Python server around the official SDK.
    pub(crate) fn start_python(
        &self,
        python: &Path,
        upstream: &str,
        ca: Option<&Path>,
    ) -> Result<Server, Failure> {
        let mut command = self.python_command(python, "gateway.py", upstream, ca);
        command.arg(self.folder.join("python"));
        Server::start_command(command)
    }

    /// Calls of the official SDK from so many threads: what it printed.
    pub(crate) fn sdk(
        &self,
        python: &Path,
        upstream: &str,
        ca: Option<&Path>,
        threads: usize,
        duration: Duration,
    ) -> Result<SdkFigures, Failure> {
        let mut command = self.python_command(python, "sdk.py", upstream, ca);
        command
            .arg(threads.to_string())
            .arg(duration.as_secs_f64().to_string());
        let output = command.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn python_command(
        &self,
        python: &Path,
        script: &str,
        upstream: &str,
        ca: Option<&Path>,
    ) -> Command {
        let mut command = Command::new(python);
        command
            .current_dir(&self.folder)
            .arg(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("python")
                    .join(script),
            )
            .env("AGB_API_KEY", "measurement")
            .env("AGB_ENDPOINT", upstream);
        if let Some(ca) = ca {
            command
                .env("REQUESTS_CA_BUNDLE", ca)
                .env("SSL_CERT_FILE", ca);
        }
        command
    }
}

/// What calls of the SDK took.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub(crate) struct SdkFigures {
    pub(crate) calls_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// Starts the stand-in for AGB.
pub(crate) fn start_upstream(arguments: &[&str]) -> Result<Server, Failure> {
    Server::start(&[&["upstream"], arguments].concat())
}

/// A server of this program as who is called.
pub(crate) fn target(server: &Server) -> Target {
    Target {
        address: server.address,
        token: None,
        pid: server.process.id(),
    }
}
