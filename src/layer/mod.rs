//! What every call goes through before it reaches a service.

mod admission;
mod auth;
mod broken_off;
mod compression;
mod cut_off;
mod deadline;
mod explain;
mod observe;
mod web;

pub use admission::AdmissionLayer;
pub use auth::AuthLayer;
pub use broken_off::BrokenOffLayer;
pub use compression::CompressionInterceptor;
pub use cut_off::CutOffLayer;
pub use deadline::{DeadlineInterceptor, DeadlineLimits};
pub use explain::ExplainLayer;
pub use observe::{AGB_REQUEST_ID, ObserveLayer, TRACE_ID};
pub use web::web_layers;
