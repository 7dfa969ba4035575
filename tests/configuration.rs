//! Every example of a configuration that the repository ships is one that the gateway takes.

#![allow(clippy::unwrap_used)] // A test that unwraps in vain has failed, which is right.

use std::fs;

use agb_gateway::config::Config;
use figment::Figment;
use figment::providers::{Format as _, Toml};

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
