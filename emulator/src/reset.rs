//! Back to the beginning: an emulator as if nobody had called it.

use std::sync::Arc;

use crate::app::App;
use crate::session;

/// Ends every session without its uploads, deletes every context, and forgets all faults and requests.
pub(crate) async fn reset(app: &Arc<App>) {
    app.faults.clear();
    for session in app.sessions.all() {
        session::discard(app, &session).await;
    }
    let contexts = Arc::clone(&app.contexts);
    let deleted = tokio::task::spawn_blocking(move || contexts.delete_all()).await;
    if !matches!(deleted, Ok(Ok(()))) {
        tracing::warn!(?deleted, "not every context was deleted");
    }
    app.requests.clear();
}
