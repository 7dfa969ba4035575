//! The way in: knows the caller, finds the rule, counts the call, asks for the right.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
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
use crate::reload::Reloaded;

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
    open_reflection: bool,
}

/// A principal, and the account it brings along.
type Known = (Arc<str>, Option<TenantRef>);

impl Guard {
    /// Reads what is in files, and begins to fetch what is elsewhere. The error names the setting, and no secret.
    pub async fn start(config: &AuthConfig) -> Result<Self, String> {
        let tokens = match &config.token_file {
            Some(path) => {
                let make = |contents: &[Vec<u8>]| Tokens::parse(&contents[0]);
                let paths = vec![path.clone()];
                let tokens = Reloaded::watch("tokens", paths, config.reload_interval, make).await;
                Some(tokens.map_err(|error| format!("auth.token_file: {error}"))?)
            }
            None => None,
        };
        let issuers = Issuers::start(&config.issuers, config.reload_interval).await;
        Ok(Self(Arc::new(Inner {
            methods: config.methods.clone(),
            tokens,
            issuers: issuers.map_err(|error| format!("auth.jwt: {error}"))?,
            rules: Rules::new(&config.rules),
            quotas: Quotas::new(),
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
        let held = self.0.quotas.take(&principal, &grant.quotas)?;
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
