//! Section `agb`: the side towards AGB.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::reader::Reader;
use super::{API_KEY_VARIABLE, read_all};
use crate::agb::{ClientConfig, Endpoint, GateSettings, RetrySettings, Transport};
use crate::resilience::RetryPolicy;
use crate::secret::AccountKey;

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_mins(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const MIB: i64 = 1 << 20;
pub(super) const KEY_SETTING: &str = "agb.api_key_file";

/// The side towards AGB.
#[derive(Clone, Debug)]
pub struct AgbConfig {
    /// How to reach AGB. `agb.endpoint`: a URL, default AGB's own, `https://sdk-api.agb.cloud`. The key: the variable
    /// `AGB_API_KEY`, or the file that `agb.api_key_file` names. `agb.request_timeout`: 1 s to 1 h, default 60 s.
    /// `agb.connect_timeout`: 100 ms to 1 min, default 10 s. `agb.pool_idle_timeout`: 0 to 1 h, default 90 s.
    /// `agb.max_response_bytes`: 1 MiB to 1 GiB, default 32 MiB. `agb.session_link_domains`: where sessions may have links
    /// of their own beside the endpoint's host, default `["agb.cloud"]`.
    ///
    /// TLS: `agb.ca_file`, a PEM file of those who must have signed AGB's certificate, by default whom the system trusts;
    /// `agb.client_certificate_file` and `agb.client_key_file`, PEM files of a certificate to show to AGB. `agb.proxy`: the URL of
    /// an HTTP proxy that all requests go through; the environment's proxies do not count.
    ///
    /// Repetitions: `agb.max_attempts` at one call, 1 to 10, default 4; pauses of up to `agb.retry_base`, 1 ms to 1 min,
    /// default 100 ms, doubling up to `agb.retry_cap`, 1 ms to 1 min, default 5 s; `agb.retry_tokens` of the throttle that all
    /// share, 2 to 100,000, default 100. `agb.breaker_failures`: how many calls in a row AGB must leave unanswered before it is
    /// left alone, 1 to 100,000, default 20, for `agb.breaker_pause`, 1 ms to 1 min, default 1 s, doubling up to
    /// `agb.breaker_longest_pause`, 1 ms to 1 h, default 5 s.
    ///
    /// Bounds: `agb.max_concurrent_requests`, 1 to 100,000, default 512; `agb.max_queued_requests`, which wait for their turn, 0
    /// to 1,000,000, default 4096; `agb.max_long_answers` of more than 1 MiB held at once, 1 to 10,000, default 8.
    pub client: ClientConfig,
    /// Of how many callers with AGB keys of their own what was made for them is kept: `agb.max_own_accounts`, 1 to 1,000,000, default
    /// 1,000.
    pub max_own_accounts: u64,
}

impl AgbConfig {
    pub(super) fn read(reader: &mut Reader<'_>, reload_interval: Option<Duration>) -> Option<Self> {
        let endpoint = reader.parsed(
            "agb.endpoint",
            "https://sdk-api.agb.cloud",
            Endpoint::try_new,
        );
        let max_own_accounts = reader.number("agb.max_own_accounts", 1_000, 1..=1_000_000);
        let request_timeout = reader.duration("agb.request_timeout", "60s", SECOND..=HOUR);
        let connect_timeout = reader.duration(
            "agb.connect_timeout",
            "10s",
            Duration::from_millis(100)..=60 * SECOND,
        );
        let pool_idle_timeout =
            reader.duration("agb.pool_idle_timeout", "90s", Duration::ZERO..=HOUR);
        let max_response_bytes =
            reader.number("agb.max_response_bytes", 32 * MIB, MIB..=1024 * MIB);
        let session_link_domains = read_domains(reader);
        let retry = read_retry(reader);
        let gate = read_gate(reader);
        let transport = read_transport(reader, reload_interval);
        let client = ClientConfig {
            retry: retry?,
            gate: gate?,
            session_link_domains: session_link_domains?,
            endpoint: endpoint?,
            request_timeout: request_timeout?,
            connect_timeout: connect_timeout?,
            pool_idle_timeout: pool_idle_timeout?,
            max_response_bytes: max_response_bytes?,
            transport: transport?,
        };
        if let Err(rule) =
            read_all(&client.transport.paths()).and_then(|contents| client.check(&contents))
        {
            reader.problem("agb", rule);
        }
        Some(Self {
            max_own_accounts: u64::try_from(max_own_accounts?).ok()?,
            client,
        })
    }
}

fn read_domains(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    const SETTING: &str = "agb.session_link_domains";
    let domains = reader.or_default(SETTING, vec!["agb.cloud".to_owned()]);
    let is_part = |part: &str| {
        let is_taken =
            |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
        !part.is_empty() && part.chars().all(is_taken)
    };
    let wrong = domains
        .iter()
        .find(|domain| !domain.split('.').all(is_part));
    if let Some(wrong) = wrong {
        let rule = format!("must hold names such as \"agb.cloud\", in lower case, got {wrong:?}");
        reader.problem(SETTING, rule);
        return None;
    }
    Some(domains)
}

fn read_transport(reader: &mut Reader<'_>, reload_interval: Option<Duration>) -> Option<Transport> {
    let certificate: Option<PathBuf> = reader.optional("agb.client_certificate_file");
    let key: Option<PathBuf> = reader.optional("agb.client_key_file");
    if certificate.is_some() != key.is_some() {
        let rule = "must be set together with agb.client_key_file";
        reader.problem("agb.client_certificate_file", rule);
    }
    let proxy: Option<String> = reader.optional("agb.proxy");
    Some(Transport {
        ca_file: reader.optional("agb.ca_file"),
        identity_files: certificate.zip(key),
        proxy: proxy.map(SecretString::from),
        reload_interval: reload_interval?,
    })
}

fn read_retry(reader: &mut Reader<'_>) -> Option<RetrySettings> {
    let max_attempts = reader.number("agb.max_attempts", 4, 1..=10);
    let base = reader.duration("agb.retry_base", "100ms", MILLISECOND..=MINUTE);
    let cap = reader.duration("agb.retry_cap", "5s", MILLISECOND..=MINUTE);
    let throttle_tokens = reader.number("agb.retry_tokens", 100, 2..=100_000);
    let breaker_failures = reader.number("agb.breaker_failures", 20, 1..=100_000);
    let breaker_pause = reader.duration("agb.breaker_pause", "1s", MILLISECOND..=MINUTE);
    let breaker_longest_pause =
        reader.duration("agb.breaker_longest_pause", "5s", MILLISECOND..=HOUR);
    let whole = |number: usize| u32::try_from(number).ok();
    Some(RetrySettings {
        policy: RetryPolicy::new(whole(max_attempts?)?, base?, cap?),
        throttle_tokens: whole(throttle_tokens?)?,
        breaker_failures: whole(breaker_failures?)?,
        breaker_pause: breaker_pause?,
        breaker_longest_pause: breaker_longest_pause?,
    })
}

fn read_gate(reader: &mut Reader<'_>) -> Option<GateSettings> {
    let max_requests = reader.number("agb.max_concurrent_requests", 512, 1..=100_000);
    let max_queued = reader.number("agb.max_queued_requests", 4096, 0..=1_000_000);
    let max_long_answers = reader.number("agb.max_long_answers", 8, 1..=10_000);
    Some(GateSettings {
        max_requests: max_requests?,
        max_queued: max_queued?,
        max_long_answers: max_long_answers?,
    })
}

/// The key of the account of the tenant "default". The outer `None`: something is wrong.
#[allow(clippy::option_option)]
pub(super) fn read_key(
    reader: &mut Reader<'_>,
    variable: Option<String>,
) -> Option<Option<AccountKey>> {
    let file: Option<PathBuf> = reader.optional(KEY_SETTING);
    reader.secret(API_KEY_VARIABLE, variable.is_some());
    let (setting, key) = match (variable, file) {
        (Some(key), None) => (API_KEY_VARIABLE, AccountKey::try_new(key)),
        (None, Some(file)) => (KEY_SETTING, AccountKey::in_file(&file)),
        (Some(_), Some(_)) => (
            KEY_SETTING,
            Err(format!("must not be set together with {API_KEY_VARIABLE}")),
        ),
        // Whether one is needed, the section `tenants` knows.
        (None, None) => return Some(None),
    };
    match key {
        Ok(key) => Some(Some(key)),
        Err(rule) => {
            reader.problem(setting, rule);
            None
        }
    }
}
