//! The only place that turns a failure into a gRPC status, with google.rpc details.
//!
//! Every status carries an ErrorInfo: a stable reason, the domain `agb-gateway`, and AGB's own code and operation where AGB
//! was asked. Field problems are BadRequest, waits that help are RetryInfo, AGB's request id is RequestInfo, what is known
//! of a sync is a SyncStatus. No detail ever holds a secret.

use std::collections::HashMap;
use std::time::Duration;

use prost::Message as _;
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::agb;
use crate::domain::Violations;
use crate::proto::v1 as pb;
use crate::sync::{self, Outcome, Report};

/// The domain of every ErrorInfo.
pub const ERROR_DOMAIN: &str = "agb-gateway";

const SYNC_STATUS_TYPE_URL: &str = "type.googleapis.com/agb.gateway.v1.SyncStatus";
/// How long to wait before AGB is asked again, where AGB does not tell.
const DEFAULT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Why a call fails.
#[derive(Debug)]
pub enum Failure {
    /// Fields break rules.
    Invalid(Violations),
    /// AGB failed or said no.
    Agb {
        /// What AGB said.
        error: Box<agb::Error>,
        /// What was being done, for people.
        doing: String,
        /// What it was about.
        resource: Option<Resource>,
    },
    /// AGB said success and held nothing.
    NotFound {
        /// What was being done, for people.
        doing: String,
        /// What it was about.
        resource: Resource,
        /// AGB's id of the request.
        request_id: String,
    },
    /// A sync did not end in success.
    Sync {
        /// What happened, and what is known.
        error: Box<sync::Error>,
        /// What was being done, for people, and what became of the rest.
        doing: String,
        /// What it was about.
        resource: Option<Resource>,
    },
    /// The caller's deadline came first.
    Deadline {
        /// What was being done, for people, and how far it came.
        doing: String,
        /// What it was about.
        resource: Option<Resource>,
    },
    /// A tool in a session failed in a way that is no answer.
    Tool {
        /// What the tool said.
        message: String,
        /// AGB's id of the request.
        request_id: String,
    },
    /// The RPC, or a field of it, comes with a later release.
    NotImplemented(&'static str),
}

/// What a call was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A context, by AGB's id or by name.
    Context(String),
    /// A session, by AGB's id.
    Session(String),
}

impl Resource {
    fn kind(&self) -> &'static str {
        match self {
            Self::Context(_) => "context",
            Self::Session(_) => "session",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Context(name) | Self::Session(name) => name,
        }
    }

    fn not_found_reason(&self) -> &'static str {
        match self {
            Self::Context(_) => "CONTEXT_NOT_FOUND",
            Self::Session(_) => "SESSION_NOT_FOUND",
        }
    }
}

impl Failure {
    /// AGB failed while `doing` something.
    pub fn agb(error: agb::Error, doing: impl Into<String>, resource: Option<Resource>) -> Self {
        Self::Agb {
            error: Box::new(error),
            doing: doing.into(),
            resource,
        }
    }
}

impl From<Violations> for Failure {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}

/// What a failure becomes: the row of the table that it belongs to.
struct Row {
    code: Code,
    reason: &'static str,
    retry_delay: Option<Duration>,
}

impl Row {
    fn new(code: Code, reason: &'static str) -> Self {
        Self {
            code,
            reason,
            retry_delay: None,
        }
    }

    fn with_retry(self, delay: Option<Duration>) -> Self {
        Self {
            retry_delay: Some(delay.unwrap_or(DEFAULT_RETRY_DELAY)),
            ..self
        }
    }
}

