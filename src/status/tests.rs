//! What failures become.

use prost::Message as _;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::*;
use crate::agb::{self, Refusal, operation};
use crate::domain::{Direction, SyncTask, Violations};
use crate::proto::v1 as pb;
use crate::sync::{self, Report};

fn status(operation: &'static operation::Operation, http_status: u16, code: &str) -> Status {
    let refusal = Refusal {
        http_status,
        code: code.to_owned(),
        message: "AGB's words".to_owned(),
        request_id: "r-1".to_owned(),
        retry_after: None,
        is_of_caller: false,
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
    let statuses: [Status; 4] = [
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
            doing: long.clone(),
            resource: Some(Resource::Context("x".repeat(4096))),
        }
        .into(),
        Failure::agb(
            agb::Error::refused(
                &operation::GET_CONTEXT,
                Refusal {
                    code: long.clone(),
                    message: long.clone(),
                    request_id: long.clone(),
                    ..Refusal::default()
                },
            ),
            " ".repeat(5_000),
            Some(Resource::ContextFile {
                context_id: "c".repeat(255),
                path: "ü".repeat(2_000),
            }),
        )
        .into(),
    ];
    for status in &statuses {
        let mut headers = http::HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        // HTTP/2 counts 32 bytes beside each header's own.
        let size: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 32)
            .sum();
        assert!(size < 8 * 1024, "{size}: {}", status.message());
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
