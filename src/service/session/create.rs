//! CreateSession: validate everything, create or find, wait until every context is in place, hand over.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::Backend;
use super::new_session::{self, NewSession, validate};
use crate::agb::wire;
use crate::creation::{self, Claimed, LabelMap};
use crate::domain::SessionState;
use crate::proto::v1 as pb;
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};
use crate::sync::{self, Outcome, Place, Report};

pub(super) async fn create_session(
    backend: &Backend,
    request: &pb::CreateSessionRequest,
    bound: &LabelMap,
    deadline: Deadline,
) -> Result<pb::CreateSessionResponse, Failure> {
    let new = validate(&backend.presets, &backend.limits, request)?;
    let created = create_or_find(backend, &new, bound, deadline).await;
    if created.is_err() {
        backend.creations.has_failed();
    }
    created
}

async fn create_or_find(
    backend: &Backend,
    new: &NewSession,
    bound: &LabelMap,
    deadline: Deadline,
) -> Result<pb::CreateSessionResponse, Failure> {
    if new.request_id.is_none() {
        return create(backend, new, deadline).await;
    }
    loop {
        match create_once(backend, new, bound, deadline).await {
            // Another call, or the sweeper, was about to release it when this one found it.
            Err(Unfinished::Gone) => tracing::info!("the session has gone; beginning anew"),
            Err(Unfinished::Failed(failure)) => return Err(failure),
            Ok(answer) => return Ok(answer),
        }
    }
}

/// Without a `request_id`: the session is this call's alone, and it is released whenever the call does not end in success.
async fn create(
    backend: &Backend,
    new: &NewSession,
    deadline: Deadline,
) -> Result<pb::CreateSessionResponse, Failure> {
    let labels = new.labels.as_map().clone();
    let made = backend
        .creations
        .create(request_of(new), labels, deadline)
        .await?;
    match contexts(backend, new, made.session_id(), deadline).await {
        Ok(report) => {
            let data = made.data.clone();
            made.hand_over(deadline).await?;
            Ok(answer(backend, new, data, report.as_ref()))
        }
        Err(error) if new.keep_on_failure => {
            let session_id = made.session_id().to_owned();
            made.hand_over(deadline).await?;
            Err(failed(error, &session_id, "kept"))
        }
        Err(error) => Err(failed(error, made.session_id(), "being released")),
    }
}

/// How much of a deadline is kept for saying in the labels of a session that it is kept.
const KEEP_PERCENT: u32 = 10;
const MAX_KEEP_RESERVE: Duration = Duration::from_secs(2);

enum Unfinished {
    Gone,
    Failed(Failure),
}

impl From<creation::Error> for Unfinished {
    fn from(error: creation::Error) -> Self {
        match error {
            creation::Error::Gone => Self::Gone,
            error => Self::Failed(error.into()),
        }
    }
}

/// With a `request_id`: the session is that of all calls with the id.
async fn create_once(
    backend: &Backend,
    new: &NewSession,
    bound: &LabelMap,
    deadline: Deadline,
) -> Result<pb::CreateSessionResponse, Unfinished> {
    let request = creation::Request {
        request_id: new.request_id.clone().unwrap_or_default(),
        bound: bound.clone(),
        call: request_of(new),
        labels: new.labels.as_map().clone(),
        parameters: new.parameters(),
        fields: &new_session::PARAMETERS,
    };
    let claimed = backend.creations.claim(&request, deadline).await?;
    let session_id = claimed.data().session.session_id.clone();
    match contexts(backend, new, &session_id, deadline).await {
        Ok(report) => {
            claimed.hand_over(deadline).await?;
            let data = claimed.data().clone();
            Ok(answer(backend, new, data, report.as_ref()))
        }
        Err(error) => {
            let fate = fate(new, claimed, &error, deadline).await?;
            Err(Unfinished::Failed(failed(error, &session_id, fate)))
        }
    }
}

/// What becomes of the session of a `request_id` when waiting for its contexts has failed.
async fn fate(
    new: &NewSession,
    claimed: Claimed,
    error: &sync::Error,
    deadline: Deadline,
) -> Result<&'static str, creation::Error> {
    if claimed.is_owned() {
        return Ok("kept, since an earlier call has returned it");
    }
    if new.keep_on_failure {
        claimed.hand_over(deadline).await?;
        return Ok("kept");
    }
    let may_get_better = matches!(error.outcome, Outcome::Deadline | Outcome::Agb(_));
    if !may_get_better && claimed.withdraw() {
        return Ok("being released");
    }
    Ok("kept for a while for the next call with the request_id, and released when none comes")
}

fn answer(
    backend: &Backend,
    new: &NewSession,
    data: wire::LinkedSessionData,
    report: Option<&Report>,
) -> pb::CreateSessionResponse {
    let session_id = data.session.session_id.clone();
    backend.tools.remember(&session_id, &data);
    let mut session = data.session.into_session(&session_id);
    session.state = session.state.or(Some(SessionState::Running));
    pb::CreateSessionResponse {
        session: Some(pb::Session {
            image_id: new.image_id.clone(),
            ..session.into()
        }),
        sync_status: report.map(pb::SyncStatus::from),
    }
}

fn request_of(new: &NewSession) -> wire::CreateSession {
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
        // Set together with the gateway's own.
        labels: None,
        persistence_data_list: (!mounts.is_empty()).then_some(mounts),
        mcp_policy_id: new.policy_id.clone(),
        timeout: new.idle_timeout.map(|timeout| timeout.as_secs()),
    }
}

/// Waits for the downloads that the creation starts, unless asked to return immediately; `None` when no context is to be
/// downloaded.
async fn contexts(
    backend: &Backend,
    new: &NewSession,
    session_id: &str,
    deadline: Deadline,
) -> Result<Option<Report>, sync::Error> {
    let expected: BTreeSet<_> = new
        .mounts
        .iter()
        .filter(|mount| mount.policy.download.auto_download)
        .map(|mount| Place::new(mount.context_id.as_str(), mount.path.as_str()))
        .collect();
    if expected.is_empty() {
        return Ok(None);
    }
    let sync = backend.syncs.created(session_id.to_owned(), expected).await;
    if new.return_immediately {
        return Ok(Some(Report::before_any_look(&sync)));
    }
    let deadline = if new.keep_on_failure {
        deadline.reserving(KEEP_PERCENT, MAX_KEEP_RESERVE)
    } else {
        deadline
    };
    backend.syncs.wait(&sync, deadline).await.map(Some)
}

fn failed(error: sync::Error, session_id: &str, fate: &str) -> Failure {
    Failure::Sync {
        error: Box::new(error),
        doing: format!("waiting for the contexts of the new session, which is {fate}"),
        resource: Some(Resource::Session(session_id.to_owned())),
    }
}
