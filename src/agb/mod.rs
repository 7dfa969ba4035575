//! The client of the AGB HTTP API: which calls there are, how they look on the wire, and what their answers mean.
//!
//! It makes exactly one HTTP request for each call. Whether a call may be repeated is declared in [`operation`]; nothing
//! here repeats one. The source of every fact is AGB's official SDK, `agbcloud-sdk` 0.12.0.

mod client;
mod endpoint;
mod error;
pub mod operation;
mod storage;
mod tools;
pub mod wire;

pub use client::{Answer, Client, ClientConfig, without_values};
pub use endpoint::Endpoint;
pub use error::{Error, Refusal};
pub use storage::Download;
pub use tools::{ToolCall, Tools};
