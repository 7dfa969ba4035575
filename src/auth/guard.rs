//! The way in: knows the caller, finds the rule, counts the call, asks for the right.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use opentelemetry::KeyValue;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::caller::{Caller, TenantRef};
use super::jwt::{Issuers, Rejected};
use super::peer::{Certificate, Peer};
use super::quota::Quotas;
use super::refusal::{Credentials, Denied, Refusal};
use super::rights::right_for;
use super::rules::Rules;
use super::settings::{AuthConfig, Method};
use super::token::{self, Tokens};
use crate::secret::{Looking, Reloaded};
use crate::telemetry::Telemetry;

/// The header for a caller's own AGB key.
pub const KEY_HEADER: &str = "x-agb-api-key";
/// Longer credentials are refused unread.
const MAX_CREDENTIAL_BYTES: usize = 16 << 10;
const MAX_KEY_BYTES: usize = 512;
/// So many digits of a key's fingerprint are in the name of its principal.
const FINGERPRINT_DIGITS: usize = 16;
const ANONYMOUS: &str = "anonymous";
const HEALTH: &str = "/grpc.health.v1.Health/";
const REFLECTION: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];

/// Lets calls in, or refuses them. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    methods: Vec<Method>,
    tokens: Option<Reloaded<Tokens>>,
    issuers: Issuers,
    rules: Rules,
    quotas: Quotas,
    telemetry: Telemetry,
    open_reflection: bool,
}

/// A principal, and the account it brings along.
type Known = (Arc<str>, Option<TenantRef>);

impl Guard {
    /// Reads what is in files, and begins to fetch what is elsewhere. The error names the setting, and no secret.
    pub async fn start(config: &AuthConfig, telemetry: &Telemetry) -> Result<Self, String> {
        let looking = Looking {
            interval: config.reload_interval,
            telemetry: telemetry.clone(),
        };
        let tokens = match &config.token_file {
            Some(path) => {
                let make = |contents: &[Vec<u8>]| Tokens::parse(&contents[0]);
                let paths = vec![path.clone()];
                let tokens = Reloaded::watch("tokens", paths, looking.clone(), make).await;
                Some(tokens.map_err(|error| format!("auth.token_file: {error}"))?)
            }
            None => None,
        };
        let issuers = Issuers::start(&config.issuers, &looking).await;
        Ok(Self(Arc::new(Inner {
            methods: config.methods.clone(),
            tokens,
            issuers: issuers.map_err(|error| format!("auth.jwt: {error}"))?,
            rules: Rules::new(&config.rules),
            quotas: Quotas::new(),
            telemetry: telemetry.clone(),
            open_reflection: config.open_reflection,
        })))
    }

    /// Lets a call of the method at `path` in, or refuses it. `None`: the method is open to everybody.
    pub async fn admit(
        &self,
        path: &str,
        headers: &HeaderMap,
        peer: Option<&Peer>,
    ) -> Result<Option<Caller>, Refusal> {
        let is_reflection = REFLECTION.iter().any(|service| path.starts_with(service));
        if path.starts_with(HEALTH) || (is_reflection && self.0.open_reflection) {
            return Ok(None);
        }
        let (principal, own) = self.0.known(headers, peer).await.map_err(|credentials| {
            let methods = self.0.methods.clone();
            Refusal::Unauthenticated {
                credentials,
                methods,
            }
        })?;
        let denied = |what| Refusal::Denied {
            principal: principal.to_string(),
            what,
        };
        let grant = self.0.rules.grant(&principal);
        let grant = grant.ok_or_else(|| denied(Denied::NoRule))?;
        // What is denied counts too: whoever tries everything is slowed down.
        let held = self.0.quotas.take(&principal, &grant.quotas);
        let held = held.inspect_err(|refusal| self.0.count(refusal, &grant.name))?;
        if !is_reflection {
            let right = right_for(path).ok_or_else(|| Refusal::UnknownMethod(path.to_owned()))?;
            if !grant.rights.cover(right) {
                return Err(denied(Denied::Right(right)));
            }
        }
        let tenant = own.unwrap_or_else(|| TenantRef::Named(Arc::clone(&grant.tenant)));
        let grant = Arc::clone(grant);
        Ok(Some(Caller::new(principal, tenant, grant, held)))
    }
}

