//! An emulated AGB, the gateways in front of it, and what a case finds there.

use std::net::SocketAddr;
use std::time::Duration;

use agb_emulator::{Emulator, Fault, FaultAction};
use agb_gateway::app::Gateway;
use agb_gateway::config::Config;
use figment::Figment;
use figment::providers::{Format as _, Toml};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::sync::OnceCell;

use super::name::Name;
use super::plain_port::PlainPort;
use super::process::{self, Process};
use super::proxy::Proxy;
use super::state::State;
use super::tls_port::{Authority, TlsPort};
use super::wire::{Wire, over_channel, without_client_timer};
use crate::canary;

pub(super) const KEY: &str = "Pl4nted-test-key";
pub(crate) const MOUNT: &str = "/home/data";
pub(crate) const FILE: &str = "/tmp/original/file.txt";

/// What every case finds in AGB: a context with one file, mounted in a session.
#[derive(Clone, Debug)]
pub(crate) struct Fixture {
    pub(crate) context_id: String,
    pub(crate) context_name: String,
    pub(crate) session_id: String,
}

/// Which gateway is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Through {
    /// One call of AGB has a minute, the caller has more.
    Usual,
    /// One call of AGB has a second, the caller has minutes.
    Impatient,
    /// One call of AGB has a minute, the caller has two seconds.
    Hasty,
    /// Like the usual one; the caller's header gives this much time, and no timer of the client's ends the call.
    Within(&'static str),
    /// Where AGB should be, nobody listens.
    Refused,
    /// Where AGB should speak TLS, it does not.
    PlainPort,
    /// The proxy to AGB drops a connection when it is used a second time.
    StaleConnections,
    /// The proxy to AGB has closed the connections that nobody uses.
    ClosedConnections,
    /// AGB's certificate is good.
    Trusted,
    /// AGB's certificate is that of another name.
    WrongName,
    /// AGB's certificate is of an issuer that the gateway does not know.
    Untrusted,
    /// AGB's host is a name that can point elsewhere.
    Name,
}

/// What is special about an AGB from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agb {
    Usual,
    /// Its clock is hours ahead of the gateway's.
    Ahead,
    /// Its clock is hours behind the gateway's.
    Behind,
    /// A session that was released is not found any more.
    Forgetful,
}

const SKEW: Duration = Duration::from_hours(5);
/// For how long a session that was released is still told of.
const RETENTION: Duration = Duration::from_mins(1);

/// What all gateways have. Each case has its own account of attempts: neither the throttle nor the breaker carries one over to the
/// next.
const SETTINGS: &str = r#"
[log]
filter = "trace"
[agb]
max_attempts = 3
retry_base = "1ms"
max_response_bytes = 1048576
retry_tokens = 100000
breaker_failures = 100000
[sync]
pace_floor = "5ms"
pace_ceiling = "50ms"
settle = "5ms"
# What a sweeper asks AGB is no part of any call.
[session]
sweep_interval = "0s"
[server]
listen = "127.0.0.1:0"
"#;
/// Looks are borne until then; everything else fails by itself, also where the first try of TLS takes its time.
const SOON: &str = "5s";

/// One AGB with its gateways; cases come one after the other.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) proxy: Proxy,
    pub(crate) plain_port: PlainPort,
    pub(crate) name: Name,
    trusted: TlsPort,
    wrong_name: TlsPort,
    untrusted: TlsPort,
    /// Whom gateways in processes of their own trust.
    authority: NamedTempFile,
    /// What they are configured with.
    config: NamedTempFile,
    refusing: tokio::net::TcpSocket,
    http: reqwest::Client,
    usual: OnceCell<Running>,
    hasty: OnceCell<Running>,
    impatient: OnceCell<Running>,
    refused: OnceCell<Running>,
    plain: OnceCell<Running>,
    proxied: OnceCell<Running>,
    trusting: OnceCell<Running>,
    mistaken: OnceCell<Running>,
    distrusting: OnceCell<Running>,
    named: OnceCell<Running>,
}

struct Running {
    address: SocketAddr,
    wire: Wire,
    _gateway: Kept,
}

