//! End to end: real gRPC to a gateway, real HTTP to an emulated AGB, one file per capability.

#![allow(clippy::unwrap_used)] // A test that unwraps in vain has failed, which is right.

mod abuse;
mod admin;
mod attacks;
mod authentication;
mod authorization;
mod bad_input;
mod callers;
#[path = "../canary/mod.rs"]
mod canary;
mod certificates;
mod collector;
mod commands;
mod connections;
mod contexts;
mod cross_environment;
mod deletions;
mod drains;
mod faults;
mod idempotency;
mod issuers;
mod leaks;
mod limits;
mod metrics;
mod overload;
mod policies;
mod protocol;
mod reflection;
mod refusals;
mod retries;
mod rotation;
mod scripted_storage;
mod secrets;
mod session_files;
mod sessions;
mod support;
mod syncs;
mod tenants;
mod tls;
mod tools;
mod tracing;
mod transfers;
mod web;
