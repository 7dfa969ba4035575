//! Small types that decide and do no I/O of their own: how long something may take, and how soon to look again.

mod deadline;
mod pace;

pub use deadline::{Deadline, DeadlineExceeded};
pub use pace::Pace;
