//! Starting syncs and looking at their tasks.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use serde_json::json;

use super::call::Call;
use super::envelope::{Answer, Refusal, Reply};
use crate::app::App;
use crate::fault::SyncDirection;
use crate::path::AbsolutePath;
use crate::session::Session;
use crate::sync::{Part, TaskFilter, TaskPlan, TaskStatus, TaskView, start_tasks};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireTask {
    context_id: String,
    path: String,
    error_message: String,
    status: &'static str,
    /// Milliseconds since the epoch.
    start_time: i64,
    /// Milliseconds since the epoch; 0 until the task has ended.
    finish_time: i64,
    task_type: &'static str,
}

impl From<TaskView> for WireTask {
    fn from(task: TaskView) -> Self {
        let status = task.status.as_str();
        let error_message = match task.status {
            TaskStatus::Failed(message) => message,
            TaskStatus::Preparing | TaskStatus::Running | TaskStatus::Success => String::new(),
        };
        Self {
            context_id: task.context_id,
            path: task.path,
            error_message,
            status,
            start_time: task.start_ms,
            finish_time: task.finish_ms.unwrap_or(0),
            task_type: task.direction.as_str(),
        }
    }
}

pub(super) async fn start(State(app): State<Arc<App>>, call: Call) -> Answer {
    let session = call.running_session(&app, call.required("sessionId")?)?;
    let direction = match call.query("mode") {
        None | Some("upload") => SyncDirection::Upload,
        Some("download") => SyncDirection::Download,
        Some(other) => {
            return Err(Refusal::invalid(format!(
                "mode must be upload or download, not {other}"
            )));
        }
    };
    let parts = wanted_parts(&session, call.query("contextId"), call.query("path"))?;
    if !parts.is_empty() {
        let plan = TaskPlan::strike(&app, &call.operation, &call.request_id, direction)
            .shown_after(app.config.task_visibility_delay);
        drop(start_tasks(&app, &session, parts, direction, &plan));
    }
    Ok(Reply::empty())
}

fn wanted_parts(
    session: &Session,
    context_id: Option<&str>,
    path: Option<&str>,
) -> Result<Vec<Part>, Refusal> {
    let mounts = session.all_mounts().into_iter();
    let (context_id, path) = match (context_id, path) {
        (None, None) => return Ok(mounts.map(Part::whole).collect()),
        (Some(context_id), Some(path)) => (context_id, path),
        _ => {
            return Err(Refusal::invalid(
                "contextId and path must be given together, or neither of them",
            ));
        }
    };
    let path =
        AbsolutePath::parse(path).map_err(|error| Refusal::invalid(format!("path: {error}")))?;
    // Of two mounts of one context, the inner one.
    let part = mounts
        .filter(|mount| mount.context.id == context_id)
        .filter_map(|mount| Part::at(mount, &path))
        .max_by_key(|part| part.mount.path.as_str().len());
    let part = part.ok_or_else(|| {
        Refusal::context_not_found(&format!("{context_id} is not mounted at {path}"))
    })?;
    Ok(vec![part])
}

pub(super) async fn look(State(app): State<Arc<App>>, call: Call) -> Answer {
    // Also while the session is ending, so that the uploads before the release can be watched.
    let session = call.session(&app, call.required("sessionId")?)?;
    let owned = |name| call.query(name).map(str::to_owned);
    let filter = TaskFilter {
        context_id: owned("contextId"),
        path: owned("path")
            .map(|path| AbsolutePath::parse(&path).map_or(path, |path| path.to_string())),
        task_type: owned("taskType"),
    };
    let tasks: Vec<_> = session
        .tasks
        .look(&filter, app.config.task_history)
        .into_iter()
        .map(WireTask::from)
        .collect();
    let status = json!([{ "type": "data", "data": json!(tasks).to_string() }]).to_string();
    Ok(Reply::data(&json!({ "contextStatus": status })))
}
