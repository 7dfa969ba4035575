//! The generated stubs of package `agb.gateway.v1`.

#![allow(clippy::pedantic)] // Generated.

tonic::include_proto!("agb.gateway.v1");
