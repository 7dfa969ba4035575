//! Every example of a configuration that the repository ships is one that the gateway takes.

#![allow(clippy::unwrap_used)] // A test that unwraps in vain has failed, which is right.

use std::fs;

use agb_gateway::config::Config;
use agb_gateway::proto::FILE_DESCRIPTOR_SET;
use figment::Figment;
use figment::providers::{Format as _, Toml};
use prost::Message as _;
use prost_types::FileDescriptorSet;

fn read(text: &str) -> Config {
    let settings = Figment::new().merge(Toml::string(text));
    Config::read(&settings, Some("key".to_owned())).unwrap()
}

#[test]
fn every_shipped_example_is_valid() {
    let mut count = 0;
    for entry in fs::read_dir("config").unwrap() {
        read(&fs::read_to_string(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn the_reference_configuration_tells_the_defaults() {
    let reference = read(&fs::read_to_string("config/gateway.toml").unwrap());
    assert_eq!(format!("{reference:?}"), format!("{:?}", read("")));
}

#[test]
fn every_example_of_the_documents_is_valid() {
    let text = ["docs/authentication.md", "docs/grpc-web.md"]
        .map(|document| fs::read_to_string(document).unwrap())
        .concat();
    let examples: Vec<_> = text
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(examples.len() >= 7, "{}", examples.len());
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    for (name, content) in [
        ("tls/tls.crt", certificate.as_str()),
        ("tls/tls.key", key.serialize_pem().as_str()),
        ("client-ca/ca.crt", certificate.as_str()),
        ("search/agb-api-key", "key-of-search"),
    ] {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
    let secrets = format!("{}/", folder.path().display());
    for example in examples {
        read(&example.replace("/run/secrets/", &secrets));
    }
}

#[test]
fn what_the_reference_configuration_shows_as_comments_is_valid_too() {
    let text = fs::read_to_string("config/gateway.toml").unwrap();
    let section = text.split("\n[auth]\n").nth(1).unwrap();
    let section = section.split("\n[agb]\n").next().unwrap();
    let shown = section.lines().map(|line| {
        let rest = line.strip_prefix("# ").unwrap_or_default();
        let is_setting = |rest: &str| rest.split(' ').nth(1) == Some("=");
        if rest.starts_with("[[") || is_setting(rest) {
            rest
        } else {
            line
        }
    });
    let shown = shown.collect::<Vec<_>>().join("\n");
    let all = shown.replace("[\"none\"]", "[\"none\", \"token\", \"jwt\"]");
    let auth = read(&format!("[auth]\n{all}")).auth;
    assert_eq!((auth.issuers.len(), auth.rules.len()), (1, 1));
    let defaults = read(&format!(
        "[auth]\nmethods = [\"jwt\"]\n[[auth.jwt]]\nname = \"k8s\"\nissuer = {:?}\n\
         audiences = [\"agb-gateway\"]\njwks_url = \"https://kubernetes.default.svc/openid/v1/jwks\"\n\
         jwks_ca_file = \"/var/run/secrets/kubernetes.io/serviceaccount/ca.crt\"\n\
         jwks_bearer_token_file = \"/var/run/secrets/kubernetes.io/serviceaccount/token\"",
        auth.issuers[0].issuer
    ));
    let defaults = format!("{:?}", defaults.auth.issuers);
    assert_eq!(format!("{:?}", auth.issuers), defaults);
}

#[test]
fn the_service_config_for_clients_names_every_service_and_repeats_unavailable_alone() {
    let text = fs::read_to_string("docs/service-config.json").unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    let method = &config["methodConfig"][0];
    let mut named: Vec<_> = method["name"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name["service"].as_str().unwrap().to_owned())
        .collect();
    named.sort();
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap().file;
    let mut services: Vec<_> = files
        .iter()
        .filter(|file| file.package() == "agb.gateway.v1")
        .flat_map(|file| &file.service)
        .map(|service| format!("agb.gateway.v1.{}", service.name()))
        .collect();
    services.sort();
    assert_eq!(named, services);
    let codes = &method["retryPolicy"]["retryableStatusCodes"];
    assert_eq!(*codes, serde_json::json!(["UNAVAILABLE"]));
}
