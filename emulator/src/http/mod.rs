//! AGB's API over HTTP: reads calls, has them carried out, and answers in AGB's envelope.
//!
//! The structs in here are AGB's wire format, as this crate reads it out of the official SDK.

mod base_url;
mod browser;
mod call;
mod connection;
mod context_files;
mod context_urls;
mod contexts;
mod direct;
mod envelope;
mod gate;
mod internal_contexts;
mod labels;
mod links;
mod log_entry;
mod routes;
mod scripted;
mod server;
mod sessions;
mod storage;
mod stream;
mod sync;
mod tools;

pub(crate) use routes::router;
pub(crate) use server::serve;