impl Inner {
    fn count(&self, refusal: &Refusal, rule: &Arc<str>) {
        let Refusal::TooMany { setting, .. } = refusal else {
            return;
        };
        self.telemetry.instruments().quota_refused.add(
            1,
            &[
                KeyValue::new("agb_gateway.rule", rule.clone()),
                KeyValue::new("agb_gateway.quota", *setting),
            ],
        );
    }

    /// Who calls. Whatever is presented must be good: the first thing that is not accepted is the end.
    async fn known(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Known, Credentials> {
        let bearer = only(headers, AUTHORIZATION.as_str())?;
        let key = only(headers, KEY_HEADER)?;
        match (bearer, key) {
            (Some(_), Some(_)) => Err(Credentials::NotAccepted),
            (Some(bearer), None) => Ok((self.bearer(bearer).await?, None)),
            (None, Some(key)) => self.own_key(key),
            (None, None) => Ok((self.without_headers(peer)?, None)),
        }
    }

    async fn bearer(&self, header: &str) -> Result<Arc<str>, Credentials> {
        let (scheme, token) = header.split_once(' ').ok_or(Credentials::NotAccepted)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Credentials::NotAccepted);
        }
        let token = token.trim_start_matches(' ');
        if token.starts_with(token::PREFIX) {
            let tokens = self.tokens.as_ref().filter(|_| self.takes(Method::Token));
            let principal = tokens.and_then(|tokens| tokens.current().principal(token));
            return principal.ok_or(Credentials::NotAccepted);
        }
        if !self.takes(Method::Jwt) {
            return Err(Credentials::NotAccepted);
        }
        self.issuers.principal(token).await.map_err(|rejected| {
            tracing::debug!(?rejected, "a JWT is not accepted");
            match rejected {
                Rejected::Expired => Credentials::Expired,
                Rejected::Because(_) => Credentials::NotAccepted,
            }
        })
    }

    fn own_key(&self, key: &str) -> Result<Known, Credentials> {
        let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        if !self.takes(Method::AgbKey) || key.is_empty() || key.len() > MAX_KEY_BYTES || !is_visible
        {
            return Err(Credentials::NotAccepted);
        }
        let fingerprint: [u8; 32] = Sha256::digest(key).into();
        let digits = &token::hex(&fingerprint)[..FINGERPRINT_DIGITS];
        let key = SecretString::from(key);
        Ok((
            format!("key:{digits}").into(),
            Some(TenantRef::OwnKey { fingerprint, key }),
        ))
    }

    fn without_headers(&self, peer: Option<&Peer>) -> Result<Arc<str>, Credentials> {
        if self.takes(Method::Mtls) {
            match peer.map(Peer::certificate) {
                Some(Certificate::Of(principal)) => return Ok(Arc::clone(principal)),
                Some(Certificate::Nameless) => return Err(Credentials::NotAccepted),
                Some(Certificate::None) | None => {}
            }
        }
        if self.takes(Method::None) {
            return Ok(ANONYMOUS.into());
        }
        Err(Credentials::Missing)
    }

    fn takes(&self, method: Method) -> bool {
        self.methods.contains(&method)
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut guard = formatter.debug_struct("Guard");
        guard
            .field("methods", &self.0.methods)
            .finish_non_exhaustive()
    }
}

