//! Where a row differs from its class, and why.

use tonic::Code;

use crate::fault::Fault;
use crate::row::{About, Row};
use crate::rows;
use crate::support::Effect;
use crate::table::{Expected, NOT_FOUND, Requests, UNREACHABLE_AT_ONCE, expected, ok};

/// How a row differs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// AGB is asked so often.
    Requests(Requests),
    /// What is left when the call fails.
    Leaving(Effect),
    /// All of it.
    Instead(Expected),
    /// It is not tried.
    NotTried,
}

/// RPC, operation, faults, what is different, and why.
type Override = (
    &'static str,
    &'static str,
    &'static [Fault],
    Change,
    &'static str,
);

const OVERRIDES: &[Override] = &[
    (
        "ContextService/UploadContextFile",
        "StorageUpload",
        &[
            Fault::ResetBeforeWork,
            Fault::CloseBeforeWork,
            Fault::Http429,
            Fault::Http502,
            Fault::Http503,
            Fault::Http504,
        ],
        Change::Requests(Requests::Exactly(1)),
        "the caller's pieces come once, so there is nothing to send again",
    ),
    (
        "ContextService/UploadContextFile",
        "StorageUpload",
        &[Fault::ResetBeforeWorkOnce],
        Change::Instead(UNREACHABLE_AT_ONCE),
        "the caller's pieces come once, so there is nothing to send again",
    ),
    (
        "ContextService/UploadContextFile",
        "StorageUpload",
        &[Fault::CallerCancels],
        Change::NotTried,
        "while it waits, the emulator's storage does not read, and so does not see who leaves",
    ),
    (
        "SessionService/WriteFile",
        "mcp",
        UNHEARD,
        Change::Requests(Requests::Exactly(2)),
        "the part may be there: the second request removes it",
    ),
    (
        "SessionService/WriteFile",
        "mcp",
        &[Fault::CallerCancels, Fault::ShortDeadline],
        Change::Requests(Requests::AtMost(2)),
        "the part may be there: it is removed when nobody waits any more",
    ),
    (
        "SessionService/WriteFile",
        "getSession",
        &[Fault::CallerCancels],
        Change::Requests(Requests::AtMost(2)),
        "the part may be there: it is removed when nobody waits any more",
    ),
    (
        "ContextService/UploadContextFile",
        "GetContextFileUploadUrl",
        &[Fault::Tls],
        Change::NotTried,
        "the emulator does not know that TLS is taken off before it, and tells a URL of plain HTTP",
    ),
    (
        "ContextService/DownloadContextFile",
        "GetContextFileDownloadUrl",
        &[Fault::Tls],
        Change::NotTried,
        "the emulator does not know that TLS is taken off before it, and tells a URL of plain HTTP",
    ),
    (
        "SessionService/ExecuteCommand",
        "callTool",
        &[Fault::Http401],
        Change::Instead(ok(1)),
        "it is the session's token that the link refuses, and the endpoint calls the tool",
    ),
    (
        "SessionService/CallTool",
        "callTool",
        &[Fault::Http401],
        Change::Instead(ok(1)),
        "it is the session's token that the link refuses, and the endpoint calls the tool",
    ),
    (
        "MappingPolicyService/VerifyMapping",
        "callTool",
        &[Fault::Http401],
        Change::Instead(ok(1)),
        "it is the session's token that the link refuses, and the endpoint calls the tool",
    ),
    (
        "SessionService/GetCdpLink",
        "getCdpLink",
        &[Fault::SessionEnds],
        Change::NotTried,
        "the stand-in answers whether there is a session or not",
    ),
    (
        "SessionService/InitBrowser",
        "init",
        &[Fault::SessionEnds],
        Change::NotTried,
        "the stand-in answers whether there is a session or not",
    ),
    (
        "SessionService/WriteFile",
        "mcp",
        STALLS,
        Change::NotTried,
        "a command of the gateway's own has a minute; ShortDeadline shows that the caller's deadline ends it",
    ),
    (
        "MappingPolicyService/VerifyMapping",
        "callTool",
        STALLS,
        Change::NotTried,
        "a command of the gateway's own has a minute; ShortDeadline shows that the caller's deadline ends it",
    ),
];

