//! The page for Prometheus: every instrument is on it once something has happened, with the attributes that are documented.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use agb_emulator::FaultAction;
use agb_gateway::app::Gateway;
use agb_gateway::auth::NewToken;
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use agb_gateway::proto::v1::session_service_client::SessionServiceClient;
use agb_gateway::proto::v1::sync_service_client::SyncServiceClient;
use agb_gateway::telemetry::INSTRUMENTS;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::attacks::Attack;
use crate::authentication::{Issuer, accepting, bearer, signed, toml};
use crate::canary;
use crate::commands::serve_observed;
use crate::support::{CODE_IMAGE, World, connect, mount, seconds, within};

/// Asks for the page as Prometheus does.
pub(crate) async fn page(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    canary::look_at(page);
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    page.to_owned()
}

/// Looks at the page until it shows this, for a minute at most.
async fn page_with(
    address: SocketAddr,
    name: &str,
    labels: &[(&str, &str)],
    is_so: impl Fn(f64) -> bool,
) -> String {
    let looking = async {
        loop {
            let page = page(address).await;
            if is_so(sum(&page, name, labels)) {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let found = tokio::time::timeout(Duration::from_mins(1), looking).await;
    found.unwrap_or_else(|_| panic!("{name} {labels:?} is not as it should be"))
}

/// The samples of a page: name, labels, value.
pub(crate) fn samples(page: &str) -> Vec<(String, BTreeMap<String, String>, f64)> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels = labels.trim_end_matches('}').split("\",");
            let labels = labels.filter_map(|label| {
                let (name, value) = label.split_once("=\"")?;
                Some((name.to_owned(), value.trim_end_matches('"').to_owned()))
            });
            (name.to_owned(), labels.collect(), value.parse().unwrap())
        })
        .collect()
}

/// The sum of all samples of a name whose labels include these.
pub(crate) fn sum(page: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |found: &BTreeMap<String, String>| {
        labels
            .iter()
            .all(|(name, value)| found.get(*name).is_some_and(|found| found == value))
    };
    let samples = samples(page);
    let fitting = samples
        .iter()
        .filter(|(found, labels, _)| found == name && fits(labels));
    fitting.map(|(_, _, value)| value).sum()
}

/// The name that Prometheus gives an instrument.
fn in_prometheus(name: &str, kind: &str, unit: &str) -> String {
    let mut name = name.replace('.', "_");
    if unit == "s" {
        name += "_seconds";
    }
    match kind {
        "counter" | "observed_counter" => name + "_total",
        "histogram" => name + "_count",
        "observed" if unit == "1" => name + "_ratio",
        _ => name,
    }
}

/// A gateway that tells its metrics, with tight limits, and a caller whom it knows.
struct Told {
    world: World,
    gateway: Gateway,
    channel: Channel,
    token: String,
    tokens: std::path::PathBuf,
    issuer: Issuer,
    _folder: tempfile::TempDir,
}

