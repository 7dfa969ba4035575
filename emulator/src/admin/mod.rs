//! The admin API, on a port of its own: scripts faults, tells what happened, shows everything that is there
//! whoever owns it, and resets it. And the page that shows it to people.
//!
//! It asks for no key, so it is meant for this machine or a private network; `guard` keeps web pages from elsewhere
//! out. It never tells an API key.

mod body;
mod clock;
mod error;
mod faults;
mod guard;
mod page;
mod requests;
mod views;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::reset::reset;
use error::AdminError;

/// The admin API and its page.
pub(crate) fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::html))
        .route("/page.css", get(page::css))
        .route("/page.js", get(page::js))
        .route("/health", get(health))
        .route(
            "/faults",
            get(faults::list).post(faults::add).delete(faults::clear),
        )
        .route("/faults/{id}", get(faults::get).delete(faults::remove))
        .route("/requests", get(requests::list))
        .route("/requests/counts", get(requests::counts))
        .route("/contexts", get(views::contexts))
        .route("/contexts/{id}", get(views::context))
        .route("/sessions", get(views::sessions))
        .route("/tasks", get(views::tasks))
        .route("/state", get(views::state))
        .route("/clock", get(clock::get))
        .route("/clock/advance", post(clock::advance))
        .route("/reset", post(reset_all))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::clone(app))
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(guard::pass))
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

async fn reset_all(State(app): State<Arc<App>>) -> StatusCode {
    let resetting = Arc::clone(&app);
    let (done, end) = tokio::sync::oneshot::channel();
    // To its end, even when the caller goes away.
    app.tasks.spawn(async move {
        reset(&resetting).await;
        let _ = done.send(());
    });
    match end.await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn no_such_path(uri: Uri) -> AdminError {
    AdminError::not_found(format!("there is no {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> AdminError {
    AdminError::wrong_method(format!("{} does not take {method}", uri.path()))
}
