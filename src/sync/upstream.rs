//! The two things that this module asks of AGB.

use std::fmt;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::agb::{self, Client, operation, wire};
use crate::domain::{Direction, MountPath, SyncTask};
use crate::resilience::Deadline;

/// What is to be synchronised.
#[derive(Clone, Debug)]
pub struct Start {
    /// The session.
    pub session_id: String,
    /// One context at its mount path, or all.
    pub place: Option<(String, MountPath)>,
    /// Which way; `None` is AGB's default, which is an upload.
    pub direction: Option<Direction>,
}

/// Shows the tasks of sessions, and starts syncs.
pub trait Upstream: fmt::Debug + Send + Sync {
    /// Looks at the tasks of a session.
    fn look<'a>(
        &'a self,
        session_id: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<SyncTask>, agb::Error>>;

    /// Starts a sync. That AGB has accepted it is all that is known afterwards.
    fn start<'a>(
        &'a self,
        start: &'a Start,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<(), agb::Error>>;

    /// The deadline of a look that no caller bounds.
    fn look_deadline(&self) -> Deadline;
}

impl Upstream for Client {
    fn look<'a>(
        &'a self,
        session_id: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<SyncTask>, agb::Error>> {
        async move {
            let call = wire::GetContextInfo {
                session_id,
                context_id: None,
                path: None,
                task_type: None,
            };
            let answer = self.call(&call, deadline).await?;
            answer.data.tasks().map_err(|error| {
                agb::Error::malformed(
                    &operation::GET_CONTEXT_INFO,
                    answer.request_id,
                    format!("contextStatus: {}", agb::without_values(&error.to_string())),
                )
            })
        }
        .boxed()
    }

    fn start<'a>(
        &'a self,
        start: &'a Start,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<(), agb::Error>> {
        async move {
            let (context_id, path) = match &start.place {
                Some((context_id, path)) => (Some(context_id.as_str()), Some(path.as_str())),
                None => (None, None),
            };
            let call = wire::SyncContext {
                session_id: &start.session_id,
                context_id,
                path,
                mode: start.direction.map(Direction::as_agb),
            };
            self.call(&call, deadline).await.map(drop)
        }
        .boxed()
    }

    fn look_deadline(&self) -> Deadline {
        // The next look is the next attempt.
        Deadline::after(self.request_timeout()).with_attempts(1)
    }
}
