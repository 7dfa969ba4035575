//! The stable reasons of errors: one gRPC code each, when it is given, and what the caller can do.
//!
//! `docs/errors.md` is this table for readers; a test holds it to the code.

use tonic::Code;

/// A reason, as it stands in the ErrorInfo.
#[derive(Debug)]
pub struct Reason {
    /// The stable name.
    pub name: &'static str,
    /// The gRPC code.
    pub code: Code,
    /// When it is given.
    pub when: &'static str,
    /// What the caller can do, and why it is this code.
    pub advice: &'static str,
}

macro_rules! reasons {
    ($($name:ident = $code:ident, $when:literal, $advice:literal;)*) => {
        $(
            pub(super) const $name: Reason = Reason {
                name: stringify!($name),
                code: Code::$code,
                when: $when,
                advice: $advice,
            };
        )*

        /// Every reason.
        pub const ALL: &[Reason] = &[$($name),*];
    };
}

reasons! {
    INVALID_ARGUMENT = InvalidArgument,
        "Fields of the request break rules; BadRequest names each.",
        "Mend the request. AGB was not asked.";
    METHOD_NOT_FOUND = Unimplemented,
        "There is no such service or method.",
        "Server reflection lists what there is. A newer client may be talking to an older gateway.";
    MESSAGE_TOO_LONG = ResourceExhausted,
        "A message of the request is longer than `server.max_message_bytes`.",
        "Stream large data in smaller pieces, or raise the setting.";
    MESSAGE_MALFORMED = InvalidArgument,
        "A message of the request is no protobuf message of its type, or broke off.",
        "Generate the stubs anew from this gateway's protos.";
    COMPRESSION_NOT_SUPPORTED = Unimplemented,
        "The request is compressed in another way than gzip.",
        "Send it uncompressed, or with gzip.";
    UNAUTHENTICATED = Unauthenticated,
        "It is not known who calls: no credentials came, or they are not accepted, or a JWT has expired.",
        "The message says what is accepted. Why credentials are not accepted is not told.";
    PERMISSION_DENIED = PermissionDenied,
        "The caller is known, and `auth.rules` do not let it do that; the ErrorInfo names the `principal` and the missing `right`.",
        "Ask the operator, or use an image or labels that the rule allows: BadRequest names the field.";
    RATE_LIMITED = ResourceExhausted,
        "The caller has used up a quota of its rule; the message names it.",
        "Ask again after RetryInfo, and less often. Nothing was done.";
    SESSION_NOT_FOUND = NotFound,
        "AGB says `InvalidMcpSession.NotFound` or `InvalidSession.NotFound`.",
        "The session has ended, or there never was one. Concluded from AGB's codes alone.";
    CONTEXT_NOT_FOUND = NotFound,
        "AGB says so by a code about contexts, or answers success with nothing.",
        "Create the context first, or look for it under the right key and region.";
    CONTEXT_FILE_NOT_FOUND = NotFound,
        "AGB or its storage (`NoSuchKey`) knows no such file.",
        "Look with ListContextFiles or InspectMapping where the files are.";
    SYNC_POLICY_NOT_FOUND = NotFound,
        "The gateway's configuration has no preset of that name.",
        "ListSyncPolicies tells the names.";
    NOT_FOUND = NotFound,
        "AGB says that something else does not exist.",
        "The ErrorInfo has AGB's code.";
    SYNC_FAILED = Aborted,
        "AGB says that a task of the sync failed; SyncStatus names each.",
        "Start a new sync. ABORTED: to be tried again as a whole, and not call by call.";
    SYNC_NOT_OBSERVED = FailedPrecondition,
        "AGB accepted the sync and showed no task of it within the grace.",
        "Whether it has happened is not known. Wait on with the token of SyncStatus, or start a new sync.";
    DEADLINE_EXCEEDED = DeadlineExceeded,
        "The caller's deadline, or the server's maximum, came first. With 1 ms or less, nothing is begun.",
        "What is known so far is in the details; WaitForSync carries on with the token.";
    DRAINING = Unavailable,
        "This replica is being shut down while the call was still waiting.",
        "With RetryInfo, the same call can be made again at once and finds another replica; without it, carry on with the token of SyncStatus.";
    CUT_OFF = Unknown,
        "This replica ended before the call did, and the call must not be made twice.",
        "Look what is there before asking again.";
    OVERLOADED = ResourceExhausted,
        "This replica has as many calls, or requests of AGB, on its hands as a setting allows; the message names it.",
        "Ask again after RetryInfo. Nothing was done.";
    AGB_OUTCOME_UNKNOWN = Unknown,
        "AGB's answer was lost or cannot be read, and the call must not be made twice.",
        "Look what is there before asking again. UNKNOWN, since clients repeat UNAVAILABLE by themselves.";
    AGB_UNREACHABLE = Unavailable,
        "AGB could not be reached or gave no answer, or a proxy said so (408, 425, or no JSON with 502 to 504).",
        "Ask again after RetryInfo: the call may be repeated, or was never sent.";
    AGB_UNAVAILABLE = Unavailable,
        "AGB answered 503.",
        "Ask again after RetryInfo.";
    AGB_FAILED = Unavailable,
        "AGB answered with another 5xx, and the call may be repeated.",
        "Ask again after RetryInfo; AGB's request id is in RequestInfo.";
    AGB_THROTTLED = ResourceExhausted,
        "AGB answered 429.",
        "Ask again after RetryInfo, and less often.";
    AGB_CONFLICT = Aborted,
        "AGB answered 409.",
        "Look what is there, then decide.";
    AGB_INVALID_ARGUMENT = InvalidArgument,
        "AGB answered 400 or 422: it does not take the values, which broke none of the gateway's rules.",
        "The message and the ErrorInfo have AGB's words.";
    AGB_REFUSED = FailedPrecondition,
        "AGB understood and will not do it as things stand: a success with `success: false`, or another 4xx.",
        "The message and the ErrorInfo have AGB's words.";
    AGB_PERMISSION_DENIED = PermissionDenied,
        "AGB answered 403.",
        "The AGB account may not do that.";
    AGB_KEY_REJECTED = Internal,
        "AGB answered 401: it does not accept the gateway's key.",
        "For the operator. INTERNAL, since the caller has done nothing wrong and can do nothing about it.";
    OWN_KEY_REJECTED = Unauthenticated,
        "AGB answered 401 to the AGB key that the caller has brought along.",
        "Call with a key that AGB accepts.";
    AGB_ANSWER_TRUNCATED = Unavailable,
        "The answer was JSON that broke off, and the call may be repeated.",
        "Ask again after RetryInfo.";
    AGB_REDIRECTED = Internal,
        "The answer was a redirect, which is not followed: it could carry the key elsewhere.",
        "For the operator: `agb.endpoint` does not name AGB itself.";
    AGB_NOT_JSON = Internal,
        "The answer was a page or another text that is no JSON.",
        "For the operator: something stands between the gateway and AGB.";
    AGB_UNINTELLIGIBLE = Internal,
        "The answer was JSON of an unknown shape.",
        "For the operator: AGB has changed, or `agb.endpoint` names something else.";
    AGB_ANSWER_TOO_LARGE = ResourceExhausted,
        "The answer was longer than `agb.max_response_bytes`.",
        "Ask for less at once, or raise the setting.";
    AGB_TOOL_FAILED = FailedPrecondition,
        "A tool in the session failed in a way that is no answer: a file is not there, the image lacks the tool.",
        "The message has the tool's words.";
    LIMIT_EXCEEDED = ResourceExhausted,
        "One call would have to look at more than a setting allows; the message names it.",
        "Ask for less, or raise the setting.";
    REQUEST_ID_REUSED = AlreadyExists,
        "The `request_id` was used with other parameters; BadRequest names the fields that differ.",
        "Choose a new id for a new session, or repeat the call as it was.";
    SESSION_BEING_CREATED = FailedPrecondition,
        "The session is still being created by another call, so its labels cannot be changed yet.",
        "Wait until that call has returned.";
    INTERNAL = Internal,
        "The gateway itself is at fault.",
        "Report it.";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `DeadlineExceeded` as `DEADLINE_EXCEEDED`.
    fn grpc_name(code: Code) -> String {
        let mut name = String::new();
        for char in format!("{code:?}").chars() {
            if char.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.extend(char.to_uppercase());
        }
        name
    }

    #[test]
    fn the_document_tells_exactly_these_reasons() {
        let document = include_str!("../../docs/errors.md");
        let told: Vec<_> = document
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        let rows: Vec<_> = ALL
            .iter()
            .map(|reason| {
                let code = grpc_name(reason.code);
                format!(
                    "| `{}` | {code} | {} | {} |",
                    reason.name, reason.when, reason.advice
                )
            })
            .collect();
        assert_eq!(
            told,
            rows,
            "docs/errors.md should read:\n{}",
            rows.join("\n")
        );
    }
}
