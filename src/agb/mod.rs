//! The client of the AGB HTTP API: which calls there are, how they look on the wire, and what their answers mean.
//!
//! A call of [`Client`] is one HTTP request, or more of them where the operation may be repeated: that is declared in
//! [`operation`]. [`Tools`] chooses between two routes, and may ask AGB for a session's link first. The source of every fact is AGB's official SDK, `agbcloud-sdk` 0.12.0.

mod attempt;
mod attempts;
mod client;
mod connections;
mod endpoint;
mod error;
mod gate;
pub mod operation;
mod request;
mod storage;
mod tools;
pub mod wire;

pub use attempts::{Health, RetrySettings};
pub use client::{Answer, Client, without_values};
pub use connections::{ClientConfig, Connections, Transport};
pub use endpoint::Endpoint;
pub use error::{Error, Refusal};
pub use gate::{GateSettings, GateUsage};
pub use storage::Download;
pub use tools::{ToolCall, Tools};
