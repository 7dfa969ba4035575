//! The movement of files between sessions and contexts.

mod mount;
mod part;
mod policy;
mod task;
mod task_run;
mod transfer;

pub(crate) use mount::Mount;
pub(crate) use part::Part;
pub(crate) use task::{TaskBook, TaskFilter, TaskStatus, TaskView};
pub(crate) use task_run::{TaskPlan, start_tasks};
