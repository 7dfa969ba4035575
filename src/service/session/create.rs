//! CreateSession: validate everything, create, wait until every context is in place.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::{Backend, sync::accepted, translate};
use crate::agb::{self, operation, wire};
use crate::domain::{
    BwList, DeletePolicy, Labels, MountPath, SyncPolicy, UploadPolicy, Violations, WhiteList,
};
use crate::proto::v1 as pb;
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};
use crate::sync::{Place, Report, Sync, Target};

/// Where AGB's SDK mounts browser data, fingerprints and extensions.
const BROWSER_DATA_PATH: &str = "/tmp/agb_browser_data";
const BROWSER_FINGERPRINT_PATH: &str = "/tmp/agb_browser_fingerprint";
const EXTENSIONS_PATH: &str = "/tmp/extensions";
/// What the SDK keeps of a browser's data.
const BROWSER_WHITE_LIST: [&str; 3] = [
    "/Local State",
    "/Default/Cookies",
    "/Default/Cookies-journal",
];

const SECOND: Duration = Duration::from_secs(1);
const MAX_IDLE_TIMEOUT: Duration = Duration::from_hours(24);
/// How long the release of a session that came to nothing may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(30);

/// A request that passed every rule.
struct NewSession {
    image_id: String,
    labels: Labels,
    policy_id: Option<String>,
    idle_timeout: Option<Duration>,
    mounts: Vec<Mount>,
    keep_on_failure: bool,
}

struct Mount {
    context_id: String,
    path: MountPath,
    policy: SyncPolicy,
}

pub(super) async fn create_session(
    backend: &Backend,
    request: &pb::CreateSessionRequest,
    deadline: Deadline,
) -> Result<pb::CreateSessionResponse, Failure> {
    if !request.request_id.is_empty() {
        return Err(Failure::NotImplemented("CreateSession with request_id"));
    }
    let new = validate(request)?;
    let created = create(backend, &new, deadline).await?;
    let session_id = created.session_id.clone();
    let session = pb::Session {
        image_id: new.image_id.clone(),
        ..created.into_session("").into()
    };
    let status = match downloads(&new, &session_id) {
        None => None,
        Some(sync) if request.return_immediately => Some(accepted(&sync)),
        Some(sync) => Some(wait_for_contexts(backend, &new, sync, deadline).await?),
    };
    Ok(pb::CreateSessionResponse {
        session: Some(session),
        sync_status: status.as_ref().map(pb::SyncStatus::from),
    })
}

async fn create(
    backend: &Backend,
    new: &NewSession,
    deadline: Deadline,
) -> Result<wire::SessionData, Failure> {
    let labels = (!new.labels.as_map().is_empty())
        .then(|| serde_json::json!(new.labels.as_map()).to_string());
    let persistence_data_list: Vec<_> = new
        .mounts
        .iter()
        .map(|mount| wire::PersistenceData {
            context_id: &mount.context_id,
            path: mount.path.as_str(),
            policy: wire::policy_text(&mount.policy),
        })
        .collect();
    let call = wire::CreateSession {
        image_id: &new.image_id,
        labels,
        persistence_data_list: (!persistence_data_list.is_empty()).then_some(persistence_data_list),
        mcp_policy_id: new.policy_id.as_deref(),
        timeout: new.idle_timeout.map(|timeout| timeout.as_secs()),
    };
    let failed = |error| Failure::agb(error, "creating the session", None);
    let answer = backend.client.call(&call, deadline).await.map_err(failed)?;
    let data = answer.data;
    if data.success == Some(false) {
        return Err(failed(agb::Error::refused(
            &operation::CREATE_SESSION,
            agb::Refusal {
                http_status: 200,
                message: data.err_msg,
                request_id: answer.request_id,
                ..agb::Refusal::default()
            },
        )));
    }
    if data.session.session_id.is_empty() {
        return Err(failed(agb::Error::malformed(
            &operation::CREATE_SESSION,
            answer.request_id,
            "data.sessionId is missing",
        )));
    }
    Ok(data.session)
}

