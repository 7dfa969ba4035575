//! A request's line in the log, from its beginning to its end.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::time::Instant;

use super::connection::ConnectionEnd;
use crate::app::App;
use crate::request_log::{RecordedRequest, RequestEnd, RequestNumber};

/// The line of a request that has not ended. Dropped before it has, the caller has gone.
pub(super) struct LogEntry {
    app: Arc<App>,
    number: RequestNumber,
    begun: Instant,
    request_id: String,
    operation: String,
    ended: bool,
}

impl LogEntry {
    pub(super) fn begin(app: &Arc<App>, request: RecordedRequest, body_bytes: usize) -> Self {
        Self {
            request_id: request.request_id.clone(),
            operation: request.operation.clone(),
            number: app.requests.record(request, body_bytes),
            app: Arc::clone(app),
            begun: Instant::now(),
            ended: false,
        }
    }

    pub(super) fn answered(mut self, status: StatusCode) {
        self.note(RequestEnd::Answered, Some(status.as_u16()));
    }

    pub(super) fn ended(mut self, end: ConnectionEnd) {
        let end = match end {
            ConnectionEnd::Close => RequestEnd::Closed,
            ConnectionEnd::Reset => RequestEnd::Reset,
        };
        self.note(end, None);
    }

    fn note(&mut self, end: RequestEnd, status: Option<u16>) {
        self.ended = true;
        let duration_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.app.requests.end(self.number, end, status, duration_ms);
        tracing::debug!(
            target: "agb_emulator::request",
            operation = self.operation,
            status,
            ?end,
            duration_ms,
            request_id = self.request_id,
        );
    }
}

impl Drop for LogEntry {
    fn drop(&mut self) {
        if !self.ended {
            self.note(RequestEnd::CallerGone, None);
        }
    }
}
