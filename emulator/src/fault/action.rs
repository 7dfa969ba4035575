//! What a fault can do.

use std::collections::BTreeMap;

use axum::http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::script::InvalidFault;

/// The longest wait that may be scripted: a day.
const MAX_WAIT_MS: u64 = 24 * 60 * 60 * 1000;
/// The largest answer that may be scripted: 64 GiB. It is made while it is sent.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024 * 1024;

/// What a fault does.
///
/// Written as JSON, an action is an object with its name as the only key, such as `{"delay": {"delayMs": 5}}`;
/// one without parameters is just its name, such as `"closeAfterWork"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum FaultAction {
    /// Answers this instead of doing the work.
    Respond {
        /// The HTTP status, from 200 to 999.
        status: u16,
        /// The body, as it is.
        #[serde(default)]
        body: String,
        /// Further headers; `content-type` is `application/json` unless named here.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// Does the work, then answers this instead of the true answer.
    RespondAfterWork {
        /// The HTTP status, from 200 to 999.
        status: u16,
        /// The body, as it is.
        #[serde(default)]
        body: String,
        /// Further headers, as for [`FaultAction::Respond`].
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// Refuses in AGB's envelope, with `success: false`, instead of doing the work.
    Refuse {
        /// The HTTP status; 200 unless named, which is how AGB tells many failures.
        #[serde(default = "ok")]
        status: u16,
        /// AGB's `code`.
        code: String,
        /// AGB's `message`.
        #[serde(default)]
        message: String,
    },
    /// Answers 429 in AGB's envelope instead of doing the work.
    Throttle {
        /// The header `retry-after`, in seconds; absent: no such header.
        retry_after_s: Option<u64>,
    },
    /// Answers 200 with a body that breaks off in the middle of its JSON.
    MalformedJson {
        /// Whether the work is done first.
        #[serde(default)]
        after_work: bool,
    },
    /// Answers with an HTML page, as a proxy on the way does.
    HtmlPage {
        /// The HTTP status; 502 unless named.
        #[serde(default = "bad_gateway")]
        status: u16,
        /// Whether the work is done first.
        #[serde(default)]
        after_work: bool,
    },
    /// Answers 200 with a success in AGB's envelope whose `data` is a text that makes the body this long.
    OversizedAnswer {
        /// The length of the body; at least that of the envelope, and at most 64 GiB.
        bytes: u64,
        /// Whether the work is done first.
        #[serde(default)]
        after_work: bool,
    },
    /// Sends the caller elsewhere.
    Redirect {
        /// The header `location`.
        location: String,
        /// The HTTP status; 302 unless named.
        #[serde(default = "found")]
        status: u16,
        /// Whether the work is done first.
        #[serde(default)]
        after_work: bool,
    },
    /// Waits before the work is done. For a caller who is gone by then it is not done.
    Delay {
        /// Milliseconds, at most a day.
        delay_ms: u64,
    },
    /// Does the work, and waits before it is answered.
    DelayAnswer {
        /// Milliseconds, at most a day.
        delay_ms: u64,
    },
    /// Closes the connection without doing the work.
    CloseBeforeWork,
    /// Does the work, then closes the connection: done, but the caller never hears it.
    CloseAfterWork,
    /// Resets the connection (TCP RST) without doing the work.
    ResetBeforeWork,
    /// Begins the work and resets the connection that much later, or when the work is done if that is sooner. The
    /// work goes on to its end.
    ResetDuringWork {
        /// Milliseconds, at most a day.
        #[serde(default)]
        delay_ms: u64,
    },
    /// Does the work, then resets the connection (TCP RST): done, but the caller never hears it.
    ResetAfterWork,
    /// Sends only that many bytes of the answer, and then nothing; the connection stays open until the caller
    /// closes it.
    StallAnswer {
        /// How many bytes are sent. An answer that is not longer is sent whole.
        after_bytes: u64,
        /// Which bytes are counted.
        #[serde(default)]
        of: AnswerPart,
    },
    /// Sends only that many bytes of the answer and closes the connection; `content-length` is that of the
    /// whole answer.
    TruncateAnswer {
        /// How many bytes are sent. An answer that is not longer is sent whole.
        after_bytes: u64,
        /// Which bytes are counted.
        #[serde(default)]
        of: AnswerPart,
    },
    /// Sends only that many bytes of the answer and resets the connection (TCP RST).
    ResetInAnswer {
        /// How many bytes are sent. An answer that is not longer is sent whole.
        after_bytes: u64,
        /// Which bytes are counted.
        #[serde(default)]
        of: AnswerPart,
    },
    /// The sync tasks that this request starts end as `Failed`. Strikes only requests that start a task of
    /// that direction: `SyncContext`, `createSession` (downloads), `releaseSessionAsync` and `releaseSession` (uploads).
    FailSyncTask {
        /// Which tasks; `None` for both directions.
        direction: Option<SyncDirection>,
        /// The task's `errorMessage`.
        message: String,
    },
    /// The sync tasks that this request starts never end.
    StallSyncTask {
        /// Which tasks; `None` for both directions.
        direction: Option<SyncDirection>,
    },
    /// The sync tasks that this request starts stay invisible in `GetContextInfo`, which keeps showing the
    /// older ones, until both that many looks were taken and that much time went by.
    HideNewTasks {
        /// Looks, each one answered `GetContextInfo` of the session.
        #[serde(default)]
        looks: u32,
        /// Milliseconds, at most a day.
        #[serde(default)]
        duration_ms: u64,
    },
    /// Before the work is done, every task record of the named session is forgotten. Use it with
    /// `GetContextInfo` for an answer without tasks.
    DropTaskRecords,
}

/// Which bytes of an answer are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AnswerPart {
    /// Those of the body: status line and headers come first, whole.
    #[default]
    Body,
    /// All, from the first of the status line on.
    Whole,
}

