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
    let (contexts, owner) = (Arc::clone(&app.contexts), session.owner);
    let session = Arc::clone(session);
    tokio::task::spawn_blocking(move || {
        let mut mounts = session
            .internal_mounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(mount) = mounts.get(kind) {
            return Ok(Some(Arc::clone(mount)));
        }
        let context = contexts.internal(owner, &format!("{kind}-{}", session.id))?;
        let mount = Arc::new(Mount::new(context, path, POLICY).map_err(io::Error::other)?);
        session.world.make_folder(&mount.path)?;
        mounts.insert(kind.to_owned(), Arc::clone(&mount));
        Ok(Some(mount))
    })
    .await
    .map_err(io::Error::other)?
}

/// Deletes what the session brought along.
pub(super) async fn remove(app: &App, session: &Session) {
    let mounts = std::mem::take(
        &mut *session
            .internal_mounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner),
    );
    if mounts.is_empty() {
        return;
    }
    let (contexts, owner) = (Arc::clone(&app.contexts), session.owner);
    let removed = tokio::task::spawn_blocking(move || {
        mounts
            .into_values()
            .try_for_each(|mount| contexts.delete(owner, &mount.context.id).map(drop))
    });
    if let Ok(Err(error)) = removed.await {
        tracing::warn!(session = session.id, %error, "what a session brought along was not deleted");
    }
}