/// The download that the creation starts; `None` when no context is to be downloaded.
fn downloads(new: &NewSession, session_id: &str) -> Option<Sync> {
    let expected: BTreeSet<_> = new
        .mounts
        .iter()
        .filter(|mount| mount.policy.download.auto_download)
        .map(|mount| Place::new(mount.context_id.as_str(), mount.path.as_str()))
        .collect();
    (!expected.is_empty()).then(|| Sync::of_creation(session_id.to_owned(), expected))
}

async fn wait_for_contexts(
    backend: &Backend,
    new: &NewSession,
    sync: Sync,
    deadline: Deadline,
) -> Result<Report, Failure> {
    let session_id = sync.session_id.clone();
    let guard = (!new.keep_on_failure).then(|| ReleaseOnDrop {
        client: backend.client.clone(),
        session_id: session_id.clone(),
        armed: true,
    });
    let report = backend
        .syncs
        .wait(&Target::Sync(sync), deadline)
        .await
        .map_err(|error| Failure::Sync {
            error: Box::new(error),
            doing: format!(
                "waiting for the contexts of the new session, which is {}",
                if new.keep_on_failure {
                    "kept"
                } else {
                    "released"
                }
            ),
            resource: Some(Resource::Session(session_id)),
        })?;
    if let Some(guard) = guard {
        guard.disarm();
    }
    Ok(report)
}

/// Releases a session that nobody will hear of: the wait failed, or the caller has gone.
struct ReleaseOnDrop {
    client: agb::Client,
    session_id: String,
    armed: bool,
}

impl ReleaseOnDrop {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for ReleaseOnDrop {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let (client, session_id) = (self.client.clone(), std::mem::take(&mut self.session_id));
        tokio::spawn(async move {
            let call = wire::ReleaseSessionAsync {
                session_id: &session_id,
            };
            let released = client.call(&call, Deadline::after(RELEASE_TIMEOUT)).await;
            match released {
                Ok(_) => tracing::info!(session_id, "released a session that came to nothing"),
                Err(error) => {
                    tracing::error!(session_id, %error, "could not release a session that came to nothing");
                }
            }
        });
    }
}

fn validate(request: &pb::CreateSessionRequest) -> Result<NewSession, Violations> {
    let mut violations = Violations::default();
    let image_id = violations.check("image_id", translate::identifier(&request.image_id));
    let labels = Labels::check("labels", &request.labels, &mut violations);
    let policy_id = (!request.policy_id.is_empty())
        .then(|| violations.check("policy_id", translate::identifier(&request.policy_id)))
        .flatten();
    let idle_timeout = violations.check(
        "idle_timeout",
        translate::duration(
            request.idle_timeout.as_ref(),
            SECOND..=MAX_IDLE_TIMEOUT,
            SECOND,
        ),
    );
    let failure_action =
        violations.check("failure_action", translate::choice(request.failure_action));
    let mounts = mounts(request, &mut violations);
    violations.into_result()?;
    Ok(NewSession {
        image_id: image_id.unwrap_or_default(),
        labels,
        policy_id,
        idle_timeout: idle_timeout.flatten(),
        mounts,
        keep_on_failure: failure_action == Some(pb::CreateFailureAction::Keep),
    })
}

/// All contexts to mount, in the order of AGB's SDK: the caller's, extensions, fingerprint, browser data.
fn mounts(request: &pb::CreateSessionRequest, violations: &mut Violations) -> Vec<Mount> {
    let mut mounts: Vec<(String, Mount)> = Vec::new();
    for (index, context_sync) in request.context_syncs.iter().enumerate() {
        let field = format!("context_syncs[{index}]");
        if let Some(mount) = mount(context_sync, &field, violations) {
            mounts.push((format!("{field}.path"), mount));
        }
    }
    if let Some(browser) = &request.browser_context {
        mounts.extend(browser_mounts(browser, violations));
    }
    for (index, (field, mount)) in mounts.iter().enumerate() {
        let mut others = mounts[..index].iter();
        if let Some((_, other)) = others.find(|(_, other)| other.path.overlaps(&mount.path)) {
            let rule = format!("must not overlap with another mount path, {}", other.path);
            violations.add(field, rule);
        }
    }
    mounts.into_iter().map(|(_, mount)| mount).collect()
}

