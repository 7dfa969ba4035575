//! A context's place in one session.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::policy::{Policy, PolicyError};
use crate::context::{Context, StoredFile};
use crate::path::{AbsolutePath, PathError, RelativePath};
use crate::world::Stamp;

/// Where a mount may lie.
const MOUNTABLE: [&str; 2] = ["/home", "/tmp"];

/// Why a mount was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MountError {
    #[error("invalid path {path}: {source}")]
    Path { path: String, source: PathError },
    #[error("path {0} must be under /home or /tmp")]
    Place(AbsolutePath),
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// A context mounted at a path of a session.
#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) context: Arc<Context>,
    pub(crate) path: AbsolutePath,
    pub(crate) policy: Policy,
    /// Held by the transfer that is at work: a mount's transfers go one after the other.
    pub(super) known: Arc<Mutex<KnownFiles>>,
}

/// The files as the last transfer left them, by their path below the mount path. What is not in here was never
/// seen by this session, and so its absence is no deletion.
pub(super) type KnownFiles = BTreeMap<RelativePath, KnownFile>;

/// One file as the last transfer left it.
#[derive(Debug)]
pub(super) struct KnownFile {
    pub(super) stamp: Stamp,
    /// Which bytes the context held then. It keeps no reader from removing them.
    pub(super) stored: std::sync::Weak<crate::context::Blob>,
}

impl Mount {
    pub(crate) fn new(context: Arc<Context>, path: &str, policy: &str) -> Result<Self, MountError> {
        let path = AbsolutePath::parse(path).map_err(|source| MountError::Path {
            path: path.to_owned(),
            source,
        })?;
        let allowed = MOUNTABLE.iter().any(|folder| {
            AbsolutePath::parse(folder)
                .is_ok_and(|folder| path == folder || path.below(&folder).is_some())
        });
        if !allowed {
            return Err(MountError::Place(path));
        }
        let policy = Policy::parse(policy)?;
        Ok(Self {
            context,
            path,
            policy,
            known: Arc::default(),
        })
    }

    /// Ready when no transfer of this mount is at work or waiting.
    pub(crate) async fn at_rest(&self) {
        drop(self.known.lock().await);
    }

    /// Under which path the context keeps this mount's files.
    pub(super) fn original_path(&self) -> &AbsolutePath {
        self.policy.original_path.as_ref().unwrap_or(&self.path)
    }

    /// The stored files that belong to this mount, by where they appear below the mount path.
    pub(super) fn stored_files(&self) -> Vec<(RelativePath, StoredFile)> {
        let original = self.original_path();
        let stored = self.context.files.below(original).into_iter();
        stored
            .filter_map(|(path, file)| Some((path.below(original)?, file)))
            .filter(|(path, _)| self.policy.includes(path))
            .collect()
    }

    /// The path under which the context keeps a file of this mount.
    pub(super) fn stored_path(&self, path: &RelativePath) -> AbsolutePath {
        self.original_path().join(path)
    }
}