impl Told {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token = NewToken::generate("ci").unwrap();
        let tokens = folder.path().join("tokens");
        std::fs::write(&tokens, format!("{}\n", token.line)).unwrap();
        let issuer = Issuer::start().await;
        issuer.change(|state| state.keys = vec![signed("k1").0]);
        let settings = toml(&format!(
            r#"
            telemetry.metrics_listen = "127.0.0.1:0"
            session.sweep_interval = "10ms"
            secrets.reload_interval = "5ms"
            agb.breaker_failures = 3
            agb.retry_tokens = 4
            server.max_connections_per_address = 2
            server.max_control_frames_per_second = 100
            server.flood_pause = "0s"
            [auth]
            methods = ["token", "jwt"]
            {}
            jwks_refresh = "1s"
            [[auth.rules]]
            principals = ["token:ci"]
            tenant = "default"
            roles = ["admin"]
            max_concurrent_calls = 1
            "#,
            accepting(&issuer.url, &folder)
        ));
        let settings = settings.merge(("auth.token_file", &tokens));
        let world = World::start().await;
        let (gateway, channel) = world.replica_with(settings).await;
        Self {
            world,
            gateway,
            channel,
            token: bearer(token.expose()),
            tokens,
            issuer,
            _folder: folder,
        }
    }

    fn says<T>(&self, message: T) -> Request<T> {
        let mut request = within(message);
        let token = self.token.parse().unwrap();
        request.metadata_mut().insert("authorization", token);
        request
    }

    fn sessions(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.channel.clone())
    }

    async fn list_contexts(&self) -> Result<(), Status> {
        let request = self.says(pb::ListContextsRequest::default());
        let mut contexts = ContextServiceClient::new(self.channel.clone());
        contexts.list_contexts(request).await.map(drop)
    }

    async fn page(&self) -> String {
        page(self.gateway.metrics_address().unwrap()).await
    }

    async fn until(&self, name: &str, labels: &[(&str, &str)], is_so: impl Fn(f64) -> bool) {
        let address = self.gateway.metrics_address().unwrap();
        page_with(address, name, labels, is_so).await;
    }

    /// A session whose creation AGB does not answer, and a sync in it.
    async fn create_and_sync(&self) -> String {
        let context = self.world.create_context("c").await;
        let lost = FaultAction::CloseAfterWork;
        self.world.inject("createSession", 1, lost);
        let create = pb::CreateSessionRequest {
            image_id: CODE_IMAGE.to_owned(),
            context_syncs: vec![mount(&context, "/home/data")],
            ..pb::CreateSessionRequest::default()
        };
        let created = self.sessions().create_session(self.says(create)).await;
        let session_id = created.unwrap().into_inner().session.unwrap().session_id;
        let sync = pb::SyncContextsRequest {
            session_id: session_id.clone(),
            ..pb::SyncContextsRequest::default()
        };
        let mut syncs = SyncServiceClient::new(self.channel.clone());
        syncs.sync_contexts(self.says(sync)).await.unwrap();
        session_id
    }

    /// A call more than the caller may make at once.
    async fn call_too_often(&self, session_id: String) {
        let command = pb::ExecuteCommandRequest {
            session_id: session_id.clone(),
            command: "while [ ! -e /tmp/end ]; do sleep 0.01; done".to_owned(),
            timeout: Some(seconds(50)),
            ..pb::ExecuteCommandRequest::default()
        };
        let (mut sessions, command) = (self.sessions(), self.says(command));
        let held = tokio::spawn(async move { sessions.execute_command(command).await });
        self.until("agb_gateway_call_active", &[], |calls| calls >= 1.0)
            .await;
        while self.list_contexts().await.is_ok() {}
        self.world.run(&session_id, "touch /tmp/end").await;
        held.await.unwrap().unwrap();
    }

    /// A call that AGB answers only when it is asked again.
    async fn call_again(&self) {
        let busy = FaultAction::Refuse {
            status: 503,
            code: "Busy".to_owned(),
            message: "no".to_owned(),
        };
        self.world.inject("ListContexts", 1, busy);
        self.list_contexts().await.unwrap();
    }

    /// An outage, with so few tokens that hardly anything is repeated.
    async fn suffer_an_outage(&self) {
        let operations = ["ListContexts", "ListSession"];
        let outage = operations.map(|operation| {
            self.world
                .inject(operation, 100_000, FaultAction::CloseBeforeWork)
        });
        let open = "agb_gateway_agb_breaker_open_ratio";
        while sum(&self.page().await, open, &[]) < 0.5 {
            self.list_contexts().await.unwrap_err();
        }
        for fault in outage {
            self.world.emulator.faults().remove(fault);
        }
    }

    /// An issuer whose keys come, and then do not.
    async fn lose_an_issuer(&self) {
        for outcome in ["fetched", "failed"] {
            let labels = [
                ("agb_gateway_issuer", "test"),
                ("agb_gateway_outcome", outcome),
            ];
            let fetches = "agb_gateway_jwks_fetches_total";
            self.until(fetches, &labels, |times| times > 0.5).await;
            self.issuer.change(|state| state.is_down = true);
        }
    }

    /// Files that change for the better and for the worse, and one that is gone.
    async fn change_files(&self) {
        let other = NewToken::generate("other").unwrap();
        let lines = std::fs::read_to_string(&self.tokens).unwrap() + &other.line + "\n";
        std::fs::write(&self.tokens, lines).unwrap();
        let reloads = "agb_gateway_secret_reloads_total";
        self.until(reloads, &[("agb_gateway_outcome", "changed")], |times| {
            times > 0.5
        })
        .await;
        let failed = [("agb_gateway_outcome", "failed")];
        std::fs::write(&self.tokens, "no line of a token file\n").unwrap();
        self.until(reloads, &failed, |times| times > 0.5).await;
        std::fs::remove_file(&self.tokens).unwrap();
        self.until(reloads, &failed, |times| times > 1.5).await;
    }

    /// One connection more than an address may have, and one that floods.
    async fn connect_too_often(&self) {
        let address = self.gateway.address();
        let sent = Attack::PingFlood.run(address, 1_000_000).await.unwrap();
        assert!(sent < 1_000_000);
        let _second = connect(address).await;
        let _third = TcpStream::connect(address).await.unwrap();
        self.until("agb_gateway_connection_refused_total", &[], |times| {
            times > 0.5
        })
        .await;
    }
}

