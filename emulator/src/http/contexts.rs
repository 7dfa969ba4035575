//! The operations on contexts.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use tokio::time::sleep;

use super::call::{Call, token};
use super::envelope::{Answer, Refusal, Reply};
use super::on_disk;
use crate::app::App;
use crate::clock::timestamp;
use crate::context::{ContextSummary, Phase, RenameError};

/// The region of callers that name none.
const DEFAULT_REGION: &str = "cn-hangzhou";
/// The longest name, in characters.
const MAX_NAME: usize = 255;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireContext {
    id: String,
    name: String,
    create_time: String,
    last_used_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

impl From<ContextSummary> for WireContext {
    fn from(context: ContextSummary) -> Self {
        Self {
            id: context.id,
            name: context.name,
            create_time: timestamp(context.created_ms),
            last_used_time: timestamp(context.last_used_ms),
            state: Some(context.phase.as_str()),
        }
    }
}

pub(super) async fn get(State(app): State<Arc<App>>, call: Call) -> Answer {
    let region = call.query("loginRegionId").unwrap_or(DEFAULT_REGION);
    let context = match (
        call.query("id"),
        call.query("name"),
        call.flag("allowCreate")?,
    ) {
        (Some(_), _, true) => {
            return Err(Refusal::invalid(
                "id cannot be given when allowCreate is true",
            ));
        }
        (Some(id), _, false) => call.context(&app, id)?,
        (None, Some(name), false) => app
            .contexts
            .by_name(call.owner, region, name)
            .ok_or_else(|| Refusal::context_not_found(name))?,
        (None, Some(name), true) => {
            let (name, region) = (check_name(name)?.to_owned(), region.to_owned());
            let (app, owner) = (Arc::clone(&app), call.owner);
            let made = on_disk(move || app.contexts.get_or_create(owner, &region, &name)).await?;
            made.map_err(|error| Refusal::internal(error.to_string()))?
        }
        (None, None, _) => return Err(Refusal::missing("id or name")),
    };
    Ok(Reply::data(&WireContext::from(context.summary())))
}

pub(super) async fn list(State(app): State<Arc<App>>, call: Call) -> Answer {
    let page = call.page()?;
    let (contexts, next, total) = app.contexts.page(call.owner, page.from, page.most);
    let contexts: Vec<_> = contexts
        .iter()
        .map(|context| WireContext {
            state: None,
            ..WireContext::from(context.summary())
        })
        .collect();
    Ok(Reply::data(&contexts)
        .beside("nextToken", next.map(token))
        .beside("maxResults", page.most)
        .beside("totalCount", total))
}

pub(super) async fn rename(State(app): State<Arc<App>>, call: Call) -> Answer {
    let (id, name) = (call.required("id")?, check_name(call.required("name")?)?);
    let (wanted, new_name, owner) = (id.to_owned(), name.to_owned(), call.owner);
    let renamed = on_disk(move || app.contexts.rename(owner, &wanted, &new_name)).await?;
    match renamed {
        Ok(()) => Ok(Reply::empty()),
        Err(RenameError::NotFound) => Err(Refusal::context_not_found(id)),
        Err(RenameError::Io(error)) => Err(Refusal::internal(error.to_string())),
        Err(RenameError::NameTaken) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "InvalidContext.NameAlreadyExists",
            format!("another context is named {name}"),
        )),
    }
}

pub(super) async fn delete(State(app): State<Arc<App>>, call: Call) -> Answer {
    let id = call.required("id")?;
    let (wanted, owner) = (id.to_owned(), call.owner);
    let deleted = on_disk(move || app.contexts.delete(owner, &wanted)).await?;
    match deleted {
        Ok(true) => Ok(Reply::empty()),
        Ok(false) => Err(Refusal::context_not_found(id)),
        Err(error) => Err(Refusal::internal(error.to_string())),
    }
}

pub(super) async fn clear(State(app): State<Arc<App>>, call: Call) -> Answer {
    let context = call.context(&app, call.required("id")?)?;
    let clearing = Arc::clone(&context);
    let begun = on_disk(move || clearing.begin_clearing()).await?;
    if !begun.map_err(|error| Refusal::internal(error.to_string()))? {
        // It is being cleared already, which is what was asked for.
        return Ok(Reply::empty());
    }
    let pause = app.config.clear_duration;
    app.tasks.spawn(async move {
        sleep(pause).await;
        let cleared = Arc::clone(&context);
        match tokio::task::spawn_blocking(move || cleared.finish_clearing()).await {
            Ok(Ok(())) => {
                sleep(pause).await;
                context.set_phase(Phase::Available);
            }
            failed => tracing::error!(context = context.id, ?failed, "a context was not cleared"),
        }
    });
    Ok(Reply::empty())
}

fn check_name(name: &str) -> Result<&str, Refusal> {
    if name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(Refusal::invalid(format!(
            "a name has at most {MAX_NAME} characters, none of them control characters"
        )));
    }
    Ok(name)
}
