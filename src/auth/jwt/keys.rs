//! The keys of an issuer: which of them a token may be signed with.

use std::fmt;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;

use jsonwebtoken::Algorithm as Alg;

/// More keys than this no issuer has.
const MAX_KEYS: usize = 100;

/// How a token is signed: with a private key, always. There is no value for `none` and for shared secrets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Algorithm(Alg);

impl Algorithm {
    /// Every algorithm with its name.
    const ALL: [(&'static str, Alg); 9] = [
        ("RS256", Alg::RS256),
        ("RS384", Alg::RS384),
        ("RS512", Alg::RS512),
        ("PS256", Alg::PS256),
        ("PS384", Alg::PS384),
        ("PS512", Alg::PS512),
        ("ES256", Alg::ES256),
        ("ES384", Alg::ES384),
        ("EdDSA", Alg::EdDSA),
    ];

    /// The names that there are.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().map(|(name, _)| name)
    }

    /// The algorithm of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|(each, _)| *each == name)
            .map(|(_, alg)| Self(alg))
    }

    /// The algorithm of a token's header, if it is one with a private key.
    pub(super) fn of_header(alg: Alg) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|(_, each)| *each == alg).map(|_| Self(alg))
    }
}

impl fmt::Debug for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

/// The keys of an issuer.
#[derive(Debug)]
pub(super) struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    fits: Vec<Algorithm>,
    verifies: DecodingKey,
}

/// What a set says of a key.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// It is there and fits.
    Key(Box<DecodingKey>),
    /// It is there, for something else.
    Unfit,
    /// It is not there.
    Unknown,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl Keys {
    /// Reads a JWKS. Keys that are for something else than signing, or of a kind that is not accepted, are left out.
    pub(super) fn parse(content: &[u8]) -> Result<Self, String> {
        let set: Set = serde_json::from_slice(content).map_err(|_| "is no JWKS".to_owned())?;
        if set.keys.len() > MAX_KEYS {
            return Err(format!("has more than {MAX_KEYS} keys"));
        }
        let keys: Vec<_> = set.keys.into_iter().filter_map(key).collect();
        if keys.is_empty() {
            return Err("has no key that can be used".to_owned());
        }
        Ok(Self(keys))
    }

    /// The key that a token names. One that names none can only mean the only one that fits.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Found {
        let mut fitting = self.0.iter().filter(|key| key.fits.contains(&algorithm));
        let Some(id) = id else {
            return match (fitting.next(), fitting.next()) {
                (Some(key), None) => Found::Key(Box::new(key.verifies.clone())),
                _ => Found::Unfit,
            };
        };
        match fitting.find(|key| key.id.as_deref() == Some(id)) {
            Some(key) => Found::Key(Box::new(key.verifies.clone())),
            None if self.0.iter().any(|key| key.id.as_deref() == Some(id)) => Found::Unfit,
            None => Found::Unknown,
        }
    }
}

fn key(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if !matches!(
        jwk.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    ) {
        return None;
    }
    let kinds: &[Alg] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[
            Alg::RS256,
            Alg::RS384,
            Alg::RS512,
            Alg::PS256,
            Alg::PS384,
            Alg::PS512,
        ],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[Alg::ES256],
            EllipticCurve::P384 => &[Alg::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            &[Alg::EdDSA]
        }
        // Above all shared secrets.
        _ => return None,
    };
    let mut fits = kinds.to_vec();
    if let Some(only) = jwk.common.key_algorithm {
        fits.retain(|algorithm| KeyAlgorithm::from(*algorithm) == only);
    }
    let fits: Vec<_> = fits.into_iter().filter_map(Algorithm::of_header).collect();
    if fits.is_empty() {
        return None;
    }
    Some(Key {
        id: jwk.common.key_id.clone(),
        fits,
        verifies: DecodingKey::from_jwk(&jwk).ok()?,
    })
}
