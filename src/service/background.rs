//! Work that goes on after its caller has gone: the release of sessions that nobody will hear of. A drain waits for it.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::agb::{self, wire};
use crate::resilience::Deadline;

/// How long a release may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(30);

/// The tasks that outlive their callers; all clones share them.
#[derive(Clone, Debug, Default)]
pub struct Background(TaskTracker);

impl Background {
    /// Runs work that no caller waits for, within the span of the call that it comes from.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.0.spawn(work.in_current_span())
    }

    /// Ends when all work has ended.
    pub async fn finished(&self) {
        self.0.close();
        self.0.wait().await;
    }

    /// Releases a session, and says in the log what came of it.
    pub(super) fn release(&self, client: agb::Client, session_id: String) {
        self.spawn(async move {
            let call = wire::ReleaseSessionAsync {
                session_id: &session_id,
            };
            match client.call(&call, Deadline::after(RELEASE_TIMEOUT)).await {
                Ok(_) => tracing::info!(session_id, "released a session that came to nothing"),
                Err(error) => {
                    tracing::error!(session_id, %error, "could not release a session that came to nothing");
                }
            }
        });
    }
}

/// Releases a session when it is dropped, unless it was disarmed: the wait failed, or the caller has gone.
pub(super) struct ReleaseOnDrop {
    background: Background,
    /// The session; `None` once disarmed.
    session: Option<(agb::Client, String)>,
}

impl ReleaseOnDrop {
    pub(super) fn new(background: Background, client: agb::Client, session_id: String) -> Self {
        Self {
            background,
            session: Some((client, session_id)),
        }
    }

    pub(super) fn disarm(mut self) {
        self.session = None;
    }
}

impl Drop for ReleaseOnDrop {
    fn drop(&mut self) {
        if let Some((client, session_id)) = self.session.take() {
            self.background.release(client, session_id);
        }
    }
}
