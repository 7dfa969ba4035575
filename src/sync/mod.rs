//! When a sync is complete: the rule, the looking, and the token with which another replica carries on.
//!
//! AGB only accepts a sync; whether it has happened must be found out by looking at its tasks. A look right after the start
//! can show nothing but older, finished tasks, and a look can fail. Neither is completion: only tasks that were not there
//! before the start, and that AGB calls finished, complete a sync.
//!
//! The rule is [`judge`], a pure function. One poller per session looks for all who wait for it.

mod asked;
mod board;
mod error;
mod history;
mod identity;
mod poller;
mod report;
mod rule;
mod sightings;
mod starts;
mod syncs;
#[cfg(test)]
mod tests;
mod token;
mod upstream;
mod waits;
mod watch;

pub use asked::{Scope, Sync, Target, Ticket};
pub use error::{Error, Outcome};
pub use identity::{Identity, Place};
pub use report::Report;
pub use rule::{Judgement, Patience, Verdict, judge};
pub use sightings::{Sighting, Sightings};
pub use syncs::{Settings, Syncs};
pub use token::{InvalidToken, TokenKeys};
pub use upstream::{Start, Upstream};
pub use waits::{Wait, WaitedTarget};
pub use watch::{Event, EventKind};
