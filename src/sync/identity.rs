//! What makes a task the same task, since AGB gives it no id.

use crate::domain::{Direction, SyncTask};

/// Where a context is mounted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The context.
    pub context_id: String,
    /// The mount path, without a trailing `/`.
    pub path: String,
}

impl Place {
    /// A place. What the path ends in of `/` is taken off, since AGB writes some paths with it; all of it, so that a place that
    /// was written down is the same when it is read.
    pub fn new(context_id: impl Into<String>, path: &str) -> Self {
        Self {
            context_id: context_id.into(),
            path: path.trim_end_matches('/').to_owned(),
        }
    }

    /// Where a task works.
    pub fn of(task: &SyncTask) -> Self {
        Self::new(task.context_id.as_str(), &task.path)
    }
}

/// What makes a task the same task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// Where.
    pub place: Place,
    /// Which way.
    pub direction: Direction,
    /// When AGB started it, in AGB's own count.
    pub start: i64,
}

impl Identity {
    /// The identity of a task that AGB shows; `None` when AGB has not started it yet. Such a task may later turn out to be any.
    pub fn of(task: &SyncTask) -> Option<Self> {
        (task.start > 0).then(|| Self {
            place: Place::of(task),
            direction: task.direction,
            start: task.start,
        })
    }
}
