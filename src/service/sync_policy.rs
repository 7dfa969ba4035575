//! SyncPolicyService.

use std::ops::ControlFlow;

use tonic::{Request, Response, Status};

use super::walk::walk;
use super::{Backend, deadline, page_token, translate};
use crate::agb::wire;
use crate::domain::{
    ContextContents, MountPath, Preset, SyncPolicy, UploadMode, Violations, advice,
};
use crate::proto::v1 as pb;
use crate::proto::v1::sync_policy_service_server as server;
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};

const LIST: &str = "sync policies";
/// How archives are named.
const ARCHIVES: [&str; 5] = [".zip", ".tar", ".gz", ".tgz", ".zst"];

/// Policies of synchronisation.
#[derive(Clone, Debug)]
pub struct SyncPolicyService(pub Backend);

#[tonic::async_trait]
impl server::SyncPolicyService for SyncPolicyService {
    async fn get_default_sync_policy(
        &self,
        _request: Request<pb::GetDefaultSyncPolicyRequest>,
    ) -> Result<Response<pb::GetDefaultSyncPolicyResponse>, Status> {
        let policy = SyncPolicy::default();
        Ok(Response::new(pb::GetDefaultSyncPolicyResponse {
            agb_policy_json: wire::policy_text(&policy),
            policy: Some(policy.into()),
        }))
    }

    async fn list_sync_policies(
        &self,
        request: Request<pb::ListSyncPoliciesRequest>,
    ) -> Result<Response<pb::ListSyncPoliciesResponse>, Status> {
        Ok(Response::new(list(&self.0, &request.into_inner())?))
    }

    async fn get_sync_policy(
        &self,
        request: Request<pb::GetSyncPolicyRequest>,
    ) -> Result<Response<pb::GetSyncPolicyResponse>, Status> {
        let preset = get(&self.0, &request.into_inner().name)?;
        Ok(Response::new(pb::GetSyncPolicyResponse {
            preset: Some(preset),
        }))
    }

    async fn validate_sync_policy(
        &self,
        request: Request<pb::ValidateSyncPolicyRequest>,
    ) -> Result<Response<pb::ValidateSyncPolicyResponse>, Status> {
        let deadline = deadline(&request)?;
        let answer = validate(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }
}

fn list(
    backend: &Backend,
    request: &pb::ListSyncPoliciesRequest,
) -> Result<pb::ListSyncPoliciesResponse, Failure> {
    let mut violations = Violations::default();
    let size = violations.check(
        "page_size",
        page_token::size(request.page_size, backend.limits.pages),
    );
    let after = violations.check(
        "page_token",
        backend.page_tokens.read(LIST, &request.page_token),
    );
    violations.into_result()?;
    let size = usize::try_from(size.unwrap_or_default()).unwrap_or(usize::MAX);
    let after = after.flatten().unwrap_or_default();
    let mut rest = backend
        .presets
        .iter()
        .filter(|(name, _)| **name > after)
        .peekable();
    let page: Vec<_> = rest.by_ref().take(size).collect();
    let last = page
        .last()
        .map(|(name, _)| name.as_str())
        .unwrap_or_default();
    let next = if rest.peek().is_some() { last } else { "" };
    Ok(pb::ListSyncPoliciesResponse {
        next_page_token: backend.page_tokens.write(LIST, next),
        presets: page
            .into_iter()
            .map(|(name, preset)| named(name, preset))
            .collect(),
    })
}

fn get(backend: &Backend, name: &str) -> Result<pb::SyncPolicyPreset, Failure> {
    let mut violations = Violations::default();
    violations.check("name", translate::name(name, &backend.limits));
    violations.into_result()?;
    match backend.presets.get(name) {
        Some(preset) => Ok(named(name, preset)),
        None => Err(Failure::NotFound {
            doing: "looking up the preset".to_owned(),
            resource: Resource::SyncPolicy(name.to_owned()),
            request_id: String::new(),
        }),
    }
}

fn named(name: &str, preset: &Preset) -> pb::SyncPolicyPreset {
    pb::SyncPolicyPreset {
        name: name.to_owned(),
        description: preset.description.clone(),
        policy: Some(preset.policy.clone().into()),
    }
}

async fn validate(
    backend: &Backend,
    request: &pb::ValidateSyncPolicyRequest,
    deadline: Deadline,
) -> Result<pb::ValidateSyncPolicyResponse, Failure> {
    let mut violations = Violations::default();
    let policy = translate::preset_with(
        &backend.presets,
        &request.preset,
        request.policy.as_ref(),
        "",
        &mut violations,
    );
    let path = (!request.path.is_empty())
        .then(|| violations.check("path", MountPath::try_new(&request.path)))
        .flatten();
    if !request.context_id.is_empty() {
        violations.check("context_id", translate::identifier(&request.context_id));
    }
    if let Err(violations) = violations.into_result() {
        return Ok(pb::ValidateSyncPolicyResponse {
            violations: violations.iter().map(pb::FieldViolation::from).collect(),
            ..pb::ValidateSyncPolicyResponse::default()
        });
    }
    let contents = contents(backend, &policy, &request.context_id, deadline).await?;
    let advice = advice(&policy, path.as_ref(), contents);
    Ok(pb::ValidateSyncPolicyResponse {
        valid: true,
        violations: Vec::new(),
        advice: advice.into_iter().map(pb::SyncPolicyAdvice::from).collect(),
        agb_policy_json: wire::policy_text(&policy),
        normalized_policy: Some(policy.into()),
    })
}

/// What of the context matters to advice. AGB is asked only when it does.
async fn contents(
    backend: &Backend,
    policy: &SyncPolicy,
    context_id: &str,
    deadline: Deadline,
) -> Result<ContextContents, Failure> {
    if context_id.is_empty() || policy.upload.mode != UploadMode::Archive {
        return Ok(ContextContents::default());
    }
    let mut plain_files = false;
    walk(backend, context_id, "/", deadline, |file| {
        let name = file.path.to_ascii_lowercase();
        plain_files = !ARCHIVES.iter().any(|ending| name.ends_with(ending));
        if plain_files {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
    .await?;
    Ok(ContextContents { plain_files })
}
