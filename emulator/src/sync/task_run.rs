//! Runs sync tasks: their pace, their states, and the faults that were asked for.

use std::sync::Arc;

use tokio::time::{Duration, sleep};

use super::mount::Mount;
use super::part::Part;
use super::task::Task;
use super::transfer;
use crate::app::App;
use crate::archive::Limits;
use crate::context::Phase;
use crate::fault::{FaultAction, SyncDirection};
use crate::session::Session;

const BYTES_PER_MIB: u64 = 1024 * 1024;

/// What the faults of one request want for the tasks that it starts.
#[derive(Debug, Clone, Default)]
pub(crate) struct TaskPlan {
    fail: Option<String>,
    stall: bool,
    hidden_for: Duration,
    hidden_looks: u32,
}

impl TaskPlan {
    /// Takes the strikes of the faults that concern tasks of this direction.
    pub(crate) fn strike(
        app: &App,
        operation: &str,
        request_id: &str,
        direction: SyncDirection,
    ) -> Self {
        let mut plan = Self::default();
        for action in app.faults.strike(operation, request_id, |taken, action| {
            concerns(action, direction) && !taken.iter().any(|other| same_part(other, action))
        }) {
            match action {
                FaultAction::FailSyncTask { message, .. } => plan.fail = Some(message),
                FaultAction::StallSyncTask { .. } => plan.stall = true,
                FaultAction::HideNewTasks { looks, duration_ms } => {
                    plan.hidden_looks = looks;
                    plan.hidden_for = Duration::from_millis(duration_ms);
                }
                _ => {}
            }
        }
        plan
    }

    /// Shows the tasks that much later, unless a fault hides them for longer.
    pub(crate) fn shown_after(mut self, delay: Duration) -> Self {
        self.hidden_for = self.hidden_for.max(delay);
        self
    }
}

fn concerns(action: &FaultAction, of: SyncDirection) -> bool {
    match action {
        FaultAction::FailSyncTask { direction, .. } | FaultAction::StallSyncTask { direction } => {
            direction.is_none_or(|direction| direction == of)
        }
        FaultAction::HideNewTasks { .. } => true,
        _ => false,
    }
}

/// Whether both decide how a task ends, or both when it shows: then the first one does.
fn same_part(one: &FaultAction, other: &FaultAction) -> bool {
    let hides = |action: &FaultAction| matches!(action, FaultAction::HideNewTasks { .. });
    hides(one) == hides(other)
}

/// Starts one task for each part and returns at once. The result is ready when all of them have ended.
pub(crate) fn start_tasks(
    app: &Arc<App>,
    session: &Arc<Session>,
    parts: Vec<Part>,
    direction: SyncDirection,
    plan: &TaskPlan,
) -> impl Future<Output = ()> + use<> {
    let mut running = Vec::new();
    for part in parts {
        let task = session.tasks.add(
            &part.mount.context.id,
            part.path().as_str(),
            direction,
            app.clock.unique_ms(),
            (plan.hidden_for, plan.hidden_looks),
        );
        let (app_of_task, session, plan) = (Arc::clone(app), Arc::clone(session), plan.clone());
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        running.push(end);
        app.tasks.spawn(async move {
            tokio::select! {
                () = run(&app_of_task, &session, part, direction, &task, plan) => {}
                () = session.finished() => {}
            }
            drop(ended);
        });
    }
    async move {
        for end in running {
            let _ = end.await;
        }
    }
}

async fn run(
    app: &Arc<App>,
    session: &Arc<Session>,
    part: Part,
    direction: SyncDirection,
    task: &Task,
    plan: TaskPlan,
) {
    sleep(app.config.sync_duration / 5).await;
    if plan.stall {
        task.begin();
        std::future::pending::<()>().await;
    }
    // One transfer of a mount after the other, in the order in which they were asked for.
    let known = Arc::clone(&part.mount.known).lock_owned().await;
    task.begin();
    // The wait comes first: nothing has moved as long as the task is not done.
    sleep(app.config.sync_duration * 4 / 5).await;
    if let Some(message) = plan.fail {
        task.finish(app.clock.now_ms(), Err(message));
        return;
    }
    if let Err(message) = check_context(&part.mount) {
        task.finish(app.clock.now_ms(), Err(message));
        return;
    }
    let (session, blobs) = (Arc::clone(session), app.blobs.clone());
    let limits = Limits {
        bytes: app.config.max_unpacked_bytes,
        files: app.config.max_unpacked_files,
    };
    let transfer = tokio::task::spawn_blocking(move || {
        let mut known = known;
        match direction {
            SyncDirection::Upload => {
                transfer::upload(&session.world, &part, &mut known, &blobs, limits)
            }
            SyncDirection::Download => {
                transfer::download(&session.world, &part, &mut known, limits)
            }
        }
    });
    let result = match transfer.await {
        Ok(result) => result.map_err(|error| format!("{} failed: {error}", direction.as_str())),
        Err(error) => Err(format!("{} failed: {error}", direction.as_str())),
    };
    if let Ok(bytes) = result {
        let mib = u32::try_from(bytes / BYTES_PER_MIB).unwrap_or(u32::MAX);
        sleep(app.config.sync_duration_per_mib.saturating_mul(mib)).await;
    }
    task.finish(app.clock.now_ms(), result.map(|_| ()));
}

fn check_context(mount: &Mount) -> Result<(), String> {
    if mount.context.is_deleted() {
        return Err("the context does not exist any more".to_owned());
    }
    if mount.context.summary().phase != Phase::Available {
        return Err("the context is being cleared".to_owned());
    }
    mount.context.touch();
    Ok(())
}
