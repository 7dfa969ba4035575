//! A row with its message as a status: google.rpc details, cut to what a trailer holds.

use std::collections::HashMap;

use prost::Message as _;
use prost_types::Any;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::failure::Resource;
use super::reason;
use super::table::Row;
use crate::agb;
use crate::domain::{TaskState, Violations};
use crate::proto::v1 as pb;
use crate::sync::{self, Report};
use crate::telemetry::{Call, Span};

/// The domain of every ErrorInfo.
pub const ERROR_DOMAIN: &str = "agb-gateway";

/// Tells clients that repeat calls by themselves when to (gRFC A6).
const PUSHBACK: &str = "grpc-retry-pushback-ms";
const SYNC_STATUS_TYPE_URL: &str = "type.googleapis.com/agb.gateway.v1.SyncStatus";
/// Statuses travel in HTTP/2 trailers, of which common clients take about 8 KiB: what callers or AGB wrote is cut.
const MAX_MESSAGE_BYTES: usize = 1_600;
const MAX_VIOLATIONS: usize = 10;
const MAX_DETAIL_BYTES: usize = 120;
const MAX_NAME_BYTES: usize = 512;
const MAX_SYNC_STATUS_BYTES: usize = 3_000;

pub(super) fn invalid(violations: &Violations) -> Status {
    let mut details = ErrorDetails::new();
    for violation in violations.iter().take(MAX_VIOLATIONS) {
        let field = shortened(&violation.field, MAX_DETAIL_BYTES);
        let description = shortened(&violation.description, MAX_DETAIL_BYTES);
        details.add_bad_request_violation(field, description);
    }
    build(
        &Row::new(&reason::INVALID_ARGUMENT),
        &format!("the request is not valid: {violations}"),
        details,
        None,
        None,
    )
}

/// A status without further details.
pub(super) fn plain(row: &Row, message: &str) -> Status {
    build(row, message, ErrorDetails::new(), None, None)
}

pub(super) fn request_id_reused(fields: &[&'static str], resource: Option<Resource>) -> Status {
    let mut details = ErrorDetails::new();
    for field in fields {
        let rule = "differs from the call that used the request_id before";
        details.add_bad_request_violation(*field, rule);
    }
    let fields = fields.join(", ");
    build(
        &Row::new(&reason::REQUEST_ID_REUSED),
        &format!("the request_id was used with other parameters: {fields} differ"),
        details,
        resource,
        None,
    )
}

pub(super) fn build(
    row: &Row,
    message: &str,
    mut details: ErrorDetails,
    resource: Option<Resource>,
    report: Option<&Report>,
) -> Status {
    let mut metadata = details
        .error_info()
        .map(|info| info.metadata.clone())
        .unwrap_or_default();
    if let Some(trace_id) = Span::current().trace_id() {
        metadata.insert("trace_id".to_owned(), trace_id);
    }
    Call::note(|notes| notes.reason = Some(row.reason.name));
    details.set_error_info(row.reason.name, ERROR_DOMAIN, metadata);
    if let Some(delay) = row.retry_delay {
        details.set_retry_info(Some(delay));
    }
    if let Some(resource) = resource {
        let name = shortened(resource.name(), MAX_NAME_BYTES);
        details.set_resource_info(resource.kind(), name, resource.owner(), "");
    }
    let message = cut(message, MAX_MESSAGE_BYTES, percent_encoded_len);
    let mut status = Status::with_error_details(row.reason.code, message, details);
    if let Some(report) = report {
        status = with_sync_status(&status, report);
    }
    if let Some(pushback) = pushback(row) {
        let pushback = MetadataValue::from(pushback);
        status.metadata_mut().insert(PUSHBACK, pushback);
    }
    status
}

/// When a client that repeats calls by itself may do so; below 0: not at all, although the code is one that such clients repeat.
fn pushback(row: &Row) -> Option<i64> {
    match row.retry_delay {
        Some(delay) => Some(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)),
        None => (row.reason.code == Code::Unavailable).then_some(-1),
    }
}

