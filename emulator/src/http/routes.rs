//! Which operation is answered where.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware;
use axum::routing::{any, get, post};

use super::envelope::Refusal;
use super::{
    browser, context_files, context_urls, contexts, direct, gate, internal_contexts, labels, links,
    open_gate, sessions, storage, stream, sync, tools,
};
use crate::app::App;

/// AGB's API.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let api = Router::new()
        .route("/sdk/GetContext", get(contexts::get))
        .route("/sdk/ListContexts", get(contexts::list))
        .route("/sdk/ModifyContext", post(contexts::rename))
        .route("/sdk/DeleteContext", post(contexts::delete))
        .route("/sdk/ClearContext", post(contexts::clear))
        .route("/sdk/DescribeContextFiles", post(context_files::list))
        .route("/sdk/DeleteContextFile", post(context_files::delete))
        .route("/sdk/GetContextFileUploadUrl", post(context_urls::upload))
        .route(
            "/sdk/GetContextFileDownloadUrl",
            post(context_urls::download),
        )
        .route(
            "/sdk/GetAndLoadInternalContext",
            post(internal_contexts::load),
        )
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
        .route("/mcp", post(tools::call))
        .route("/mcp/listTools", post(tools::list))
        .route("/mcp/getMcpResource", post(links::resource))
        .route("/internet/getLink", get(links::get))
        .route("/mcp/getLink", get(links::get))
        .route("/internet/getCdpLink", post(browser::cdp_link))
        .route("/browser/init", post(browser::init))
        .route("/direct/{session}/callTool", post(direct::call))
        .fallback(no_operation)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(app), gate::pass));
    // What is open to whoever has the URL: its signature or the session's token says so, not an API key.
    let open = Router::new()
        .route(
            "/storage/{context}/{*path}",
            get(storage::get).put(storage::put),
        )
        .route("/link/{session}/{port}/{signature}", any(links::follow))
        .route("/link/{session}/{port}/{signature}/", any(links::follow))
        .route(
            "/link/{session}/{port}/{signature}/{*rest}",
            any(links::follow),
        )
        .route("/direct/{session}/ws", get(stream::open))
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(
            Arc::clone(app),
            open_gate::pass,
        ));
    Router::new()
        .route("/", get(welcome))
        .merge(open)
        .merge(api)
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
