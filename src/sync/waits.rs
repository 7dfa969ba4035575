//! Who waits for what at this moment, to be shown to operators.

use tokio::time::Instant;

use super::asked::Target;
use super::rule::Verdict;

/// A session that is looked at for those who wait.
#[derive(Debug)]
pub struct Wait {
    /// The session.
    pub session_id: String,
    /// When the first of those who wait began to.
    pub since: Instant,
    /// How many looks were made since someone has been waiting for the session.
    pub look_count: u32,
    /// How many of the last looks have failed, one after the other.
    pub failed_look_count: u32,
    /// When the next look is due; in the past while one is under way or waits for its turn. `None`: there will be none.
    pub next_look: Option<Instant>,
    /// What they wait for, the longest wait first. There is always one.
    pub targets: Vec<WaitedTarget>,
}

impl Wait {
    /// How many wait.
    pub fn waiter_count(&self) -> usize {
        self.targets.iter().map(|target| target.waiter_count).sum()
    }
}

/// What someone waits for.
#[derive(Debug)]
pub struct WaitedTarget {
    /// What it is.
    pub target: Target,
    /// How many wait for it.
    pub waiter_count: usize,
    /// When the first of them began to.
    pub since: Instant,
    /// What is known of it; `None` once it has ended.
    pub state: Option<Verdict>,
    /// How many tasks of it were seen.
    pub task_count: usize,
    /// How many of them have finished.
    pub finished_task_count: usize,
}
