//! The ways to a gateway: tonic's channel, and one without a timer of its own, so that the server's answer is seen.

use std::net::SocketAddr;

use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

/// What the generated clients speak through.
pub(crate) type Wire = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;

pub(crate) async fn over_channel(address: SocketAddr) -> Wire {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect().await.unwrap();
    BoxCloneSyncService::new(channel.map_err(|error| Status::from_error(error.into())))
}

/// Sends `grpc-timeout` and does not watch it.
pub(crate) fn without_client_timer(address: SocketAddr, timeout: &'static str) -> Wire {
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    BoxCloneSyncService::new(tower::service_fn(move |request: Request<Body>| {
        let client = client.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let answer = client
                .post(format!("http://{address}{}", parts.uri.path()))
                .headers(parts.headers)
                .header("grpc-timeout", HeaderValue::from_static(timeout))
                .body(body)
                .send()
                .await
                .map_err(|error| Status::from_error(error.into()))?;
            let answer: Response<reqwest::Body> = answer.into();
            Ok(answer.map(Body::new))
        }
    }))
}
