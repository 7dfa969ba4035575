//! gRPC-Web: off unless origins are listed, and then for these alone.

use figment::Figment;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use tonic::body::Body;
use tower::{Service as _, ServiceExt as _};

use crate::support::World;

const PAGE: &str = "https://tools.example";
const LIST: &str = "/agb.gateway.v1.SyncPolicyService/ListSyncPolicies";

async fn world() -> World {
    World::with_settings(Figment::new().merge(("server.grpc_web_origins", [PAGE]))).await
}

/// What a browser gets that asks from a page of this origin: status, headers and body.
async fn asked(
    world: &World,
    method: Method,
    origin: &str,
    kind: &str,
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = Request::builder()
        .method(method)
        .uri(LIST)
        .header("origin", origin)
        .header("content-type", kind)
        .header("x-grpc-web", "1")
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type,x-grpc-web",
        );
    // An empty message: not compressed, no bytes.
    let request = request
        .body(Body::new(http_body_util::Full::from(vec![0; 5])))
        .unwrap();
    let mut channel = world.channel.clone();
    let answer = channel.ready().await.unwrap().call(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    (head.status, head.headers, body)
}

#[tokio::test]
async fn a_page_of_a_listed_origin_gets_messages_and_a_status_in_the_body() {
    let world = world().await;
    let (status, headers, body) =
        asked(&world, Method::POST, PAGE, "application/grpc-web+proto").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["access-control-allow-origin"], PAGE);
    assert!(
        headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("application/grpc-web")
    );
    let text = String::from_utf8_lossy(&body);
    assert!(text.contains("production"), "{text}");
    assert!(text.contains("grpc-status:0"), "{text}");
}

#[tokio::test]
async fn browsers_are_told_of_listed_origins_alone() {
    let world = world().await;
    let kind = "application/grpc-web+proto";
    let (_, headers, _) = asked(&world, Method::OPTIONS, PAGE, kind).await;
    assert_eq!(headers["access-control-allow-origin"], PAGE);
    let allowed = headers["access-control-allow-headers"].to_str().unwrap();
    for name in [
        "authorization",
        "x-agb-api-key",
        "grpc-timeout",
        "traceparent",
    ] {
        assert!(allowed.contains(name), "{allowed}");
    }
    for origin in ["https://evil.example", "https://tools.example.evil", "null"] {
        let (_, headers, _) = asked(&world, Method::OPTIONS, origin, kind).await;
        assert!(
            !headers.contains_key("access-control-allow-origin"),
            "{origin}: {headers:?}"
        );
    }
}

#[tokio::test]
async fn without_origins_there_is_no_grpc_web() {
    let world = World::start().await;
    let (_, headers, body) = asked(&world, Method::POST, PAGE, "application/grpc-web+proto").await;
    assert!(
        !headers.contains_key("access-control-allow-origin"),
        "{headers:?}"
    );
    let text = String::from_utf8_lossy(&body);
    assert!(!text.contains("grpc-status"), "{text}");
}
