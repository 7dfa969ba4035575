//! Read-only views of everything that is there, whoever owns it. An owner is shown by a number, never by its key.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Serialize;
use serde_json::{Value, json};

use super::error::AdminError;
use super::faults::wire_faults;
use super::requests::{check_names, number};
use crate::app::App;
use crate::clock;
use crate::context::Context;
use crate::session::Session;
use crate::sync::{TaskStatus, TaskView};

/// How many contexts, sessions or tasks are shown unless more are asked for; the latest ones.
const DEFAULT_LIMIT: usize = 100;
/// How many files of each context are shown unless more are asked for; the first by path.
const DEFAULT_FILES: usize = 100;
/// How many requests the page shows.
const PAGE_REQUESTS: usize = 50;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireContext {
    id: String,
    name: String,
    owner: usize,
    region: String,
    state: &'static str,
    created_at: String,
    last_used_at: String,
    file_count: usize,
    bytes: u64,
    files: Vec<WireFile>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireFile {
    path: String,
    size: u64,
    modified_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireSession {
    id: String,
    owner: usize,
    status: &'static str,
    labels: BTreeMap<String, String>,
    mounts: Vec<WireMount>,
    /// When it is released unless somebody calls it.
    ends_in_ms: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireMount {
    context_id: String,
    path: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireTask {
    session_id: String,
    context_id: String,
    path: String,
    task_type: &'static str,
    status: &'static str,
    error_message: String,
    started_at_ms: i64,
    finished_at_ms: Option<i64>,
    /// Whether a look shows it by now.
    visible: bool,
}

type Parameters = Query<BTreeMap<String, String>>;

pub(super) async fn contexts(
    State(app): State<Arc<App>>,
    Query(query): Parameters,
) -> Result<Json<Value>, AdminError> {
    check_names(&query, &["limit", "files"])?;
    let limit = number(&query, "limit", DEFAULT_LIMIT)?;
    let files = number(&query, "files", DEFAULT_FILES)?;
    Ok(Json(wire_contexts(app, limit, files).await?))
}

pub(super) async fn context(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Parameters,
) -> Result<Json<Value>, AdminError> {
    check_names(&query, &["files"])?;
    let files = number(&query, "files", DEFAULT_FILES)?;
    let found = app
        .contexts
        .all()
        .into_iter()
        .find(|context| context.id == id);
    let context =
        found.ok_or_else(|| AdminError::not_found(format!("there is no context {id}")))?;
    Ok(Json(
        blocking(move || json!(wire_context(&context, files))).await?,
    ))
}

pub(super) async fn sessions(
    State(app): State<Arc<App>>,
    Query(query): Parameters,
) -> Result<Json<Value>, AdminError> {
    check_names(&query, &["limit"])?;
    Ok(Json(wire_sessions(
        &app,
        number(&query, "limit", DEFAULT_LIMIT)?,
    )))
}

pub(super) async fn tasks(
    State(app): State<Arc<App>>,
    Query(query): Parameters,
) -> Result<Json<Value>, AdminError> {
    check_names(&query, &["limit", "sessionId"])?;
    let limit = number(&query, "limit", DEFAULT_LIMIT)?;
    let session = query.get("sessionId").map(String::as_str);
    Ok(Json(wire_tasks(&app, session, limit)))
}

/// Everything at once, for the page.
pub(super) async fn state(State(app): State<Arc<App>>) -> Result<Json<Value>, AdminError> {
    let mut state = wire_contexts(Arc::clone(&app), DEFAULT_LIMIT, DEFAULT_FILES).await?;
    for part in [
        wire_sessions(&app, DEFAULT_LIMIT),
        wire_tasks(&app, None, DEFAULT_LIMIT),
        json!({
            "url": app.url,
            "version": env!("CARGO_PKG_VERSION"),
            "timeMs": clock::now_ms(),
            "faults": wire_faults(&app),
            "requests": app.requests.latest(PAGE_REQUESTS, |_| true),
            "counts": app.requests.counts(),
        }),
    ] {
        if let (Some(state), Value::Object(part)) = (state.as_object_mut(), part) {
            state.extend(part);
        }
    }
    Ok(Json(state))
}

async fn wire_contexts(app: Arc<App>, limit: usize, files: usize) -> Result<Value, AdminError> {
    blocking(move || {
        let all = app.contexts.all();
        let latest = all.iter().rev().take(limit);
        let shown: Vec<_> = latest.map(|context| wire_context(context, files)).collect();
        json!({ "contexts": shown, "contextCount": all.len() })
    })
    .await
}

/// Blocking: there may be very many files.
fn wire_context(context: &Context, files: usize) -> WireContext {
    let summary = context.summary();
    let overview = context.files.overview(files);
    let files = overview.first.into_iter().map(|(path, file)| WireFile {
        path: path.to_string(),
        size: file.blob.size(),
        modified_at: clock::timestamp(file.modified_ms),
    });
    WireContext {
        id: summary.id,
        name: summary.name,
        owner: context.owner().number(),
        region: context.region().to_owned(),
        state: summary.phase.as_str(),
        created_at: clock::timestamp(summary.created_ms),
        last_used_at: clock::timestamp(summary.last_used_ms),
        file_count: overview.count,
        bytes: overview.bytes,
        files: files.collect(),
    }
}

fn wire_sessions(app: &App, limit: usize) -> Value {
    let all = app.sessions.all();
    let latest = all.iter().rev().take(limit);
    let shown: Vec<_> = latest.map(|session| wire_session(session)).collect();
    json!({ "sessions": shown, "sessionCount": all.len() })
}

fn wire_session(session: &Session) -> WireSession {
    let labels = session
        .labels
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let mounts = session.mounts.iter().map(|mount| WireMount {
        context_id: mount.context.id.clone(),
        path: mount.path.to_string(),
    });
    WireSession {
        id: session.id.clone(),
        owner: session.owner.number(),
        status: session.status().as_str(),
        labels,
        mounts: mounts.collect(),
        ends_in_ms: u64::try_from(session.ends_in().as_millis()).unwrap_or(u64::MAX),
    }
}

fn wire_tasks(app: &App, session_id: Option<&str>, limit: usize) -> Value {
    let mut tasks = Vec::new();
    for session in app.sessions.all() {
        if session_id.is_none_or(|wanted| wanted == session.id) {
            let all = session.tasks.all().into_iter();
            tasks.extend(all.map(|(task, visible)| wire_task(&session.id, task, visible)));
        }
    }
    let count = tasks.len();
    tasks.sort_by_key(|task| std::cmp::Reverse(task.started_at_ms));
    tasks.truncate(limit);
    json!({ "tasks": tasks, "taskCount": count })
}

fn wire_task(session_id: &str, task: TaskView, visible: bool) -> WireTask {
    let status = task.status.as_str();
    let error_message = match task.status {
        TaskStatus::Failed(message) => message,
        TaskStatus::Preparing | TaskStatus::Running | TaskStatus::Success => String::new(),
    };
    WireTask {
        session_id: session_id.to_owned(),
        context_id: task.context_id,
        path: task.path,
        task_type: task.direction.as_str(),
        status,
        error_message,
        started_at_ms: task.start_ms,
        finished_at_ms: task.finish_ms,
        visible,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AdminError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| AdminError::internal(error.to_string()))
}
