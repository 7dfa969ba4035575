//! JWTs of every bad kind, against an issuer that accepts good ones.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::telemetry::Telemetry;

const ISSUER: &str = "https://issuer.corp";
const OTHER_ISSUER: &str = "https://other.corp";

fn looking() -> Looking {
    Looking {
        interval: Duration::from_secs(1),
        telemetry: Telemetry::off(),
    }
}

/// A key of an issuer, and its JWK.
struct Signer {
    key: EncodingKey,
    jwk: Jwk,
}

impl Signer {
    fn new(id: &str) -> Self {
        let pair = rcgen::KeyPair::generate().unwrap();
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        let mut jwk = Jwk::from_encoding_key(&key, jsonwebtoken::Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        Self { key, jwk }
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.key).unwrap()
    }
}

fn header(id: Option<&str>) -> Header {
    let mut header = Header::new(jsonwebtoken::Algorithm::ES256);
    header.kid = id.map(str::to_owned);
    header
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": ["agb-gateway", "x"], "exp": get_current_timestamp() + 600,
        "sub": "system:serviceaccount:search:indexer",
    })
}

#[allow(clippy::needless_pass_by_value)] // So that the table below stays a table.
fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (claim, value) in changes.as_object().unwrap() {
        claims[claim] = value.clone();
    }
    claims
}

fn without(claim: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(claim);
    claims
}

fn write_keys(path: &Path, keys: &[&Value]) {
    fs::write(path, json!({ "keys": keys }).to_string()).unwrap();
}

fn settings(name: &str, issuer: &str, keys: &Path) -> IssuerSettings {
    IssuerSettings {
        name: name.to_owned(),
        issuer: issuer.to_owned(),
        audiences: vec!["agb-gateway".to_owned()],
        algorithms: ["ES256", "RS256"]
            .into_iter()
            .filter_map(Algorithm::of_name)
            .collect(),
        keys: KeySource::File(keys.to_owned()),
        leeway: Duration::from_secs(30),
        principal_claim: "sub".to_owned(),
    }
}

struct World {
    _folder: TempDir,
    issuers: Issuers,
    key: Signer,
    other: Signer,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let (key, other) = (Signer::new("k1"), Signer::new("k2"));
    let (file, other_file) = (folder.path().join("a"), folder.path().join("b"));
    write_keys(&file, &[&json!(key.jwk)]);
    write_keys(&other_file, &[&json!(other.jwk)]);
    let settings = [
        settings("k8s", ISSUER, &file),
        settings("other", OTHER_ISSUER, &other_file),
    ];
    let issuers = Issuers::start(&settings, &looking()).await.unwrap();
    World {
        _folder: folder,
        issuers,
        key,
        other,
    }
}

#[tokio::test]
async fn a_good_token_names_its_principal_by_issuer() {
    let world = world().await;
    let good = claims();
    for (header, claims) in [
        (header(Some("k1")), good.clone()),
        // The only key that fits.
        (header(None), good.clone()),
        (header(Some("k1")), with(json!({"aud": "agb-gateway"}))),
        // Within the leeway.
        (
            header(Some("k1")),
            with(json!({"exp": get_current_timestamp() - 5, "nbf": get_current_timestamp() + 5})),
        ),
    ] {
        let principal = world
            .issuers
            .principal(&world.key.sign(&header, &claims))
            .await;
        assert_eq!(
            principal.as_deref(),
            Ok("jwt:k8s:system:serviceaccount:search:indexer")
        );
    }
    let claims = with(json!({"iss": OTHER_ISSUER, "sub": "x"}));
    let token = world.other.sign(&header(Some("k2")), &claims);
    let principal = world.issuers.principal(&token).await;
    assert_eq!(principal.as_deref(), Ok("jwt:other:x"));
}

/// A token with any header, signed or not.
fn raw(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signature = URL_SAFE_NO_PAD.encode(signature);
    format!("{}.{}.{signature}", part(header), part(claims))
}

fn hmac(secret: &[u8], alg: jsonwebtoken::Algorithm) -> String {
    let mut header = Header::new(alg);
    header.kid = Some("k1".to_owned());
    encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap()
}

