//! Observes every call from its headers to the end of its answer: a span, a duration, a line in the log; and tells the caller, in
//! the trailers, which trace and which request of AGB's it was.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::{Frame, SizeHint};
use opentelemetry::KeyValue;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::auth::Peer;
use crate::proto;
use crate::telemetry::{Call, Notes, Span, Telemetry};

/// The trailer with the id of the trace, 32 hexadecimal digits.
pub const TRACE_ID: &str = "trace-id";
/// The trailer with AGB's id of the last request that was made for the call.
pub const AGB_REQUEST_ID: &str = "agb-request-id";

/// Our own services. Calls of others, which are health and reflection, are counted but leave no spans, and lines only at debug.
const OWN: &str = "/agb.gateway.";
/// What OpenTelemetry calls a method that there is not.
const OTHER: &str = "_OTHER";

/// The tenant of callers with AGB keys of their own, who have none of the configuration.
const OWN_ACCOUNT: &str = "(own account)";
/// The reasons of refusals for who called, or for what they may do.
const REFUSALS: [&str; 3] = ["UNAUTHENTICATED", "PERMISSION_DENIED", "RATE_LIMITED"];

/// Observes every call.
#[derive(Clone, Debug)]
pub struct ObserveLayer(pub Telemetry);

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Observe {
            inner,
            telemetry: self.0.clone(),
        }
    }
}

/// A service whose calls are observed.
#[derive(Clone, Debug)]
pub struct Observe<S> {
    inner: S,
    telemetry: Telemetry,
}

impl<S, B, R> Service<Request<B>> for Observe<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut running = Running::begin(&self.telemetry, &request);
        let span = running.span.clone();
        let answer = span.enter(|| self.inner.call(request));
        Box::pin(span.around(async move {
            let mut answer = answer.await?;
            running.ending(answer.headers_mut());
            Ok(answer.map(|body| {
                Body::new(Observed {
                    body: Body::new(body),
                    running,
                })
            }))
        }))
    }
}

/// A call that is observed. It ends when this is dropped; without a status by then, its caller has gone.
struct Running {
    telemetry: Telemetry,
    method: &'static str,
    begun: Instant,
    span: Span,
    call: Call,
    peer: Option<Peer>,
    status: Option<Code>,
}

impl Running {
    fn begin<B>(telemetry: &Telemetry, request: &Request<B>) -> Self {
        let method = proto::method(request.uri().path()).unwrap_or(OTHER);
        let (span, call) = if method == OTHER || method.starts_with(OWN) {
            telemetry.call_span(method, request.headers())
        } else {
            (Span::current(), Call::default())
        };
        let peer = request.extensions().get::<Peer>().cloned();
        if span.is_recording() {
            span.set("rpc.system.name", "grpc");
            span.set("rpc.method", method.trim_start_matches('/'));
            if let Some(address) = peer.as_ref().and_then(Peer::address) {
                span.set("client.address", address.ip().to_string());
                span.set("client.port", i64::from(address.port()));
            }
            let agent = request.headers().get(header::USER_AGENT);
            if let Some(agent) = agent.and_then(|agent| agent.to_str().ok()) {
                span.set("user_agent.original", agent.to_owned());
            }
        }
        telemetry.instruments().active_calls.add(1, &[]);
        Self {
            telemetry: telemetry.clone(),
            method,
            begun: Instant::now(),
            span,
            call,
            peer,
            status: None,
        }
    }

    /// Takes the status from an answer's headers or trailers, if it is there, and adds what the caller should know.
    fn ending(&mut self, headers: &mut HeaderMap) {
        let Some(status) = headers.get(Status::GRPC_STATUS) else {
            return;
        };
        self.status = Some(Code::from_bytes(status.as_bytes()));
        let mut tell = |name, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        if let Some(trace_id) = self.span.trace_id() {
            tell(TRACE_ID, &trace_id);
        }
        let request_id = self.call.notes().agb_request_id;
        if !request_id.is_empty() {
            tell(AGB_REQUEST_ID, &request_id);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let elapsed = self.begun.elapsed();
        let code = self.status.unwrap_or(Code::Cancelled);
        let instruments = self.telemetry.instruments();
        instruments.active_calls.add(-1, &[]);
        instruments.call_duration.record(
            elapsed.as_secs_f64(),
            &[
                KeyValue::new("rpc.system.name", "grpc"),
                KeyValue::new("rpc.method", self.method.trim_start_matches('/')),
                KeyValue::new("rpc.response.status_code", name(code)),
            ],
        );
        let notes = self.call.notes();
        if notes.principal.is_some() {
            let tenant = notes.tenant.clone().unwrap_or_else(|| OWN_ACCOUNT.into());
            let tenant = KeyValue::new("agb_gateway.tenant", tenant);
            instruments.tenant_calls.add(1, &[tenant]);
        }
        if let Some(reason) = notes.reason.filter(|reason| REFUSALS.contains(reason)) {
            let reason = KeyValue::new("agb_gateway.reason", reason);
            instruments.auth_refused.add(1, &[reason]);
        }
        self.span.enter(|| self.log(&notes, code, elapsed));
        if self.span.is_recording() {
            if let Some(principal) = notes.principal {
                self.span.set("enduser.id", principal.to_string());
            }
            if let Some(tenant) = notes.tenant {
                self.span.set("agb_gateway.tenant", tenant.to_string());
            }
            self.span.set("rpc.response.status_code", name(code));
            if is_servers_error(code) {
                self.span.fail(name(code), notes.reason.unwrap_or_default());
            }
        }
        self.span.end();
    }
}

macro_rules! access {
    ($level:ident, $running:expr, $notes:expr, $code:expr, $elapsed:expr) => {{
        let notes = $notes;
        let caller_has_gone = $running.status.is_none();
        tracing::$level!(
            target: "access",
            method = $running.method,
            code = name($code),
            reason = notes.reason,
            duration_ms = $elapsed.as_secs_f64() * 1_000.0,
            principal = notes.principal.as_deref(),
            tenant = notes.tenant.as_deref(),
            peer = $running.peer.as_ref().and_then(Peer::address).map(tracing::field::display),
            agb_attempts = notes.attempts,
            agb_request_id = Some(notes.agb_request_id.as_str()).filter(|id| !id.is_empty()),
            caller_has_gone = caller_has_gone.then_some(true),
        );
    }};
}

impl Running {
    fn log(&self, notes: &Notes, code: Code, elapsed: Duration) {
        if self.method == OTHER || self.method.starts_with(OWN) {
            access!(info, self, notes, code, elapsed);
        } else {
            access!(debug, self, notes, code, elapsed);
        }
    }
}

/// The name of a code, as gRPC writes it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Which codes are errors of the server, by OpenTelemetry's conventions for gRPC.
fn is_servers_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// An answer that is observed, and is made within the call's span.
struct Observed {
    body: Body,
    running: Running,
}

impl http_body::Body for Observed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self { body, running } = &mut *self;
        let mut frame = running.span.enter(|| Pin::new(body).poll_frame(context));
        if let Poll::Ready(Some(Ok(frame))) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            running.ending(trailers);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
