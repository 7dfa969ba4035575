//! Small types that decide and do no I/O of their own: how long something may take, how soon to look again, and how often.

mod breaker;
mod budget;
mod deadline;
mod drain;
mod forecast;
mod pace;
mod rate;
mod retry;

pub use breaker::{Breaker, BreakerState, Permit};
pub use budget::Budget;
pub use deadline::{Deadline, DeadlineExceeded};
pub use drain::Drain;
pub use forecast::{Experience, Forecast};
pub use pace::Pace;
pub use rate::Rate;
pub use retry::{RetryPolicy, Throttle};
