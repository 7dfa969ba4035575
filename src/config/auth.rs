//! Section `auth`: who may call, and what.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ServerConfig;
use super::reader::Reader;
use crate::auth::{
    Algorithm, AuthConfig, IssuerSettings, KeySource, Method, Pattern, QuotaSettings, RemoteKeys,
    Right, Rights, Rule, principal_name,
};
use crate::domain::{Labels, Limits, Violations};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const FORCE: &str = "auth.allow_none_beyond_loopback";
/// What a pattern of principals may begin with, so that one that can never fit is told.
const KINDS: [&str; 5] = ["token:", "jwt:", "mtls:", "key:", "anonymous"];

/// An entry of `auth.jwt`, as it is written, with the defaults of what is not.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawIssuer {
    name: String,
    issuer: String,
    audiences: Vec<String>,
    #[serde(default = "default::algorithms")]
    algorithms: Vec<String>,
    jwks_file: Option<PathBuf>,
    jwks_url: Option<String>,
    jwks_ca_file: Option<PathBuf>,
    jwks_bearer_token_file: Option<PathBuf>,
    #[serde(default = "default::jwks_refresh")]
    jwks_refresh: String,
    #[serde(default = "default::jwks_unknown_key_pause")]
    jwks_unknown_key_pause: String,
    #[serde(default = "default::jwks_timeout")]
    jwks_timeout: String,
    #[serde(default = "default::leeway")]
    leeway: String,
    #[serde(default = "default::principal_claim")]
    principal_claim: String,
}

/// The defaults of entries.
mod default {
    macro_rules! texts {
        ($($name:ident = $text:literal;)*) => {
            $(pub(super) fn $name() -> String {
                $text.to_owned()
            })*
        };
    }

    texts! {
        jwks_refresh = "10m";
        jwks_unknown_key_pause = "30s";
        jwks_timeout = "5s";
        leeway = "30s";
        principal_claim = "sub";
    }

    pub(super) fn algorithms() -> Vec<String> {
        ["RS256", "ES256", "EdDSA"].map(str::to_owned).to_vec()
    }

    pub(super) fn tenant() -> String {
        crate::auth::DEFAULT_TENANT.to_owned()
    }
}

/// An entry of `auth.rules`, as it is written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    principals: Vec<String>,
    #[serde(default = "default::tenant")]
    tenant: String,
    roles: Vec<String>,
    images: Option<Vec<String>>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    calls_per_second: Option<f64>,
    burst: Option<u32>,
    max_concurrent_calls: Option<usize>,
}

/// Reads the section. The problems of all entries are told at once.
pub(super) fn read(
    reader: &mut Reader<'_>,
    server: Option<&ServerConfig>,
    limits: Option<&Limits>,
    reload_interval: Option<Duration>,
) -> Option<AuthConfig> {
    let methods = methods(reader);
    let is_forced = reader.or_default(FORCE, false);
    let open_reflection = reader.or_default("auth.open_reflection", true);
    let token_file: Option<PathBuf> = reader.optional("auth.token_file");
    let issuers: Vec<Option<RawIssuer>> = reader.entries("auth.jwt");
    let rules: Vec<Option<RawRule>> = reader.entries("auth.rules");
    let has = |method| methods.contains(&method);
    let is_open_to_all = server.is_some_and(|server| !server.listen.ip().is_loopback());
    let checks_clients = |server: &ServerConfig| {
        let tls = server.tls.as_ref();
        tls.is_some_and(|files| files.client_ca.is_some())
    };
    if has(Method::Mtls) && !server.is_none_or(checks_clients) {
        reader.problem("auth.methods", "\"mtls\" needs server.tls_client_ca_file");
    }
    if has(Method::None) && is_open_to_all && !is_forced {
        let rule = format!(
            "must not have \"none\" where server.listen is not on loopback: anybody could call. {FORCE} = true allows it"
        );
        reader.problem("auth.methods", rule);
    }
    for (method, is_there, setting) in [
        (Method::Token, token_file.is_some(), "auth.token_file"),
        (Method::Jwt, !issuers.is_empty(), "auth.jwt"),
    ] {
        if has(method) != is_there {
            let name = method.name();
            let rule = format!("goes with {name:?} in auth.methods, and is required there");
            reader.problem(setting, rule);
        }
    }
    let issuers = each(reader, "auth.jwt", issuers, issuer);
    unique_issuers(reader, &issuers);
    let rules = each(reader, "auth.rules", rules, |raw, problem| {
        Some(rule(raw, limits, problem))
    });
    Some(AuthConfig {
        methods,
        token_file,
        issuers,
        rules,
        open_reflection,
        reload_interval: reload_interval?,
    })
}

