//! JWTs over real gRPC: the keys of an issuer over https, and every algorithm that is accepted unless the configuration says otherwise.

use std::fs;
use std::net::SocketAddr;

use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::session_service_client::SessionServiceClient;
use figment::Figment;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{KeyPair, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize};
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::authentication::{Issuer, accepting, signed, signed_with, toml};
use crate::certificates::{Authority, Relay};
use crate::support::{World, within};
use crate::tls::server_config;

async fn list(channel: &Channel, authorization: &str) -> Result<(), Status> {
    let mut request = within(pb::ListSessionsRequest::default());
    let header = authorization.parse().unwrap();
    request.metadata_mut().insert("authorization", header);
    let mut sessions = SessionServiceClient::new(channel.clone());
    sessions.list_sessions(request).await.map(drop)
}

/// Accepts JWTs of an issuer, whose keys are at `url`.
fn settings(folder: &TempDir, url: &str, more: &str) -> Figment {
    toml(&format!(
        r#"
        [auth]
        methods = ["jwt"]
        {}
        {more}
        "#,
        accepting(url, folder)
    ))
}

#[tokio::test]
async fn keys_come_over_https_from_whom_the_given_authority_vouches_for() {
    let issuer = Issuer::start().await;
    let (key, token) = signed("k1");
    issuer.change(|state| state.keys = vec![key]);
    let (known, unknown) = (Authority::new(), Authority::new());
    let address: SocketAddr = issuer
        .url
        .trim_start_matches("http://")
        .trim_end_matches("/keys")
        .parse()
        .unwrap();
    let config = server_config(&known.server(), None);
    let https = Relay::start(Some(config), address).await;
    let url = format!("https://localhost:{}/keys", https.address.port());
    let folder = tempfile::tempdir().unwrap();
    let world = World::start().await;
    let trusting = |authority: &Authority, name: &str| {
        let file = folder.path().join(name);
        fs::write(&file, &authority.pem).unwrap();
        let ca = format!("jwks_ca_file = {:?}", file.to_str().unwrap());
        settings(&folder, &url, &ca)
    };
    let (_gateway, wary) = world.replica_with(trusting(&unknown, "unknown")).await;
    let status = list(&wary, &token).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    // Also of the authorities of the system none vouches for it.
    let (_gateway, wary) = world.replica_with(settings(&folder, &url, "")).await;
    let status = list(&wary, &token).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(https.taken() >= 2);
    assert_eq!(issuer.fetches(), 0);
    let (_gateway, channel) = world.replica_with(trusting(&known, "known")).await;
    list(&channel, &token).await.unwrap();
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn every_algorithm_of_the_default_is_verified() {
    let issuer = Issuer::start().await;
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    // PKCS #1: what is in PKCS #8 behind a header of so many bytes.
    let rsa = EncodingKey::from_rsa_der(&rsa.serialize_der()[26..]);
    let ed = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    // The first version of PKCS #8, whose begin differs, and which leaves the public key at the end out.
    let ed = [&[0x30, 0x2e, 2, 1, 0], &ed.serialize_der()[5..48]].concat();
    let ed = EncodingKey::from_ed_der(&ed);
    let all = [
        signed_with(&rsa, Algorithm::RS256, "rsa"),
        signed_with(&ed, Algorithm::EdDSA, "ed"),
        signed("ec"),
    ];
    issuer.change(|state| state.keys = all.iter().map(|(key, _)| key.clone()).collect());
    let folder = tempfile::tempdir().unwrap();
    let world = World::with_settings(settings(&folder, &issuer.url, "")).await;
    for (key, token) in &all {
        list(&world.channel, token).await.unwrap();
        // The first digit of the signature changes.
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let first = if signature.starts_with('A') { "B" } else { "A" };
        let altered = format!("{signed}.{first}{}", &signature[1..]);
        let status = list(&world.channel, &altered).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{key}");
    }
}
