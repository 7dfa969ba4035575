//! The operations on sessions.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Duration;

use super::base_url::BaseUrl;
use super::call::{Call, token};
use super::direct;
use super::envelope::{Answer, Refusal, Reply};
use super::labels;
use crate::app::App;
use crate::fault::SyncDirection;
use crate::session::{self, CreateRequest, Session, SessionStatus};
use crate::sync::{Mount, TaskPlan};
use crate::tool::Catalog;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateBody {
    labels: Option<String>,
    persistence_data_list: Option<Vec<WireMount>>,
    /// Seconds.
    timeout: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMount {
    #[serde(default)]
    context_id: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    policy: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionBody {
    #[serde(default)]
    session_id: String,
}

pub(super) async fn create(State(app): State<Arc<App>>, base: BaseUrl, call: Call) -> Answer {
    // Every image is the same machine here; it decides about the list of tools only.
    let image = call.required("imageId")?.to_owned();
    let body: CreateBody = call.body()?;
    let labels = body
        .labels
        .as_deref()
        .filter(|text| !text.is_empty())
        .map(labels::read)
        .transpose()?;
    let mounts = read_mounts(&app, &call, &body.persistence_data_list.unwrap_or_default())?;
    if body.timeout == Some(0) {
        return Err(Refusal::invalid("timeout must be at least 1 second"));
    }
    if app.sessions.alive() >= app.config.max_sessions {
        return Ok(failed_creation(
            "no resource is available: too many sessions",
        ));
    }
    let downloads = if mounts.iter().any(|mount| mount.policy.auto_download) {
        TaskPlan::strike(
            &app,
            &call.operation,
            &call.request_id,
            SyncDirection::Download,
        )
    } else {
        TaskPlan::default()
    };
    let request = CreateRequest {
        owner: call.owner,
        image,
        labels: labels.unwrap_or_default(),
        mounts,
        idle_timeout: body.timeout.map(Duration::from_secs),
        downloads,
    };
    match session::create(&app, request).await {
        Ok(session) => {
            let mut data = describe(&base, &session);
            data["success"] = json!(true);
            data["errMsg"] = json!("");
            data["taskId"] = json!("");
            data["networkInterfaceIp"] = json!("");
            Ok(Reply::data(&data))
        }
        Err(error) => Ok(failed_creation(&format!(
            "the session could not be made: {error}"
        ))),
    }
}

/// AGB answers what went wrong on its own side with a success whose `data` says that it is none.
fn failed_creation(message: &str) -> Reply {
    Reply::data(&json!({ "success": false, "errMsg": message }))
}

fn read_mounts(app: &App, call: &Call, list: &[WireMount]) -> Result<Vec<Arc<Mount>>, Refusal> {
    let mut mounts: Vec<Arc<Mount>> = Vec::new();
    for entry in list {
        if entry.context_id.is_empty() || entry.path.is_empty() {
            return Err(Refusal::missing(
                "contextId and path of every persistenceDataList entry",
            ));
        }
        let context = call.context(app, &entry.context_id)?;
        let mount = Mount::new(context, &entry.path, &entry.policy)
            .map_err(|error| Refusal::invalid(format!("persistenceDataList: {error}")))?;
        if mounts.iter().any(|other| other.path == mount.path) {
            return Err(Refusal::invalid(format!(
                "two contexts are mounted at {}",
                mount.path
            )));
        }
        mounts.push(Arc::new(mount));
    }
    Ok(mounts)
}

fn describe(base: &BaseUrl, session: &Session) -> Value {
    json!({
        "sessionId": session.id,
        "appInstanceId": session.app_instance_id,
        "resourceId": session.resource_id,
        "resourceUrl": resource_url(base, session),
        "status": session.status().as_str(),
        "linkUrl": format!("{}{}", base.0, direct::path(&session.id)),
        "wsUrl": format!("{}{}/ws", base.web_socket(), direct::path(&session.id)),
        "token": session.token,
        "toolList": Catalog::of_image(&session.image).names(),
    })
}

pub(super) fn resource_url(base: &BaseUrl, session: &Session) -> String {
    format!("{}/resource/{}", base.0, session.resource_id)
}

pub(super) async fn get(State(app): State<Arc<App>>, base: BaseUrl, call: Call) -> Answer {
    let session = named_session(&app, &call)?;
    // What has ended still has a status for a while, but there is nothing left to describe.
    if session.status() == SessionStatus::Finished {
        return Err(Refusal::session_not_found(&session.id));
    }
    Ok(Reply::data(&describe(&base, &session)))
}

pub(super) async fn get_status(State(app): State<Arc<App>>, call: Call) -> Answer {
    let session = named_session(&app, &call)?;
    Ok(Reply::data(&json!({ "status": session.status().as_str() })))
}

pub(super) async fn list(State(app): State<Arc<App>>, call: Call) -> Answer {
    let page = call.page()?;
    let filter = call
        .query("labels")
        .map(labels::read)
        .transpose()?
        .unwrap_or_default();
    let all = call.flag("isAll")?;
    let wanted = |session: &Session| {
        (all || session.status() == SessionStatus::Running) && carries(session, &filter)
    };
    let (sessions, next, count) = app.sessions.page(call.owner, wanted, page.from, page.most);
    let sessions: Vec<_> = sessions
        .iter()
        .map(|session| json!({ "sessionId": session.id, "sessionStatus": session.status().as_str() }))
        .collect();
    Ok(Reply::data(&sessions)
        .beside("nextToken", next.map(token))
        .beside("maxResults", page.most)
        .beside("count", count))
}

fn carries(session: &Session, filter: &BTreeMap<String, String>) -> bool {
    let labels = session
        .labels
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    filter
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

pub(super) async fn release(State(app): State<Arc<App>>, call: Call) -> Answer {
    let session = named_session(&app, &call)?;
    begin_release(&app, &call, &session);
    Ok(Reply::empty())
}

pub(super) async fn release_and_wait(State(app): State<Arc<App>>, call: Call) -> Answer {
    let session = named_session(&app, &call)?;
    begin_release(&app, &call, &session);
    session.finished().await;
    Ok(Reply::empty())
}

fn begin_release(app: &Arc<App>, call: &Call, session: &Arc<Session>) {
    if session.status() != SessionStatus::Running {
        return;
    }
    let uploads = if session.mounts.iter().any(|mount| mount.policy.auto_upload) {
        TaskPlan::strike(
            app,
            &call.operation,
            &call.request_id,
            SyncDirection::Upload,
        )
    } else {
        TaskPlan::default()
    };
    session::release(app, session, &uploads);
}

pub(super) async fn keep_alive(State(app): State<Arc<App>>, call: Call) -> Answer {
    // Finding a session resets its idle timer.
    call.running_session(&app, call.required("sessionId")?)?;
    Ok(Reply::empty())
}

/// The session that the body names, while it runs.
pub(super) fn named_running_session(app: &App, call: &Call) -> Result<Arc<Session>, Refusal> {
    let session = named_session(app, call)?;
    call.running_session(app, &session.id)
}

/// The session that the body names, in whatever state.
fn named_session(app: &App, call: &Call) -> Result<Arc<Session>, Refusal> {
    let body: SessionBody = call.body()?;
    if body.session_id.is_empty() {
        return Err(Refusal::missing("sessionId"));
    }
    call.session(app, &body.session_id)
}
