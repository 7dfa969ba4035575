//! What was told, by kind.

use std::fmt;

/// A kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Success,
    Failed,
    NotObserved,
    Gone,
    Rejected,
    Deadline,
    Cancelled,
    Status,
    Event,
    NotStarted,
}

const NAMES: [&str; 10] = [
    "success",
    "failed",
    "not observed",
    "session gone",
    "key rejected",
    "deadline",
    "cancelled",
    "status",
    "events of watches",
    "starts refused",
];

/// How many answers of each kind, and looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    counts: [u64; NAMES.len()],
    pub(crate) looks: u64,
    /// How many starts did not happen, to stay clear of the known limits.
    pub(crate) avoided: u64,
    /// In how many histories the control claims completion falsely.
    pub(crate) false_claims: u64,
    pub(crate) histories: u64,
}

impl Tally {
    pub(crate) fn count(&mut self, kind: Kind) {
        self.counts[kind as usize] += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (count, other) in self.counts.iter_mut().zip(other.counts) {
            *count += other;
        }
        self.looks += other.looks;
        self.avoided += other.avoided;
        self.false_claims += other.false_claims;
        self.histories += other.histories;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} histories, {} looks",
            self.histories, self.looks
        )?;
        for (name, count) in NAMES.iter().zip(self.counts) {
            write!(formatter, "\n  {name}: {count}")?;
        }
        write!(
            formatter,
            ", of which {} to stay clear of the known limits",
            self.avoided
        )
    }
}
