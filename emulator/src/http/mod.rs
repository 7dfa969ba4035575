//! AGB's API over HTTP: reads calls, has them carried out, and answers in AGB's envelope.
//!
//! The structs in here are AGB's wire format, as this crate reads it out of the official SDK.

mod base_url;
mod body;
mod browser;
mod call;
mod connection;
mod context_files;
mod context_urls;
mod contexts;
mod course;
mod direct;
mod envelope;
mod gate;
mod grant;
mod internal_contexts;
mod labels;
mod links;
mod log_entry;
mod open_gate;
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

/// Does work that waits for the disk off the threads that serve requests. It runs to its end, even when the caller goes away.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, envelope::Refusal> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| envelope::Refusal::internal(error.to_string()))
}
