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