/// What leaves it open whether AGB has done it, but for stalls.
const UNHEARD: &[Fault] = &[
    Fault::ResetBeforeWork,
    Fault::ResetBeforeWorkOnce,
    Fault::CloseBeforeWork,
    Fault::ResetAfterWork,
    Fault::ResetAfterWorkOnce,
    Fault::CloseAfterWork,
    Fault::ResetInHeaders,
    Fault::ResetInBody,
    Fault::CloseInBody,
    Fault::TruncatedJson,
    Fault::MalformedJson,
    Fault::HtmlOk,
    Fault::HtmlNotFound,
    Fault::HtmlBadGateway,
    Fault::Oversized,
    Fault::Http500,
    Fault::Http502,
    Fault::Http503,
    Fault::Http503InAnHour,
    Fault::Http504,
];

const STALLS: &[Fault] = &[
    Fault::StallBeforeWork,
    Fault::StallInHeaders,
    Fault::StallInBody,
];

/// CreateSession after AGB may have created one.
const CREATE_SESSION: &[Override] = &[
    (
        "SessionService/CreateSession",
        "createSession",
        &[
            Fault::ResetAfterWork,
            Fault::ResetAfterWorkOnce,
            Fault::CloseAfterWork,
            Fault::ResetInHeaders,
            Fault::ResetInBody,
            Fault::CloseInBody,
            Fault::StallInHeaders,
            Fault::StallInBody,
            Fault::TruncatedJson,
            Fault::MalformedJson,
            Fault::Oversized,
        ],
        Change::Instead(ok(1)),
        "the session is found by the label of its attempt, and handed over",
    ),
    (
        "SessionService/CreateSession",
        "GetContextInfo",
        &[Fault::SessionEnds],
        Change::Leaving(Effect::Nothing),
        "AGB has forgotten the session, and with it that its end uploaded",
    ),
    (
        "SessionService/CreateSession",
        "SetLabel",
        &[Fault::SessionEnds],
        Change::Leaving(Effect::Nothing),
        "AGB has forgotten the session, and with it that its end uploaded",
    ),
    (
        "SessionService/CreateSession",
        "SetLabel",
        &[Fault::Http404],
        Change::Instead(NOT_FOUND),
        "a new session has no id yet that the caller could know",
    ),
    (
        "SessionService/CreateSession",
        "GetContextInfo",
        &[Fault::KeyRotated],
        Change::Leaving(Effect::NewSession),
        "without a key nothing can be released: AGB's idle timeout ends the session",
    ),
    (
        "SessionService/CreateSession",
        "SetLabel",
        &[Fault::KeyRotated],
        Change::Leaving(Effect::NewSession),
        "without a key nothing can be released: AGB's idle timeout ends the session",
    ),
    (
        "SessionService/CreateSession",
        "createSession",
        &[Fault::CallerCancels],
        Change::NotTried,
        "the creation goes on, so that its session can be released: tests/e2e/faults.rs",
    ),
];

/// What a case must end with; `None` when it is not tried.
pub(crate) fn expected_of(row: &Row, fault: Fault) -> Option<Expected> {
    let mut expected = expected(fault, row.class);
    if expected.reason == "NOT_FOUND" {
        expected.reason = match row.about {
            About::Nothing => "NOT_FOUND",
            About::Context => "CONTEXT_NOT_FOUND",
            About::Session => "SESSION_NOT_FOUND",
            About::File => "CONTEXT_FILE_NOT_FOUND",
        };
    }
    if let (Code::Ok, Some(more), Requests::Exactly(requests)) =
        (expected.code, row.more, expected.requests)
    {
        expected.requests = Requests::AtLeast(requests + more);
    }
    let applies = |(rpc, operation, faults, _, _): &&Override| {
        *rpc == row.rpc && *operation == row.operation && faults.contains(&fault)
    };
    match OVERRIDES.iter().chain(CREATE_SESSION).find(applies) {
        None => Some(expected),
        Some((_, _, _, Change::Requests(requests), _)) => Some(expected.asking(*requests)),
        Some((_, _, _, Change::Leaving(left), _)) => Some(Expected {
            left: Some(*left),
            ..expected
        }),
        Some((_, _, _, Change::Instead(expected), _)) => Some(*expected),
        Some((_, _, _, Change::NotTried, _)) => None,
    }
}

/// The overrides that name no row.
pub(crate) fn without_a_row() -> Vec<&'static str> {
    let overrides = OVERRIDES.iter().chain(CREATE_SESSION);
    let missing = overrides.filter(|(rpc, operation, ..)| {
        !rows::all().any(|row| row.rpc == *rpc && row.operation == *operation)
    });
    missing.map(|(rpc, ..)| *rpc).collect()
}
