//! The generated protobuf code of package `agb.gateway.v1`, which is for callers, and of `agb.gateway.admin.v1`, which is for operators,
//! and their descriptors.
//!
//! What each message means is documented in `proto/agb/gateway`, whose comments the generated code carries.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::method_options::IdempotencyLevel;
use prost_types::{
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
};

/// Package `agb.gateway.v1`.
pub mod v1 {
    #![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, unreachable_pub)]
    tonic::include_proto!("agb.gateway.v1");
}

/// Package `agb.gateway.admin.v1`.
pub mod admin {
    #![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, unreachable_pub)]
    tonic::include_proto!("agb.gateway.admin.v1");
}

/// The encoded `FileDescriptorSet` of `agb.gateway.admin.v1` and of all that it imports, for server reflection.
pub const ADMIN_FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(
    env!("OUT_DIR"),
    "/agb_gateway_admin_descriptor.bin"
));

/// The encoded `FileDescriptorSet` of `agb.gateway.v1` and of all that it imports, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/agb_gateway_descriptor.bin"));

/// The paths of the methods that may be called again when it is not known whether they were done: those whose
/// `idempotency_level` says so.
static REPEATABLE: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default();
    let mut paths = BTreeSet::new();
    for (file, service) in services(&set) {
        let repeatable = service.method.iter().filter(|method| {
            let level = method
                .options
                .as_ref()
                .map(prost_types::MethodOptions::idempotency_level);
            level.is_some_and(|level| level != IdempotencyLevel::IdempotencyUnknown)
        });
        paths.extend(repeatable.map(|method| path(file, service, method)));
    }
    paths
});

/// The paths of all methods that are served: `/agb.gateway.v1.SyncService/WaitForSync`.
static METHODS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let mut paths = BTreeSet::new();
    let sets = [
        FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    for set in sets {
        let set = FileDescriptorSet::decode(set).unwrap_or_default();
        for (file, service) in services(&set) {
            let methods = service.method.iter();
            paths.extend(methods.map(|method| path(file, service, method)));
        }
    }
    paths
});

fn services(
    set: &FileDescriptorSet,
) -> impl Iterator<Item = (&FileDescriptorProto, &ServiceDescriptorProto)> {
    let files = set.file.iter();
    files.flat_map(|file| file.service.iter().map(move |service| (file, service)))
}

fn path(
    file: &FileDescriptorProto,
    service: &ServiceDescriptorProto,
    method: &MethodDescriptorProto,
) -> String {
    format!("/{}.{}/{}", file.package(), service.name(), method.name())
}

/// The method of this path, if there is one: so that what callers write never becomes a name in a metric.
pub fn method(path: &str) -> Option<&'static str> {
    METHODS.get(path).map(String::as_str)
}

/// Whether the method of this path may be called again when it is not known whether it was done.
pub fn is_repeatable(path: &str) -> bool {
    REPEATABLE.contains(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_that_is_served_has_a_name_and_nothing_else_has() {
        for known in [
            "/agb.gateway.v1.SessionService/CreateSession",
            "/grpc.health.v1.Health/Check",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ] {
            assert_eq!(method(known), Some(known));
        }
        assert_eq!(method("/agb.gateway.v1.SessionService/NoSuchMethod"), None);
    }

    #[test]
    fn what_reads_is_repeatable_and_what_creates_or_runs_is_not() {
        assert!(is_repeatable("/agb.gateway.v1.SyncService/WaitForSync"));
        assert!(is_repeatable(
            "/agb.gateway.v1.SessionService/SetSessionLabels"
        ));
        for method in [
            "CreateSession",
            "ExecuteCommand",
            "CallTool",
            "NoSuchMethod",
        ] {
            assert!(!is_repeatable(&format!(
                "/agb.gateway.v1.SessionService/{method}"
            )));
        }
    }
}
