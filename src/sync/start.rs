//! Starts syncs and answers questions about them, by AGB's calls.

use std::collections::BTreeSet;

use super::error::Error;
use super::follow::{Look, Patience, Report, follow};
use super::rule::{Identity, Place, Progress, Scope, Sync};
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
        let before = self.looking_at(&start.session_id, deadline).look().await?;
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

    /// Waits until a sync is complete. Only success is `Ok`.
    pub async fn wait(&self, target: &Target, deadline: Deadline) -> Result<Report, Error> {
        let looking = self.looking_at(target.session_id(), deadline);
        follow(target.progress(), &looking, self.patience, deadline).await
    }

    /// Looks once, and once more where only that can confirm that all is finished.
    pub async fn status(&self, target: &Target, deadline: Deadline) -> Result<Report, agb::Error> {
        let looking = self.looking_at(target.session_id(), deadline);
        let mut progress = target.progress();
        progress.observe(&looking.look().await?);
        if !progress.waits_for_confirmation() {
            return Ok(Report::new(&progress, 1));
        }
        progress.observe(&looking.look().await?);
        Ok(Report::new(&progress, 2))
    }

    fn looking_at<'a>(&'a self, session_id: &'a str, deadline: Deadline) -> LookingAt<'a> {
        LookingAt {
            client: &self.client,
            session_id,
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

struct LookingAt<'a> {
    client: &'a Client,
    session_id: &'a str,
    deadline: Deadline,
}

impl Look for LookingAt<'_> {
    async fn look(&self) -> Result<Vec<SyncTask>, agb::Error> {
        let call = wire::GetContextInfo {
            session_id: self.session_id,
            context_id: None,
            path: None,
            task_type: None,
        };
        let answer = self.client.call(&call, self.deadline).await?;
        answer.data.tasks().map_err(|error| {
            agb::Error::malformed(
                &operation::GET_CONTEXT_INFO,
                answer.request_id,
                format!("contextStatus: {error}"),
            )
        })
    }
}