/// The table for AGB's failures, first match first.
fn agb_row(error: &agb::Error, resource: Option<&Resource>) -> Row {
    if error.is_deadline() {
        return Row::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    }
    if error.is_not_found() {
        let reason = resource.map_or("NOT_FOUND", Resource::not_found_reason);
        return Row::new(Code::NotFound, reason);
    }
    if error.leaves_outcome_unknown() {
        // Not UNAVAILABLE: clients repeat that by themselves, and this must not be repeated blindly.
        return Row::new(Code::Unknown, "AGB_OUTCOME_UNKNOWN");
    }
    if error.is_not_sent() || error.is_unheard() || error.is_proxy_failure() {
        return Row::new(Code::Unavailable, "AGB_UNREACHABLE").with_retry(None);
    }
    if error.is_too_large() {
        return Row::new(Code::ResourceExhausted, "AGB_ANSWER_TOO_LARGE");
    }
    let Some(refusal) = error.refusal() else {
        // A redirect, a page or a shape that is not AGB's: someone has to look at the set-up.
        return Row::new(Code::Internal, "AGB_UNINTELLIGIBLE");
    };
    match refusal.http_status {
        // The gateway's own key is not accepted: the caller has done nothing wrong and can do nothing about it.
        401 => Row::new(Code::Internal, "AGB_KEY_REJECTED"),
        403 => Row::new(Code::PermissionDenied, "AGB_PERMISSION_DENIED"),
        409 => Row::new(Code::Aborted, "AGB_CONFLICT"),
        429 => Row::new(Code::ResourceExhausted, "AGB_THROTTLED").with_retry(refusal.retry_after),
        400 | 422 => Row::new(Code::InvalidArgument, "AGB_REFUSED"),
        503 => Row::new(Code::Unavailable, "AGB_UNAVAILABLE").with_retry(refusal.retry_after),
        500.. => Row::new(Code::Unavailable, "AGB_FAILED").with_retry(refusal.retry_after),
        // A 200 with `success: false`, or some other 4xx: AGB understood and will not do it as things stand.
        _ => Row::new(Code::FailedPrecondition, "AGB_REFUSED"),
    }
}

fn sync_row(outcome: &Outcome, resource: Option<&Resource>) -> Row {
    match outcome {
        // ABORTED: to be tried again as a whole, by a new sync.
        Outcome::Failed => Row::new(Code::Aborted, "SYNC_FAILED"),
        Outcome::NotObserved(_) => Row::new(Code::FailedPrecondition, "SYNC_NOT_OBSERVED"),
        Outcome::Deadline => Row::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        Outcome::Agb(error) => agb_row(error, resource),
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Invalid(violations) => invalid(&violations),
            Failure::Agb {
                error,
                doing,
                resource,
            } => {
                let row = agb_row(&error, resource.as_ref());
                let mut details = ErrorDetails::new();
                set_agb(&mut details, &error);
                build(&row, format!("{doing}: {error}"), details, resource, None)
            }
            Failure::NotFound {
                doing,
                resource,
                request_id,
            } => {
                let mut details = ErrorDetails::new();
                set_request_id(&mut details, &request_id);
                build(
                    &Row::new(Code::NotFound, resource.not_found_reason()),
                    format!(
                        "{doing}: AGB knows no {} {:?}",
                        resource.kind(),
                        resource.name()
                    ),
                    details,
                    Some(resource),
                    None,
                )
            }
            Failure::Sync {
                error,
                doing,
                resource,
            } => {
                let row = sync_row(&error.outcome, resource.as_ref());
                let mut details = ErrorDetails::new();
                if let Outcome::Agb(error) = &error.outcome {
                    set_agb(&mut details, error);
                }
                let message = format!("{doing}: {}", describe(&error));
                build(&row, message, details, resource, error.report.as_deref())
            }
            Failure::Deadline { doing, resource } => build(
                &Row::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
                format!("{doing}: the deadline came first"),
                ErrorDetails::new(),
                resource,
                None,
            ),
            Failure::Tool {
                message,
                request_id,
            } => {
                let mut details = ErrorDetails::new();
                set_request_id(&mut details, &request_id);
                build(
                    &Row::new(Code::FailedPrecondition, "AGB_TOOL_FAILED"),
                    format!("the tool failed: {message}"),
                    details,
                    None,
                    None,
                )
            }
            Failure::NotImplemented(what) => build(
                &Row::new(Code::Unimplemented, "NOT_IMPLEMENTED"),
                format!("{what} is not implemented yet"),
                ErrorDetails::new(),
                None,
                None,
            ),
        }
    }
}

