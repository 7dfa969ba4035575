//! Work that goes on after its caller has gone: the release of sessions that nobody will hear of, say. A drain waits for it.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::telemetry::in_current_span;

/// The tasks that outlive their callers; all clones share them.
#[derive(Clone, Debug, Default)]
pub struct Background(TaskTracker);

impl Background {
    /// Runs work that no caller waits for, within the span of the call that it comes from.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.0.spawn(in_current_span(work).in_current_span())
    }

    /// The tasks, for other parts whose work outlives its callers.
    pub fn tasks(&self) -> TaskTracker {
        self.0.clone()
    }

    /// Ends when all work has ended.
    pub async fn finished(&self) {
        self.0.close();
        self.0.wait().await;
    }
}
