//! What the gateway tells about itself while it runs.

mod logs;

pub use logs::start_logs;
