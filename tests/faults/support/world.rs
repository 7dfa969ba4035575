//! An emulated AGB, the gateways in front of it, and what a case finds there.

use std::time::Duration;

use agb_emulator::{Emulator, Fault, FaultAction};
use agb_gateway::app::Gateway;
use agb_gateway::config::Config;
use figment::Figment;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::plain_port::PlainPort;
use super::proxy::Proxy;
use super::state::State;
use super::wire::{Wire, over_channel, without_client_timer};

const KEY: &str = "test-key";
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
}

/// One AGB with its gateways; cases come one after the other.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) proxy: Proxy,
    pub(crate) plain_port: PlainPort,
    refusing: tokio::net::TcpSocket,
    http: reqwest::Client,
    usual: OnceCell<Running>,
    hasty: OnceCell<Running>,
    impatient: OnceCell<Running>,
    refused: OnceCell<Running>,
    plain: OnceCell<Running>,
    proxied: OnceCell<Running>,
}

struct Running {
    gateway: Gateway,
    wire: Wire,
}

impl World {
    pub(crate) async fn start() -> Self {
        let emulator = Emulator::start(agb_emulator::Config {
            sandbox_program: Some(env!("CARGO_BIN_EXE_agb-gateway").into()),
            admin_listen: Some(([127, 0, 0, 1], 0).into()),
            sync_duration: Duration::from_millis(5),
            task_visibility_delay: Duration::from_millis(1),
            clear_duration: Duration::from_millis(5),
            release_duration: Duration::from_millis(5),
            finished_retention: Duration::from_mins(1),
            ..agb_emulator::Config::default()
        });
        let emulator = emulator.await.unwrap();
        // Bound and not listening: it refuses, and nobody else can take the port meanwhile.
        let refusing = tokio::net::TcpSocket::new_v4().unwrap();
        refusing.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self {
            proxy: Proxy::start(emulator.address()).await,
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
        }
    }

    /// The way to a gateway, which is started when it is first needed.
    pub(crate) async fn through(&self, through: Through) -> Wire {
        let agb = self.emulator.url();
        let hasty = Figment::new()
            .merge(("server.max_deadline", "2s"))
            .merge(("server.default_deadline", "2s"));
        // Looks are borne until then; everything else fails by itself, also where the first try of TLS takes its time.
        let soon = Figment::new().merge(("server.default_deadline", "5s"));
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
        };
        let running = cell.get_or_init(|| start_gateway(endpoint, settings)).await;
        match through {
            Through::Within(timeout) => without_client_timer(running.gateway.address(), timeout),
            _ => running.wire.clone(),
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
    let settings = Figment::new()
        .merge(("server.listen", "127.0.0.1:0"))
        .merge(("agb.endpoint", endpoint))
        .merge(("agb.max_attempts", 3))
        .merge(("agb.retry_base", "1ms"))
        .merge(("agb.max_response_bytes", 1 << 20))
        // Each case has its own account of attempts: neither the throttle nor the breaker carries one over to the next.
        .merge(("agb.retry_tokens", 100_000))
        .merge(("agb.breaker_failures", 100_000))
        .merge(("sync.pace_floor", "5ms"))
        .merge(("sync.pace_ceiling", "50ms"))
        .merge(("sync.settle", "5ms"))
        .merge(settings);
    let config = Config::read(&settings, Some(KEY.to_owned())).unwrap();
    let gateway = Gateway::start(config).await.unwrap();
    let wire = over_channel(gateway.address()).await;
    Running { gateway, wire }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