fn mount(
    context_sync: &pb::ContextSync,
    field: &str,
    violations: &mut Violations,
) -> Option<Mount> {
    let context_id = violations.check(
        &format!("{field}.context_id"),
        translate::identifier(&context_sync.context_id),
    );
    let path = violations.check(
        &format!("{field}.path"),
        MountPath::try_new(&context_sync.path),
    );
    if !context_sync.preset.is_empty() {
        violations.add(
            format!("{field}.preset"),
            "is not the name of a preset in the gateway's configuration",
        );
    }
    let policy = match &context_sync.policy {
        Some(policy) => translate::sync_policy(
            SyncPolicy::default(),
            policy,
            &format!("{field}.policy"),
            violations,
        ),
        None => SyncPolicy::default(),
    };
    Some(Mount {
        context_id: context_id?,
        path: path?,
        policy,
    })
}

/// What AGB's SDK adds for a browser context (`agb.py`, `session_params.py`).
fn browser_mounts(
    browser: &pb::BrowserContext,
    violations: &mut Violations,
) -> Vec<(String, Mount)> {
    let mut mounts = Vec::new();
    let mut add = |field: &str, context_id: &str, path, policy, violations: &mut Violations| {
        let context_id = violations.check(field, translate::identifier(context_id));
        let path = violations.check(field, MountPath::try_new(path));
        if let Some((context_id, path)) = context_id.zip(path) {
            let mount = Mount {
                context_id,
                path,
                policy,
            };
            mounts.push((field.to_owned(), mount));
        }
    };
    if let Some(extensions) = &browser.extension_option {
        let ids = "browser_context.extension_option.extension_ids";
        if extensions.extension_ids.is_empty() {
            violations.add(ids, "is required and must not be empty");
        }
        for (index, id) in extensions.extension_ids.iter().enumerate() {
            violations.check(&format!("{ids}[{index}]"), translate::identifier(id));
        }
        let policy = SyncPolicy {
            upload: upload(false),
            delete: DeletePolicy {
                sync_local_file: false,
            },
            bw_list: white_list(extensions.extension_ids.iter().map(String::as_str)),
            ..SyncPolicy::default()
        };
        let field = "browser_context.extension_option.context_id";
        add(
            field,
            &extensions.context_id,
            EXTENSIONS_PATH,
            policy,
            violations,
        );
    }
    if !browser.fingerprint_context_id.is_empty() {
        let policy = SyncPolicy {
            upload: upload(false),
            ..SyncPolicy::default()
        };
        let field = "browser_context.fingerprint_context_id";
        let context_id = &browser.fingerprint_context_id;
        add(
            field,
            context_id,
            BROWSER_FINGERPRINT_PATH,
            policy,
            violations,
        );
    }
    let policy = SyncPolicy {
        upload: upload(browser.auto_upload.unwrap_or(true)),
        bw_list: white_list(BROWSER_WHITE_LIST.into_iter()),
        ..SyncPolicy::default()
    };
    let field = "browser_context.context_id";
    add(
        field,
        &browser.context_id,
        BROWSER_DATA_PATH,
        policy,
        violations,
    );
    mounts
}

fn upload(auto_upload: bool) -> UploadPolicy {
    UploadPolicy {
        auto_upload,
        ..UploadPolicy::default()
    }
}

fn white_list<'a>(paths: impl Iterator<Item = &'a str>) -> BwList {
    BwList {
        white_lists: paths
            .map(|path| WhiteList {
                path: path.to_owned(),
                exclude_paths: Vec::new(),
            })
            .collect(),
    }
}
