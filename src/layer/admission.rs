//! Refuses calls early when the server has too many on its hands. Health and reflection are always answered.

use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::status::Failure;

const SETTING: &str = "server.max_concurrent_calls";
/// The services that are limited: ours.
const LIMITED: &str = "/agb.gateway.v1.";

/// Lets so many calls run at once; all connections share the number.
#[derive(Clone, Debug)]
pub struct AdmissionLayer {
    calls: Arc<Semaphore>,
    limit: usize,
}

impl AdmissionLayer {
    /// At most `limit` calls at once.
    pub fn new(limit: usize) -> Self {
        Self {
            calls: Arc::new(Semaphore::new(limit)),
            limit,
        }
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Admission {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service of which only so many calls run at once.
#[derive(Clone, Debug)]
pub struct Admission<S> {
    inner: S,
    layer: AdmissionLayer,
}

impl<S, R> Service<Request<Body>> for Admission<S>
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
        if !request.uri().path().starts_with(LIMITED) {
            let answer = self.inner.call(request);
            return Box::pin(async move { Ok(answer.await?.map(Body::new)) });
        }
        match self.layer.calls.clone().try_acquire_owned() {
            Ok(permit) => {
                let answer = self.inner.call(request);
                Box::pin(async move { Ok(answer.await?.map(|body| held(body, permit))) })
            }
            Err(_none) => {
                let failure = Failure::Overloaded {
                    setting: SETTING,
                    limit: self.layer.limit,
                };
                Box::pin(async move { Ok(Status::from(failure).into_http()) })
            }
        }
    }
}

/// A call has ended when its answer has: a stream counts for as long as it flows.
fn held<R>(body: R, permit: OwnedSemaphorePermit) -> Body
where
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn Error + Send + Sync>>,
{
    Body::new(body.map_frame(move |frame| {
        let _held = &permit;
        frame
    }))
}