#[tokio::test]
async fn every_instrument_is_on_the_page_with_the_attributes_that_are_documented() {
    let told = Told::start().await;
    let session_id = told.create_and_sync().await;
    told.call_again().await;
    told.call_too_often(session_id).await;
    let unknown = within(pb::ListSessionsRequest::default());
    told.sessions().list_sessions(unknown).await.unwrap_err();
    told.connect_too_often().await;
    told.suffer_an_outage().await;
    told.change_files().await;
    told.lose_an_issuer().await;
    told.until(
        "agb_gateway_session_swept_total",
        &[("agb_gateway_tenant", "default")],
        |_| true,
    )
    .await;

    let page = told.page().await;
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, labels, _) in samples(&page) {
        let labels = labels
            .into_keys()
            .filter(|label| !label.starts_with("otel_scope"));
        shown.entry(name).or_default().extend(labels);
    }
    for instrument in INSTRUMENTS {
        let name = in_prometheus(instrument.name, instrument.kind, instrument.unit);
        let attributes = instrument.attributes.iter();
        let documented: BTreeSet<_> = attributes.map(|name| name.replace('.', "_")).collect();
        assert_eq!(shown.get(&name), Some(&documented), "{name} on\n{page}");
    }
    // Nothing that a caller writes, and no id, is a label.
    for (name, labels, _) in samples(&page) {
        for value in labels.values() {
            assert!(!value.contains("s-"), "{name} {labels:?}");
        }
    }
    let is = |name, labels: &[(&str, &str)], expected: f64| {
        let found = sum(&page, name, labels);
        assert!(
            (found - expected).abs() < 0.01,
            "{name} {labels:?}: {found}"
        );
    };
    is(
        "agb_gateway_session_created_total",
        &[("agb_gateway_outcome", "created")],
        1.0,
    );
    is(
        "agb_gateway_session_reconciles_total",
        &[("agb_gateway_outcome", "found")],
        1.0,
    );
    is(
        "agb_gateway_sync_ended_total",
        &[("agb_gateway_outcome", "succeeded")],
        2.0,
    );
    is("agb_gateway_sync_waiters", &[], 0.0);
    is("agb_gateway_sync_pollers", &[], 0.0);
    is("agb_gateway_call_active", &[], 0.0);
    is(
        "agb_gateway_auth_refused_total",
        &[("agb_gateway_reason", "UNAUTHENTICATED")],
        1.0,
    );
    is("agb_gateway_connection_floods_total", &[], 1.0);
    let create = ("rpc_method", "agb.gateway.v1.SessionService/CreateSession");
    is(
        "rpc_server_call_duration_seconds_count",
        &[create, ("rpc_response_status_code", "OK")],
        1.0,
    );
}

/// What a collector may be like that is of no use.
#[derive(Clone, Copy, Debug)]
enum Useless {
    Down,
    Silent,
    Wrong,
}

#[tokio::test]
async fn a_collector_that_is_down_silent_or_wrong_costs_no_call_anything() {
    const CALLS: usize = 300;
    for useless in [Useless::Down, Useless::Silent, Useless::Wrong] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let taken = match useless {
            Useless::Down => {
                drop(listener);
                None
            }
            // Takes connections into its queue, and never says a word.
            Useless::Silent => Some(listener),
            Useless::Wrong => {
                std::thread::spawn(move || {
                    for stream in listener.incoming() {
                        let _ = stream.unwrap().write_all(b"HTTP/1.1 418 no\r\n\r\n");
                    }
                });
                None
            }
        };
        let world = World::start().await;
        let endpoint = format!("http://{address}");
        let settings = [
            ("AGB_GATEWAY_TELEMETRY__METRICS_LISTEN", "127.0.0.1:0"),
            ("AGB_GATEWAY_TELEMETRY__OTLP__ENDPOINT", endpoint.as_str()),
            ("AGB_GATEWAY_TELEMETRY__OTLP__TIMEOUT", "1s"),
            ("AGB_GATEWAY_TELEMETRY__TRACES__SAMPLE_RATIO", "1"),
            ("AGB_GATEWAY_TELEMETRY__TRACES__MAX_QUEUED_SPANS", "20"),
        ];
        let (running, serving) = serve_observed(&world, &settings);
        let channel = connect(serving.address).await;
        let mut contexts = ContextServiceClient::new(channel.clone());
        for _ in 0..CALLS {
            let list = within(pb::ListContextsRequest::default());
            contexts.list_contexts(list).await.unwrap();
        }
        // What it does not take is counted.
        let exported = "otel_sdk_exporter_span_exported_total";
        let lost = [("error_type", "_OTHER")];
        let page = page_with(serving.metrics.unwrap(), exported, &lost, |spans| {
            spans > 0.5
        })
        .await;
        if matches!(useless, Useless::Silent) {
            // Nothing was ever exported: what did not fit was dropped, and counted.
            let dropped = "otel_sdk_processor_span_processed_total";
            let dropped = sum(&page, dropped, &[("error_type", "queue_full")]);
            assert!(dropped > 0.0, "{page}");
        }
        let calls = sum(&page, "rpc_server_call_duration_seconds_count", &[]);
        assert!((calls - 300.0).abs() < 0.01, "{useless:?}: {calls}");
        // The drain ends well, too.
        running.end().await;
        drop(taken);
    }
}
