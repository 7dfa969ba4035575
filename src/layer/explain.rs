//! Explains gRPC's own refusals: unknown methods, and requests that cannot be read.
//!
//! tonic answers these before any service is asked, with a bare code. Every status of the services has details, so a status
//! without them is tonic's. Of tonic's, INTERNAL means that the request broke the protocol, and OUT_OF_RANGE or
//! RESOURCE_EXHAUSTED that a message was too long. Other codes come from `grpc.health.v1`, and stay as they are.

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::status::{Failure, Unread};

/// Gives tonic's own statuses a reason and words of help.
#[derive(Clone, Copy, Debug)]
pub struct ExplainLayer;

impl<S> Layer<S> for ExplainLayer {
    type Service = Explain<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Explain(inner)
    }
}

/// A service whose statuses are explained.
#[derive(Clone, Debug)]
pub struct Explain<S>(S);

impl<S, B, R> Service<Request<B>> for Explain<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let method = request.uri().path().to_owned();
        let answer = self.0.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            if let Some(unread) = unread(answer.headers(), method) {
                let headers = answer.headers_mut();
                // A status whose words fit in no header keeps its bare code.
                let _ = Status::from(Failure::Unread(unread)).add_header(headers);
            }
            Ok(answer)
        })
    }
}

/// What tonic says in the headers of an answer without a body; `None` for everything else.
fn unread(headers: &HeaderMap, method: String) -> Option<Unread> {
    if headers.contains_key(Status::GRPC_STATUS_DETAILS) {
        return None;
    }
    let status = Status::from_header_map(headers)?;
    let words = status.message().to_owned();
    match status.code() {
        // tonic has no words for a method that it does not know.
        Code::Unimplemented if words.is_empty() => Some(Unread::UnknownMethod(method)),
        Code::Unimplemented => Some(Unread::Compressed(words)),
        // Of RESOURCE_EXHAUSTED, only what grows beyond the limit when it is unpacked: the services' own have details.
        Code::OutOfRange | Code::ResourceExhausted => Some(Unread::TooLong(words)),
        Code::Internal => Some(Unread::Malformed(words)),
        _ => None,
    }
}
