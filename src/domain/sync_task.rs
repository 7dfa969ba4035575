//! Synchronisation tasks, as AGB shows them.

use jiff::Timestamp;

/// Which way files go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the session to the context.
    Upload,
    /// From the context to the session.
    Download,
}

impl Direction {
    /// AGB's word, as `mode` of SyncContext and as `taskType` of GetContextInfo.
    pub fn as_agb(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
        }
    }

    /// Reads AGB's word; `None` for tasks that do not synchronise.
    pub fn from_agb(word: &str) -> Option<Self> {
        match word {
            "upload" => Some(Self::Upload),
            "download" => Some(Self::Download),
            _ => None,
        }
    }
}

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// Not finished, or a word that is not known to end a task.
    Running,
    /// AGB said that it succeeded.
    Succeeded,
    /// AGB said that it failed.
    Failed,
}

impl TaskState {
    /// Reads AGB's word. Only `Success` and `Failed` end a task.
    pub fn from_agb(word: &str) -> Self {
        match word {
            "Success" => Self::Succeeded,
            "Failed" => Self::Failed,
            _ => Self::Running,
        }
    }

    /// Whether the task has ended, either way.
    pub fn is_finished(self) -> bool {
        self != Self::Running
    }
}

/// One task: one context, one mount path, one direction, one start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncTask {
    /// The context.
    pub context_id: String,
    /// Where the session mounts it, in AGB's words.
    pub path: String,
    /// Which way the files go.
    pub direction: Direction,
    /// AGB's own word for the state.
    pub agb_status: String,
    /// AGB's message where the task failed.
    pub error_message: String,
    /// When AGB started it, in AGB's own count (epoch milliseconds or seconds). Part of the task's identity.
    pub start: i64,
    /// When AGB finished it, in the same count; 0 while it runs.
    pub finish: i64,
}

impl SyncTask {
    /// The state.
    pub fn state(&self) -> TaskState {
        TaskState::from_agb(&self.agb_status)
    }

    /// When AGB started it.
    pub fn start_time(&self) -> Option<Timestamp> {
        epoch(self.start)
    }

    /// When AGB finished it; `None` while it runs.
    pub fn finish_time(&self) -> Option<Timestamp> {
        epoch(self.finish)
    }
}

/// The point in time that AGB counts: in seconds or in milliseconds since the epoch, where a count of seconds as large as
/// today's milliseconds lies thousands of years ahead. `None` for 0 and less, which is how AGB says that there is none.
pub fn epoch(count: i64) -> Option<Timestamp> {
    const FIRST_MILLISECONDS: i64 = 100_000_000_000;
    match count {
        ..=0 => None,
        1..FIRST_MILLISECONDS => Timestamp::from_second(count).ok(),
        _ => Timestamp::from_millisecond(count).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_agb_s_two_final_words_end_a_task() {
        assert_eq!(TaskState::from_agb("Success"), TaskState::Succeeded);
        assert_eq!(TaskState::from_agb("Failed"), TaskState::Failed);
        for word in ["", "Running", "success", "Preparing", "PartialSuccess"] {
            assert!(!TaskState::from_agb(word).is_finished(), "{word}");
        }
    }

    #[test]
    fn counts_of_seconds_and_milliseconds_are_told_apart() {
        assert_eq!(epoch(1_700_000_000), epoch(1_700_000_000_000));
        assert_eq!(epoch(0), None);
        assert_eq!(epoch(i64::MAX), None);
    }
}
