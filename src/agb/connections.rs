//! What all calls go over: pooled connections, TLS towards AGB, a proxy where there is one.
//!
//! Redirects are refused, and so are the proxies of the environment: the key goes where the configuration says, and nowhere else.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use reqwest::{Certificate, Identity, Proxy};
use secrecy::{ExposeSecret as _, SecretString};

use super::attempts::{Attempts, Health, RetrySettings};
use super::client::causes;
use super::endpoint::Endpoint;
use super::gate::{Gate, GateSettings, GateUsage};
use crate::resilience::BreakerState;
use crate::secret::{Looking, Reloaded};
use crate::telemetry::Telemetry;

/// How to reach AGB.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where AGB is.
    pub endpoint: Endpoint,
    /// How long one call may take, unless it names its own timeout.
    pub request_timeout: Duration,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long a connection is kept without use.
    pub pool_idle_timeout: Duration,
    /// The longest answer that is read, in bytes.
    pub max_response_bytes: usize,
    /// TLS and the way towards AGB.
    pub transport: Transport,
    /// How calls are repeated.
    pub retry: RetrySettings,
    /// How much calls may take at once.
    pub gate: GateSettings,
    /// Domains at which sessions may have their own links, beside the host of the endpoint.
    pub session_link_domains: Vec<String>,
}

#[cfg(test)]
impl ClientConfig {
    /// A configuration for tests that make no call, or one that fails.
    pub(super) fn sample(endpoint: &str) -> Self {
        use crate::resilience::RetryPolicy;
        Self {
            endpoint: Endpoint::try_new(endpoint).unwrap(),
            request_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_millis(50),
            pool_idle_timeout: Duration::from_secs(1),
            max_response_bytes: 1,
            transport: Transport::default(),
            retry: RetrySettings {
                policy: RetryPolicy::new(1, Duration::ZERO, Duration::ZERO),
                throttle_tokens: 1,
                breaker_failures: 1,
                breaker_pause: Duration::ZERO,
                breaker_longest_pause: Duration::ZERO,
            },
            gate: GateSettings {
                max_requests: 1,
                max_queued: 1,
                max_long_answers: 1,
            },
            session_link_domains: vec!["agb.cloud".to_owned()],
        }
    }
}

/// TLS and the way towards AGB.
#[derive(Clone, Debug, Default)]
pub struct Transport {
    /// Who must have signed AGB's certificate: a PEM file. `None`: whom the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The gateway's own certificate and its key, to show to AGB: PEM files.
    pub identity_files: Option<(PathBuf, PathBuf)>,
    /// The URL of a proxy that all requests go through. It may hold a password.
    pub proxy: Option<SecretString>,
    /// How often the files are looked at.
    pub reload_interval: Duration,
}

impl Transport {
    /// The files, in the order in which [`ClientConfig::check`] wants their contents.
    pub fn paths(&self) -> Vec<PathBuf> {
        let identity = self.identity_files.iter();
        let identity = identity.flat_map(|(certificate, key)| [certificate, key]);
        self.ca_file.iter().chain(identity).cloned().collect()
    }
}

impl ClientConfig {
    /// Whether requests could be made with files of these contents. The error is the rule that is broken.
    pub fn check(&self, contents: &[Vec<u8>]) -> Result<(), String> {
        self.http_client(contents).map(drop)
    }

