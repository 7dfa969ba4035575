//! JWTs of known issuers: which ones are accepted, and whom they name.

mod fetch;
mod keys;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::token::principal_name;
use crate::secret::Looking;
use source::Source;

pub use keys::Algorithm;
pub use source::{KeySource, RemoteKeys};

/// An issuer whose JWTs are accepted.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// What principals of this issuer are called after `jwt:`.
    pub name: String,
    /// The claim `iss`, exactly.
    pub issuer: String,
    /// At least one of these must be in the claim `aud`.
    pub audiences: Vec<String>,
    /// How tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys are.
    pub keys: KeySource,
    /// How far clocks may differ: 0 to 10 min. Default: 30 s.
    pub leeway: Duration,
    /// The claim that names the principal. Default: `sub`.
    pub principal_claim: String,
}

/// Why a JWT is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    /// It has expired, and its signature is good.
    Expired,
    /// Anything else; for the operator's log, and without anything from the token.
    Because(&'static str),
}

/// All issuers.
#[derive(Debug)]
pub(super) struct Issuers(Vec<Issuer>);

#[derive(Debug)]
struct Issuer {
    settings: IssuerSettings,
    source: Source,
}

/// Read before the signature is: it only says which issuer's keys to check it with.
#[derive(Deserialize)]
struct Claimed {
    iss: String,
}

impl Issuers {
    /// Reads the keys that are in files; those from URLs come when they come. The error names the issuer.
    pub(super) async fn start(
        issuers: &[IssuerSettings],
        looking: &Looking,
    ) -> Result<Self, String> {
        let mut started = Vec::with_capacity(issuers.len());
        for settings in issuers {
            let source = Source::start(settings, looking.clone())
                .await
                .map_err(|error| format!("the keys of issuer {:?}: {error}", settings.name))?;
            started.push(Issuer {
                settings: settings.clone(),
                source,
            });
        }
        Ok(Self(started))
    }

    /// Whom a JWT names.
    pub(super) async fn principal(&self, token: &str) -> Result<Arc<str>, Rejected> {
        let header = decode_header(token).map_err(|_| Rejected::Because("no JWT header"))?;
        if header.crit.is_some() {
            return Err(Rejected::Because("critical extensions"));
        }
        let claimed: Claimed =
            insecure_decode_claims(token).map_err(|_| Rejected::Because("no issuer"))?;
        let mut issuers = self.0.iter();
        let Issuer { settings, source } = issuers
            .find(|issuer| issuer.settings.issuer == claimed.iss)
            .ok_or(Rejected::Because("unknown issuer"))?;
        let algorithm = Algorithm::of_header(header.alg)
            .filter(|algorithm| settings.algorithms.contains(algorithm))
            .ok_or(Rejected::Because("algorithm not allowed"))?;
        let key = source
            .key(header.kid.as_deref(), algorithm)
            .await
            .ok_or(Rejected::Because("no such key"))?;
        let mut validation = Validation::new(header.alg);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&settings.audiences);
        validation.validate_nbf = true;
        validation.leeway = settings.leeway.as_secs();
        let decoded = decode::<Map<String, Value>>(token, &key, &validation);
        let claims = decoded.map_err(|error| rejected(error.kind()))?.claims;
        let name = claims
            .get(&settings.principal_claim)
            .and_then(Value::as_str);
        let name = name.ok_or(Rejected::Because("no principal"))?;
        let principal = format!("jwt:{}:{name}", settings.name);
        principal_name(&principal).map_err(|_| Rejected::Because("unusable principal"))?;
        Ok(principal.into())
    }
}

fn rejected(kind: &ErrorKind) -> Rejected {
    match kind {
        ErrorKind::ExpiredSignature => Rejected::Expired,
        ErrorKind::InvalidSignature => Rejected::Because("bad signature"),
        ErrorKind::InvalidAudience => Rejected::Because("other audience"),
        ErrorKind::ImmatureSignature => Rejected::Because("not valid yet"),
        ErrorKind::MissingRequiredClaim(_) => Rejected::Because("a claim is missing"),
        _ => Rejected::Because("not valid"),
    }
}
