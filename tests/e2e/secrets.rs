//! Secrets stay secret: what looks for them in all logs knows every kind, and finds one wherever it is put.

use std::env;
use std::process::Command;

use agb_gateway::agb::wire;
use agb_gateway::auth::NewToken;
use agb_gateway::proto::v1 as pb;
use agb_gateway::status::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;

use crate::authentication::signed;
use crate::canary::{LEAKED, secret_in};
use crate::certificates::Authority;
use crate::support::{BROWSER_IMAGE, KEY, World, patience, within};

/// Says where the program that a test starts puts a secret.
const PLACE: &str = "PLACE_OF_THE_SECRET";

/// One secret of every kind there is, as it comes from those who make it.
async fn secrets(world: &World) -> Vec<(&'static str, String)> {
    let context_id = world.create_context("c").await;
    let session_id = world.create_session(BROWSER_IMAGE, vec![]).await;
    let path = "/a".to_owned();
    let request = pb::CreateUploadUrlRequest {
        context_id: context_id.clone(),
        path: path.clone(),
    };
    let upload = world.contexts().create_upload_url(within(request)).await;
    let request = pb::CreateDownloadUrlRequest { context_id, path };
    let download = world.contexts().create_download_url(within(request)).await;
    let request = pb::GetSessionLinkRequest {
        session_id: session_id.clone(),
        protocol_type: "https".to_owned(),
        port: 30_100,
    };
    let link = world.sessions().get_session_link(within(request)).await;
    let request = pb::InitBrowserRequest {
        session_id: session_id.clone(),
        ..pb::InitBrowserRequest::default()
    };
    world
        .sessions()
        .init_browser(within(request))
        .await
        .unwrap();
    let request = pb::GetCdpLinkRequest {
        session_id: session_id.clone(),
    };
    let cdp = world.sessions().get_cdp_link(within(request)).await;
    let call = wire::GetLinkedSession {
        session_id: &session_id,
    };
    let session = world
        .agb()
        .await
        .call(&call, patience())
        .await
        .unwrap()
        .data;
    let token = NewToken::generate("ci").unwrap();
    vec![
        ("the key of AGB", KEY.to_owned()),
        ("the proxy's password", STANDARD.encode(format!("gw:{KEY}"))),
        ("an upload URL", upload.unwrap().into_inner().url),
        ("a download URL", download.unwrap().into_inner().url),
        ("a session link", link.unwrap().into_inner().url),
        ("a CDP link", cdp.unwrap().into_inner().url),
        (
            "a session's token",
            session.token.expose_secret().to_owned(),
        ),
        ("a bearer token", token.expose().to_owned()),
        ("a JWT", signed("k").1),
        ("a key of TLS", Authority::new().server().key),
    ]
}

#[tokio::test]
async fn every_kind_of_secret_is_known_by_its_shape() {
    let world = World::start().await;
    for (kind, secret) in secrets(&world).await {
        for text in [secret.clone(), format!("{:?}", secret.as_bytes())] {
            assert!(secret_in(&format!("x{text}y")).is_some(), "{kind}: {text}");
        }
    }
    for text in [STANDARD.encode(KEY), STANDARD.encode(format!("a:{KEY}"))] {
        assert!(secret_in(&text).is_some(), "{text}");
    }
    let key = Authority::new().server().key;
    let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let bytes = STANDARD.decode(&body).unwrap();
    assert!(secret_in(&body).is_some());
    assert!(secret_in(&format!("{bytes:?}")).is_some());
    for harmless in ["agbgw_", "agbgw_short", "eyJ", "token:ci", "a PUBLIC KEY"] {
        assert_eq!(secret_in(harmless), None);
    }
}

/// Where a secret is put, and what the report of it has to name.
const PLACES: [(&str, &str); 6] = [
    ("event", file!()),
    ("field of a span", file!()),
    ("field that is recorded later", file!()),
    ("other crate", "another_crate"),
    ("panic", file!()),
    ("status", "src/status/mod.rs"),
];

#[test]
fn a_secret_ends_the_suite_wherever_it_is_put() {
    let run = |place: &str| {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", "secrets::a_secret_is_put", "--ignored"])
            .env(PLACE, place);
        command.output().unwrap()
    };
    for (place, named) in PLACES {
        let output = run(place);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(LEAKED), "{place}: {told}");
        let (_, told) = told.split_once("There is a secret of a test in:").unwrap();
        assert!(told.contains(named), "{place}: {told}");
    }
    let output = run("nowhere");
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
#[ignore = "puts a secret where it must not be: started by the test above, in a process of its own"]
async fn a_secret_is_put() {
    let world = World::start().await;
    match env::var(PLACE).unwrap().as_str() {
        "event" => tracing::trace!(key = KEY, "an event"),
        "field of a span" => drop(tracing::trace_span!("a span", key = KEY)),
        "field that is recorded later" => {
            let span = tracing::trace_span!("a span", key = tracing::field::Empty);
            span.record("key", KEY);
        }
        "other crate" => tracing::trace!(target: "another_crate", "{}", STANDARD.encode(KEY)),
        "panic" => {
            let panicked = tokio::spawn(async { panic!("the key is {KEY}") });
            let _ = panicked.await;
        }
        "status" => drop(tonic::Status::from(Failure::Internal(KEY))),
        _ => drop(world.get_session("s").await.unwrap_err()),
    }
}