fn methods(reader: &mut Reader<'_>) -> Vec<Method> {
    let names = reader.or_default("auth.methods", vec![Method::None.name().to_owned()]);
    if names.is_empty() {
        reader.problem("auth.methods", "must not be empty");
    }
    let mut methods = Vec::new();
    for name in &names {
        match Method::of_name(name) {
            Some(method) if methods.contains(&method) => {
                reader.problem("auth.methods", format!("has {name:?} twice"));
            }
            Some(method) => methods.push(method),
            None => {
                let known: Vec<_> = Method::ALL.iter().map(|method| method.name()).collect();
                let rule = format!("must be of {}, got {name:?}", known.join(", "));
                reader.problem("auth.methods", rule);
            }
        }
    }
    methods
}

/// Notes a problem with a field of an entry.
type Note<'a> = &'a mut dyn FnMut(&str, String);

fn each<R, T>(
    reader: &mut Reader<'_>,
    section: &str,
    entries: Vec<Option<R>>,
    mut read: impl FnMut(R, Note<'_>) -> Option<T>,
) -> Vec<T> {
    let mut all = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let mut problem = |field: &str, rule: String| {
            reader.problem(format!("{section}[{index}].{field}"), rule);
        };
        all.extend(entry.and_then(|entry| read(entry, &mut problem)));
    }
    all
}

fn unique_issuers(reader: &mut Reader<'_>, issuers: &[IssuerSettings]) {
    for (index, issuer) in issuers.iter().enumerate() {
        for other in &issuers[..index] {
            if other.name == issuer.name {
                reader.problem(format!("auth.jwt[{index}].name"), "is there twice");
            }
            if other.issuer == issuer.issuer {
                reader.problem(format!("auth.jwt[{index}].issuer"), "is there twice");
            }
        }
    }
}

fn issuer(raw: RawIssuer, problem: Note<'_>) -> Option<IssuerSettings> {
    let is_word = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    if raw.name.is_empty() || !raw.name.chars().all(is_word) {
        problem(
            "name",
            "must be of letters, digits, \"-\", \"_\" and \".\"".to_owned(),
        );
    }
    for (field, is_empty) in [
        ("issuer", raw.issuer.is_empty()),
        (
            "audiences",
            raw.audiences.is_empty() || raw.audiences.contains(&String::new()),
        ),
        ("principal_claim", raw.principal_claim.is_empty()),
        ("algorithms", raw.algorithms.is_empty()),
    ] {
        if is_empty {
            problem(field, "must not be empty".to_owned());
        }
    }
    let mut algorithms = Vec::new();
    for name in raw.algorithms {
        if let Some(algorithm) = Algorithm::of_name(&name) {
            algorithms.push(algorithm);
        } else {
            let known: Vec<_> = Algorithm::names().collect();
            problem(
                "algorithms",
                format!("must be of {}, got {name:?}", known.join(", ")),
            );
        }
    }
    let leeway = duration(
        &raw.leeway,
        "leeway",
        Duration::ZERO..=600 * SECOND,
        problem,
    );
    let refresh = duration(&raw.jwks_refresh, "jwks_refresh", SECOND..=DAY, problem);
    let unknown_key_pause = duration(
        &raw.jwks_unknown_key_pause,
        "jwks_unknown_key_pause",
        10 * MILLISECOND..=HOUR,
        problem,
    );
    let timeout = duration(
        &raw.jwks_timeout,
        "jwks_timeout",
        100 * MILLISECOND..=60 * SECOND,
        problem,
    );
    let keys = match (raw.jwks_file, raw.jwks_url) {
        (Some(file), None) => KeySource::File(file),
        (None, Some(url)) => {
            if let Err(rule) = check_url(&url) {
                problem("jwks_url", rule.to_owned());
            }
            KeySource::Url(RemoteKeys {
                url,
                ca_file: raw.jwks_ca_file,
                bearer_token_file: raw.jwks_bearer_token_file,
                refresh: refresh?,
                unknown_key_pause: unknown_key_pause?,
                timeout: timeout?,
            })
        }
        (Some(_), Some(_)) | (None, None) => {
            problem("jwks_url", "is required, or else jwks_file".to_owned());
            return None;
        }
    };
    Some(IssuerSettings {
        name: raw.name,
        issuer: raw.issuer,
        audiences: raw.audiences,
        algorithms,
        keys,
        leeway: leeway?,
        principal_claim: raw.principal_claim,
    })
}

