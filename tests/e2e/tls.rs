//! TLS, on both sides of the gateway.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use figment::Figment;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::certificates::{Authority, Files, Relay, Signed, connect_tls};
use crate::support::{World, connect, reason, within};

async fn list(channel: &Channel) -> Result<(), Status> {
    let request = within(pb::ListContextsRequest::default());
    let mut contexts = ContextServiceClient::new(channel.clone());
    let answer = contexts.list_contexts(request);
    answer.await.map(drop)
}

#[tokio::test]
async fn calls_go_over_tls_and_not_past_it() {
    let (ca, other) = (Authority::new(), Authority::new());
    let files = Files::new(&ca.server());
    let world = World::start().await;
    let gateway = world.start_gateway(files.settings()).await;
    let channel = connect_tls(gateway.address(), &ca, None).await.unwrap();
    list(&channel).await.unwrap();
    assert!(connect_tls(gateway.address(), &other, None).await.is_err());
    // The connection comes about, but nothing is answered in plain text.
    let plain = connect(gateway.address()).await;
    assert!(list(&plain).await.is_err());
}

#[tokio::test]
async fn required_certificates_of_clients_are_checked() {
    let (ca, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let files = Files::new(&ca.server());
    let client_ca = files.write("clients.crt", &clients.pem);
    let world = World::start().await;
    let settings = files
        .settings()
        .merge(("server.tls_client_ca_file", client_ca));
    let required = world.start_gateway(settings.clone()).await;
    let optional = settings.merge(("server.tls_client_certificates", "optional"));
    let optional = world.start_gateway(optional).await;
    let ours = clients.client("spiffe://corp/ours");
    let strange = strangers.client("spiffe://corp/ours");
    for (gateway, client, expected) in [
        (&required, Some(&ours), true),
        (&required, Some(&strange), false),
        (&required, None, false),
        (&optional, Some(&ours), true),
        (&optional, Some(&strange), false),
        (&optional, None, true),
    ] {
        // TLS 1.3 tells a client only with the first answer that its certificate is refused.
        let works = match connect_tls(gateway.address(), &ca, client).await {
            Ok(channel) => list(&channel).await.is_ok(),
            Err(_refused) => false,
        };
        assert_eq!(works, expected);
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_failed_call() {
    let (before, after) = (Authority::new(), Authority::new());
    let files = Files::new(&before.server());
    let world = World::start().await;
    let gateway = world.start_gateway(files.settings()).await;
    let address = gateway.address();
    let old = connect_tls(address, &before, None).await.unwrap();
    list(&old).await.unwrap();

    files.put(&after.server());
    // Every call works while the certificate changes: on the connection that is there, and on new ones with either.
    let new = loop {
        list(&old).await.unwrap();
        match connect_tls(address, &after, None).await {
            Ok(new) => break new,
            Err(_not_yet) => {
                if let Ok(channel) = connect_tls(address, &before, None).await {
                    list(&channel).await.unwrap();
                }
            }
        }
    };
    list(&new).await.unwrap();
    list(&old).await.unwrap();
    assert!(connect_tls(address, &before, None).await.is_err());
}

#[tokio::test]
async fn a_probe_reaches_a_gateway_in_tls() {
    let (ca, clients) = (Authority::new(), Authority::new());
    let files = Files::new(&ca.server());
    let client_ca = files.write("clients.crt", &clients.pem);
    let world = World::start().await;
    let settings = files
        .settings()
        .merge(("server.tls_client_ca_file", client_ca));
    let gateway = world.start_gateway(settings).await;
    let client = clients.client("spiffe://corp/probe");
    let arguments = [
        "healthcheck".into(),
        "--address".into(),
        gateway.address().to_string().into(),
        "--tls-ca-file".into(),
        files.write("ca.crt", &ca.pem),
        "--tls-certificate-file".into(),
        files.write("probe.crt", &client.certificate),
        "--tls-key-file".into(),
        files.write("probe.key", &client.key),
    ];
    let (plain, nameless) = (&arguments[..3], &arguments[..5]);
    let other = files.write("other.crt", &Authority::new().pem);
    let mistrusting = [plain, &["--tls-ca-file".into(), other]].concat();
    let mut mismatched = arguments.clone();
    mismatched[8] = files.write("other.key", &clients.client("spiffe://corp/other").key);
    assert!(succeeds(&arguments).await);
    for without in [plain, nameless, &mistrusting, &mismatched] {
        assert!(!succeeds(without).await, "{without:?}");
    }
    // It lives all the same, whatever is wrong with the certificates; and does not where nobody answers.
    let alive = |arguments: &[PathBuf]| [arguments, &["--alive".into()]].concat();
    for arguments in [&arguments, nameless, &mistrusting, &mismatched] {
        assert!(succeeds(&alive(arguments)).await, "{arguments:?}");
    }
    gateway.run_until(std::future::ready(())).await.unwrap();
    assert!(!succeeds(&alive(&arguments)).await);
}

/// Whether the program ends well.
async fn succeeds(arguments: &[PathBuf]) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agb-gateway"));
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    output.await.unwrap().status.success()
}

/// TLS of a server that may want certificates of clients.
pub(crate) fn server_config(server: &Signed, client_ca: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(certificate(&ca.pem)).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::from_pem_slice(server.key.as_bytes()).unwrap();
    builder
        .with_single_cert(vec![certificate(&server.certificate)], key)
        .unwrap()
}

#[tokio::test]
async fn agb_is_trusted_by_its_certificate_and_sees_the_gateway_s_own() {
    let (ca, clients) = (Authority::new(), Authority::new());
    let files = Files::new(&clients.client("spiffe://corp/gateway"));
    let world = World::start().await;
    let config = server_config(&ca.server(), Some(&clients));
    let agb = Relay::start(Some(config), world.emulator.address()).await;
    let endpoint = format!("https://localhost:{}", agb.address.port());
    let untrusted = Figment::new()
        .merge(("agb.endpoint", &endpoint))
        .merge(("agb.max_attempts", 1));
    let unknown = untrusted
        .clone()
        .merge(("agb.ca_file", files.write("ca.crt", &ca.pem)));
    let known = unknown
        .clone()
        .merge(("agb.client_certificate_file", files.path("tls.crt")))
        .merge(("agb.client_key_file", files.path("tls.key")));
    for settings in [untrusted, unknown] {
        let (_gateway, channel) = world.replica_with(settings).await;
        let status = list(&channel).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert_eq!(reason(&status), "AGB_UNREACHABLE");
    }
    assert_eq!(world.emulator.request_count("ListContexts"), 0);
    let (_gateway, channel) = world.replica_with(known).await;
    list(&channel).await.unwrap();
    assert_eq!(world.emulator.request_count("ListContexts"), 1);
}

#[tokio::test]
async fn all_requests_go_through_the_proxy_that_is_set() {
    let world = World::start().await;
    let proxy = Relay::start(None, world.emulator.address()).await;
    let settings = Figment::new()
        .merge(("agb.endpoint", "http://agb.invalid"))
        .merge((
            "agb.proxy",
            format!("http://gateway:Pl4nted@{}", proxy.address),
        ));
    let (_gateway, channel) = world.replica_with(settings).await;
    list(&channel).await.unwrap();
    assert_eq!(proxy.taken(), 1);
}
