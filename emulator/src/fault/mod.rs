//! Scripted faults: what shall go wrong, when, how often it did, and on which requests.
//!
//! This part only keeps the script and the account; whoever does the work asks it what to do.

mod action;
mod schedule;
mod script;

pub use action::{AnswerPart, FaultAction, SyncDirection};
pub use schedule::Schedule;
pub use script::{Fault, FaultId, FaultState, Faults, InvalidFault};

pub(crate) use action::Place;
