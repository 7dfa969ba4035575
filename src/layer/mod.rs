//! What every call goes through before it reaches a service.

mod broken_off;
mod deadline;
mod explain;

pub use broken_off::BrokenOffLayer;
pub use deadline::{DeadlineInterceptor, DeadlineLimits};
pub use explain::ExplainLayer;