/// What ends the gateway when it is dropped.
enum Kept {
    Here(#[allow(dead_code)] Gateway),
    Process(#[allow(dead_code)] Process),
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(Agb::Usual).await
    }

    pub(crate) async fn start_with(agb: Agb) -> Self {
        canary::watch();
        let (clock_behind, finished_retention) = match agb {
            Agb::Behind => (SKEW, RETENTION),
            Agb::Forgetful => (Duration::ZERO, Duration::ZERO),
            _ => (Duration::ZERO, RETENTION),
        };
        let emulator = Emulator::start(agb_emulator::Config {
            clock_behind,
            sandbox_program: Some(env!("CARGO_BIN_EXE_agb-gateway").into()),
            admin_listen: Some(([127, 0, 0, 1], 0).into()),
            sync_duration: Duration::from_millis(5),
            task_visibility_delay: Duration::from_millis(1),
            clear_duration: Duration::from_millis(5),
            release_duration: Duration::from_millis(5),
            finished_retention,
            ..agb_emulator::Config::default()
        });
        let emulator = emulator.await.unwrap();
        if agb == Agb::Ahead {
            emulator.clock().advance(SKEW);
        }
        let agb = emulator.address();
        let (known, unknown) = (Authority::new(), Authority::new());
        let file = |text: &str| {
            let file = NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            file
        };
        // Bound and not listening: it refuses, and nobody else can take the port meanwhile.
        let refusing = tokio::net::TcpSocket::new_v4().unwrap();
        refusing.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self {
            proxy: Proxy::start(agb).await,
            name: Name::start(agb).await,
            trusted: TlsPort::start(&known, "127.0.0.1", agb).await,
            wrong_name: TlsPort::start(&known, "agb.test", agb).await,
            untrusted: TlsPort::start(&unknown, "127.0.0.1", agb).await,
            authority: file(&known.pem),
            config: file(&format!("{SETTINGS}default_deadline = \"{SOON}\"\n")),
            plain_port: PlainPort::start().await,
            refusing,
            http: reqwest::Client::new(),
            emulator,
            usual: OnceCell::new(),
            hasty: OnceCell::new(),
            impatient: OnceCell::new(),
            refused: OnceCell::new(),
            plain: OnceCell::new(),
            proxied: OnceCell::new(),
            trusting: OnceCell::new(),
            mistaken: OnceCell::new(),
            distrusting: OnceCell::new(),
            named: OnceCell::new(),
        }
    }

    /// The way to a gateway, which is started when it is first needed.
    pub(crate) async fn through(&self, through: Through) -> Wire {
        let agb = self.emulator.url();
        let hasty = Figment::new()
            .merge(("server.max_deadline", "2s"))
            .merge(("server.default_deadline", "2s"));
        let soon = Figment::new().merge(("server.default_deadline", SOON));
        let (cell, endpoint, settings) = match through {
            Through::Usual | Through::Within(_) => (&self.usual, agb, Figment::new()),
            Through::Impatient => {
                let settings = Figment::new().merge(("agb.request_timeout", "1s"));
                (&self.impatient, agb, settings)
            }
            Through::Hasty => (&self.hasty, agb, hasty),
            Through::Refused => {
                let refusing = self.refusing.local_addr().unwrap();
                (&self.refused, format!("http://{refusing}"), soon)
            }
            Through::PlainPort => {
                let address = self.plain_port.address();
                (&self.plain, format!("https://{address}"), soon)
            }
            Through::StaleConnections | Through::ClosedConnections => {
                let address = self.proxy.address();
                (&self.proxied, format!("http://{address}"), Figment::new())
            }
            Through::Trusted | Through::WrongName | Through::Untrusted | Through::Name => {
                return self.through_process(through).await;
            }
        };
        let running = cell.get_or_init(|| start_gateway(endpoint, settings)).await;
        match through {
            Through::Within(timeout) => without_client_timer(running.address, timeout),
            _ => running.wire.clone(),
        }
    }

    async fn through_process(&self, through: Through) -> Wire {
        let config = self.config.path();
        let (cell, port) = match through {
            Through::Trusted => (&self.trusting, &self.trusted),
            Through::WrongName => (&self.mistaken, &self.wrong_name),
            Through::Untrusted => (&self.distrusting, &self.untrusted),
            _ => {
                let start = async {
                    let (hosts, endpoint) = (self.name.hosts(), self.name.endpoint());
                    running(process::finding_hosts_in(hosts, config, endpoint).await).await
                };
                return self.named.get_or_init(|| start).await.wire.clone();
            }
        };
        let start = async {
            let endpoint = format!("https://{}", port.address());
            running(process::trusting(config, endpoint, self.authority.path()).await).await
        };
        cell.get_or_init(|| start).await.wire.clone()
    }

    /// How many connections were made to where AGB should speak TLS.
    pub(crate) fn tls_connections(&self, through: Through) -> u64 {
        match through {
            Through::WrongName => self.wrong_name.connections(),
            Through::Untrusted => self.untrusted.connections(),
            _ => self.plain_port.connections(),
        }
    }

    /// An AGB as new, with what every case finds in it.
    pub(crate) async fn prepare(&self) -> Fixture {
        self.emulator.reset().await;
        let name = "fixture".to_owned();
        let path = format!("/sdk/GetContext?name={name}&allowCreate=true");
        let context = self.agb(reqwest::Method::GET, &path, None).await;
        let context_id = text(&context["id"]);
        let path = format!(
            "/sdk/GetContextFileUploadUrl?contextId={context_id}&filePath={}",
            FILE.replace('/', "%2F")
        );
        let url = text(&self.agb(reqwest::Method::POST, &path, None).await["url"]);
        let put = self.http.put(url).body("content").send().await.unwrap();
        assert!(put.status().is_success(), "{put:?}");
        let policy = json!({"mappingPolicy": {"path": "/tmp/original"}}).to_string();
        let mounts = json!([{"contextId": context_id, "path": MOUNT, "policy": policy}]);
        let body = json!({"persistenceDataList": mounts});
        let path = "/mcp/createSession?imageId=agb-code-space-1";
        let session = self.agb(reqwest::Method::POST, path, Some(body)).await;
        let fixture = Fixture {
            context_id,
            context_name: name,
            session_id: text(&session["sessionId"]),
        };
        self.until_downloaded().await;
        fixture
    }

    /// Releases a session past the gateway, and returns when AGB has it no more.
    pub(crate) async fn release(&self, session_id: &str) {
        let body = json!({ "sessionId": session_id });
        let path = "/mcp/releaseSession";
        self.agb(reqwest::Method::POST, path, Some(body)).await;
        let mut pause = tokio::time::interval(Duration::from_millis(2));
        let is_listed = |state: Value| {
            let sessions = state["sessions"].as_array().unwrap();
            sessions.iter().any(|session| session["id"] == session_id)
        };
        while is_listed(self.admin("/sessions").await) {
            pause.tick().await;
        }
    }

    /// The session that is not the fixture's.
    pub(crate) async fn new_session(&self, fixture: &str) -> String {
        let sessions = self.admin("/sessions").await;
        let sessions = sessions["sessions"].as_array().unwrap();
        let new = sessions.iter().find(|session| session["id"] != fixture);
        text(&new.expect("a new session")["id"])
    }

    async fn until_downloaded(&self) {
        let mut pause = tokio::time::interval(Duration::from_millis(2));
        loop {
            let tasks = self.admin("/tasks").await;
            let tasks = tasks["tasks"].as_array().unwrap();
            let done = |task: &Value| task["status"] == "Success" && task["visible"] == true;
            if !tasks.is_empty() && tasks.iter().all(done) {
                return;
            }
            pause.tick().await;
        }
    }

    /// What is there now, as the emulator's admin API tells it.
    pub(crate) async fn state(&self) -> State {
        State::read(&self.admin("/state").await)
    }

    pub(crate) fn inject(&self, operation: &str, times: u32, action: FaultAction) {
        self.emulator.faults().inject(Fault {
            operation: operation.to_owned(),
            times,
            action,
        });
    }

    /// One call of AGB past the gateway.
    async fn agb(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
        let url = self.emulator.url() + path;
        let mut request = self.http.request(method, url).bearer_auth(KEY);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["success"], true, "{path}: {answer}");
        answer["data"].clone()
    }

    async fn admin(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.emulator.admin_url().unwrap());
        self.http
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }
}

async fn start_gateway(endpoint: String, settings: Figment) -> Running {
    let settings = Figment::from(Toml::string(SETTINGS))
        .merge(("agb.endpoint", endpoint))
        .merge(settings);
    let config = Config::read(&settings, Some(KEY.to_owned())).unwrap();
    let gateway = Gateway::start(config).await.unwrap();
    let address = gateway.address();
    Running {
        address,
        wire: over_channel(address).await,
        _gateway: Kept::Here(gateway),
    }
}

async fn running(process: Process) -> Running {
    Running {
        address: process.address,
        wire: over_channel(process.address).await,
        _gateway: Kept::Process(process),
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