    fn http_client(&self, contents: &[Vec<u8>]) -> Result<reqwest::Client, String> {
        let transport = &self.transport;
        let mut contents = contents.iter();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("agb-gateway/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            // Proxies of the environment are for people's machines.
            .no_proxy()
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(self.pool_idle_timeout);
        if transport.ca_file.is_some() {
            let pem = contents.next().map(Vec::as_slice).unwrap_or_default();
            let roots = Certificate::from_pem_bundle(pem).unwrap_or_default();
            if roots.is_empty() {
                return Err("agb.ca_file: holds no PEM certificate".to_owned());
            }
            builder = builder.tls_certs_only(roots);
        }
        if transport.identity_files.is_some() {
            let pem = contents.map(Vec::as_slice).collect::<Vec<_>>().join(&b'\n');
            let identity = Identity::from_pem(&pem).map_err(|_| {
                "agb.client_certificate_file and agb.client_key_file: hold no PEM certificate and key"
            })?;
            builder = builder.identity(identity);
        }
        if let Some(proxy) = &transport.proxy {
            // The parser's words could repeat the URL, which may hold a password.
            let proxy = Proxy::all(proxy.expose_secret())
                .map_err(|_| "agb.proxy: must be a URL such as \"http://proxy:3128\"")?;
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(|error| causes(&error))
    }
}

/// What the clients of all accounts share: connections, bounds, and what is known of AGB's health.
#[derive(Debug)]
pub struct Connections {
    pub(super) telemetry: Telemetry,
    /// The endpoint, as attributes of what is told of requests.
    pub(super) server: Vec<KeyValue>,
    http: Reloaded<reqwest::Client>,
    pub(super) config: ClientConfig,
    pub(super) attempts: Attempts,
    pub(super) gate: Gate,
    /// Those of the storage behind presigned URLs, which can be down while AGB is not.
    pub(super) storage_attempts: Attempts,
}

impl Connections {
    /// No connection yet. The error says what is wrong with the machine's TLS set-up, or with a file.
    pub async fn start(config: ClientConfig, telemetry: Telemetry) -> Result<Arc<Self>, String> {
        let paths = config.transport.paths();
        let http = if paths.is_empty() {
            Reloaded::fixed(config.http_client(&[])?)
        } else {
            let looking = Looking {
                interval: config.transport.reload_interval,
                telemetry: telemetry.clone(),
            };
            let config = config.clone();
            let make = move |contents: &[Vec<u8>]| config.http_client(contents);
            Reloaded::watch("TLS towards AGB", paths, looking, make).await?
        };
        let connections = Arc::new(Self::new(config, http, telemetry));
        Self::observe(&connections);
        Ok(connections)
    }

    fn new(config: ClientConfig, http: Reloaded<reqwest::Client>, telemetry: Telemetry) -> Self {
        let host: Arc<str> = config.endpoint.host().into();
        Self {
            telemetry: telemetry.clone(),
            server: vec![
                KeyValue::new("server.address", host),
                KeyValue::new("server.port", i64::from(config.endpoint.port())),
            ],
            http,
            attempts: Attempts::new(&config.retry, "agb", telemetry.clone()),
            gate: Gate::new(&config.gate),
            storage_attempts: Attempts::new(&config.retry, "storage", telemetry),
            config,
        }
    }

    /// Has the state of all this read by whoever looks at the metrics.
    fn observe(connections: &Arc<Self>) {
        let instruments = connections.telemetry.instruments();
        let known = Arc::downgrade(connections);
        let read = |read: fn(&Self) -> f64| {
            let known = known.clone();
            move || known.upgrade().map(|known| read(&known))
        };
        let active = |known: &Self| number(known.usage().requests.0);
        let queued = |known: &Self| number(known.usage().queued.0);
        instruments.active_requests.watch([], read(active));
        instruments.queued_requests.watch([], read(queued));
        for (of, name) in [
            ((|known| &known.attempts) as fn(&Self) -> &Attempts, "agb"),
            (|known| &known.storage_attempts, "storage"),
        ] {
            let upstream = [KeyValue::new("agb_gateway.upstream", name)];
            let read = |read: fn(&Attempts) -> f64| {
                let known = known.clone();
                move || known.upgrade().map(|known| read(of(&known)))
            };
            let is_open = |attempts: &Attempts| {
                let is_closed = attempts.health().breaker == BreakerState::Closed;
                f64::from(u8::from(!is_closed))
            };
            let tokens = |attempts: &Attempts| attempts.health().retry_tokens.0;
            instruments
                .breaker_open
                .watch(upstream.clone(), read(is_open));
            instruments.throttle_tokens.watch(upstream, read(tokens));
        }
    }

    /// Where AGB is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.config.endpoint
    }

    /// How much calls take at this moment.
    pub fn usage(&self) -> GateUsage {
        self.gate.usage()
    }

    /// Whether AGB is asked.
    pub fn agb_health(&self) -> Health {
        self.attempts.health()
    }

    /// Whether the storage behind presigned URLs is asked.
    pub fn storage_health(&self) -> Health {
        self.storage_attempts.health()
    }

    /// For AGB, with an account's key in each request, and without one for sessions' own links and the storage behind presigned
    /// URLs.
    pub(super) fn http(&self) -> Arc<reqwest::Client> {
        self.http.current()
    }
}

#[allow(clippy::cast_precision_loss)] // Of counts that are far below 2^53.
fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
impl Connections {
    /// Connections for tests that make no call, or one that fails.
    pub(super) fn sample(endpoint: &str) -> Arc<Self> {
        let config = ClientConfig::sample(endpoint);
        let http = Reloaded::fixed(config.http_client(&[]).unwrap());
        Arc::new(Self::new(config, http, Telemetry::off()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_proxy_or_a_file_is_told_without_its_content() {
        let with = |transport| ClientConfig {
            transport,
            ..ClientConfig::sample("https://agb")
        };
        let file = || PathBuf::from("file");
        let wrong = [
            Transport {
                proxy: Some("http://user:hunter2@:x".into()),
                ..Transport::default()
            },
            Transport {
                ca_file: Some(file()),
                ..Transport::default()
            },
            Transport {
                identity_files: Some((file(), file())),
                ..Transport::default()
            },
        ];
        for transport in wrong {
            let config = with(transport);
            let contents = vec![b"hunter2".to_vec(); config.transport.paths().len()];
            let rule = config.check(&contents).unwrap_err();
            assert!(rule.contains("agb."), "{rule}");
            assert!(!rule.contains("hunter2"), "{rule}");
            assert!(!format!("{config:?}").contains("hunter2"));
        }
        assert_eq!(with(Transport::default()).check(&[]), Ok(()));
    }
}