/// The value of a header that must be there once at most, in ASCII and of bounded length.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Credentials> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) if value.len() <= MAX_CREDENTIAL_BYTES => value
            .to_str()
            .map(Some)
            .map_err(|_| Credentials::NotAccepted),
        _ => Err(Credentials::NotAccepted),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::time::Duration;

    use http::HeaderValue;

    use super::super::pattern::Pattern;
    use super::super::quota::QuotaSettings;
    use super::super::rights::{Right, Rights};
    use super::super::rules::Rule;
    use super::super::token::NewToken;
    use super::*;

    const READ: &str = "/agb.gateway.v1.SessionService/GetSession";
    const CREATE: &str = "/agb.gateway.v1.SessionService/CreateSession";

    fn config(methods: &[Method]) -> AuthConfig {
        AuthConfig {
            methods: methods.to_vec(),
            token_file: None,
            issuers: Vec::new(),
            rules: Vec::new(),
            open_reflection: true,
            reload_interval: Duration::from_millis(1),
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn peer(name: &str) -> Peer {
        let mut params = rcgen::CertificateParams::default();
        if !name.is_empty() {
            params.subject_alt_names = vec![rcgen::SanType::URI(name.try_into().unwrap())];
        }
        let key = rcgen::KeyPair::generate().unwrap();
        Peer::new(None, Some(params.self_signed(&key).unwrap().der()))
    }

    fn came(result: &Result<Option<Caller>, Refusal>) -> Result<String, Credentials> {
        match result {
            Ok(caller) => Ok(caller.as_ref().unwrap().principal().to_owned()),
            Err(Refusal::Unauthenticated { credentials, .. }) => Err(*credentials),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_is_presented_must_be_good_and_no_weaker_way_rescues_it() {
        let folder = tempfile::tempdir().unwrap();
        let token = NewToken::generate("ci").unwrap();
        let stranger = NewToken::generate("ci").unwrap();
        let file = folder.path().join("tokens");
        fs::write(&file, &token.line).unwrap();
        let good = format!("Bearer {}", token.expose());
        let bad = format!("Bearer {}", stranger.expose());
        let spaces = " ".repeat(MAX_CREDENTIAL_BYTES);
        let long = format!("Bearer {spaces}{}", token.expose());
        let certified = peer("spiffe://corp/web");
        let nameless = peer("");
        let config = AuthConfig {
            token_file: Some(file),
            ..config(&Method::ALL)
        };
        let everything = Guard::start(&config, &Telemetry::off()).await.unwrap();
        let refused = Err(Credentials::NotAccepted);
        let ok = |principal: &str| Ok(principal.to_owned());
        let key = ("x-agb-api-key", "key-1");
        for (pairs, peer, expected) in [
            (vec![], None, ok("anonymous")),
            (vec![], Some(&certified), ok("mtls:spiffe://corp/web")),
            (vec![], Some(&nameless), refused.clone()),
            (vec![("authorization", &*good)], None, ok("token:ci")),
            (
                vec![("authorization", &*good)],
                Some(&certified),
                ok("token:ci"),
            ),
            (vec![("authorization", &*bad)], None, refused.clone()),
            (
                vec![("authorization", &*bad)],
                Some(&certified),
                refused.clone(),
            ),
            (
                vec![("authorization", "Bearer a.b.c")],
                Some(&certified),
                refused.clone(),
            ),
            (
                vec![("authorization", "Basic Y2k6Y2k=")],
                None,
                refused.clone(),
            ),
            (
                vec![("authorization", token.expose())],
                None,
                refused.clone(),
            ),
            (vec![("authorization", "")], None, refused.clone()),
            (vec![("authorization", &*long)], None, refused.clone()),
            (
                vec![("authorization", &*good), ("authorization", &*good)],
                None,
                refused.clone(),
            ),
            (vec![("authorization", &*good), key], None, refused.clone()),
            (vec![("authorization", &*bad), key], None, refused.clone()),
            (vec![key], None, ok("key:0123456789abcdef")),
            (vec![("x-agb-api-key", "")], None, refused.clone()),
            (vec![("x-agb-api-key", "a b")], None, refused.clone()),
        ] {
            let result = everything.admit(READ, &headers(&pairs), peer).await;
            let digits = |text: String| match text.strip_prefix("key:") {
                Some(rest) => format!("key:{}", rest.len()),
                None => text,
            };
            assert_eq!(came(&result).map(digits), expected.map(digits), "{pairs:?}");
        }
    }

    #[tokio::test]
    async fn a_way_that_is_not_configured_is_not_taken() {
        let token = NewToken::generate("ci").unwrap();
        let bearer = format!("Bearer {}", token.expose());
        let refused = Err(Credentials::NotAccepted);
        let certified = peer("spiffe://corp/web");
        let bare = Peer::new(None, None);
        for (methods, pairs, peer, expected) in [
            (
                Method::None,
                vec![("authorization", &*bearer)],
                None,
                refused.clone(),
            ),
            (
                Method::None,
                vec![("authorization", "Bearer a.b.c")],
                None,
                refused.clone(),
            ),
            (
                Method::None,
                vec![("x-agb-api-key", "k")],
                None,
                refused.clone(),
            ),
            // Nobody asks for a certificate that TLS alone wants.
            (
                Method::None,
                vec![],
                Some(&certified),
                Ok("anonymous".to_owned()),
            ),
            (
                Method::Token,
                vec![],
                Some(&certified),
                Err(Credentials::Missing),
            ),
            (Method::AgbKey, vec![], None, Err(Credentials::Missing)),
            (Method::Mtls, vec![], None, Err(Credentials::Missing)),
            (Method::Mtls, vec![], Some(&bare), Err(Credentials::Missing)),
        ] {
            let guard = Guard::start(&config(&[methods]), &Telemetry::off())
                .await
                .unwrap();
            let result = guard.admit(READ, &headers(&pairs), peer).await;
            assert_eq!(came(&result), expected, "{methods} {pairs:?}");
        }
    }

    #[tokio::test]
    async fn an_own_key_is_its_own_tenant() {
        let guard = Guard::start(&config(&[Method::AgbKey]), &Telemetry::off())
            .await
            .unwrap();
        let headers = headers(&[("x-agb-api-key", "key-1")]);
        let caller = guard.admit(READ, &headers, None).await.unwrap().unwrap();
        let TenantRef::OwnKey { fingerprint, .. } = caller.tenant() else {
            panic!("{caller:?}");
        };
        let expected: [u8; 32] = Sha256::digest("key-1").into();
        assert_eq!(*fingerprint, expected);
        assert!(!format!("{caller:?} {guard:?}").contains("key-1"));
    }

    fn rule(right: Right) -> Rule {
        Rule {
            principals: vec![Pattern::try_new("anonymous").unwrap()],
            tenant: "search".to_owned(),
            rights: Rights::new([right]),
            images: Some(vec![Pattern::try_new("agb-code-*").unwrap()]),
            labels: BTreeMap::new(),
            quotas: QuotaSettings::default(),
        }
    }

    #[tokio::test]
    async fn the_rule_says_what_may_be_done() {
        let mut config = config(&[Method::None, Method::AgbKey]);
        config.rules = vec![rule(Right::Read)];
        let guard = Guard::start(&config, &Telemetry::off()).await.unwrap();
        let none = HeaderMap::new();
        let caller = guard.admit(READ, &none, None).await.unwrap().unwrap();
        assert!(matches!(caller.tenant(), TenantRef::Named(name) if &**name == "search"));
        assert!(caller.may_use_image("agb-code-1") && !caller.may_use_image("agb-browser-1"));
        let denied = |what| {
            let principal = "anonymous".to_owned();
            Some(Refusal::Denied { principal, what })
        };
        let result = guard.admit(CREATE, &none, None).await.err();
        assert_eq!(result, denied(Denied::Right(Right::Sessions)));
        // What is not in the table is not let through to any service.
        for path in ["/agb.gateway.v1.SessionService/Nothing", "/x.Y/Z", "/", ""] {
            let result = guard.admit(path, &none, None).await.err();
            assert_eq!(result, Some(Refusal::UnknownMethod(path.to_owned())));
        }
        let key = headers(&[("x-agb-api-key", "key-1")]);
        let result = guard.admit(READ, &key, None).await.err();
        assert!(matches!(
            result,
            Some(Refusal::Denied {
                what: Denied::NoRule,
                ..
            })
        ));
    }

    #[tokio::test]
    async fn health_is_open_and_reflection_where_it_is_said() {
        let health = "/grpc.health.v1.Health/Check";
        let bad = headers(&[("authorization", "Bearer x")]);
        for open_reflection in [true, false] {
            let mut config = config(&[Method::Token]);
            config.open_reflection = open_reflection;
            let guard = Guard::start(&config, &Telemetry::off()).await.unwrap();
            assert!(matches!(guard.admit(health, &bad, None).await, Ok(None)));
            for service in REFLECTION {
                let path = format!("{service}ServerReflectionInfo");
                let result = guard.admit(&path, &bad, None).await;
                assert_eq!(matches!(result, Ok(None)), open_reflection, "{path}");
            }
        }
    }

    #[tokio::test]
    async fn a_caller_uses_up_its_quota() {
        let mut config = config(&[Method::None]);
        let quotas = QuotaSettings {
            rate: None,
            max_concurrent_calls: Some(1),
        };
        config.rules = vec![Rule {
            quotas,
            ..rule(Right::Read)
        }];
        let guard = Guard::start(&config, &Telemetry::off()).await.unwrap();
        let none = HeaderMap::new();
        let caller = guard.admit(READ, &none, None).await.unwrap();
        let second = guard.admit(READ, &none, None).await;
        assert!(matches!(second, Err(Refusal::TooMany { .. })));
        drop(caller);
        assert!(guard.admit(READ, &none, None).await.is_ok());
    }
}
