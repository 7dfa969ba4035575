//! The only place that turns a failure into a gRPC status, with google.rpc details.
//!
//! Every status carries an ErrorInfo: a stable reason, the domain `agb-gateway`, and AGB's own code and operation where AGB
//! was asked. Field problems are BadRequest, waits that help are RetryInfo, AGB's request id is RequestInfo, what is known
//! of a sync is a SyncStatus. No detail ever holds a secret.

mod reason;

use std::collections::HashMap;
use std::time::Duration;

use prost::Message as _;
use prost_types::Any;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::agb;
use crate::domain::Violations;
use crate::proto::v1 as pb;
use crate::sync::{self, Outcome, Report};

pub use reason::{ALL as REASONS, Reason};

/// The domain of every ErrorInfo.
pub const ERROR_DOMAIN: &str = "agb-gateway";

const SYNC_STATUS_TYPE_URL: &str = "type.googleapis.com/agb.gateway.v1.SyncStatus";
/// Statuses travel in HTTP/2 trailers, of which common clients take about 8 KiB: what callers or AGB wrote is cut.
const MAX_MESSAGE_CHARS: usize = 800;
const MAX_VIOLATIONS: usize = 10;
const MAX_DETAIL_CHARS: usize = 120;
const MAX_SYNC_STATUS_BYTES: usize = 3_000;
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
    /// There is no such thing, and it was not AGB's refusal that said so.
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
    /// One call would have to look at more than the configuration allows.
    LimitExceeded {
        /// What there is too much of.
        what: String,
        /// The setting.
        setting: &'static str,
        /// Its value.
        limit: usize,
    },
    /// The gateway itself is at fault.
    Internal(&'static str),
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
    /// A file of a context.
    ContextFile {
        /// AGB's id of the context.
        context_id: String,
        /// The path in the context.
        path: String,
    },
    /// A preset of the configuration, by name.
    SyncPolicy(String),
}

