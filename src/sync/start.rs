//! Starts syncs and answers questions about them, by AGB's calls.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::Stream;

use super::error::Error;
use super::follow::{Follower, Look, Patience, Report, follow};
use super::rule::{Identity, Place, Progress, Scope, Sync};
use super::watch::{Event, watch};
use tokio::time::Instant;

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

/// What a question is about.
#[derive(Clone, Debug)]
pub enum Target {
    /// One sync.
    Sync(Sync),
    /// Whatever AGB shows of a session.
    Session(String),
}

impl Target {
    /// The session.
    pub fn session_id(&self) -> &str {
        match self {
            Self::Sync(sync) => &sync.session_id,
            Self::Session(session_id) => session_id,
        }
    }

    fn progress(&self) -> Progress {
        match self {
            Self::Sync(sync) => Progress::of_sync(sync.clone()),
            Self::Session(_) => Progress::of_session(),
        }
    }
}

/// Starts syncs and follows them.
#[derive(Clone, Debug)]
pub struct Syncs {
    client: Client,
    patience: Patience,
}

impl Syncs {
    /// Syncs by this client, with this patience.
    pub fn new(client: Client, patience: Patience) -> Self {
        Self { client, patience }
    }

    /// Starts a sync. Looks first at what is there, so that nothing older can be taken for it: without that look nothing is
    /// started.
    pub async fn start(&self, start: Start, deadline: Deadline) -> Result<Sync, agb::Error> {
        let before = self.baseline(&start, deadline).await?;
        let (context_id, path) = match &start.place {
            Some((context_id, path)) => (Some(context_id.as_str()), Some(path.as_str())),
            None => (None, None),
        };
        self.client
            .call(
                &wire::SyncContext {
                    session_id: &start.session_id,
                    context_id,
                    path,
                    mode: start.direction.map(Direction::as_agb),
                },
                deadline,
            )
            .await?;
        Ok(sync_of(start, &before))
    }

    /// What is there before the start. Tasks of these places that AGB has not started yet have no identity: they are waited for,
    /// or they could be taken for ours later.
    async fn baseline(
        &self,
        start: &Start,
        deadline: Deadline,
    ) -> Result<Vec<SyncTask>, agb::Error> {
        let looking = self.looking_at(&start.session_id, deadline);
        let covered = sync_of(start.clone(), &[]);
        let begin = Instant::now();
        loop {
            let before = looking.look().await?;
            let unstarted = before.iter().any(|task| {
                Identity::of(task).is_unknown()
                    && covered.covers(task)
                    && !task.state().is_finished()
            });
            if !unstarted {
                return Ok(before);
            }
            let pause = self.patience.pace.delay(begin.elapsed());
            if let Err(exceeded) = deadline.pause(pause).await {
                return Err(agb::Error::from_deadline(
                    &operation::SYNC_CONTEXT,
                    exceeded,
                ));
            }
        }
    }

    /// Waits until a sync is complete. Only success is `Ok`.
    pub async fn wait(&self, target: &Target, deadline: Deadline) -> Result<Report, Error> {
        follow(self.follower(target, deadline), deadline).await
    }

    /// Follows a sync, telling each change, at least every `heartbeat`.
    pub fn watch(
        &self,
        target: &Target,
        heartbeat: Duration,
        deadline: Deadline,
    ) -> impl Stream<Item = Result<Event, Error>> + Send + 'static + use<> {
        watch(self.follower(target, deadline), heartbeat, deadline)
    }

    fn follower(&self, target: &Target, deadline: Deadline) -> Follower<LookingAt> {
        let looking = self.looking_at(target.session_id(), deadline);
        Follower::new(target.progress(), looking, self.patience)
    }

    /// Looks once, and once more after the settling time where only that can tell that no more tasks come.
    pub async fn status(&self, target: &Target, deadline: Deadline) -> Result<Report, agb::Error> {
        let looking = self.looking_at(target.session_id(), deadline);
        let mut progress = target.progress();
        progress.observe(&looking.look().await?);
        if !progress.waits_to_settle() || deadline.pause(self.patience.settle).await.is_err() {
            return Ok(Report::new(&progress, 1));
        }
        if !progress.observe(&looking.look().await?) {
            progress.settle();
        }
        Ok(Report::new(&progress, 2))
    }

    fn looking_at(&self, session_id: &str, deadline: Deadline) -> LookingAt {
        LookingAt {
            client: self.client.clone(),
            session_id: session_id.to_owned(),
            deadline,
        }
    }
}

/// A sync of all contexts expects the places that AGB shows tasks of; there may be more.
fn sync_of(start: Start, before: &[SyncTask]) -> Sync {
    let (scope, expected): (_, BTreeSet<_>) = match start.place {
        Some((context_id, path)) => (
            Scope::Expected,
            [Place::new(context_id, path.as_str())].into(),
        ),
        None => (
            Scope::All,
            before.iter().map(|task| Identity::of(task).place).collect(),
        ),
    };
    Sync {
        session_id: start.session_id,
        direction: start.direction.unwrap_or(Direction::Upload),
        scope,
        expected,
        baseline: before.iter().map(Identity::of).collect(),
    }
}

#[derive(Debug)]
struct LookingAt {
    client: Client,
    session_id: String,
    deadline: Deadline,
}

impl Look for LookingAt {
    async fn look(&self) -> Result<Vec<SyncTask>, agb::Error> {
        let call = wire::GetContextInfo {
            session_id: &self.session_id,
            context_id: None,
            path: None,
            task_type: None,
        };
        let answer = self.client.call(&call, self.deadline).await?;
        answer.data.tasks().map_err(|error| {
            agb::Error::malformed(
                &operation::GET_CONTEXT_INFO,
                answer.request_id,
                format!("contextStatus: {}", agb::without_values(&error.to_string())),
            )
        })
    }
}
