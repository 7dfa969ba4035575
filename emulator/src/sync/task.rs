//! The records of a session's sync tasks, and which of them a look shows.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

use crate::fault::SyncDirection;

/// How many records a session keeps; the oldest go first.
const MAX_RECORDS: usize = 1000;

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskStatus {
    Preparing,
    Running,
    Success,
    Failed(String),
}

impl TaskStatus {
    /// AGB's `status`.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Preparing => "Preparing",
            Self::Running => "Running",
            Self::Success => "Success",
            Self::Failed(_) => "Failed",
        }
    }
}

/// One transfer of one mount in one direction.
#[derive(Debug)]
pub(crate) struct Task {
    context_id: String,
    path: String,
    direction: SyncDirection,
    /// Never the same for two tasks: together with the fields above it is what makes a task the same task.
    start_ms: i64,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    status: TaskStatus,
    finish_ms: Option<i64>,
    visible_from: Instant,
    hidden_looks: u32,
}

/// What a look tells about a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskView {
    pub(crate) context_id: String,
    pub(crate) path: String,
    pub(crate) direction: SyncDirection,
    pub(crate) status: TaskStatus,
    pub(crate) start_ms: i64,
    pub(crate) finish_ms: Option<i64>,
}

/// Which tasks a look asks for; `None` asks for any.
#[derive(Debug, Clone, Default)]
pub(crate) struct TaskFilter {
    pub(crate) context_id: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) task_type: Option<String>,
}

/// The records of one session, oldest first.
#[derive(Debug, Default)]
pub(crate) struct TaskBook {
    records: Mutex<VecDeque<Arc<Task>>>,
}

impl TaskBook {
    /// Adds a task that shows only after that time and that many looks.
    pub(crate) fn add(
        &self,
        context_id: &str,
        path: &str,
        direction: SyncDirection,
        start_ms: i64,
        hidden: (Duration, u32),
    ) -> Arc<Task> {
        let task = Arc::new(Task {
            context_id: context_id.to_owned(),
            path: path.to_owned(),
            direction,
            start_ms,
            progress: Mutex::new(Progress {
                status: TaskStatus::Preparing,
                finish_ms: None,
                visible_from: Instant::now() + hidden.0,
                hidden_looks: hidden.1,
            }),
        });
        let mut records = self.lock();
        if records.len() == MAX_RECORDS {
            records.pop_front();
        }
        records.push_back(Arc::clone(&task));
        task
    }

    /// The latest `history` visible tasks of each (context, path, type) that the filter lets through, oldest first.
    pub(crate) fn look(&self, filter: &TaskFilter, history: usize) -> Vec<TaskView> {
        let now = Instant::now();
        let visible: Vec<_> = self
            .lock()
            .iter()
            .filter(|task| task.show(now))
            .map(Arc::clone)
            .collect();
        let mut shown_of = HashMap::<_, usize>::new();
        let mut shown = Vec::new();
        for task in visible.iter().rev().filter(|task| filter.wants(task)) {
            let count = shown_of
                .entry((&task.context_id, &task.path, task.direction))
                .or_default();
            if *count < history.max(1) {
                *count += 1;
                shown.push(task.view());
            }
        }
        shown.reverse();
        shown
    }

    /// Every task, oldest first, and whether a look would show it now. It counts as no look.
    pub(crate) fn all(&self) -> Vec<(TaskView, bool)> {
        let now = Instant::now();
        let records = self.lock();
        records
            .iter()
            .map(|task| (task.view(), task.is_visible(now)))
            .collect()
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Task>>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task {
    pub(crate) fn begin(&self) {
        self.lock().status = TaskStatus::Running;
    }

    pub(crate) fn finish(&self, now_ms: i64, result: Result<(), String>) {
        let mut progress = self.lock();
        progress.status = match result {
            Ok(()) => TaskStatus::Success,
            Err(message) => TaskStatus::Failed(message),
        };
        // No task ends before it began, even when its start time had to be moved on to be unique.
        progress.finish_ms = Some(now_ms.max(self.start_ms));
    }

    /// Whether a look at this time shows the task. Counts the look.
    fn show(&self, now: Instant) -> bool {
        let mut progress = self.lock();
        let hidden = progress.hidden_looks > 0;
        progress.hidden_looks = progress.hidden_looks.saturating_sub(1);
        !hidden && now >= progress.visible_from
    }

    fn is_visible(&self, now: Instant) -> bool {
        let progress = self.lock();
        progress.hidden_looks == 0 && now >= progress.visible_from
    }

    fn view(&self) -> TaskView {
        let progress = self.lock();
        TaskView {
            context_id: self.context_id.clone(),
            path: self.path.clone(),
            direction: self.direction,
            status: progress.status.clone(),
            start_ms: self.start_ms,
            finish_ms: progress.finish_ms,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskFilter {
    fn wants(&self, task: &Task) -> bool {
        let same = |wanted: &Option<String>, actual: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == actual)
        };
        same(&self.context_id, &task.context_id)
            && same(&self.path, &task.path)
            && same(&self.task_type, task.direction.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(book: &TaskBook, history: usize) -> Vec<i64> {
        book.look(&TaskFilter::default(), history)
            .into_iter()
            .map(|task| task.start_ms)
            .collect()
    }

    #[test]
    fn a_hidden_task_leaves_the_older_one_in_sight() {
        let book = TaskBook::default();
        let add = |start, looks| {
            book.add(
                "c",
                "/tmp/p",
                SyncDirection::Upload,
                start,
                (Duration::ZERO, looks),
            )
        };
        add(1, 0).finish(1, Ok(()));
        add(2, 2);
        assert_eq!(starts(&book, 1), [1]);
        assert_eq!(starts(&book, 1), [1]);
        assert_eq!(starts(&book, 1), [2]);
        assert_eq!(starts(&book, 2), [1, 2]);
    }

    #[test]
    fn a_filter_narrows_the_look() {
        let book = TaskBook::default();
        for (context, path, direction) in [
            ("a", "/tmp/a", SyncDirection::Upload),
            ("a", "/tmp/a", SyncDirection::Download),
            ("b", "/tmp/b", SyncDirection::Upload),
        ] {
            book.add(context, path, direction, 1, (Duration::ZERO, 0));
        }
        let filter = TaskFilter {
            context_id: Some("a".to_owned()),
            path: Some("/tmp/a".to_owned()),
            task_type: Some("upload".to_owned()),
        };
        assert_eq!(book.look(&filter, 1).len(), 1);
        assert_eq!(book.look(&TaskFilter::default(), 1).len(), 3);
    }
}
