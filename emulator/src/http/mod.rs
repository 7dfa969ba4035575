//! AGB's API over HTTP: reads calls, has them carried out, and answers in AGB's envelope.
//!
//! The structs in here are AGB's wire format, as this crate reads it out of the official SDK.

mod call;
mod connection;
mod context_files;
mod contexts;
mod envelope;
mod gate;
mod labels;
mod log_entry;
mod routes;
mod scripted;
mod server;
mod sessions;
mod sync;
mod tools;

pub(crate) use routes::router;
pub(crate) use server::serve;