/// The direction of a sync task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SyncDirection {
    /// From the session to the context.
    Upload,
    /// From the context to the session.
    Download,
}

/// Where in a request an action takes its place. Of the actions in one place, one at most strikes a request;
/// only waits add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// It holds the request up, and goes with every other.
    Pace,
    /// It decides what the caller is told instead of the true answer, or that the connection ends. Nothing
    /// that comes later in the request happens when the work is left out.
    Outcome {
        without_work: bool,
        ends_connection: bool,
    },
    /// It cuts the answer while it is sent.
    Sending,
    /// It concerns the sync tasks that the work starts.
    Tasks,
}

impl FaultAction {
    pub(crate) fn place(&self) -> Place {
        let outcome = |without_work, ends_connection| Place::Outcome {
            without_work,
            ends_connection,
        };
        match self {
            Self::Delay { .. } | Self::DelayAnswer { .. } | Self::DropTaskRecords => Place::Pace,
            Self::Respond { .. } | Self::Refuse { .. } | Self::Throttle { .. } => {
                outcome(true, false)
            }
            Self::RespondAfterWork { .. } => outcome(false, false),
            Self::MalformedJson { after_work }
            | Self::HtmlPage { after_work, .. }
            | Self::OversizedAnswer { after_work, .. }
            | Self::Redirect { after_work, .. } => outcome(!after_work, false),
            Self::CloseBeforeWork | Self::ResetBeforeWork => outcome(true, true),
            Self::CloseAfterWork | Self::ResetAfterWork | Self::ResetDuringWork { .. } => {
                outcome(false, true)
            }
            Self::StallAnswer { .. } | Self::TruncateAnswer { .. } | Self::ResetInAnswer { .. } => {
                Place::Sending
            }
            Self::FailSyncTask { .. } | Self::StallSyncTask { .. } | Self::HideNewTasks { .. } => {
                Place::Tasks
            }
        }
    }

    /// Whether every parameter is one that can be carried out.
    pub(super) fn check(&self) -> Result<(), InvalidFault> {
        match self {
            Self::Respond {
                status, headers, ..
            }
            | Self::RespondAfterWork {
                status, headers, ..
            } => {
                check_status(*status)?;
                check_headers(headers)
            }
            Self::Refuse { status, .. } | Self::HtmlPage { status, .. } => check_status(*status),
            Self::Redirect {
                status, location, ..
            } => {
                check_status(*status)?;
                HeaderValue::from_str(location)
                    .map(drop)
                    .map_err(|_| InvalidFault::new("action.location", "must fit into a header"))
            }
            Self::OversizedAnswer { bytes, .. } if *bytes > MAX_ANSWER_BYTES => {
                Err(InvalidFault::new("action.bytes", "must be at most 64 GiB"))
            }
            Self::Delay { delay_ms }
            | Self::DelayAnswer { delay_ms }
            | Self::ResetDuringWork { delay_ms } => check_wait("action.delayMs", *delay_ms),
            Self::HideNewTasks { duration_ms, .. } => check_wait("action.durationMs", *duration_ms),
            _ => Ok(()),
        }
    }
}

impl SyncDirection {
    /// AGB's `taskType`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
        }
    }
}

fn ok() -> u16 {
    200
}

fn bad_gateway() -> u16 {
    502
}

fn found() -> u16 {
    302
}

fn check_status(status: u16) -> Result<(), InvalidFault> {
    // 1xx are no answers: what follows them is.
    if status >= 200 && StatusCode::from_u16(status).is_ok() {
        Ok(())
    } else {
        let problem = format!("must be from 200 to 999, not {status}");
        Err(InvalidFault::new("action.status", problem))
    }
}

fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), InvalidFault> {
    for (name, value) in headers {
        if name.parse::<HeaderName>().is_err() || HeaderValue::from_str(value).is_err() {
            let field = format!("action.headers.{name}");
            return Err(InvalidFault::new(field, "is no header"));
        }
    }
    Ok(())
}

fn check_wait(field: &str, wait_ms: u64) -> Result<(), InvalidFault> {
    if wait_ms > MAX_WAIT_MS {
        let problem = format!("must be at most {MAX_WAIT_MS}, a day");
        return Err(InvalidFault::new(field, problem));
    }
    Ok(())
}
