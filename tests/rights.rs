//! Each RPC's right is declared once, and what is called reading changes nothing.

#![allow(clippy::unwrap_used)] // A test that unwraps in vain has failed, which is right.

use std::collections::BTreeMap;

use agb_gateway::auth::{Right, rights_by_path};
use agb_gateway::proto::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::method_options::IdempotencyLevel;
use prost_types::{FileDescriptorSet, MethodDescriptorProto};

/// The RPCs of the protos, by path.
fn methods() -> BTreeMap<String, MethodDescriptorProto> {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap().file;
    let ours = files
        .iter()
        .filter(|file| file.package() == "agb.gateway.v1");
    let mut methods = BTreeMap::new();
    for service in ours.flat_map(|file| &file.service) {
        for method in &service.method {
            let path = format!("/agb.gateway.v1.{}/{}", service.name(), method.name());
            methods.insert(path, method.clone());
        }
    }
    methods
}

#[test]
fn every_rpc_has_a_right_and_every_row_an_rpc() {
    let methods = methods();
    assert!(methods.len() > 40, "{}", methods.len());
    let mut declared: Vec<_> = rights_by_path().map(|(path, _)| path).collect();
    declared.sort();
    assert_eq!(declared, methods.into_keys().collect::<Vec<_>>());
}

#[test]
fn what_changes_something_is_no_reading() {
    let methods = methods();
    for (path, _) in rights_by_path().filter(|(_, right)| *right == Right::Read) {
        let level = methods[&path].options.as_ref().unwrap().idempotency_level();
        assert_eq!(level, IdempotencyLevel::NoSideEffects, "{path}");
    }
}
