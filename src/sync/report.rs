//! What is known of a sync, for those who asked.

use super::asked::Target;
use super::rule::{Judgement, Verdict};
use crate::domain::SyncTask;

/// What is known of a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The state of the whole.
    pub state: Verdict,
    /// The tasks that belong to it.
    pub tasks: Vec<SyncTask>,
    /// Carries on with this sync; `None` for a session.
    pub token: Option<String>,
    /// How many looks were made while this was waited for.
    pub look_count: u32,
}

impl Report {
    /// What is known before any look.
    pub fn before_any_look(target: &Target) -> Self {
        Self {
            state: Verdict::Pending,
            tasks: Vec::new(),
            token: target.ticket().map(|ticket| ticket.token.clone()),
            look_count: 0,
        }
    }

    /// What the rule says after so many looks.
    pub fn of(target: &Target, judgement: Judgement, look_count: u32) -> Self {
        Self {
            state: judgement.verdict,
            tasks: judgement.tasks,
            look_count,
            ..Self::before_any_look(target)
        }
    }
}
