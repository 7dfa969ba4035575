//! Contexts that a session brings along itself, beside those that its creation names: the way for files in and out.
//! They are the session's own, and go with it.

use std::io;
use std::sync::{Arc, PoisonError};

use super::state::Session;
use crate::app::App;
use crate::sync::Mount;

/// The types there are, and where each is mounted.
const TYPES: [(&str, &str); 1] = [("file_transfer", "/tmp/file_transfer")];
/// They lie in the context as they do in the session, and need not outlive it.
const POLICY: &str =
    r#"{"uploadPolicy": {"autoUpload": false}, "extractPolicy": {"extract": false}}"#;

/// The context of that type, made and mounted if it is not yet; `None` for a type that does not exist.
pub(crate) async fn load(
    app: &App,
    session: &Arc<Session>,
    kind: &str,
) -> io::Result<Option<Arc<Mount>>> {
    let Some((kind, path)) = TYPES.into_iter().find(|(name, _)| *name == kind) else {
        return Ok(None);
    };
    let mount = {
        let mut mounts = session
            .internal_mounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(mount) = mounts.get(kind) {
            return Ok(Some(Arc::clone(mount)));
        }
        let name = format!("{kind}-{}", session.id);
        let context = app.contexts.internal(session.owner, &name);
        let mount = Arc::new(Mount::new(context, path, POLICY).map_err(io::Error::other)?);
        mounts.insert(kind.to_owned(), Arc::clone(&mount));
        mount
    };
    let (made, session) = (Arc::clone(&mount), Arc::clone(session));
    tokio::task::spawn_blocking(move || session.world.make_folder(&made.path).map(|_| ()))
        .await
        .map_err(io::Error::other)??;
    Ok(Some(mount))
}

/// Deletes what the session brought along.
pub(super) async fn remove(app: &App, session: &Session) {
    let mounts = std::mem::take(
        &mut *session
            .internal_mounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner),
    );
    for mount in mounts.into_values() {
        if let Some(context) = app.contexts.delete(session.owner, &mount.context.id) {
            let _ = tokio::task::spawn_blocking(move || context.files.clear()).await;
        }
    }
}
