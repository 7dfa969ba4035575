//! What every request goes through: it gets its id, is written down, meets the faults that were asked for, is
//! authenticated, carried out to the end even when the caller goes away, and answered in the envelope.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::oneshot;

use super::body;
use super::call::Call;
use super::connection::ConnectionControl;
use super::course;
use super::direct;
use super::envelope::{Refusal, Unwritten};
use super::log_entry::LogEntry;
use super::scripted::{self, Struck};
use crate::app::App;
use crate::clock;
use crate::ids;
use crate::operation;
use crate::request_log::{RecordedRequest, RequestEnd};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) async fn pass(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let connection = ConnectionControl::of(&request);
    connection.begin_answer();
    let (seen, body_bytes) = read(&app, request).await;
    let entry = LogEntry::begin(&app, seen.record(), body_bytes);
    let request_id = seen.request_id.clone();
    let struck = Struck::take(&app.faults, &seen.operation, &request_id, |_| true);
    if struck.drop_task_records {
        seen.drop_task_records(&app);
    }
    let work = || carry_out(&app, seen, next);
    let answer = course::run(struck, &connection, entry, scripted::refuse, work).await;
    with_request_id(write(answer, &request_id), &request_id)
}

/// A request that was read, whatever it is worth.
struct Seen {
    request_id: String,
    operation: String,
    parts: Parts,
    query: BTreeMap<String, String>,
    body: SeenBody,
}

enum SeenBody {
    Json(Value),
    NoJson,
    /// It is too large, or did not come whole.
    NotRead,
}

/// Reads a request, and tells the length of its body.
async fn read(app: &App, request: Request) -> (Seen, usize) {
    let (parts, body) = request.into_parts();
    let body = body::read(body, app.config.max_request_bytes).await;
    let length = body.as_ref().map_or(usize::MAX, Bytes::len);
    let seen = Seen {
        request_id: ids::request_id(),
        operation: operation::of_call(parts.uri.path()).to_owned(),
        query: Query::try_from_uri(&parts.uri)
            .map_or_else(|_| BTreeMap::new(), |Query(query)| query),
        body: body.as_ref().map_or(SeenBody::NotRead, read_json),
        parts,
    };
    (seen, length)
}

/// Does what a call asks for, in a task of its own: AGB finishes what it began, whether the caller waits or not.
/// The task is there once this returns.
fn carry_out(app: &Arc<App>, seen: Seen, next: Next) -> impl Future<Output = Response> + use<> {
    let call = read_call(app, seen);
    in_task(app, async move {
        match call {
            Ok(request) => next.run(request).await,
            Err(refusal) => refusal.into_response(),
        }
    })
}

/// Does the work in a task of its own, which is there once this returns and goes on without its caller.
pub(super) fn in_task<W: Future<Output = Response> + Send + 'static>(
    app: &App,
    work: W,
) -> impl Future<Output = Response> + Send + use<W> {
    let (done, answer) = oneshot::channel();
    app.tasks.spawn(async move {
        // Nobody may be left to hear it.
        let _ = done.send(work.await);
    });
    async {
        answer
            .await
            .unwrap_or_else(|_| Refusal::internal("the call was given up").into_response())
    }
}

fn read_call(app: &App, seen: Seen) -> Result<Request, Refusal> {
    if matches!(seen.body, SeenBody::NotRead) {
        return Err(refuse_body());
    }
    let owner = bearer_key(&seen.parts.headers)
        .and_then(|key| app.owners.of_key(key))
        .or_else(|| direct::owner(app, &seen.parts))
        .ok_or_else(refuse_key)?;
    let SeenBody::Json(body) = seen.body else {
        return Err(Refusal::invalid("the body is no JSON"));
    };
    let mut parts = seen.parts;
    parts.extensions.insert(Call {
        request_id: seen.request_id,
        owner,
        operation: seen.operation,
        query: seen.query,
        body,
    });
    Ok(Request::from_parts(parts, Body::empty()))
}

impl Seen {
    fn record(&self) -> RecordedRequest {
        let body = match &self.body {
            SeenBody::Json(body) => direct::without_token(body.clone()),
            SeenBody::NoJson | SeenBody::NotRead => Value::Null,
        };
        RecordedRequest {
            request_id: self.request_id.clone(),
            received_at_ms: clock::now_ms(),
            operation: self.operation.clone(),
            method: self.parts.method.to_string(),
            path: self.parts.uri.path().to_owned(),
            query: self.query.clone(),
            body,
            end: RequestEnd::UnderWay,
            status: None,
            duration_ms: None,
        }
    }

    fn drop_task_records(&self, app: &App) {
        let in_body = match &self.body {
            SeenBody::Json(body) => body["sessionId"].as_str(),
            SeenBody::NoJson | SeenBody::NotRead => None,
        };
        let id = self.query.get("sessionId").map(String::as_str).or(in_body);
        if let Some(session) = id.and_then(|id| app.sessions.any(id)) {
            session.tasks.clear();
        }
    }
}

/// An empty body counts as `{}`.
fn read_json(body: &Bytes) -> SeenBody {
    if body.is_empty() {
        return SeenBody::Json(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice(body).map_or(SeenBody::NoJson, SeenBody::Json)
}

fn bearer_key(headers: &axum::http::HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

fn refuse_key() -> Refusal {
    let message = "the API key is missing or not valid";
    Refusal::new(StatusCode::UNAUTHORIZED, "InvalidApiKey", message)
}

fn refuse_body() -> Refusal {
    let message = "the request body is too large or was not received whole";
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLarge", message)
}

fn write(answer: Response, request_id: &str) -> Response {
    match answer.extensions().get::<Unwritten>() {
        Some(unwritten) => unwritten.clone().write(request_id),
        None => answer,
    }
}

/// A scripted answer may bring a request id of its own.
pub(super) fn with_request_id(mut response: Response, request_id: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().entry(REQUEST_ID).or_insert(value);
    }
    response
}
