//! ValidateSyncPolicy: any message gets an answer; what is called valid has a policy text, and is a fixed point.
#![no_main]

use agb_gateway::proto::v1 as pb;
use agb_gateway_fuzz::World;
use libfuzzer_sys::fuzz_target;
use pb::sync_policy_service_client::SyncPolicyServiceClient;
use prost::Message as _;

async fn validate(
    world: &World,
    request: pb::ValidateSyncPolicyRequest,
) -> pb::ValidateSyncPolicyResponse {
    let mut policies = SyncPolicyServiceClient::new(world.channel.clone());
    let answer = policies.validate_sync_policy(request).await;
    answer.expect("an answer").into_inner()
}

async fn check(world: &World, request: pb::ValidateSyncPolicyRequest) {
    let answer = validate(world, request).await;
    assert_eq!(answer.valid, answer.violations.is_empty());
    assert_eq!(answer.valid, answer.normalized_policy.is_some());
    if answer.valid {
        let text: serde_json::Value = serde_json::from_str(&answer.agb_policy_json).expect("JSON");
        assert!(text["uploadPolicy"]["autoUpload"].is_boolean());
        let normalized = pb::ValidateSyncPolicyRequest {
            policy: answer.normalized_policy.clone(),
            ..pb::ValidateSyncPolicyRequest::default()
        };
        let again = validate(world, normalized).await;
        assert_eq!(again.agb_policy_json, answer.agb_policy_json);
        assert_eq!(again.normalized_policy, answer.normalized_policy);
    }
}

fuzz_target!(|message: &[u8]| {
    let Ok(mut request) = pb::ValidateSyncPolicyRequest::decode(message) else {
        return;
    };
    // AGB is not asked.
    request.context_id.clear();
    World::with(|world, runtime| runtime.block_on(check(world, request)));
});
