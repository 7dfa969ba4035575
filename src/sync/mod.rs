//! When a sync is complete: the rule, the waiting, and the token with which another replica carries on.
//!
//! AGB only accepts a sync; whether it has happened must be found out by looking at its tasks. A look right after the start
//! can show nothing but older, finished tasks, and a look can fail. Neither is completion: only tasks that were not there
//! before the start, and that AGB calls finished, complete a sync.

mod error;
mod follow;
mod rule;
mod start;
mod token;
mod watch;

pub use error::{Error, Outcome};
pub use follow::{Follower, Look, Patience, Report, Step, follow};
pub use rule::{Identity, Place, Progress, Scope, Sync, Verdict};
pub use start::{Start, Syncs, Target};
pub use token::InvalidToken;
pub use watch::{Event, EventKind, watch};
