//! What a question about syncs is about: one sync, or whatever AGB shows of a session.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::identity::{Identity, Place};
use crate::domain::{Direction, SyncTask};

/// How much a sync covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Exactly the expected places.
    Expected,
    /// Every context of the session: the expected places are those that are known, and there may be more.
    All,
}

/// A sync that was asked for: what it is expected to start, and what was there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// The session.
    pub session_id: String,
    /// Which way the files go.
    pub direction: Direction,
    /// How much it covers.
    pub scope: Scope,
    /// Where tasks are expected.
    pub expected: BTreeSet<Place>,
    /// The tasks that were there before it was asked for.
    pub baseline: BTreeSet<Identity>,
}

impl Sync {
    /// The download that the creation of a session starts: there was nothing before.
    pub fn of_creation(session_id: String, expected: BTreeSet<Place>) -> Self {
        Self {
            session_id,
            direction: Direction::Download,
            scope: Scope::Expected,
            expected,
            baseline: BTreeSet::new(),
        }
    }

    /// Whether a task lies within what the sync covers, whenever it was started.
    pub fn covers(&self, task: &SyncTask) -> bool {
        task.direction == self.direction
            && (self.scope == Scope::All || self.expected.contains(&Place::of(task)))
    }

    /// Whether tasks of the one could be taken for tasks of the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        let all = self.scope == Scope::All || other.scope == Scope::All;
        self.session_id == other.session_id
            && self.direction == other.direction
            && (all || !self.expected.is_disjoint(&other.expected))
    }
}

/// A sync that was started, and the token that stands for it.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// The sync.
    pub sync: Sync,
    /// Carries on with it, on any replica.
    pub token: String,
    /// When it was started, by the clock of the replica that did it. Only the pace of looks and the token's lifetime depend on it.
    pub issued: Timestamp,
    /// When this very process started it; `None` when another one did, or when that was before a restart.
    pub started: Option<Instant>,
}

impl Ticket {
    /// How long ago the sync was started, as far as can be told.
    pub fn age(&self) -> Duration {
        let elapsed = Timestamp::now().duration_since(self.issued);
        match self.started {
            Some(started) => started.elapsed(),
            None => Duration::try_from(elapsed).unwrap_or_default(),
        }
    }
}

/// What a question is about.
#[derive(Clone, Debug)]
pub enum Target {
    /// One sync.
    Sync(Arc<Ticket>),
    /// Whatever AGB shows of a session.
    Session(String),
}

impl Target {
    /// The session.
    pub fn session_id(&self) -> &str {
        match self {
            Self::Sync(ticket) => &ticket.sync.session_id,
            Self::Session(session_id) => session_id,
        }
    }

    /// The sync that was started; `None` for a session.
    pub fn ticket(&self) -> Option<&Ticket> {
        match self {
            Self::Sync(ticket) => Some(ticket),
            Self::Session(_) => None,
        }
    }

    /// The sync; `None` for a session.
    pub fn sync(&self) -> Option<&Sync> {
        self.ticket().map(|ticket| &ticket.sync)
    }

    /// Whether both are about the same.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sync(ticket), Self::Sync(other)) => ticket.token == other.token,
            (Self::Session(session_id), Self::Session(other)) => session_id == other,
            _ => false,
        }
    }

    /// Whether a task lies within what is asked about.
    pub fn covers(&self, task: &SyncTask) -> bool {
        self.sync().is_none_or(|sync| sync.covers(task))
    }

    /// Whether a task that lies within was there before.
    pub fn is_older(&self, identity: &Identity) -> bool {
        self.sync()
            .is_some_and(|sync| sync.baseline.contains(identity))
    }
}
