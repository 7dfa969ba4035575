//! Asks who calls, before any service sees the call. What is behind it finds a [`Caller`] in the request's extensions.

use std::error::Error;
use std::mem;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::auth::{Caller, Guard, KEY_HEADER, Peer};
use crate::resilience::Deadline;
use crate::status::Failure;
use crate::telemetry::Call;

/// Lets in only calls that the guard admits.
#[derive(Clone, Debug)]
pub struct AuthLayer(pub Guard);

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Auth {
            inner,
            guard: self.0.clone(),
        }
    }
}

/// A service whose callers are known.
#[derive(Clone, Debug)]
pub struct Auth<S> {
    inner: S,
    guard: Guard,
}

impl<S, R> Service<Request<Body>> for Auth<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
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

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The one that has said that it is ready goes with the call.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        let guard = self.guard.clone();
        Box::pin(async move {
            let peer = request.extensions().get::<Peer>().cloned();
            let path = request.uri().path();
            let admitted = guard.admit(path, request.headers(), peer.as_ref());
            let admitted = match request.extensions().get::<Deadline>() {
                Some(deadline) => deadline.bound(admitted).await,
                None => Ok(admitted.await),
            };
            let admitted = match admitted {
                Ok(admitted) => admitted.map_err(Failure::from),
                Err(_exceeded) => Err(Failure::Deadline {
                    doing: "finding out who calls".to_owned(),
                    resource: None,
                }),
            };
            let caller = match admitted {
                Ok(caller) => caller,
                Err(failure) => return Ok(Status::from(failure).into_http()),
            };
            // Nothing behind this has any use for credentials, so nothing can give them away.
            request.headers_mut().remove(AUTHORIZATION);
            request.headers_mut().remove(KEY_HEADER);
            match caller {
                None => Ok(inner.call(request).await?.map(Body::new)),
                Some(caller) => {
                    Call::note(|notes| {
                        notes.principal = Some(caller.shared_principal());
                        notes.tenant = caller.tenant().name();
                    });
                    request.extensions_mut().insert(caller.clone());
                    let answer = inner.call(request).await?;
                    Ok(answer.map(|body| held(body, caller)))
                }
            }
        })
    }
}

/// A call counts among its caller's for as long as its answer flows.
fn held<R>(body: R, caller: Caller) -> Body
where
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn Error + Send + Sync>>,
{
    Body::new(body.map_frame(move |frame| {
        let _held = &caller;
        frame
    }))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tower::ServiceExt as _;
    use tower::service_fn;

    use super::*;
    use crate::auth::{AuthConfig, Method};
    use crate::telemetry::Telemetry;

    #[tokio::test]
    async fn what_is_behind_it_sees_the_caller_and_no_credentials() {
        let config = AuthConfig {
            methods: vec![Method::AgbKey],
            token_file: None,
            issuers: Vec::new(),
            rules: Vec::new(),
            open_reflection: true,
            reload_interval: Duration::from_secs(1),
        };
        let guard = Guard::start(&config, &Telemetry::off()).await.unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let behind = service_fn(move |request: Request<Body>| {
            let caller = request.extensions().get::<Caller>();
            let caller = caller.map(|caller| caller.principal().to_owned());
            let names = request.headers().keys().map(ToString::to_string);
            log.lock()
                .unwrap()
                .push((caller, names.collect::<Vec<_>>()));
            async { Ok::<_, Infallible>(Response::new(Body::empty())) }
        });
        let service = AuthLayer(guard).layer(behind);
        let session = "/agb.gateway.v1.SessionService/GetSession";
        let health = "/grpc.health.v1.Health/Check";
        for (path, header) in [(session, KEY_HEADER), (health, "authorization")] {
            let request = Request::post(path)
                .header(header, "hunter2")
                .header("user-agent", "test");
            let request = request.body(Body::empty()).unwrap();
            service.clone().oneshot(request).await.unwrap();
        }
        // One that is refused is not seen at all.
        let request = Request::post(session).body(Body::empty()).unwrap();
        service.clone().oneshot(request).await.unwrap();
        let seen = seen.lock().unwrap();
        let agent = vec!["user-agent".to_owned()];
        let known = Some("key:f52fbd32b2b3b86f".to_owned());
        assert_eq!(*seen, [(known, agent.clone()), (None, agent)]);
    }
}
