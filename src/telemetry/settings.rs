//! What is told, and where to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What the gateway tells about itself, and where to.
#[derive(Clone, Debug)]
pub struct TelemetrySettings {
    /// `service.name` of everything that is told: 1 to 255 bytes. Default: `agb-gateway`.
    pub service_name: String,
    /// Further attributes of the resource, such as `deployment.environment.name`.
    pub resource_attributes: Vec<(String, String)>,
    /// Where the Prometheus page listens; `None`: there is none.
    pub metrics_listen: Option<SocketAddr>,
    /// The collector; `None`: nothing is pushed, and no span is recorded.
    pub otlp: Option<OtlpSettings>,
    /// Which spans are recorded.
    pub traces: TraceSettings,
}

/// How to reach the collector.
#[derive(Clone, Debug)]
pub struct OtlpSettings {
    /// Its URL: for gRPC without a path; for HTTP the base, below which are `/v1/traces` and `/v1/metrics`.
    pub endpoint: String,
    /// How it is spoken to.
    pub protocol: OtlpProtocol,
    /// A file with a header a line, `name: value`. Read at start.
    pub headers_file: Option<PathBuf>,
    /// Who must have signed the collector's certificate: a PEM file. `None`: whom the system trusts.
    pub ca_file: Option<PathBuf>,
    /// How long one export may take, and the last ones at the end together: 100 ms to 1 min.
    pub timeout: Duration,
    /// How long between two pushes of metrics, 1 s to 1 h; `None`: they are not pushed.
    pub metrics_interval: Option<Duration>,
}

/// OTLP's ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC.
    Grpc,
    /// Protobuf over HTTP.
    HttpProtobuf,
}

/// Which spans are recorded, and how many are kept until they are exported.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    /// Of the traces that begin here, the share that is recorded: 0 to 1. Callers decide for theirs.
    pub sample_ratio: f64,
    /// Whether the spans of a call that ends in an error of the server are exported although its trace is not sampled.
    pub keep_errors: bool,
    /// How many ended spans wait for their export: 1 to 1,000,000. Further ones are dropped and counted.
    pub max_queued_spans: usize,
    /// Which entries of a caller's baggage become attributes of the call's span.
    pub baggage_keys: Vec<String>,
}

/// What is logged, and how. Logs go to standard error.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Which events: a level, or a filter in the manner of `RUST_LOG`. Default: `info`.
    pub filter: String,
    /// How. Default: `json`.
    pub format: LogFormat,
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Nothing is told to anybody: for tests and for one-off commands.
impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            service_name: "agb-gateway".to_owned(),
            resource_attributes: Vec::new(),
            metrics_listen: None,
            otlp: None,
            traces: TraceSettings {
                sample_ratio: 0.0,
                keep_errors: false,
                max_queued_spans: 1,
                baggage_keys: Vec::new(),
            },
        }
    }
}