#[tokio::test]
#[allow(clippy::too_many_lines)] // A table.
async fn every_attack_is_rejected() {
    let world = world().await;
    let now = get_current_timestamp();
    let key = &world.key;
    let id = header(Some("k1"));
    let sign = |claims: Value| key.sign(&id, &claims);
    let good = sign(claims());
    let jwk = json!(key.jwk).to_string();
    let point = json!(key.jwk)["x"].as_str().unwrap().to_owned();
    let mut critical = id.clone();
    critical.crit = Some(vec!["b64".to_owned()]);
    let mut embedded = header(None);
    embedded.jwk = Some(world.other.jwk.clone());
    let mut tampered = good.split('.').map(str::to_owned).collect::<Vec<_>>();
    tampered[1] = URL_SAFE_NO_PAD.encode(with(json!({"sub": "root"})).to_string());
    let mut swapped = good.clone();
    swapped.truncate(swapped.rfind('.').unwrap() + 1);
    let attacks = [
        (
            "long expired",
            sign(with(json!({"exp": now - 3600}))),
            Rejected::Expired,
        ),
        (
            "expired, forged",
            world.other.sign(&id, &with(json!({"exp": now - 3600}))),
            Rejected::Because("bad signature"),
        ),
        (
            "other audience",
            sign(with(json!({"aud": ["x", "y"]}))),
            Rejected::Because("other audience"),
        ),
        (
            "no audience",
            sign(without("aud")),
            Rejected::Because("a claim is missing"),
        ),
        (
            "other issuer",
            sign(with(json!({"iss": "https://evil"}))),
            Rejected::Because("unknown issuer"),
        ),
        (
            "issuers as a list",
            sign(with(json!({"iss": [ISSUER, "https://evil"]}))),
            Rejected::Because("no issuer"),
        ),
        (
            "no issuer",
            sign(without("iss")),
            Rejected::Because("no issuer"),
        ),
        (
            "unsigned",
            raw(&json!({"alg": "none"}), &claims(), b""),
            Rejected::Because("no JWT header"),
        ),
        (
            "unsigned, NONE",
            raw(&json!({"alg": "NONE", "kid": "k1"}), &claims(), b""),
            Rejected::Because("no JWT header"),
        ),
        ("no signature", swapped, Rejected::Because("bad signature")),
        (
            "zero signature",
            raw(&json!({"alg": "ES256", "kid": "k1"}), &claims(), &[0; 64]),
            Rejected::Because("bad signature"),
        ),
        (
            "HMAC with the public key",
            hmac(jwk.as_bytes(), jsonwebtoken::Algorithm::HS256),
            Rejected::Because("algorithm not allowed"),
        ),
        (
            "HMAC with a part of it",
            hmac(point.as_bytes(), jsonwebtoken::Algorithm::HS512),
            Rejected::Because("algorithm not allowed"),
        ),
        (
            "an algorithm that does not fit the key",
            raw(&json!({"alg": "RS256", "kid": "k1"}), &claims(), &[1; 256]),
            Rejected::Because("no such key"),
        ),
        (
            "unknown key",
            key.sign(&header(Some("k9")), &claims()),
            Rejected::Because("no such key"),
        ),
        (
            "forged under a known key",
            world.other.sign(&id, &claims()),
            Rejected::Because("bad signature"),
        ),
        (
            "the key of another issuer",
            world.other.sign(&header(Some("k2")), &claims()),
            Rejected::Because("no such key"),
        ),
        (
            "a key that it brings along",
            world.other.sign(&embedded, &claims()),
            Rejected::Because("bad signature"),
        ),
        (
            "no expiry",
            sign(without("exp")),
            Rejected::Because("a claim is missing"),
        ),
        (
            "an expiry that is no number",
            sign(with(json!({"exp": "never"}))),
            Rejected::Because("a claim is missing"),
        ),
        (
            "not yet valid",
            sign(with(json!({"nbf": now + 3600}))),
            Rejected::Because("not valid yet"),
        ),
        (
            "a begin that is no number",
            sign(with(json!({"nbf": "now"}))),
            Rejected::Because("not valid"),
        ),
        (
            "tampered",
            tampered.join("."),
            Rejected::Because("bad signature"),
        ),
        (
            "critical extensions",
            key.sign(&critical, &claims()),
            Rejected::Because("critical extensions"),
        ),
        (
            "no subject",
            sign(without("sub")),
            Rejected::Because("no principal"),
        ),
        (
            "a subject that is no text",
            sign(with(json!({"sub": 7}))),
            Rejected::Because("no principal"),
        ),
        (
            "a subject for log files",
            sign(with(json!({"sub": "a\nroot"}))),
            Rejected::Because("unusable principal"),
        ),
        (
            "a subject without end",
            sign(with(json!({"sub": "a".repeat(300)}))),
            Rejected::Because("unusable principal"),
        ),
        (
            "four parts",
            format!("{good}.x"),
            Rejected::Because("no JWT header"),
        ),
        (
            "two parts",
            "a.b".to_owned(),
            Rejected::Because("no JWT header"),
        ),
        (
            "garbage",
            "\u{0}\u{1}..".to_owned(),
            Rejected::Because("no JWT header"),
        ),
        ("nothing", String::new(), Rejected::Because("no JWT header")),
    ];
    for (attack, token, rejected) in attacks {
        let result = world.issuers.principal(&token).await;
        assert_eq!(result, Err(rejected), "{attack}");
    }
    assert!(world.issuers.principal(&good).await.is_ok());
}

