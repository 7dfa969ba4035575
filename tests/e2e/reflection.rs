//! What grpcurl needs: server reflection in both versions, and health.

use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::{v1, v1alpha};

use crate::authentication::toml;
use crate::support::{World, within};

const SERVICES: [&str; 8] = [
    "agb.gateway.v1.ContextService",
    "agb.gateway.v1.MappingPolicyService",
    "agb.gateway.v1.SessionService",
    "agb.gateway.v1.SyncPolicyService",
    "agb.gateway.v1.SyncService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// One question to server reflection of one version, and its answer.
macro_rules! ask {
    ($version:ident, $world:expr, $question:ident, $name:expr) => {{
        let mut client =
            $version::server_reflection_client::ServerReflectionClient::new($world.channel.clone());
        let question = $version::server_reflection_request::MessageRequest::$question($name);
        let request = $version::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(question),
        };
        let answers = client
            .server_reflection_info(tokio_stream::once(request))
            .await;
        let answer = answers.unwrap().into_inner().next().await.unwrap().unwrap();
        answer.message_response.unwrap()
    }};
}

macro_rules! services {
    ($version:ident, $world:expr) => {{
        let $version::server_reflection_response::MessageResponse::ListServicesResponse(list) =
            ask!($version, $world, ListServices, String::new())
        else {
            panic!("no list of services");
        };
        let names = list.service.into_iter().map(|service| service.name);
        names.collect::<Vec<_>>()
    }};
}

#[tokio::test]
async fn both_versions_of_reflection_list_every_service() {
    let world = World::start().await;
    for names in [services!(v1, world), services!(v1alpha, world)] {
        for service in &SERVICES[..6] {
            assert!(
                names.iter().any(|name| name == service),
                "{service} in {names:?}"
            );
        }
        assert!(
            names.iter().all(|name| SERVICES.contains(&name.as_str())),
            "{names:?}"
        );
    }
}

#[tokio::test]
async fn reflection_that_is_not_open_is_for_known_callers() {
    let settings = toml("[auth]\nmethods = [\"agb_key\"]\nopen_reflection = false");
    let world = World::with_settings(settings).await;
    let ask = async |key: Option<&str>| {
        let mut client =
            v1::server_reflection_client::ServerReflectionClient::new(world.channel.clone());
        let request = v1::ServerReflectionRequest::default();
        let mut request = within(tokio_stream::once(request));
        if let Some(key) = key {
            let key = key.parse().unwrap();
            request.metadata_mut().insert("x-agb-api-key", key);
        }
        client.server_reflection_info(request).await.map(drop)
    };
    let status = ask(None).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    ask(Some("Pl4nted-own-key")).await.unwrap();
}

#[tokio::test]
async fn a_running_gateway_is_healthy() {
    let world = World::start().await;
    let mut health = HealthClient::new(world.channel.clone());
    let answer = health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.into_inner().status, 1);
}

#[tokio::test]
async fn the_details_of_errors_are_described() {
    let world = World::start().await;
    for name in [
        "google.rpc.ErrorInfo",
        "google.rpc.BadRequest",
        "agb.gateway.v1.SyncStatus",
    ] {
        let answer = ask!(v1, world, FileContainingSymbol, name.to_owned());
        assert!(
            matches!(
                answer,
                v1::server_reflection_response::MessageResponse::FileDescriptorResponse(_)
            ),
            "{name}: {answer:?}"
        );
    }
}
