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
    let contexts = app.contexts.delete_all();
    // Blocking: the last holder of a file's bytes removes them. It runs to its end, waited for or not.
    let _ = tokio::task::spawn_blocking(move || {
        for context in contexts {
            context.files.clear();
        }
    })
    .await;
    app.requests.clear();
}
