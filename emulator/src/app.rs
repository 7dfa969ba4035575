//! Everything that one emulator holds together.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config::Config;
use crate::context::{BlobStore, Contexts, Keeper};
use crate::fault::Faults;
use crate::owner::Owners;
use crate::request_log::RequestLog;
use crate::sandbox::Sandbox;
use crate::session::Sessions;
use crate::signature::Signer;
use crate::storage::{Storage, StorageError};

/// Under which name the ledger keeps what signs URLs.
const SIGNING_SECRET: &str = "signing";

/// The parts of one emulator. The last holder removes its temporary folder.
pub(crate) struct App {
    pub(crate) config: Config,
    /// The address that callers reach us at, without a trailing slash.
    pub(crate) url: String,
    /// The address of the admin API, if there is one, without a trailing slash.
    pub(crate) admin_url: Option<String>,
    pub(crate) owners: Owners,
    pub(crate) contexts: Arc<Contexts>,
    pub(crate) blobs: BlobStore,
    pub(crate) sessions: Sessions,
    pub(crate) sandbox: Sandbox,
    pub(crate) clock: Clock,
    pub(crate) signer: Signer,
    pub(crate) faults: Faults,
    pub(crate) requests: RequestLog,
    pub(crate) tasks: TaskGroup,
    storage: Storage,
}

impl App {
    /// Blocking.
    pub(crate) fn create(
        config: Config,
        url: String,
        admin_url: Option<String>,
    ) -> Result<Self, StorageError> {
        let (storage, ledger) = Storage::open(config.data_dir.as_deref())?;
        let blobs = BlobStore::new(storage.blobs());
        let secret = ledger.secret(SIGNING_SECRET, Signer::new_secret())?;
        let clock = Clock::behind(config.clock_behind);
        let contexts = Contexts::open(Keeper {
            ledger,
            blobs: blobs.clone(),
            clock: clock.clone(),
        })?;
        Ok(Self {
            url,
            admin_url,
            owners: Owners::new(config.api_keys.clone()),
            contexts: Arc::new(contexts),
            blobs,
            sessions: Sessions::default(),
            sandbox: Sandbox::new(config.sandbox_program.clone()),
            clock,
            signer: Signer::with_secret(secret),
            faults: Faults::default(),
            requests: RequestLog::new(config.request_log_capacity),
            tasks: TaskGroup::default(),
            storage,
            config,
        })
    }

    pub(crate) fn sessions_folder(&self) -> PathBuf {
        self.storage.sessions()
    }
}

/// Background work that ends with the emulator.
#[derive(Debug)]
pub(crate) struct TaskGroup {
    /// `None` once the emulator has stopped.
    running: Mutex<Option<JoinSet<()>>>,
}

impl Default for TaskGroup {
    fn default() -> Self {
        Self {
            running: Mutex::new(Some(JoinSet::new())),
        }
    }
}

impl TaskGroup {
    /// Runs `work` in the background; drops it when the emulator has stopped.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = running.as_mut() else {
            return;
        };
        while running.try_join_next().is_some() {}
        running.spawn(work);
    }

    /// Ends all work and takes no more. The returned set is empty when all of it has ended.
    pub(crate) fn stop(&self) -> JoinSet<()> {
        let taken = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let mut running = taken.unwrap_or_default();
        running.abort_all();
        running
    }
}
