//! What every request without an API key goes through: it gets its id, is written down without what signs it, and meets the
//! faults that were asked for.
//!
//! Unlike a call of the API, it is passed on as it comes: nothing of its body is read here, and it is given up with its caller.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::Value;

use super::body;
use super::connection::ConnectionControl;
use super::course;
use super::gate::{in_task, with_request_id};
use super::grant;
use super::log_entry::LogEntry;
use super::scripted::{self, Outcome, Refuse, Struck};
use super::storage;
use crate::app::App;
use crate::clock;
use crate::fault::FaultAction;
use crate::ids;
use crate::operation;
use crate::request_log::{RecordedRequest, RequestEnd};

/// Stands in the log for what opens a URL.
const HIDDEN: &str = "hidden";

pub(super) async fn pass(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let connection = ConnectionControl::of(&request);
    connection.begin_answer();
    let request_id = ids::request_id();
    let operation = operation::of_open_request(request.method(), request.uri().path());
    let entry = LogEntry::begin(&app, record(&request, operation, &request_id), 0);
    // It names no session whose task records could be lost.
    let struck = Struck::take(&app.faults, operation, &request_id, |action| {
        !matches!(action, FaultAction::DropTaskRecords)
    });
    let lost_during_work = matches!(struck.outcome, Some(Outcome::EndDuringWork(..)));
    let refuse: Refuse = if request.uri().path().starts_with("/storage/") {
        storage::refuse
    } else {
        scripted::refuse
    };
    let (request, rest) = body::lend(request);
    let work = || -> Pin<Box<dyn Future<Output = Response> + Send>> {
        if lost_during_work {
            Box::pin(in_task(&app, next.run(request)))
        } else {
            Box::pin(next.run(request))
        }
    };
    let answer = course::run(struck, &connection, entry, refuse, work).await;
    rest.drain().await;
    with_request_id(answer, &request_id)
}

fn record(request: &Request, operation: &str, request_id: &str) -> RecordedRequest {
    let query = Query::<BTreeMap<String, String>>::try_from_uri(request.uri());
    let mut query = query.map_or_else(|_| BTreeMap::new(), |Query(query)| query);
    if let Some(signature) = query.get_mut(grant::SIGNATURE) {
        HIDDEN.clone_into(signature);
    }
    RecordedRequest {
        request_id: request_id.to_owned(),
        received_at_ms: clock::now_ms(),
        operation: operation.to_owned(),
        method: request.method().to_string(),
        path: without_signature(request.uri().path()),
        query,
        body: Value::Null,
        end: RequestEnd::UnderWay,
        status: None,
        duration_ms: None,
    }
}

/// The path of a link carries its signature: `/link/session/port/signature/rest`.
fn without_signature(path: &str) -> String {
    if !path.starts_with("/link/") {
        return path.to_owned();
    }
    let mut segments: Vec<_> = path.split('/').collect();
    if let Some(signature) = segments.get_mut(4) {
        *signature = HIDDEN;
    }
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_a_url_is_not_in_the_log() {
        for (asked, path) in [
            (
                "/storage/SdkCtx-1/tmp/x?Expires=1&Signature=f00",
                "/storage/SdkCtx-1/tmp/x",
            ),
            (
                "/link/s/80/f00/link/a?b=%2F&Signature=f00",
                "/link/s/80/hidden/link/a",
            ),
            ("/link/s/80/f00", "/link/s/80/hidden"),
            ("/direct/s/ws", "/direct/s/ws"),
        ] {
            let request = Request::get(asked).body(axum::body::Body::empty()).unwrap();
            let recorded = record(&request, "any", "r");
            assert_eq!(recorded.path, path);
            assert!(!format!("{recorded:?}").contains("f00"), "{recorded:?}");
        }
    }
}
