//! Who calls: tokens, JWTs and keys over real gRPC, and what those are told who are not known.

use std::fs;
use std::future::IntoFuture as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agb_gateway::auth::NewToken;
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::session_service_client::SessionServiceClient;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use figment::Figment;
use figment::providers::{Format as _, Toml};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{World, reason, within};

pub(crate) fn toml(text: &str) -> Figment {
    Figment::new().merge(Toml::string(text))
}

/// Lists sessions with headers.
pub(crate) async fn list(world: &World, headers: &[(&'static str, &str)]) -> Result<(), Status> {
    let mut request = within(pb::ListSessionsRequest::default());
    for (name, value) in headers {
        request.metadata_mut().append(*name, value.parse().unwrap());
    }
    let answer = SessionServiceClient::new(world.channel.clone())
        .list_sessions(request)
        .await;
    answer.map(|_answer| ())
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Calls until the answer is so; the test's deadline is the only limit.
async fn until(world: &World, authorization: &str, is_let_in: bool) {
    let mut pause = tokio::time::interval(Duration::from_millis(5));
    loop {
        let answer = list(world, &[("authorization", authorization)]).await;
        if answer.is_ok() == is_let_in {
            return;
        }
        pause.tick().await;
    }
}

#[tokio::test]
async fn tokens_are_swapped_without_a_failed_call() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    let [old, new] = [(); 2].map(|()| NewToken::generate("ci").unwrap());
    fs::write(&file, &old.line).unwrap();
    let world = World::with_settings(
        toml("auth.methods = [\"token\"]\nsecrets.reload_interval = \"1ms\"")
            .merge(("auth.token_file", &file)),
    )
    .await;
    let (old_header, new_header) = (bearer(old.expose()), bearer(new.expose()));
    let calls = async {
        let mut count = 0;
        loop {
            list(&world, &[("authorization", &old_header)])
                .await
                .unwrap();
            count += 1;
            if count >= 20
                && list(&world, &[("authorization", &new_header)])
                    .await
                    .is_ok()
            {
                return;
            }
        }
    };
    let rotate = async {
        let both = format!("{}\n{}\n", old.line, new.line);
        fs::write(folder.path().join("next"), both).unwrap();
        fs::rename(folder.path().join("next"), &file).unwrap();
    };
    tokio::join!(calls, rotate);
    // What is not valid changes nothing, and a token that is taken out is refused.
    fs::write(&file, "garbage").unwrap();
    list(&world, &[("authorization", &old_header)])
        .await
        .unwrap();
    fs::write(&file, &new.line).unwrap();
    until(&world, &old_header, false).await;
    list(&world, &[("authorization", &new_header)])
        .await
        .unwrap();
}

#[tokio::test]
async fn who_is_not_known_is_told_what_is_accepted_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    let token = NewToken::generate("ci").unwrap();
    fs::write(&file, &token.line).unwrap();
    let world = World::with_settings(
        toml("auth.methods = [\"token\", \"agb_key\", \"none\"]").merge(("auth.token_file", &file)),
    )
    .await;
    list(&world, &[]).await.unwrap();
    let mut messages = Vec::new();
    for headers in [
        vec![("authorization", "Bearer agbgw_Pl4nted")],
        vec![("authorization", "Basic Pl4nted")],
        vec![("authorization", "Pl4nted")],
        vec![("x-agb-api-key", "")],
        vec![("x-agb-api-key", "Pl4nted"), ("x-agb-api-key", "Pl4nted")],
    ] {
        let status = list(&world, &headers).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{headers:?}");
        assert_eq!(reason(&status), "UNAUTHENTICATED");
        let text = format!("{status:?} {:?}", status.get_error_details());
        assert!(!text.contains("Pl4nted"), "{text}");
        messages.push(status.message().to_owned());
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(
        messages[0].contains("the credentials are not accepted"),
        "{messages:?}"
    );
    assert!(messages[0].contains("x-agb-api-key"), "{messages:?}");
}

#[tokio::test]
async fn who_brings_nothing_is_told_so_and_health_is_open() {
    let world = World::with_settings(toml("auth.methods = [\"agb_key\"]")).await;
    let status = list(&world, &[]).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(
        status.message().contains("no credentials came"),
        "{status:?}"
    );
    let mut health = tonic_health::pb::health_client::HealthClient::new(world.channel.clone());
    let request = tonic_health::pb::HealthCheckRequest::default();
    assert!(health.check(within(request)).await.is_ok());
}

/// An issuer whose keys can be changed, and which counts who asks for them.
pub(crate) struct Issuer {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) keys: Vec<Value>,
    pub(crate) is_down: bool,
    fetches: u32,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let keys = move |headers: HeaderMap| async move {
            let mut state = shared.lock().unwrap();
            state.fetches += 1;
            let is_known = headers
                .get("authorization")
                .is_some_and(|value| value == "Bearer Pl4nted-of-the-pod");
            if state.is_down || !is_known {
                return (StatusCode::SERVICE_UNAVAILABLE, String::new());
            }
            (StatusCode::OK, json!({ "keys": state.keys }).to_string())
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let routes = Router::new().route("/keys", get(keys));
        tokio::spawn(axum::serve(listener, routes).into_future());
        Self { url, state }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    pub(crate) fn fetches(&self) -> u32 {
        self.state.lock().unwrap().fetches
    }
}

/// A key, and a token that it signs.
pub(crate) fn signed(id: &str) -> (Value, String) {
    let pair = rcgen::KeyPair::generate().unwrap();
    let key = EncodingKey::from_ec_der(&pair.serialize_der());
    signed_with(&key, Algorithm::ES256, id)
}

/// The public half of a key, and a token that it signs.
pub(crate) fn signed_with(key: &EncodingKey, algorithm: Algorithm, id: &str) -> (Value, String) {
    let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
    jwk.common.key_id = Some(id.to_owned());
    let mut header = Header::new(algorithm);
    header.kid = Some(id.to_owned());
    let claims = json!({
        "iss": "issuer", "aud": "agb-gateway", "sub": "indexer",
        "exp": get_current_timestamp() + 600,
    });
    let token = encode(&header, &claims, key).unwrap();
    (json!(jwk), bearer(&token))
}

/// The settings of an issuer whose keys are at `url`, and the token that it wants to see.
pub(crate) fn accepting(url: &str, folder: &tempfile::TempDir) -> String {
    let token_file = folder.path().join("pod-token");
    fs::write(&token_file, "Pl4nted-of-the-pod\n").unwrap();
    format!(
        r#"
        [[auth.jwt]]
        name = "test"
        issuer = "issuer"
        audiences = ["agb-gateway"]
        jwks_url = "{url}"
        jwks_bearer_token_file = "{}"
        "#,
        token_file.display()
    )
}

async fn with_issuer(issuer: &Issuer, folder: &tempfile::TempDir, pause: &str) -> World {
    World::with_settings(toml(&format!(
        r#"
        [auth]
        methods = ["jwt"]
        {}
        jwks_unknown_key_pause = "{pause}"
        # So long that a call that waits for keys within the pause is seen to fail.
        jwks_timeout = "60s"
        "#,
        accepting(&issuer.url, folder)
    )))
    .await
}

#[tokio::test]
async fn the_keys_of_an_issuer_are_swapped_without_a_failed_call() {
    let issuer = Issuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (old_key, old) = signed("k1");
    let (new_key, new) = signed("k2");
    // It is down at the start: the gateway starts all the same, and refuses.
    issuer.change(|state| state.is_down = true);
    let world = with_issuer(&issuer, &folder, "10ms").await;
    let status = list(&world, &[("authorization", &old)]).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    issuer.change(|state| {
        state.is_down = false;
        state.keys = vec![old_key.clone()];
    });
    until(&world, &old, true).await;
    until(&world, &new, false).await;
    // The new key joins: tokens of both are good from the first call after the pause on.
    issuer.change(|state| state.keys = vec![old_key, new_key]);
    let (old_calls, new_calls) = tokio::join!(
        async {
            for _ in 0..50 {
                list(&world, &[("authorization", &old)]).await.unwrap();
            }
        },
        until(&world, &new, true)
    );
    let ((), ()) = (old_calls, new_calls);
    // The issuer goes down: the last keys stay.
    issuer.change(|state| state.is_down = true);
    let (_, unknown) = signed("k3");
    let fetches = issuer.fetches();
    while issuer.fetches() == fetches {
        let status = list(&world, &[("authorization", &unknown)]).await;
        assert_eq!(status.unwrap_err().code(), Code::Unauthenticated);
    }
    for token in [&old, &new] {
        list(&world, &[("authorization", token)]).await.unwrap();
    }
}

#[tokio::test]
async fn a_flood_of_unknown_keys_does_not_become_a_flood_of_fetches() {
    let issuer = Issuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (key, good) = signed("k1");
    issuer.change(|state| state.keys = vec![key]);
    let world = with_issuer(&issuer, &folder, "1h").await;
    list(&world, &[("authorization", &good)]).await.unwrap();
    let (_, unknown) = signed("k2");
    for _ in 0..50 {
        let status = list(&world, &[("authorization", &unknown)])
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    assert_eq!(issuer.fetches(), 1);
    list(&world, &[("authorization", &good)]).await.unwrap();
}
