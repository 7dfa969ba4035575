//! Makes a request that breaks off an error.
//!
//! To tonic, the stream of a caller who has cancelled is one that has ended, so that half a file would be taken for a whole one.

use std::task::{Context, Poll};

use http::Request;
use http_body_util::BodyExt as _;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::status::{Failure, Unread};

/// Makes a request that breaks off an error.
#[derive(Clone, Copy, Debug)]
pub struct BrokenOffLayer;

impl<S> Layer<S> for BrokenOffLayer {
    type Service = BrokenOff<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BrokenOff(inner)
    }
}

/// A service to which requests that break off are errors.
#[derive(Clone, Debug)]
pub struct BrokenOff<S>(S);

impl<S: Service<Request<Body>>> Service<Request<Body>> for BrokenOff<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request.map(|body| {
            Body::new(body.map_err(|error| {
                let words = format!("the caller's stream broke off: {error}");
                tonic::Status::from(Failure::Unread(Unread::Malformed(words)))
            }))
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http_body_util::StreamBody;
    use tonic::codec::{Codec as _, Streaming};
    use tonic::{Code, Status};
    use tonic_prost::ProstCodec;
    use tower::service_fn;

    use super::*;
    use crate::proto::v1::UploadContextFileRequest;

    #[tokio::test]
    async fn a_cancelled_call_is_no_end_of_its_stream() {
        let frames = tokio_stream::iter([
            Ok(http_body::Frame::data(Bytes::from_static(&[0, 0, 0, 0, 0]))),
            Err(Status::cancelled("the caller has gone")),
        ]);
        let mut service = BrokenOffLayer.layer(service_fn(|request: Request<Body>| async move {
            let mut codec =
                ProstCodec::<UploadContextFileRequest, UploadContextFileRequest>::default();
            let mut messages =
                Streaming::new_request(codec.decoder(), request.into_body(), None, None);
            let first = messages.message().await;
            Ok::<_, Infallible>((first, messages.message().await))
        }));
        let request = Request::new(Body::new(StreamBody::new(frames)));
        let (first, second) = service.call(request).await.unwrap();
        assert_eq!(first.unwrap(), Some(UploadContextFileRequest::default()));
        assert_eq!(second.unwrap_err().code(), Code::InvalidArgument);
    }
}
