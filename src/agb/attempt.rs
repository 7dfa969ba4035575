//! One HTTP request as it is told of: a span with W3C's headers for AGB, a duration, and a note for the call that it is made for.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use opentelemetry::KeyValue;
use tokio::time::Instant;

use super::connections::Connections;
use super::error::Error;
use super::operation::{Operation, Target};
use crate::resilience::Deadline;
use crate::telemetry::{Call, Span, Telemetry};

/// Which attempt of a call it is, and why there is another one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Nth {
    /// How many there were before.
    pub(super) resends: u32,
    /// What went wrong with the last one, as `error.type`.
    pub(super) reason: Option<&'static str>,
}

impl Nth {
    pub(super) fn next(self, reason: &'static str) -> Self {
        Self {
            resends: self.resends + 1,
            reason: Some(reason),
        }
    }
}

/// An HTTP request that is under way. When it is dropped without an end, nobody waits for it any longer.
pub(super) struct Attempt {
    telemetry: Telemetry,
    operation: &'static Operation,
    span: Span,
    begun: Instant,
    timeout: Duration,
    deadline: Deadline,
    server: Vec<KeyValue>,
    status: Option<StatusCode>,
    has_ended: bool,
}

impl Attempt {
    pub(super) fn begin(
        connections: &Connections,
        operation: &'static Operation,
        nth: Nth,
        timeout: Duration,
        deadline: Deadline,
    ) -> Self {
        let telemetry = connections.telemetry.clone();
        let span = telemetry.request_span(&operation.method, operation.path);
        let server = match operation.target {
            Target::Endpoint => connections.server.clone(),
            // Each session has a host of its own, and so may each file: too many for a metric.
            Target::SessionLink | Target::PresignedUrl => Vec::new(),
        };
        if span.is_recording() {
            span.set("http.request.method", operation.method.as_str().to_owned());
            span.set("url.template", operation.path);
            span.set("agb.operation", operation.name);
            for attribute in &server {
                span.set_attribute(attribute.clone());
            }
            if let Some(reason) = nth.reason {
                span.set("http.request.resend_count", i64::from(nth.resends));
                span.set("agb_gateway.retry.reason", reason);
            }
        }
        if let Some(reason) = nth.reason {
            telemetry.instruments().retries.add(
                1,
                &[
                    KeyValue::new("agb.operation", operation.name),
                    KeyValue::new("agb_gateway.retry.reason", reason),
                ],
            );
        }
        Call::note(|notes| notes.attempts += 1);
        Self {
            telemetry,
            operation,
            span,
            begun: Instant::now(),
            timeout,
            deadline,
            server,
            status: None,
            has_ended: false,
        }
    }

    /// The headers by which whoever is asked knows the trace.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.span.inject(&mut headers);
        headers
    }

    /// Notes the status of the answer.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Ends with what came of it, and AGB's id of the request.
    pub(super) fn end<T>(mut self, result: &Result<T, Error>, request_id: &str) {
        self.has_ended = true;
        let request_id = match result {
            Ok(_) => request_id,
            Err(error) => error.request_id(),
        };
        if !request_id.is_empty() {
            Call::note(|notes| request_id.clone_into(&mut notes.agb_request_id));
            self.span.set("agb.request_id", request_id.to_owned());
        }
        match result {
            Ok(_) => self.record(None),
            Err(error) => {
                if let Some(refusal) = error.refusal() {
                    self.span.set("agb.error.code", refusal.code.clone());
                }
                let error_type = error.type_name();
                self.span.fail(error_type, error.to_string());
                self.record(Some(error_type));
            }
        }
    }

    fn record(&self, error_type: Option<&'static str>) {
        let mut attributes = Vec::with_capacity(6);
        attributes.extend_from_slice(&self.server);
        attributes.push(KeyValue::new(
            "http.request.method",
            self.operation.method_name(),
        ));
        attributes.push(KeyValue::new("url.template", self.operation.path));
        if let Some(status) = self.status {
            let status = i64::from(status.as_u16());
            self.span.set("http.response.status_code", status);
            attributes.push(KeyValue::new("http.response.status_code", status));
        }
        if let Some(error_type) = error_type {
            attributes.push(KeyValue::new("error.type", error_type));
        }
        let elapsed = self.begun.elapsed().as_secs_f64();
        let instruments = self.telemetry.instruments();
        instruments.request_duration.record(elapsed, &attributes);
        self.span.end();
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let error_type = if self.begun.elapsed() >= self.timeout {
            "timeout"
        } else if self.deadline.remaining().is_zero() {
            "deadline"
        } else {
            "cancelled"
        };
        self.span.fail(error_type, "");
        self.record(Some(error_type));
    }
}
