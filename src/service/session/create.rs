//! CreateSession: validate everything, create, wait until every context is in place.

use std::collections::BTreeSet;

use super::super::Backend;
use super::super::background::ReleaseOnDrop;
use super::new_session::{NewSession, validate};
use crate::agb::{self, operation, wire};
use crate::domain::SessionState;
use crate::proto::v1 as pb;
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};
use crate::sync::{Place, Report, Target};

pub(super) async fn create_session(
    backend: &Backend,
    request: &pb::CreateSessionRequest,
    deadline: Deadline,
) -> Result<pb::CreateSessionResponse, Failure> {
    if !request.request_id.is_empty() {
        return Err(Failure::NotImplemented("CreateSession with request_id"));
    }
    let new = validate(&backend.presets, &backend.limits, request)?;
    let (created, guard) = create(backend, &new, deadline).await?;
    let session_id = created.session_id.clone();
    backend.tools.remember(&session_id, &created);
    let mut session = created.into_session(&session_id);
    session.state = session.state.or(Some(SessionState::Running));
    let status = match downloads(backend, &new, &session_id).await {
        None => None,
        Some(sync) if request.return_immediately => Some(Report::before_any_look(&sync)),
        Some(sync) => match wait_for_contexts(backend, &new, &sync, deadline).await {
            Ok(report) => Some(report),
            Err(failure) => {
                if new.keep_on_failure {
                    guard.disarm();
                }
                return Err(failure);
            }
        },
    };
    guard.disarm();
    Ok(pb::CreateSessionResponse {
        session: Some(pb::Session {
            image_id: new.image_id,
            ..session.into()
        }),
        sync_status: status.as_ref().map(pb::SyncStatus::from),
    })
}

/// Creates the session in a task of its own, which goes on when the caller has gone: only so is it known which session has to
/// be released then.
async fn create(
    backend: &Backend,
    new: &NewSession,
    deadline: Deadline,
) -> Result<(wire::SessionData, ReleaseOnDrop), Failure> {
    let call = request_of(new);
    let (client, background) = (backend.client.clone(), backend.background.clone());
    let creating = backend.background.spawn(async move {
        // Bounded by the timeout of one call, and not by the caller's deadline.
        let answer = client
            .call(&call, Deadline::after(client.request_timeout() * 2))
            .await?;
        let data = created(&client, answer)?;
        let guard = ReleaseOnDrop::new(background, client, data.session_id.clone());
        Ok((data, guard))
    });
    let doing = "creating the session";
    match deadline.bound(creating).await {
        Ok(Ok(result)) => result.map_err(|error| Failure::agb(error, doing, None)),
        Ok(Err(_panicked)) => Err(Failure::Internal("creating the session panicked")),
        Err(_exceeded) => Err(Failure::Deadline {
            doing: "creating the session; should AGB still create it, it will be released"
                .to_owned(),
            resource: None,
        }),
    }
}

fn request_of(new: &NewSession) -> wire::CreateSession {
    let labels = (!new.labels.as_map().is_empty())
        .then(|| serde_json::json!(new.labels.as_map()).to_string());
    let mounts: Vec<_> = new
        .mounts
        .iter()
        .map(|mount| wire::PersistenceData {
            context_id: mount.context_id.clone(),
            path: mount.agb_path.clone(),
            policy: wire::policy_text(&mount.policy),
        })
        .collect();
    wire::CreateSession {
        image_id: new.image_id.clone(),
        labels,
        persistence_data_list: (!mounts.is_empty()).then_some(mounts),
        mcp_policy_id: new.policy_id.clone(),
        timeout: new.idle_timeout.map(|timeout| timeout.as_secs()),
    }
}

/// The session, unless AGB declines within a success, or forgets to name it.
fn created(
    client: &agb::Client,
    answer: agb::Answer<wire::CreatedSessionData>,
) -> Result<wire::SessionData, agb::Error> {
    let data = answer.data;
    if data.success == Some(false) {
        let refusal = agb::Refusal {
            http_status: 200,
            message: data.err_msg,
            request_id: answer.request_id,
            ..agb::Refusal::default()
        };
        return Err(client.refused(&operation::CREATE_SESSION, refusal));
    }
    if data.session.session_id.is_empty() {
        return Err(agb::Error::malformed(
            &operation::CREATE_SESSION,
            answer.request_id,
            "data.sessionId is missing",
        ));
    }
    Ok(data.session)
}

/// The download that the creation starts; `None` when no context is to be downloaded.
async fn downloads(backend: &Backend, new: &NewSession, session_id: &str) -> Option<Target> {
    let expected: BTreeSet<_> = new
        .mounts
        .iter()
        .filter(|mount| mount.policy.download.auto_download)
        .map(|mount| Place::new(mount.context_id.as_str(), mount.path.as_str()))
        .collect();
    if expected.is_empty() {
        return None;
    }
    Some(backend.syncs.created(session_id.to_owned(), expected).await)
}

async fn wait_for_contexts(
    backend: &Backend,
    new: &NewSession,
    sync: &Target,
    deadline: Deadline,
) -> Result<Report, Failure> {
    let session_id = sync.session_id().to_owned();
    let fate = if new.keep_on_failure {
        "kept"
    } else {
        "being released"
    };
    backend
        .syncs
        .wait(sync, deadline)
        .await
        .map_err(|error| Failure::Sync {
            error: Box::new(error),
            doing: format!("waiting for the contexts of the new session, which is {fate}"),
            resource: Some(Resource::Session(session_id)),
        })
}
