//! DeleteSession: upload first if asked, release, and return when AGB says that the session is gone.

use std::time::Duration;

use tokio::time::Instant;

use super::super::scope::Scope;
use super::super::{Backend, translate};
use crate::agb::{self, wire};
use crate::domain::{SessionState, Violations};
use crate::proto::v1 as pb;
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};
use crate::sync::{Report, Start};
use crate::telemetry::Span;

/// How much of a deadline is kept for the release when the session is deleted even though the upload fails.
const RELEASE_PERCENT: u32 = 25;
const MAX_RELEASE_RESERVE: Duration = Duration::from_secs(30);

pub(super) async fn delete_session(
    backend: &Backend,
    request: &pb::DeleteSessionRequest,
    scope: &Scope,
    deadline: Deadline,
) -> Result<pb::DeleteSessionResponse, Failure> {
    let mut violations = Violations::default();
    violations.check("session_id", translate::identifier(&request.session_id));
    if request.delete_despite_failed_sync && !request.sync_contexts {
        violations.add("delete_despite_failed_sync", "goes with sync_contexts only");
    }
    violations.into_result()?;
    match delete(backend, request, scope, deadline).await {
        Err(failure) if request.allow_missing && failure.is_session_not_found() => {
            Ok(pb::DeleteSessionResponse::default())
        }
        result => result,
    }
}

async fn delete(
    backend: &Backend,
    request: &pb::DeleteSessionRequest,
    scope: &Scope,
    deadline: Deadline,
) -> Result<pb::DeleteSessionResponse, Failure> {
    let session_id = &request.session_id;
    scope.check(backend, session_id, deadline).await?;
    let report = if request.sync_contexts {
        // An upload that may fail must leave time to release the session.
        let upload_deadline = if request.delete_despite_failed_sync {
            deadline.reserving(RELEASE_PERCENT, MAX_RELEASE_RESERVE)
        } else {
            deadline
        };
        match upload(backend, session_id, upload_deadline).await {
            Ok(report) => Some(report),
            Err(failure) if request.delete_despite_failed_sync => known_of(failure, session_id),
            Err(failure) => return Err(failure),
        }
    } else {
        None
    };
    backend
        .client
        .call(&wire::ReleaseSessionAsync { session_id }, deadline)
        .await
        .map_err(|error| {
            let resource = Resource::Session(session_id.clone());
            Failure::agb(error, "releasing the session", Some(resource))
        })?;
    backend.tools.forget(session_id);
    let waiting = backend.telemetry.span("session end wait");
    waiting
        .around(until_gone(backend, session_id, deadline))
        .await?;
    Ok(pb::DeleteSessionResponse {
        sync_status: report.as_ref().map(pb::SyncStatus::from),
    })
}

async fn upload(
    backend: &Backend,
    session_id: &str,
    deadline: Deadline,
) -> Result<Report, Failure> {
    let resource = Resource::Session(session_id.to_owned());
    let start = Start {
        session_id: session_id.to_owned(),
        place: None,
        direction: None,
    };
    let target = backend
        .syncs
        .start(start, deadline)
        .await
        .map_err(|error| {
            let doing = "starting the upload; the session is not deleted";
            Failure::agb(error, doing, Some(resource.clone()))
        })?;
    backend
        .syncs
        .wait(&target, deadline)
        .await
        .map_err(|error| Failure::Sync {
            error: Box::new(error),
            doing: "uploading; the session is not deleted".to_owned(),
            resource: Some(resource),
        })
}

/// What is known of an upload that failed, although the session is deleted all the same.
fn known_of(failure: Failure, session_id: &str) -> Option<Report> {
    tracing::warn!(
        session_id,
        ?failure,
        "the upload failed; deleting the session as forced"
    );
    match failure {
        Failure::Sync { error, .. } => error.report.map(|report| *report),
        _ => None,
    }
}

/// Looks until AGB says that the session has ended or is not known any more. A look that fails says neither.
async fn until_gone(
    backend: &Backend,
    session_id: &str,
    deadline: Deadline,
) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        let looked = is_gone(backend, session_id, deadline).await;
        Span::current().looked(|| match &looked {
            Ok(true) => "gone",
            Ok(false) => "there",
            Err(error) => error.type_name(),
        });
        match looked {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) if error.is_deadline() => {}
            Err(error) if error.is_forbidden() => {
                let doing = "looking whether the session, whose release AGB has accepted, is gone";
                let resource = Resource::Session(session_id.to_owned());
                return Err(Failure::agb(error, doing, Some(resource)));
            }
            Err(error) => tracing::warn!(session_id, %error, "a look failed; looking again"),
        }
        deadline
            .pause(backend.pace.delay(start.elapsed(), None))
            .await
            .map_err(|_exceeded| Failure::Deadline {
                doing: "AGB has accepted the release; waiting until the session is gone".to_owned(),
                resource: Some(Resource::Session(session_id.to_owned())),
            })?;
    }
}

async fn is_gone(
    backend: &Backend,
    session_id: &str,
    deadline: Deadline,
) -> Result<bool, agb::Error> {
    let call = wire::GetSessionInfo { session_id };
    match backend.client.call(&call, deadline).await {
        Ok(answer) => {
            Ok(SessionState::from_agb(&answer.data.status) == Some(SessionState::Deleted))
        }
        Err(error) if error.is_session_not_found() => Ok(true),
        Err(error) => Err(error),
    }
}
