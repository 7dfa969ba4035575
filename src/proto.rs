//! The generated protobuf code of package `agb.gateway.v1`, and its descriptors.
//!
//! What each message means is documented in `proto/agb/gateway/v1`, whose comments the generated code carries.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::method_options::IdempotencyLevel;

/// Package `agb.gateway.v1`.
pub mod v1 {
    #![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, unreachable_pub)]
    tonic::include_proto!("agb.gateway.v1");
}

/// The encoded `FileDescriptorSet` of the package and of all that it imports, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/agb_gateway_descriptor.bin"));

/// The paths of the methods that may be called again when it is not known whether they were done: those whose
/// `idempotency_level` says so.
static REPEATABLE: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default();
    let mut paths = BTreeSet::new();
    for file in &set.file {
        for service in &file.service {
            let repeatable = service.method.iter().filter(|method| {
                let level = method
                    .options
                    .as_ref()
                    .map(prost_types::MethodOptions::idempotency_level);
                level.is_some_and(|level| level != IdempotencyLevel::IdempotencyUnknown)
            });
            let path = |name: &str| format!("/{}.{}/{name}", file.package(), service.name());
            paths.extend(repeatable.map(|method| path(method.name())));
        }
    }
    paths
});

/// Whether the method of this path may be called again when it is not known whether it was done.
pub fn is_repeatable(path: &str) -> bool {
    REPEATABLE.contains(path)
}

#[cfg(test)]
mod tests {
    use super::*;

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
