//! agb-gateway: a gRPC gateway between internal services and the AGB cloud sandbox API.
//!
//! `ARCHITECTURE.md` is the map: which module does what, who may import whom, and where to change what.

pub mod admin;
pub mod agb;
pub mod app;
pub mod auth;
pub mod config;
pub mod creation;
pub mod domain;
pub mod layer;
pub mod listen;
pub mod proto;
pub mod resilience;
pub mod secret;
pub mod service;
pub mod status;
pub mod sync;
pub mod telemetry;
