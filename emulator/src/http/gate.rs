//! What every request goes through: it gets its id, is written down, meets the faults that were asked for, is
//! authenticated, carried out to the end even when the caller goes away, and answered in the envelope.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Duration, sleep};

use super::call::Call;
use super::direct;
use super::envelope::{Refusal, Unwritten};
use crate::app::App;
use crate::clock;
use crate::fault::FaultAction;
use crate::ids;
use crate::request_log::RecordedRequest;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Closes the connection that a request came on. Whoever serves the connection puts it into the request.
#[derive(Debug, Clone, Default)]
pub(super) struct ConnectionCloser(Arc<Notify>);

impl ConnectionCloser {
    pub(super) async fn asked(&self) {
        self.0.notified().await;
    }

    /// Has the connection closed; never returns, since there is nobody to answer any more.
    async fn close(&self) -> ! {
        self.0.notify_one();
        std::future::pending::<()>().await;
        unreachable!("a pending future is never ready")
    }
}

pub(super) async fn pass(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let request_id = ids::request_id();
    let closer = request
        .extensions()
        .get::<ConnectionCloser>()
        .cloned()
        .unwrap_or_default();
    let (mut parts, body) = request.into_parts();
    let operation = parts
        .uri
        .path()
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let body = to_bytes(body, app.config.max_request_bytes).await;
    let json = body.as_ref().ok().map(read_json);
    let query: BTreeMap<String, String> = Query::try_from_uri(&parts.uri)
        .map(|Query(query)| query)
        .unwrap_or_default();
    let length = body.as_ref().map_or(usize::MAX, Bytes::len);
    app.requests.record(
        RecordedRequest {
            request_id: request_id.clone(),
            received_at_ms: clock::now_ms(),
            operation: operation.clone(),
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: query.clone(),
            body: direct::without_token(json.clone().flatten().unwrap_or_default()),
        },
        length,
    );

    let mut after = None;
    for action in app
        .faults
        .strike(&operation, &request_id, |action| !concerns_tasks(action))
    {
        match action {
            FaultAction::Respond {
                status,
                body,
                headers,
            } => {
                return scripted(status, body, &headers, &request_id);
            }
            FaultAction::Delay { delay_ms } => sleep(Duration::from_millis(delay_ms)).await,
            FaultAction::CloseBeforeWork => closer.close().await,
            FaultAction::DropTaskRecords => drop_task_records(&app, &query, json.as_ref()),
            later => after = Some(later),
        }
    }

    let answer = match (
        json,
        bearer_key(&parts.headers)
            .and_then(|key| app.owners.of_key(key))
            .or_else(|| direct::owner(&app, &parts)),
    ) {
        (None, _) => refuse_body(),
        (_, None) => refuse_key(),
        (Some(None), _) => Refusal::invalid("the body is no JSON").into_response(),
        (Some(Some(body)), Some(owner)) => {
            let call = Call {
                request_id: request_id.clone(),
                owner,
                operation,
                query,
                body,
            };
            parts.extensions.insert(call);
            // In a task of its own: AGB finishes what it began, whether the caller waits or not.
            let (done, answer) = oneshot::channel();
            let request = Request::from_parts(parts, Body::empty());
            app.tasks.spawn(async move {
                // Nobody may be left to hear it.
                let _ = done.send(next.run(request).await);
            });
            answer
                .await
                .unwrap_or_else(|_| Refusal::internal("the call was given up").into_response())
        }
    };
    match after {
        Some(FaultAction::CloseAfterWork) => closer.close().await,
        Some(FaultAction::RespondAfterWork {
            status,
            body,
            headers,
        }) => scripted(status, body, &headers, &request_id),
        _ => with_request_id(write(answer, &request_id), &request_id),
    }
}

/// These wait for the tasks to be started.
fn concerns_tasks(action: &FaultAction) -> bool {
    matches!(
        action,
        FaultAction::FailSyncTask { .. }
            | FaultAction::StallSyncTask { .. }
            | FaultAction::HideNewTasks { .. }
    )
}

/// `None` when the body is no JSON; an empty body counts as `{}`.
fn read_json(body: &Bytes) -> Option<Value> {
    if body.is_empty() {
        return Some(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice(body).ok()
}

fn bearer_key(headers: &axum::http::HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

fn refuse_key() -> Response {
    let message = "the API key is missing or not valid";
    Refusal::new(StatusCode::UNAUTHORIZED, "InvalidApiKey", message).into_response()
}

fn refuse_body() -> Response {
    let message = "the request body is too large or was not received whole";
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLarge", message).into_response()
}

fn drop_task_records(app: &App, query: &BTreeMap<String, String>, body: Option<&Option<Value>>) {
    let in_body = body
        .and_then(Option::as_ref)
        .and_then(|body| body["sessionId"].as_str());
    let id = query.get("sessionId").map(String::as_str).or(in_body);
    if let Some(session) = id.and_then(|id| app.sessions.any(id)) {
        session.tasks.clear();
    }
}

fn write(answer: Response, request_id: &str) -> Response {
    match answer.extensions().get::<Unwritten>() {
        Some(unwritten) => unwritten.clone().write(request_id),
        None => answer,
    }
}

fn scripted(
    status: u16,
    body: String,
    headers: &BTreeMap<String, String>,
    request_id: &str,
) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = with_request_id((status, body).into_response(), request_id);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn with_request_id(mut response: Response, request_id: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}
