//! The operations that hand out presigned URLs for the files of a context.

use std::sync::Arc;

use axum::extract::State;
use serde_json::json;

use super::base_url::BaseUrl;
use super::call::Call;
use super::context_files::read_path;
use super::envelope::{Answer, Refusal, Reply};
use super::grant::{Grant, Verb};
use crate::app::App;
use crate::path::AbsolutePath;

pub(super) async fn upload(State(app): State<Arc<App>>, base: BaseUrl, call: Call) -> Answer {
    let context = call.context(&app, call.required("contextId")?)?;
    let path = file_path(&call)?;
    Ok(presigned(&app, &base, Verb::Put, &context.id, path))
}

pub(super) async fn download(State(app): State<Arc<App>>, base: BaseUrl, call: Call) -> Answer {
    let context = call.context(&app, call.required("contextId")?)?;
    // Whether there is such a file is told by the URL, as with every presigned storage.
    let path = file_path(&call)?;
    Ok(presigned(&app, &base, Verb::Get, &context.id, path))
}

fn file_path(call: &Call) -> Result<AbsolutePath, Refusal> {
    let path = read_path("filePath", call.required("filePath")?)?;
    if path.file_name().is_empty() {
        return Err(Refusal::invalid("filePath must name a file"));
    }
    Ok(path)
}

fn presigned(app: &App, base: &BaseUrl, verb: Verb, context_id: &str, path: AbsolutePath) -> Reply {
    let life = i64::try_from(app.config.presigned_url_life.as_millis()).unwrap_or(i64::MAX);
    let grant = Grant {
        verb,
        context_id: context_id.to_owned(),
        path,
        expires_ms: app.clock.now_ms().saturating_add(life),
    };
    Reply::data(&json!({
        "url": format!("{}{}", base.0, grant.to_uri(&app.signer)),
        // Seconds since the epoch, rounded up: the SDK reads a number.
        "expireTime": grant.expires_ms.saturating_add(999) / 1000,
    }))
}