fn invalid(violations: &Violations) -> Status {
    let mut details = ErrorDetails::new();
    for violation in violations.iter() {
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    build(
        &Row::new(Code::InvalidArgument, "INVALID_ARGUMENT"),
        format!("the request is not valid: {violations}"),
        details,
        None,
        None,
    )
}

fn build(
    row: &Row,
    message: String,
    mut details: ErrorDetails,
    resource: Option<Resource>,
    report: Option<&Report>,
) -> Status {
    let metadata = details
        .error_info()
        .map(|info| info.metadata.clone())
        .unwrap_or_default();
    details.set_error_info(row.reason, ERROR_DOMAIN, metadata);
    if let Some(delay) = row.retry_delay {
        details.set_retry_info(Some(delay));
    }
    if let Some(resource) = resource {
        details.set_resource_info(resource.kind(), resource.name(), "", "");
    }
    let status = Status::with_error_details(row.code, message, details);
    match report {
        Some(report) => with_sync_status(&status, report),
        None => status,
    }
}

/// tonic-types knows google's details only; ours is added to the encoded list.
fn with_sync_status(status: &Status, report: &Report) -> Status {
    let mut encoded = tonic_types::pb::Status::decode(status.details()).unwrap_or_default();
    encoded.details.push(Any {
        type_url: SYNC_STATUS_TYPE_URL.to_owned(),
        value: pb::SyncStatus::from(report).encode_to_vec(),
    });
    Status::with_details(
        status.code(),
        status.message(),
        encoded.encode_to_vec().into(),
    )
}

fn set_agb(details: &mut ErrorDetails, error: &agb::Error) {
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
            metadata.insert("agb_code".to_owned(), refusal.code.clone());
        }
    }
    details.set_error_info("", ERROR_DOMAIN, metadata);
    set_request_id(details, error.request_id());
}

fn set_request_id(details: &mut ErrorDetails, request_id: &str) {
    if !request_id.is_empty() {
        details.set_request_info(request_id, "");
    }
}

/// What happened to a sync, in one line: which contexts failed and why, or how far it came.
fn describe(error: &sync::Error) -> String {
    let Some(report) = &error.report else {
        return error.outcome.to_string();
    };
    let failures: Vec<_> = report
        .tasks
        .iter()
        .filter(|task| task.state() == crate::domain::TaskState::Failed)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agb::{Refusal, operation};

    fn status(operation: &'static operation::Operation, http_status: u16, code: &str) -> Status {
        let refusal = Refusal {
            http_status,
            code: code.to_owned(),
            message: "AGB's words".to_owned(),
            request_id: "r-1".to_owned(),
            retry_after: None,
        };
        let resource = Resource::Session("s-1".to_owned());
        Failure::agb(
            agb::Error::refused(operation, refusal),
            "testing",
            Some(resource),
        )
        .into()
    }

    #[test]
    fn refusals_become_the_code_and_the_reason_of_their_row() {
        for (http_status, agb_code, code, reason) in [
            (
                400,
                "InvalidMcpSession.NotFound",
                Code::NotFound,
                "SESSION_NOT_FOUND",
            ),
            (
                400,
                "InvalidParameter",
                Code::InvalidArgument,
                "AGB_REFUSED",
            ),
            (401, "", Code::Internal, "AGB_KEY_REJECTED"),
            (403, "", Code::PermissionDenied, "AGB_PERMISSION_DENIED"),
            (409, "", Code::Aborted, "AGB_CONFLICT"),
            (429, "", Code::ResourceExhausted, "AGB_THROTTLED"),
            (500, "", Code::Unavailable, "AGB_FAILED"),
            (503, "", Code::Unavailable, "AGB_UNAVAILABLE"),
            (
                200,
                "Quota.Exceeded",
                Code::FailedPrecondition,
                "AGB_REFUSED",
            ),
        ] {
            let status = status(&operation::GET_SESSION, http_status, agb_code);
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!((status.code(), info.reason.as_str()), (code, reason));
            assert_eq!(info.domain, ERROR_DOMAIN);
            assert_eq!(info.metadata["agb_operation"], "getSession");
            assert_eq!(details.request_info().unwrap().request_id, "r-1");
            assert_eq!(details.resource_info().unwrap().resource_name, "s-1");
        }
    }

    #[test]
    fn what_may_have_happened_is_not_told_as_something_to_repeat() {
        let status = status(&operation::CREATE_SESSION, 500, "");
        assert_eq!(status.code(), Code::Unknown);
        assert!(status.get_error_details().retry_info().is_none());
    }

    #[test]
    fn every_violation_is_named() {
        let mut violations = Violations::default();
        violations.add("image_id", "is required");
        violations.add("context_syncs[0].path", "must be absolute");
        let status = Status::from(Failure::from(violations));
        let details = status.get_error_details();
        let fields: Vec<_> = details
            .bad_request()
            .unwrap()
            .field_violations
            .iter()
            .map(|violation| violation.field.as_str())
            .collect();
        assert_eq!(fields, ["image_id", "context_syncs[0].path"]);
    }
}
