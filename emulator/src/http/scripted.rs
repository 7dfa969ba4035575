//! What the faults that strike a request make of it: waits, answers that are not true, connections that end.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use serde_json::json;
use tokio::time::Duration;

use super::connection::{ConnectionEnd, Cut};
use crate::fault::{AnswerPart, FaultAction, Faults, Place};

const HTML: &str = "<!DOCTYPE html>\n<html><head><title>Bad Gateway</title></head>\n\
    <body><h1>Bad Gateway</h1><p>The upstream server did not answer.</p></body></html>\n";
/// A success in AGB's envelope whose text has not ended.
const ENVELOPE_BEGIN: &str =
    r#"{"success":true,"code":"ok","message":"","httpStatusCode":200,"data":""#;
const ENVELOPE_END: &str = r#""}"#;
static FILLER: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// How a status, a code and a message become an answer.
pub(super) type Refuse = fn(u16, &str, &str) -> Response;

/// What shall become of one request.
#[derive(Debug, Default)]
pub(super) struct Struck {
    /// To wait before the work.
    pub(super) delay: Duration,
    /// To wait after the work.
    pub(super) answer_delay: Duration,
    pub(super) drop_task_records: bool,
    pub(super) outcome: Option<Outcome>,
    pub(super) cut: Option<Cut>,
}

/// What the caller is told instead of the true answer.
#[derive(Debug)]
pub(super) enum Outcome {
    Instead(FaultAction),
    AfterWork(FaultAction),
    EndBeforeWork(ConnectionEnd),
    EndDuringWork(ConnectionEnd, Duration),
    EndAfterWork(ConnectionEnd),
}

impl Struck {
    /// Takes the strikes of the faults that concern this request, of actions that `apply` to such requests.
    pub(super) fn take(
        faults: &Faults,
        operation: &str,
        request_id: &str,
        apply: impl Fn(&FaultAction) -> bool,
    ) -> Self {
        let mut struck = Self::default();
        let takes = |taken: &[FaultAction], action: &FaultAction| {
            apply(action) && finds_place(taken, action)
        };
        for action in faults.strike(operation, request_id, takes) {
            struck.add(action);
        }
        struck
    }

    fn add(&mut self, action: FaultAction) {
        use ConnectionEnd::{Close, Reset};
        match action {
            FaultAction::Delay { delay_ms } => self.delay += Duration::from_millis(delay_ms),
            FaultAction::DelayAnswer { delay_ms } => {
                self.answer_delay += Duration::from_millis(delay_ms);
            }
            FaultAction::DropTaskRecords => self.drop_task_records = true,
            FaultAction::CloseBeforeWork => self.outcome = Some(Outcome::EndBeforeWork(Close)),
            FaultAction::ResetBeforeWork => self.outcome = Some(Outcome::EndBeforeWork(Reset)),
            FaultAction::CloseAfterWork => self.outcome = Some(Outcome::EndAfterWork(Close)),
            FaultAction::ResetAfterWork => self.outcome = Some(Outcome::EndAfterWork(Reset)),
            FaultAction::ResetDuringWork { delay_ms } => {
                let delay = Duration::from_millis(delay_ms);
                self.outcome = Some(Outcome::EndDuringWork(Reset, delay));
            }
            FaultAction::StallAnswer { after_bytes, of } => self.cut_after(after_bytes, of, None),
            FaultAction::TruncateAnswer { after_bytes, of } => {
                self.cut_after(after_bytes, of, Some(Close));
            }
            FaultAction::ResetInAnswer { after_bytes, of } => {
                self.cut_after(after_bytes, of, Some(Reset));
            }
            answer => {
                self.outcome = Some(match answer.place() {
                    Place::Outcome {
                        without_work: true, ..
                    } => Outcome::Instead(answer),
                    _ => Outcome::AfterWork(answer),
                });
            }
        }
    }

    fn cut_after(&mut self, after_bytes: u64, of: AnswerPart, then: Option<ConnectionEnd>) {
        self.cut = Some(Cut {
            of,
            after_bytes,
            then,
        });
    }
}

/// Whether an action can still have an effect beside those that were taken.
fn finds_place(taken: &[FaultAction], action: &FaultAction) -> bool {
    let (mut outcome, mut ends, mut sending) = (false, false, false);
    for place in taken.iter().map(FaultAction::place) {
        match place {
            Place::Outcome {
                ends_connection, ..
            } => {
                outcome = true;
                ends |= ends_connection;
            }
            Place::Sending => sending = true,
            Place::Pace | Place::Tasks => {}
        }
    }
    match action.place() {
        // These wait for the tasks to be started.
        Place::Tasks => false,
        Place::Pace => true,
        Place::Outcome {
            ends_connection: true,
            ..
        } => !outcome && !sending,
        Place::Outcome { .. } => !outcome,
        Place::Sending => !sending && !ends,
    }
}

