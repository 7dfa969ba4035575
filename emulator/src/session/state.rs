//! One session: who it is, how it stands, and what is mounted in it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{RwLock, watch};
use tokio::time::{Duration, Instant};

use crate::browser::Browser;
use crate::clock::Clock;
use crate::owner::OwnerId;
use crate::sandbox::Machine;
use crate::sync::{Mount, TaskBook};
use crate::tool::Watched;
use crate::world::World;

/// How a session stands. It only ever moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SessionStatus {
    Running,
    Deleting,
    Finished,
}

impl SessionStatus {
    /// AGB's `status`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Deleting => "DELETING",
            Self::Finished => "FINISH",
        }
    }
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) owner: OwnerId,
    pub(crate) resource_id: String,
    pub(crate) app_instance_id: String,
    pub(crate) labels: Mutex<BTreeMap<String, String>>,
    pub(crate) image: String,
    /// Opens the direct route to the session's tools.
    pub(crate) token: String,
    pub(crate) world: World,
    /// Where its commands run.
    pub(crate) machine: Machine,
    /// What the mounts of its creation are.
    pub(crate) mounts: Vec<Arc<Mount>>,
    /// What was mounted later, by type.
    pub(crate) internal_mounts: Mutex<BTreeMap<String, Arc<Mount>>>,
    pub(crate) watched: Watched,
    pub(crate) browser: Browser,
    /// How often it has run code.
    pub(crate) code_runs: AtomicU64,
    pub(crate) tasks: TaskBook,
    /// Held for reading by every command and file operation; the release waits for them to be gone.
    pub(crate) in_use: RwLock<()>,
    /// By which its time goes.
    pub(super) clock: Clock,
    /// By the clock.
    pub(super) life_ends: Instant,
    pub(super) idle_timeout: Duration,
    /// By the clock.
    pub(super) last_call: Mutex<Instant>,
    pub(super) status: watch::Sender<SessionStatus>,
}

impl Session {
    /// Everything that is mounted, whenever it was.
    pub(crate) fn all_mounts(&self) -> Vec<Arc<Mount>> {
        let internal = self
            .internal_mounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.mounts
            .iter()
            .chain(internal.values())
            .map(Arc::clone)
            .collect()
    }

    pub(crate) fn status(&self) -> SessionStatus {
        *self.status.borrow()
    }

    /// Resets the idle timer.
    pub(crate) fn touch(&self) {
        *self
            .last_call
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = self.clock.instant();
    }

    /// When it is released unless somebody calls it, by the clock.
    pub(super) fn ends_at(&self) -> Instant {
        let last_call = *self
            .last_call
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        (last_call + self.idle_timeout).min(self.life_ends)
    }

    /// How long until it is released unless somebody calls it.
    pub(crate) fn ends_in(&self) -> Duration {
        self.ends_at()
            .saturating_duration_since(self.clock.instant())
    }

    /// Moves on to a later status; false when it is there already, or further.
    pub(super) fn advance(&self, to: SessionStatus) -> bool {
        self.status.send_if_modified(|status| {
            let earlier = *status < to;
            if earlier {
                *status = to;
            }
            earlier
        })
    }

    /// Ready when the session is not running any more.
    pub(crate) async fn ending(&self) {
        self.reached(SessionStatus::Deleting).await;
    }

    /// Ready when the session is gone.
    pub(crate) async fn finished(&self) {
        self.reached(SessionStatus::Finished).await;
    }

    async fn reached(&self, wanted: SessionStatus) {
        // The sender lives as long as the session, so this cannot fail while we hold the session.
        let _ = self
            .status
            .subscribe()
            .wait_for(|status| *status >= wanted)
            .await;
    }
}
