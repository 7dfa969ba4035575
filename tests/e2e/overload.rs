//! More calls than the gateway takes on: refused early, with words, while its health is still told.

use agb_emulator::FaultAction;
use agb_gateway::proto::v1 as pb;
use agb_gateway::proto::v1::sync_policy_service_client::SyncPolicyServiceClient;
use figment::Figment;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::support::{World, reason, within};

#[tokio::test]
async fn a_call_beyond_the_limit_is_refused_at_once_and_health_is_still_told() {
    let settings = Figment::new().merge(("server.max_concurrent_calls", 1));
    let world = World::with_settings(settings).await;
    world.inject("ListContexts", 1, FaultAction::Delay { delay_ms: 600_000 });
    let mut contexts = world.contexts();
    let request = within(pb::ListContextsRequest::default());
    let held = tokio::spawn(async move { contexts.list_contexts(request).await });
    let mut policies = SyncPolicyServiceClient::new(world.channel.clone());
    let refused = loop {
        let request = within(pb::GetDefaultSyncPolicyRequest {});
        if let Err(status) = policies.get_default_sync_policy(request).await {
            break status;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(reason(&refused), "OVERLOADED");
    assert!(
        refused.message().contains("server.max_concurrent_calls"),
        "{refused:?}"
    );
    assert!(refused.get_error_details().retry_info().is_some());
    let mut health = HealthClient::new(world.channel.clone());
    health.check(HealthCheckRequest::default()).await.unwrap();
    // The one that was held makes room when it goes.
    held.abort();
    assert!(held.await.unwrap_err().is_cancelled());
    loop {
        let request = within(pb::GetDefaultSyncPolicyRequest {});
        if policies.get_default_sync_policy(request).await.is_ok() {
            break;
        }
        tokio::task::yield_now().await;
    }
}
