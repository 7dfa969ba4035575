//! Callers by other ways than tokens, and how long a call counts as theirs.

use std::time::Duration;

use agb_emulator::FaultAction;
use agb_gateway::auth::NewToken;
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::context_service_client::ContextServiceClient;
use agb_gateway::proto::v1::sync_service_client::SyncServiceClient;
use figment::Figment;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::authentication::{bearer, list, toml};
use crate::certificates::{Authority, Files, Signed, connect_tls};
use crate::support::{CODE_IMAGE, World, mount, reason, within};

/// A caller on a connection of its own, with a header or without.
struct Caller {
    channel: Channel,
    authorization: Option<String>,
}

impl Caller {
    fn says<T>(&self, message: T) -> Request<T> {
        let mut request = within(message);
        if let Some(authorization) = &self.authorization {
            let value = authorization.parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        request
    }

    async fn list(&self) -> Result<(), Status> {
        let request = self.says(pb::ListContextsRequest::default());
        let mut contexts = ContextServiceClient::new(self.channel.clone());
        contexts.list_contexts(request).await.map(drop)
    }

    async fn create(&self) -> Result<(), Status> {
        let request = self.says(pb::CreateContextRequest {
            context: Some(pb::Context {
                name: "c".to_owned(),
                ..pb::Context::default()
            }),
            ..pb::CreateContextRequest::default()
        });
        let mut contexts = ContextServiceClient::new(self.channel.clone());
        contexts.create_context(request).await.map(drop)
    }
}

fn metadata(status: &Status, name: &str) -> Option<String> {
    let details = status.get_error_details();
    details.error_info().unwrap().metadata.get(name).cloned()
}

#[tokio::test]
async fn a_certificate_names_a_caller_and_rescues_no_bad_token() {
    let (ca, clients) = (Authority::new(), Authority::new());
    let files = Files::new(&ca.server());
    let [known, stranger] = [(); 2].map(|()| NewToken::generate("ci").unwrap());
    let settings = files
        .settings()
        .merge(toml(
            r#"
            [server]
            tls_client_certificates = "optional"
            [auth]
            methods = ["mtls", "token"]
            [[auth.rules]]
            principals = ["mtls:spiffe://corp/*/indexer"]
            roles = ["read"]
            [[auth.rules]]
            principals = ["token:ci"]
            roles = ["contexts"]
            "#,
        ))
        .merge((
            "server.tls_client_ca_file",
            files.write("clients.crt", &clients.pem),
        ))
        .merge(("auth.token_file", files.write("tokens", &known.line)));
    let world = World::start().await;
    let gateway = world.start_gateway(settings).await;
    let connect = async |client: Option<&Signed>, token: Option<&NewToken>| Caller {
        channel: connect_tls(gateway.address(), &ca, client).await.unwrap(),
        authorization: token.map(|token| bearer(token.expose())),
    };
    let indexer = clients.client("spiffe://corp/search/indexer");
    let caller = connect(Some(&indexer), None).await;
    caller.list().await.unwrap();
    let status = caller.create().await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let principal = metadata(&status, "principal");
    assert_eq!(
        principal.as_deref(),
        Some("mtls:spiffe://corp/search/indexer")
    );
    assert_eq!(metadata(&status, "right").as_deref(), Some("contexts"));
    // Whom no rule fits may do nothing.
    let other = clients.client("spiffe://corp/search/web");
    let status = connect(Some(&other), None).await.list().await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let nobody = connect(None, None).await.list().await.unwrap_err();
    assert_eq!(nobody.code(), Code::Unauthenticated);
    // A token counts before the certificate, be it good or bad.
    let caller = connect(Some(&indexer), Some(&known)).await;
    caller.create().await.unwrap();
    assert_eq!(
        caller.list().await.unwrap_err().code(),
        Code::PermissionDenied
    );
    let caller = connect(Some(&indexer), Some(&stranger)).await;
    assert_eq!(
        caller.list().await.unwrap_err().code(),
        Code::Unauthenticated
    );
}

#[tokio::test]
async fn a_key_of_one_s_own_that_agb_refuses_is_the_caller_s_to_mend() {
    let world = World::with_settings(toml("auth.methods = [\"agb_key\"]")).await;
    let (old, new) = ("Pl4nted-old-key", "Pl4nted-new-key");
    let list = async |key| list(&world, &[("x-agb-api-key", key)]).await;
    list(old).await.unwrap();
    world.emulator.rotate_key(old, new);
    let status = list(old).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(reason(&status), "OWN_KEY_REJECTED");
    list(new).await.unwrap();
}

#[tokio::test]
async fn a_call_counts_for_as_long_as_its_answer_flows() {
    let world = World::start().await;
    let context = world.create_context("c").await;
    let mounts = vec![mount(&context, "/home/data")];
    let session_id = world.create_session(CODE_IMAGE, mounts).await;
    let stall = FaultAction::StallSyncTask { direction: None };
    world.inject("SyncContext", 1, stall);
    let request = pb::SyncContextsRequest {
        session_id,
        return_immediately: true,
        ..pb::SyncContextsRequest::default()
    };
    let started = world.syncs().sync_contexts(within(request)).await.unwrap();
    let token = started.into_inner().status.unwrap().sync_token;
    let settings: Figment = toml(
        r#"
        [[auth.rules]]
        principals = ["anonymous"]
        roles = ["read"]
        max_concurrent_calls = 1
        "#,
    );
    let (_gateway, channel) = world.replica_with(settings).await;
    let caller = Caller {
        channel: channel.clone(),
        authorization: None,
    };
    caller.list().await.unwrap();
    let request = pb::WatchSyncRequest {
        target: Some(pb::watch_sync_request::Target::SyncToken(token)),
        heartbeat_interval: None,
    };
    let mut syncs = SyncServiceClient::new(channel);
    let watch = syncs.watch_sync(within(request)).await;
    let mut watch = watch.unwrap().into_inner();
    watch.message().await.unwrap().expect("a first state");
    let status = caller.list().await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(reason(&status), "RATE_LIMITED");
    let details = status.get_error_details();
    let retry = details.retry_info().unwrap().retry_delay.unwrap();
    assert!(retry > Duration::ZERO);
    drop(watch);
    let mut pause = tokio::time::interval(Duration::from_millis(2));
    while let Err(status) = caller.list().await {
        assert_eq!(reason(&status), "RATE_LIMITED");
        pause.tick().await;
    }
}