/// Whoever can change these keys on their way can be any caller: so they come encrypted, or from this machine.
fn check_url(text: &str) -> Result<(), &'static str> {
    let rule = "must be an https URL without user and fragment; http only on loopback";
    let url: http::Uri = text.parse().map_err(|_| rule)?;
    let host = url.host().ok_or(rule)?;
    let has_user = url
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'));
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match url.scheme_str() {
        _ if has_user || text.contains('#') => Err(rule),
        Some("https") => Ok(()),
        Some("http") if is_loopback => Ok(()),
        _ => Err(rule),
    }
}

fn duration(
    text: &str,
    field: &str,
    range: RangeInclusive<Duration>,
    problem: Note<'_>,
) -> Option<Duration> {
    let parsed = humantime::parse_duration(text).ok();
    let fitting = parsed.filter(|duration| range.contains(duration));
    if fitting.is_none() {
        let [min, max] = [*range.start(), *range.end()].map(humantime::format_duration);
        problem(
            field,
            format!("must be a duration from {min} to {max}, got {text:?}"),
        );
    }
    fitting
}

fn rule(raw: RawRule, limits: Option<&Limits>, problem: Note<'_>) -> Rule {
    for (field, is_empty) in [
        ("principals", raw.principals.is_empty()),
        ("roles", raw.roles.is_empty()),
        ("images", raw.images.as_ref().is_some_and(Vec::is_empty)),
        ("tenant", raw.tenant.is_empty()),
    ] {
        if is_empty {
            problem(field, "must not be empty".to_owned());
        }
    }
    let principals = patterns(&raw.principals, "principals", problem);
    for text in &raw.principals {
        let begins = |kind: &&str| text.starts_with(*kind);
        if text != "*" && (!KINDS.iter().any(begins) || principal_name(text).is_err()) {
            let kinds = KINDS.join(", ");
            problem(
                "principals",
                format!("must be \"*\" or begin with {kinds}, got {text:?}"),
            );
        }
    }
    let images = raw
        .images
        .map(|images| patterns(&images, "images", problem));
    let mut rights = Vec::new();
    for name in &raw.roles {
        if let Some(right) = Right::of_name(name) {
            rights.push(right);
        } else {
            let known = Right::ALL.map(Right::name).join(", ");
            problem("roles", format!("must be of {known}, got {name:?}"));
        }
    }
    if let Some(limits) = limits {
        let mut violations = Violations::default();
        Labels::check("labels", &raw.labels, limits, &mut violations);
        for violation in violations.iter() {
            problem(&violation.field, violation.description.clone());
        }
    }
    Rule {
        principals,
        tenant: raw.tenant,
        rights: Rights::new(rights),
        images,
        labels: raw.labels,
        quotas: quotas(
            raw.calls_per_second,
            raw.burst,
            raw.max_concurrent_calls,
            problem,
        ),
    }
}

fn patterns(texts: &[String], field: &str, problem: Note<'_>) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for text in texts {
        match Pattern::try_new(text) {
            Ok(pattern) => patterns.push(pattern),
            Err(rule) => problem(field, rule),
        }
    }
    patterns
}

fn quotas(
    rate: Option<f64>,
    burst: Option<u32>,
    max_concurrent_calls: Option<usize>,
    problem: Note<'_>,
) -> QuotaSettings {
    const MOST: u32 = 1_000_000;
    if rate.is_some_and(|rate| !(0.001..=f64::from(MOST)).contains(&rate)) {
        problem("calls_per_second", format!("must be 0.001 to {MOST}"));
    }
    if burst.is_some_and(|burst| !(1..=MOST).contains(&burst)) {
        problem("burst", format!("must be 1 to {MOST}"));
    }
    if burst.is_some() && rate.is_none() {
        problem("burst", "goes with calls_per_second only".to_owned());
    }
    if max_concurrent_calls.is_some_and(|calls| !(1..=1_000_000).contains(&calls)) {
        problem("max_concurrent_calls", format!("must be 1 to {MOST}"));
    }
    // A second's worth.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // Rounded up, and bounded above.
    let second = |rate: f64| rate.ceil().max(1.0) as u32;
    QuotaSettings {
        rate: rate.map(|rate| (rate, burst.unwrap_or_else(|| second(rate)))),
        max_concurrent_calls,
    }
}

#[cfg(test)]
mod tests;
