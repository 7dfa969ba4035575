//! Answers the calls that are still running shortly before the server ends: better words than a broken connection.

use std::error::Error;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::proto::is_repeatable;
use crate::resilience::Drain;
use crate::status::Failure;

/// Answers what still runs when the drain is nearly over.
#[derive(Clone, Debug)]
pub struct CutOffLayer(pub Drain);

impl<S> Layer<S> for CutOffLayer {
    type Service = CutOff<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CutOff {
            inner,
            drain: self.0.clone(),
        }
    }
}

/// A service whose calls are answered before the server ends.
#[derive(Clone, Debug)]
pub struct CutOff<S> {
    inner: S,
    drain: Drain,
}

impl<S, R> Service<Request<Body>> for CutOff<S>
where
    S: Service<Request<Body>, Response = Response<R>>,
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

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let repeatable = is_repeatable(request.uri().path());
        let answer = self.inner.call(request);
        let drain = self.drain.clone();
        Box::pin(async move {
            tokio::select! {
                answer = answer => Ok(answer?.map(Body::new)),
                () = drain.last_answers() => {
                    Ok(Status::from(Failure::CutOff { repeatable }).into_http())
                }
            }
        })
    }
}