#[tokio::test]
async fn an_algorithm_that_is_not_allowed_is_rejected_though_the_key_fits() {
    let folder = tempfile::tempdir().unwrap();
    let key = Signer::new("k1");
    let file = folder.path().join("a");
    write_keys(&file, &[&json!(key.jwk)]);
    let mut settings = settings("k8s", ISSUER, &file);
    settings.algorithms = Algorithm::of_name("RS256").into_iter().collect();
    let issuers = Issuers::start(&[settings], &looking()).await;
    let token = key.sign(&header(Some("k1")), &claims());
    let result = issuers.unwrap().principal(&token).await;
    assert_eq!(result, Err(Rejected::Because("algorithm not allowed")));
}

#[test]
fn no_name_stands_for_a_shared_secret() {
    for name in ["none", "HS256", "HS384", "HS512", "", "rs256"] {
        assert_eq!(Algorithm::of_name(name), None, "{name}");
    }
    assert_eq!(Algorithm::names().count(), 9);
}

#[test]
fn keys_for_something_else_are_left_out() {
    use super::keys::{Found, Keys};
    let es256 = Algorithm::of_name("ES256").unwrap();
    let jwk = json!(Signer::new("k1").jwk);
    let changed = |changes: Value| {
        let mut jwk = jwk.clone();
        for (name, value) in changes.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk
    };
    let secret = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "k1", "alg": "HS256"});
    for bad in [
        changed(json!({"use": "enc"})),
        changed(json!({"alg": "RS256"})),
        changed(json!({"alg": "HS256"})),
        changed(json!({"crv": "P-521"})),
        changed(json!({"kty": "new"})),
        secret,
        json!("x"),
    ] {
        let alone = Keys::parse(json!({"keys": [bad]}).to_string().as_bytes());
        assert!(alone.is_err(), "{bad}");
        let beside = json!({"keys": [bad, changed(json!({"kid": "k2"}))]}).to_string();
        let keys = Keys::parse(beside.as_bytes()).unwrap();
        assert!(matches!(keys.find(Some("k1"), es256), Found::Unknown));
        assert!(matches!(keys.find(Some("k2"), es256), Found::Key(_)));
    }
    let two = json!({"keys": [jwk, changed(json!({"kid": "k2"}))]}).to_string();
    let keys = Keys::parse(two.as_bytes()).unwrap();
    assert!(matches!(keys.find(None, es256), Found::Unfit));
    for content in ["", "[]", "{}", "{\"keys\": []}"] {
        assert!(Keys::parse(content.as_bytes()).is_err(), "{content}");
    }
    let many = json!({ "keys": vec![jwk; 101] }).to_string();
    assert!(Keys::parse(many.as_bytes()).is_err());
}