impl Resource {
    fn kind(&self) -> &'static str {
        match self {
            Self::Context(_) => "context",
            Self::Session(_) => "session",
            Self::ContextFile { .. } => "context file",
            Self::SyncPolicy(_) => "sync policy",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Context(name) | Self::Session(name) | Self::SyncPolicy(name) => name,
            Self::ContextFile { path, .. } => path,
        }
    }

    fn owner(&self) -> &str {
        match self {
            Self::ContextFile { context_id, .. } => context_id,
            Self::Context(_) | Self::Session(_) | Self::SyncPolicy(_) => "",
        }
    }

    fn not_found_reason(&self) -> &'static Reason {
        match self {
            Self::Context(_) => &reason::CONTEXT_NOT_FOUND,
            Self::Session(_) => &reason::SESSION_NOT_FOUND,
            Self::ContextFile { .. } => &reason::CONTEXT_FILE_NOT_FOUND,
            Self::SyncPolicy(_) => &reason::SYNC_POLICY_NOT_FOUND,
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

    /// Whether AGB says that the session does not exist, or no longer.
    pub fn is_session_not_found(&self) -> bool {
        match self {
            Self::Agb { error, .. } => error.is_session_not_found(),
            Self::Sync { error, .. } => match &error.outcome {
                Outcome::Agb(error) => error.is_session_not_found(),
                _ => false,
            },
            _ => false,
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
    reason: &'static Reason,
    retry_delay: Option<Duration>,
}

impl Row {
    fn new(reason: &'static Reason) -> Self {
        Self {
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
        return Row::new(&reason::DEADLINE_EXCEEDED);
    }
    if error.is_not_found() {
        return Row::new(not_found_reason(error, resource));
    }
    if error.leaves_outcome_unknown() {
        // Not UNAVAILABLE: clients repeat that by themselves, and this must not be repeated blindly.
        return Row::new(&reason::AGB_OUTCOME_UNKNOWN);
    }
    if error.is_not_sent() || error.is_unheard() || error.is_proxy_failure() {
        return Row::new(&reason::AGB_UNREACHABLE).with_retry(None);
    }
    if error.is_truncated() {
        return Row::new(&reason::AGB_ANSWER_TRUNCATED).with_retry(None);
    }
    if error.is_redirected() {
        return Row::new(&reason::AGB_REDIRECTED);
    }
    if error.is_not_json() {
        return Row::new(&reason::AGB_NOT_JSON);
    }
    if error.is_too_large() {
        return Row::new(&reason::AGB_ANSWER_TOO_LARGE);
    }
    let Some(refusal) = error.refusal() else {
        return Row::new(&reason::AGB_UNINTELLIGIBLE);
    };
    match refusal.http_status {
        // The gateway's own key is not accepted: the caller has done nothing wrong and can do nothing about it.
        401 => Row::new(&reason::AGB_KEY_REJECTED),
        403 => Row::new(&reason::AGB_PERMISSION_DENIED),
        // Too slow or too early for some proxy in between: it has not been done.
        408 | 425 => Row::new(&reason::AGB_UNREACHABLE).with_retry(refusal.retry_after),
        409 => Row::new(&reason::AGB_CONFLICT),
        429 => Row::new(&reason::AGB_THROTTLED).with_retry(refusal.retry_after),
        400 | 422 => Row::new(&reason::AGB_INVALID_ARGUMENT),
        503 => Row::new(&reason::AGB_UNAVAILABLE).with_retry(refusal.retry_after),
        500.. => Row::new(&reason::AGB_FAILED).with_retry(refusal.retry_after),
        // A 200 with `success: false`, or some other 4xx: AGB understood and will not do it as things stand.
        _ => Row::new(&reason::AGB_REFUSED),
    }
}

/// AGB's code says what does not exist; where it does not, it is what the call was about.
fn not_found_reason(error: &agb::Error, resource: Option<&Resource>) -> &'static Reason {
    if error.is_session_not_found() {
        &reason::SESSION_NOT_FOUND
    } else if error.is_file_not_found() {
        &reason::CONTEXT_FILE_NOT_FOUND
    } else if error.is_context_not_found() {
        &reason::CONTEXT_NOT_FOUND
    } else if error
        .refusal()
        .is_some_and(|refusal| refusal.http_status == 404)
    {
        resource.map_or(&reason::NOT_FOUND, Resource::not_found_reason)
    } else {
        &reason::NOT_FOUND
    }
}

fn sync_row(outcome: &Outcome, resource: Option<&Resource>) -> Row {
    match outcome {
        // ABORTED: to be tried again as a whole, by a new sync.
        Outcome::Failed => Row::new(&reason::SYNC_FAILED),
        Outcome::NotObserved(_) => Row::new(&reason::SYNC_NOT_OBSERVED),
        Outcome::Deadline => Row::new(&reason::DEADLINE_EXCEEDED),
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
                build(&row, &format!("{doing}: {error}"), details, resource, None)
            }
            Failure::NotFound {
                doing,
                resource,
                request_id,
            } => {
                let mut details = ErrorDetails::new();
                set_request_id(&mut details, &request_id);
                build(
                    &Row::new(resource.not_found_reason()),
                    &format!(
                        "{doing}: there is no {} {:?}",
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
                build(&row, &message, details, resource, error.report.as_deref())
            }
            Failure::Deadline { doing, resource } => build(
                &Row::new(&reason::DEADLINE_EXCEEDED),
                &format!("{doing}: the deadline came first"),
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
                    &Row::new(&reason::AGB_TOOL_FAILED),
                    &format!("the tool failed: {message}"),
                    details,
                    None,
                    None,
                )
            }
            Failure::LimitExceeded {
                what,
                setting,
                limit,
            } => build(
                &Row::new(&reason::LIMIT_EXCEEDED),
                &format!("there are more than {limit} {what} (setting {setting})"),
                ErrorDetails::new(),
                None,
                None,
            ),
            Failure::Internal(what) => build(
                &Row::new(&reason::INTERNAL),
                what,
                ErrorDetails::new(),
                None,
                None,
            ),
            Failure::NotImplemented(what) => build(
                &Row::new(&reason::NOT_IMPLEMENTED),
                &format!("{what} is not implemented yet"),
                ErrorDetails::new(),
                None,
                None,
            ),
        }
    }
}

fn invalid(violations: &Violations) -> Status {
    let mut details = ErrorDetails::new();
    for violation in violations.iter().take(MAX_VIOLATIONS) {
        let field = shortened(&violation.field, MAX_DETAIL_CHARS);
        let description = shortened(&violation.description, MAX_DETAIL_CHARS);
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

fn build(
    row: &Row,
    message: &str,
    mut details: ErrorDetails,
    resource: Option<Resource>,
    report: Option<&Report>,
) -> Status {
    let metadata = details
        .error_info()
        .map(|info| info.metadata.clone())
        .unwrap_or_default();
    details.set_error_info(row.reason.name, ERROR_DOMAIN, metadata);
    if let Some(delay) = row.retry_delay {
        details.set_retry_info(Some(delay));
    }
    if let Some(resource) = resource {
        details.set_resource_info(resource.kind(), resource.name(), resource.owner(), "");
    }
    let message = shortened(message, MAX_MESSAGE_CHARS);
    let status = Status::with_error_details(row.reason.code, message, details);
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
        task.error_message = shortened(&task.error_message, MAX_DETAIL_CHARS);
    }
    while short.encoded_len() > MAX_SYNC_STATUS_BYTES && short.tasks.pop().is_some() {}
    short
}

/// At most so many characters of a text, with a mark where it was cut.
fn shortened(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… (cut)", &text[..end]),
    }
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
            let code = shortened(&refusal.code, MAX_DETAIL_CHARS);
            metadata.insert("agb_code".to_owned(), code);
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
    use tonic::Code;

    use super::*;
    use crate::agb::{Refusal, operation};
    use crate::domain::{Direction, SyncTask};

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
                "AGB_INVALID_ARGUMENT",
            ),
            (401, "", Code::Internal, "AGB_KEY_REJECTED"),
            (403, "", Code::PermissionDenied, "AGB_PERMISSION_DENIED"),
            (409, "", Code::Aborted, "AGB_CONFLICT"),
            (408, "", Code::Unavailable, "AGB_UNREACHABLE"),
            (429, "", Code::ResourceExhausted, "AGB_THROTTLED"),
            (
                400,
                "InvalidContext.NotFound",
                Code::NotFound,
                "CONTEXT_NOT_FOUND",
            ),
            (404, "NoSuchKey", Code::NotFound, "CONTEXT_FILE_NOT_FOUND"),
            (400, "InvalidTool.NotFound", Code::NotFound, "NOT_FOUND"),
            (404, "Some.Code", Code::NotFound, "SESSION_NOT_FOUND"),
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
            assert_eq!(info.metadata["agb_http_status"], http_status.to_string());
            assert_eq!(
                info.metadata
                    .get("agb_code")
                    .map(String::as_str)
                    .unwrap_or_default(),
                agb_code
            );
            let repeatable = matches!(http_status, 408 | 429 | 500..);
            assert_eq!(details.retry_info().is_some(), repeatable, "{http_status}");
        }
    }

    #[test]
    fn every_row_keeps_to_what_a_trailer_holds() {
        let long = "ü".repeat(50_000);
        let mut violations = Violations::default();
        for index in 0..300 {
            violations.add(format!("context_syncs[{index}].path"), long.clone());
        }
        let task = |status: &str| SyncTask {
            context_id: "c".repeat(200),
            path: "/tmp/".to_owned() + &"p".repeat(200),
            direction: Direction::Upload,
            agb_status: status.to_owned(),
            error_message: long.clone(),
            start: 1,
            finish: 2,
        };
        let mut tasks = vec![task("Success"); 300];
        tasks.push(task("Failed"));
        let report = Report {
            state: crate::sync::Verdict::Failed,
            tasks,
            token: Some("t".repeat(1_000)),
            look_count: 1,
        };
        let statuses: [Status; 3] = [
            Failure::from(violations).into(),
            Failure::Tool {
                message: long.clone(),
                request_id: String::new(),
            }
            .into(),
            Failure::Sync {
                error: Box::new(sync::Error {
                    outcome: Outcome::Failed,
                    report: Some(Box::new(report)),
                }),
                doing: "testing".to_owned(),
                resource: None,
            }
            .into(),
        ];
        for status in &statuses {
            // On the wire the message is percent-encoded and the details are base64.
            let message = status
                .message()
                .bytes()
                .map(|byte| if byte.is_ascii() { 1 } else { 3 });
            let size = message.sum::<usize>() + status.details().len() * 4 / 3;
            assert!(size < 11_000, "{size}: {}", status.message());
        }
        let encoded = tonic_types::pb::Status::decode(statuses[2].details()).unwrap();
        let any = encoded.details.last().unwrap();
        let known = pb::SyncStatus::decode(any.value.as_slice()).unwrap();
        assert_eq!(known.tasks[0].state(), pb::SyncTaskState::Failed);
        assert_eq!(known.sync_token.len(), 1_000);
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
