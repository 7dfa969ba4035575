//! Which operation is answered where.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware;
use axum::routing::{MethodRouter, any, get, post};

use super::envelope::{Answer, Refusal};
use super::{context_files, contexts, gate, labels, sessions, sync, tools};
use crate::app::App;

/// Operations that AGB has and that are not there yet.
const NOT_YET: [&str; 9] = [
    "/sdk/GetContextFileUploadUrl",
    "/sdk/GetContextFileDownloadUrl",
    "/sdk/GetAndLoadInternalContext",
    "/internet/getLink",
    "/mcp/getLink",
    "/internet/getCdpLink",
    "/mcp/getMcpResource",
    "/mcp/listTools",
    "/browser/init",
];

/// AGB's API.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new()
        .route("/sdk/GetContext", get(contexts::get))
        .route("/sdk/ListContexts", get(contexts::list))
        .route("/sdk/ModifyContext", post(contexts::rename))
        .route("/sdk/DeleteContext", post(contexts::delete))
        .route("/sdk/ClearContext", post(contexts::clear))
        .route("/sdk/DescribeContextFiles", post(context_files::list))
        .route("/sdk/DeleteContextFile", post(context_files::delete))
        .route("/mcp/createSession", post(sessions::create))
        .route("/mcp/getSession", post(sessions::get))
        .route("/mcp/getSessionInfo", post(sessions::get_status))
        .route("/sdk/ListSession", get(sessions::list))
        .route("/mcp/releaseSessionAsync", post(sessions::release))
        .route("/mcp/releaseSession", post(sessions::release_and_wait))
        .route("/mcp/refreshSessionIdleTime", post(sessions::keep_alive))
        .route("/sdk/SetLabel", post(labels::set))
        .route("/sdk/GetLabel", get(labels::get))
        .route("/sdk/SyncContext", post(sync::start))
        .route("/sdk/GetContextInfo", get(sync::look))
        .route("/mcp", post(tools::call));
    for path in NOT_YET {
        router = router.route(path, not_yet());
    }
    router
        .fallback(no_operation)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(app), gate::pass))
        // No operation, and so not behind the gate.
        .route("/", get(welcome))
        .with_state(Arc::clone(app))
}

/// Tells people where the page is. It shows what every key owns, so it is not here.
async fn welcome(State(app): State<Arc<App>>) -> String {
    let page = match &app.admin_url {
        Some(url) => format!("What is in it is shown at {url}/"),
        None => "It shows what is in it when it has an admin address: --admin-listen".to_owned(),
    };
    format!("This is agb-emulator, a stand-in for the AGB cloud sandbox API.\n{page}\n")
}

fn not_yet() -> MethodRouter<Arc<App>> {
    any(async |uri: Uri| -> Answer { Err(Refusal::unsupported(uri.path())) })
}

async fn no_operation(uri: Uri) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "InvalidAction.NotFound",
        format!("no such operation: {}", uri.path()),
    )
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    let message = format!("{} does not take {method}", uri.path());
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "UnsupportedHTTPMethod",
        message,
    )
}
