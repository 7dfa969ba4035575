//! Why a sync could not be called complete. Each error carries what is known so far.

use std::sync::Arc;
use std::time::Duration;

use super::report::Report;
use crate::agb;

/// A sync, or the wait for one, that did not end in success.
#[derive(Debug, thiserror::Error)]
#[error("{outcome}")]
pub struct Error {
    /// What happened.
    pub outcome: Outcome,
    /// What is known of the sync. `None` when it was not started.
    pub report: Option<Box<Report>>,
}

/// What happened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Outcome {
    /// AGB said that at least one task failed.
    #[error("AGB says that the sync failed")]
    Failed,
    /// AGB accepted the sync and showed no task of it within the grace.
    #[error("AGB accepted the sync and showed no task of it within {0:?}")]
    NotObserved(Duration),
    /// The caller's deadline came first.
    #[error("the deadline came before the sync was complete")]
    Deadline,
    /// The gateway is being shut down. `resumed`: whether this only waited for what was started before.
    #[error("this replica of the gateway is being shut down")]
    Draining {
        /// Whether the same call can be made again elsewhere; else only the token carries on.
        resumed: bool,
    },
    /// AGB could not be asked, or said something that ends the wait. All who wait for the session share it.
    #[error(transparent)]
    Agb(Arc<agb::Error>),
}

impl Outcome {
    /// What happened in one word, one of few.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::NotObserved(_) => "not_observed",
            Self::Deadline => "deadline",
            Self::Draining { .. } => "draining",
            Self::Agb(error) => error.type_name(),
        }
    }
}