/// tonic-types knows google's details only; ours is added to the encoded list.
fn with_sync_status(status: &Status, report: &Report) -> Status {
    let mut encoded = tonic_types::pb::Status::decode(status.details()).unwrap_or_default();
    encoded.details.push(Any {
        type_url: SYNC_STATUS_TYPE_URL.to_owned(),
        value: short_sync_status(report).encode_to_vec(),
    });
    Status::with_details(
        status.code(),
        status.message(),
        encoded.encode_to_vec().into(),
    )
}

/// As much of what is known as goes into a trailer: the token, and of the tasks those first that failed or still run.
fn short_sync_status(report: &Report) -> pb::SyncStatus {
    let mut short = pb::SyncStatus::from(report);
    short.tasks.sort_by_key(|task| match task.state() {
        pb::SyncTaskState::Failed => 0,
        pb::SyncTaskState::Running | pb::SyncTaskState::Unspecified => 1,
        pb::SyncTaskState::Succeeded => 2,
    });
    for task in &mut short.tasks {
        task.error_message = shortened(&task.error_message, MAX_DETAIL_BYTES);
    }
    while short.encoded_len() > MAX_SYNC_STATUS_BYTES && short.tasks.pop().is_some() {}
    short
}

/// At most so many bytes of a text, with a mark where it was cut.
fn shortened(text: &str, max_bytes: usize) -> String {
    cut(text, max_bytes, char::len_utf8)
}

/// As much of a text as takes so many bytes on the wire, with a mark where it was cut.
fn cut(text: &str, max_bytes: usize, wire_bytes: impl Fn(char) -> usize) -> String {
    let mut bytes = 0;
    for (end, char) in text.char_indices() {
        bytes += wire_bytes(char);
        if bytes > max_bytes {
            return format!("{}… (cut)", &text[..end]);
        }
    }
    text.to_owned()
}

/// How gRPC writes a message: letters, digits and most signs as they are, everything else as three bytes for each.
fn percent_encoded_len(char: char) -> usize {
    if char.is_ascii_graphic() && !"\"#%<>`?{}".contains(char) {
        1
    } else {
        3 * char.len_utf8()
    }
}

pub(super) fn set_agb(details: &mut ErrorDetails, error: &agb::Error) {
    let mut metadata = HashMap::from([(
        "agb_operation".to_owned(),
        error.operation().name.to_owned(),
    )]);
    if let Some(refusal) = error.refusal() {
        metadata.insert(
            "agb_http_status".to_owned(),
            refusal.http_status.to_string(),
        );
        if !refusal.code.is_empty() {
            let code = shortened(&refusal.code, MAX_DETAIL_BYTES);
            metadata.insert("agb_code".to_owned(), code);
        }
    }
    details.set_error_info("", ERROR_DOMAIN, metadata);
    set_request_id(details, error.request_id());
}

pub(super) fn set_request_id(details: &mut ErrorDetails, request_id: &str) {
    if !request_id.is_empty() {
        details.set_request_info(shortened(request_id, MAX_DETAIL_BYTES), "");
    }
}

/// What happened to a sync, in one line: which contexts failed and why, or how far it came.
pub(super) fn describe(error: &sync::Error) -> String {
    let Some(report) = &error.report else {
        return error.outcome.to_string();
    };
    let failures: Vec<_> = report
        .tasks
        .iter()
        .filter(|task| task.state() == TaskState::Failed)
        .map(|task| {
            format!(
                "{} at {}: {}",
                task.context_id, task.path, task.error_message
            )
        })
        .collect();
    if !failures.is_empty() {
        return format!("{} ({})", error.outcome, failures.join("; "));
    }
    let finished = report
        .tasks
        .iter()
        .filter(|task| task.state().is_finished())
        .count();
    format!(
        "{} ({finished} of {} known tasks finished, {} looks)",
        error.outcome,
        report.tasks.len(),
        report.look_count
    )
}
