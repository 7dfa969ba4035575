//! The generated protobuf code of package `agb.gateway.v1`, and its descriptors.
//!
//! What each message means is documented in `proto/agb/gateway/v1`, whose comments the generated code carries.

/// Package `agb.gateway.v1`.
pub mod v1 {
    #![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, unreachable_pub)]
    tonic::include_proto!("agb.gateway.v1");
}

/// The encoded `FileDescriptorSet` of the package and of all that it imports, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/agb_gateway_descriptor.bin"));