/// The answer that a fault wants.
pub(super) fn answer(action: FaultAction, refuse: Refuse) -> Response {
    match action {
        FaultAction::Respond {
            status,
            body,
            headers,
        }
        | FaultAction::RespondAfterWork {
            status,
            body,
            headers,
        } => respond(status, body.into(), &headers),
        FaultAction::Refuse {
            status,
            code,
            message,
        } => refuse(status, &code, &message),
        FaultAction::Throttle { retry_after_s } => {
            let mut response = refuse(429, "Throttling", "too many requests");
            if let Some(seconds) = retry_after_s {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, seconds.into());
            }
            response
        }
        FaultAction::MalformedJson { .. } => respond(200, ENVELOPE_BEGIN.into(), &BTreeMap::new()),
        FaultAction::HtmlPage { status, .. } => {
            let headers = [(
                "content-type".to_owned(),
                "text/html; charset=utf-8".to_owned(),
            )];
            respond(status, HTML.into(), &headers.into())
        }
        FaultAction::OversizedAnswer { bytes, .. } => {
            respond(200, Body::new(Oversized::of(bytes)), &BTreeMap::new())
        }
        FaultAction::Redirect {
            location, status, ..
        } => respond(
            status,
            Body::empty(),
            &[("location".to_owned(), location)].into(),
        ),
        // The others are no answers.
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Refuses in AGB's envelope.
pub(super) fn refuse(status: u16, code: &str, message: &str) -> Response {
    let body = json!({
        "success": false, "code": code, "message": message, "httpStatusCode": status, "data": null,
    });
    respond(status, body.to_string().into(), &BTreeMap::new())
}

fn respond(status: u16, body: Body, headers: &BTreeMap<String, String>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, body).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A body that is made while it is sent.
#[derive(Debug)]
struct Oversized {
    begin: Option<Bytes>,
    filler: u64,
    end: Option<Bytes>,
}

impl Oversized {
    fn of(bytes: u64) -> Self {
        Self {
            begin: Some(Bytes::from_static(ENVELOPE_BEGIN.as_bytes())),
            filler: bytes.saturating_sub((ENVELOPE_BEGIN.len() + ENVELOPE_END.len()) as u64),
            end: Some(Bytes::from_static(ENVELOPE_END.as_bytes())),
        }
    }

    fn next(&mut self) -> Option<Bytes> {
        if let Some(begin) = self.begin.take() {
            return Some(begin);
        }
        if self.filler > 0 {
            let left = usize::try_from(self.filler).unwrap_or(usize::MAX);
            let portion = Bytes::from_static(&FILLER[..left.min(FILLER.len())]);
            self.filler -= portion.len() as u64;
            return Some(portion);
        }
        self.end.take()
    }

    fn left(&self) -> u64 {
        let length = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len) as u64;
        length(&self.begin) + self.filler + length(&self.end)
    }
}

impl HttpBody for Oversized {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(self.next().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;

    fn struck_one_after_the_other(actions: Vec<FaultAction>) -> Vec<Struck> {
        let faults = Faults::default();
        let count = actions.len();
        for action in actions {
            faults.inject(Fault {
                operation: "*".to_owned(),
                times: 1,
                action,
            });
        }
        let mut struck = Vec::new();
        while faults.states().iter().map(|state| state.fired).sum::<u32>()
            < u32::try_from(count).unwrap()
        {
            struck.push(Struck::take(&faults, "GetContext", "r", |_| true));
        }
        struck
    }

    #[test]
    fn one_outcome_strikes_a_request_and_the_next_waits_for_the_next() {
        let struck = struck_one_after_the_other(vec![
            FaultAction::ResetBeforeWork,
            FaultAction::CloseAfterWork,
        ]);
        assert!(matches!(
            struck[0].outcome,
            Some(Outcome::EndBeforeWork(ConnectionEnd::Reset))
        ));
        assert!(matches!(
            struck[1].outcome,
            Some(Outcome::EndAfterWork(ConnectionEnd::Close))
        ));
    }

    #[test]
    fn waits_add_up_and_go_with_an_outcome_and_a_cut() {
        let struck = struck_one_after_the_other(vec![
            FaultAction::Delay { delay_ms: 1 },
            FaultAction::Delay { delay_ms: 2 },
            FaultAction::Throttle {
                retry_after_s: None,
            },
            FaultAction::StallAnswer {
                after_bytes: 1,
                of: AnswerPart::Body,
            },
        ]);
        assert_eq!(struck.len(), 1);
        assert_eq!(struck[0].delay, Duration::from_millis(3));
        assert!(matches!(struck[0].outcome, Some(Outcome::Instead(_))) && struck[0].cut.is_some());
    }

    #[test]
    fn an_answer_that_never_comes_is_not_cut() {
        let cut = FaultAction::TruncateAnswer {
            after_bytes: 1,
            of: AnswerPart::Body,
        };
        let struck = struck_one_after_the_other(vec![FaultAction::ResetAfterWork, cut.clone()]);
        assert!(struck[0].cut.is_none() && struck[1].cut.is_some());
        let struck = struck_one_after_the_other(vec![cut, FaultAction::ResetAfterWork]);
        assert!(struck[0].outcome.is_none() && struck[1].outcome.is_some());
    }

    #[test]
    fn an_oversized_answer_is_json_of_that_length() {
        for bytes in [0, 100, 200_000] {
            let mut body = Oversized::of(bytes);
            let announced = body.left();
            let mut all = Vec::new();
            while let Some(portion) = body.next() {
                all.extend_from_slice(&portion);
            }
            assert_eq!(all.len() as u64, announced);
            assert!(announced == bytes || bytes == 0);
            assert!(serde_json::from_slice::<serde_json::Value>(&all).is_ok());
        }
    }
}
