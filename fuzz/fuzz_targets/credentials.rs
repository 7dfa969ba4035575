//! Credentials: whatever stands in the headers of a call, nobody is let in but who has the token.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use agb_gateway::auth::{Guard, KEY_HEADER, NewToken};
use agb_gateway::config::Config;
use agb_gateway::telemetry::Telemetry;
use agb_gateway_fuzz::{KEY, runtime};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use figment::Figment;
use figment::providers::{Format as _, Toml};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

const PATH: &str = "/agb.gateway.v1.SessionService/GetSession";
const SETTINGS: &str = r#"
[auth]
methods = ["token", "jwt", "agb_key"]
[[auth.jwt]]
name = "issuer"
issuer = "issuer"
audiences = ["gateway"]
"#;
/// A public key whose private one nobody has.
const KEYS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k", "use": "sig",
    "x": "KRBC4JFkNIU-QCmIAYjv-nKkZVyqqdD3zC8YVtqEw2M", "y": "Xq9iyz0ISAT6_3LdwjJODpklv_hdFkWtgg2sbVYBSIc"}]}"#;

struct World {
    guard: Guard,
    token: NewToken,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let file = |name: &str, content: &str| -> PathBuf {
        let path = std::env::temp_dir().join(format!("agb-fuzz-{}-{name}", std::process::id()));
        fs::write(&path, content).expect("a file");
        path
    };
    let token = NewToken::generate("known").expect("a token");
    let tokens = file("tokens", &token.line);
    let keys = file("keys", KEYS);
    let settings = SETTINGS.to_owned() + &format!("jwks_file = {keys:?}\n");
    let settings = Figment::new()
        .merge(Toml::string(&settings))
        .merge(("auth.token_file", &tokens));
    let config = Config::read(&settings, Some(KEY.to_owned())).expect("a configuration");
    let guard = runtime().block_on(Guard::start(&config.auth, &Telemetry::off()));
    for path in [tokens, keys] {
        fs::remove_file(path).expect("its own file");
    }
    World {
        guard: guard.expect("a guard"),
        token,
    }
});

/// The principal that is let in with a header.
fn admitted(name: &'static str, value: &[u8]) -> Option<String> {
    let mut headers = HeaderMap::new();
    headers.insert(name, HeaderValue::from_bytes(value).ok()?);
    let admitted = runtime().block_on(WORLD.guard.admit(PATH, &headers, None));
    let caller = admitted.ok()?.expect("no open path");
    Some(caller.principal().to_owned())
}

fuzz_target!(|input: (&[u8], &str, &str, &[u8])| {
    let (raw, header, claims, signature) = input;
    let [header, claims, signature] =
        [header.as_bytes(), claims.as_bytes(), signature].map(|part| URL_SAFE_NO_PAD.encode(part));
    for value in [
        raw.to_vec(),
        [b"Bearer ", raw].concat(),
        [b"Bearer agbgw_", raw].concat(),
        format!("Bearer {header}.{claims}.{signature}").into_bytes(),
    ] {
        assert_eq!(admitted("authorization", &value), None);
    }
    let own = admitted(KEY_HEADER, raw);
    assert!(own.is_none_or(|principal| principal.starts_with("key:")));
    let known = format!("Bearer {}", WORLD.token.expose());
    assert_eq!(
        admitted("authorization", known.as_bytes()).as_deref(),
        Some("token:known")
    );
});
