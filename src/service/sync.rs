//! SyncService.

use std::ops::RangeInclusive;
use std::time::Duration;

use futures_util::StreamExt as _;
use tonic::{Request, Response, Status};

use super::scope::{Scope, owned};
use super::{Backend, BoxStream, deadline, translate};
use crate::domain::{Direction, MountPath, Violations};
use crate::proto::v1 as pb;
use crate::proto::v1::sync_service_server as server;
use crate::resilience::Deadline;
use crate::status::{Failure, Resource};
use crate::sync::{Error, Event, EventKind, Report, Start, Target};

const SECOND: Duration = Duration::from_secs(1);
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(15);
const HEARTBEATS: RangeInclusive<Duration> = SECOND..=Duration::from_mins(5);

/// Synchronisation between sessions and contexts.
#[derive(Clone, Debug)]
pub struct SyncService(pub Backend);

#[tonic::async_trait]
impl server::SyncService for SyncService {
    async fn sync_contexts(
        &self,
        request: Request<pb::SyncContextsRequest>,
    ) -> Result<Response<pb::SyncContextsResponse>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        let report = sync_contexts(&self.0, request.into_inner(), deadline).await?;
        Ok(Response::new(pb::SyncContextsResponse {
            status: Some((&report).into()),
        }))
    }

    async fn get_sync_status(
        &self,
        request: Request<pb::GetSyncStatusRequest>,
    ) -> Result<Response<pb::GetSyncStatusResponse>, Status> {
        use pb::get_sync_status_request::Target as Asked;
        let deadline = deadline(&request)?;
        let scope = Scope::of(&request);
        let target = match request.into_inner().target {
            Some(Asked::SyncToken(token)) => by_token(&self.0, &token),
            Some(Asked::SessionId(id)) => by_session(&id),
            None => no_target(),
        }?;
        scope.check(&self.0, target.session_id(), deadline).await?;
        let report = get_sync_status(&self.0, &target, deadline).await?;
        Ok(Response::new(pb::GetSyncStatusResponse {
            status: Some((&report).into()),
        }))
    }

    async fn wait_for_sync(
        &self,
        request: Request<pb::WaitForSyncRequest>,
    ) -> Result<Response<pb::WaitForSyncResponse>, Status> {
        use pb::wait_for_sync_request::Target as Asked;
        let deadline = deadline(&request)?;
        let scope = Scope::of(&request);
        let target = match request.into_inner().target {
            Some(Asked::SyncToken(token)) => by_token(&self.0, &token),
            Some(Asked::SessionId(id)) => by_session(&id),
            None => no_target(),
        }?;
        scope.check(&self.0, target.session_id(), deadline).await?;
        let report = wait_for_sync(&self.0, &target, deadline).await?;
        Ok(Response::new(pb::WaitForSyncResponse {
            status: Some((&report).into()),
        }))
    }

    type WatchSyncStream = BoxStream<pb::WatchSyncResponse>;

    async fn watch_sync(
        &self,
        request: Request<pb::WatchSyncRequest>,
    ) -> Result<Response<Self::WatchSyncStream>, Status> {
        use pb::watch_sync_request::Target as Asked;
        let deadline = deadline(&request)?;
        let scope = Scope::of(&request);
        let request = request.into_inner();
        let heartbeat = heartbeat(request.heartbeat_interval.as_ref()).map_err(Failure::from)?;
        let target = match request.target {
            Some(Asked::SyncToken(token)) => by_token(&self.0, &token),
            Some(Asked::SessionId(id)) => by_session(&id),
            None => no_target(),
        }?;
        scope.check(&self.0, target.session_id(), deadline).await?;
        let resource = Resource::Session(target.session_id().to_owned());
        let events = self.0.syncs.watch(&target, heartbeat, deadline);
        let events = events.map(move |event| match event {
            Ok(event) => Ok(event.into()),
            Err(error) => Err(failed_wait(error, resource.clone()).into()),
        });
        Ok(Response::new(events.boxed()))
    }
}

