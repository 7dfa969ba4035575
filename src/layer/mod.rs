//! What every call goes through before it reaches a service.

mod deadline;

pub use deadline::{DeadlineInterceptor, DeadlineLimits};