async fn sync_contexts(
    backend: &Backend,
    request: pb::SyncContextsRequest,
    deadline: Deadline,
) -> Result<Report, Failure> {
    let return_immediately = request.return_immediately;
    let start = start(&request)?;
    let resource = Resource::Session(start.session_id.clone());
    let target = backend
        .syncs
        .start(start, deadline)
        .await
        .map_err(|error| Failure::agb(error, "starting the sync", Some(resource.clone())))?;
    if return_immediately {
        return Ok(Report::before_any_look(&target));
    }
    backend
        .syncs
        .wait(&target, deadline)
        .await
        .map_err(|error| failed_wait(error, resource))
}

async fn get_sync_status(
    backend: &Backend,
    target: &Target,
    deadline: Deadline,
) -> Result<Report, Failure> {
    let resource = Resource::Session(target.session_id().to_owned());
    backend
        .syncs
        .status(target, deadline)
        .await
        .map_err(|error| Failure::agb(error, "looking at the sync", Some(resource)))
}

async fn wait_for_sync(
    backend: &Backend,
    target: &Target,
    deadline: Deadline,
) -> Result<Report, Failure> {
    let resource = Resource::Session(target.session_id().to_owned());
    backend
        .syncs
        .wait(target, deadline)
        .await
        .map_err(|error| failed_wait(error, resource))
}

fn failed_wait(error: Error, resource: Resource) -> Failure {
    Failure::Sync {
        error: Box::new(error),
        doing: "waiting for the sync".to_owned(),
        resource: Some(resource),
    }
}

fn heartbeat(interval: Option<&prost_types::Duration>) -> Result<Duration, Violations> {
    let mut violations = Violations::default();
    let interval = violations.check(
        "heartbeat_interval",
        translate::duration(interval, HEARTBEATS, Duration::from_nanos(1)),
    );
    violations.into_result()?;
    Ok(interval.flatten().unwrap_or(DEFAULT_HEARTBEAT))
}

impl From<Event> for pb::WatchSyncResponse {
    fn from(event: Event) -> Self {
        let kind = match event.kind {
            EventKind::Snapshot => pb::WatchSyncEvent::Snapshot,
            EventKind::Change => pb::WatchSyncEvent::Change,
            EventKind::Verdict => pb::WatchSyncEvent::Verdict,
            EventKind::Heartbeat => pb::WatchSyncEvent::Heartbeat,
        };
        Self {
            event: kind.into(),
            status: Some((&event.report).into()),
        }
    }
}

fn start(request: &pb::SyncContextsRequest) -> Result<Start, Violations> {
    let mut violations = Violations::default();
    let session_id = violations.check("session_id", translate::identifier(&request.session_id));
    let place = match (request.context_id.as_str(), request.path.as_str()) {
        ("", "") => None,
        (_, "") => {
            violations.add(
                "path",
                "is required with context_id: both or neither must be set",
            );
            None
        }
        ("", _) => {
            violations.add(
                "context_id",
                "is required with path: both or neither must be set",
            );
            None
        }
        (context_id, path) => {
            let context_id = violations.check("context_id", translate::identifier(context_id));
            let path = violations.check("path", MountPath::try_new(path));
            context_id.zip(path)
        }
    };
    let direction = violations.check("direction", translate::choice(request.direction));
    violations.into_result()?;
    Ok(Start {
        session_id: session_id.unwrap_or_default(),
        place,
        direction: match direction {
            Some(pb::SyncDirection::Upload) => Some(Direction::Upload),
            Some(pb::SyncDirection::Download) => Some(Direction::Download),
            Some(pb::SyncDirection::Unspecified) | None => None,
        },
    })
}

fn by_token(backend: &Backend, token: &str) -> Result<Target, Failure> {
    backend.syncs.read_token(token).map_err(|error| {
        let mut violations = Violations::default();
        violations.add("sync_token", error.to_string());
        violations.into()
    })
}

fn by_session(session_id: &str) -> Result<Target, Failure> {
    let mut violations = Violations::default();
    let session_id = violations.check("session_id", translate::identifier(session_id));
    match session_id {
        Some(session_id) => Ok(Target::Session(session_id)),
        None => Err(violations.into()),
    }
}

fn no_target() -> Result<Target, Failure> {
    let mut violations = Violations::default();
    violations.add("target", "needs one of sync_token and session_id");
    Err(violations.into())
}
