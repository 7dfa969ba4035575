//! A context's place in one session.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};

use tokio::sync::Mutex;

use super::policy::{Policy, PolicyError};
use crate::context::{Blob, Context, StoredFile};
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
    /// `None` for an archive that was extracted and not left in the session.
    pub(super) stamp: Option<Stamp>,
    pub(super) stored: Version,
}

/// Which bytes the context held then.
#[derive(Debug)]
pub(super) enum Version {
    /// A file of its own. It keeps no reader from removing the bytes.
    Blob(Weak<Blob>),
    /// An entry of an archive, with that content.
    Entry(EntryVersion),
}

/// Tells the contents of archive entries apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryVersion {
    pub(super) crc32: u32,
    pub(super) size: u64,
}

impl KnownFile {
    /// A file of its own in the context.
    pub(super) fn alone(stamp: Option<Stamp>, blob: &Arc<Blob>) -> Self {
        Self {
            stamp,
            stored: Version::Blob(Arc::downgrade(blob)),
        }
    }

    pub(super) fn entry(stamp: Stamp, version: EntryVersion) -> Self {
        Self {
            stamp: Some(stamp),
            stored: Version::Entry(version),
        }
    }

    /// Whether the file in the session is as the last transfer left it.
    pub(super) fn is_unchanged(&self, here: Option<Stamp>) -> bool {
        self.stamp.is_some() && self.stamp == here
    }

    /// Whether the context still holds the same file of its own.
    pub(super) fn is_stored_as(&self, blob: &Arc<Blob>) -> bool {
        matches!(&self.stored, Version::Blob(stored) if Weak::ptr_eq(stored, &Arc::downgrade(blob)))
    }

    pub(super) fn is_entry(&self, version: EntryVersion) -> bool {
        matches!(self.stored, Version::Entry(stored) if stored == version)
    }
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

    /// Tells the context what this mount's policy says about it. Blocking.
    pub(crate) fn begin_use(&self) -> io::Result<()> {
        let original = self.original_path();
        let rule = self.policy.recycle_rule(&self.path, original);
        self.context
            .begin_use(self.policy.upload_mode, original, rule)
    }

    /// Ready when no transfer of this mount is at work or waiting.
    pub(crate) async fn at_rest(&self) {
        drop(self.known.lock().await);
    }

    /// Under which path the context keeps this mount's files.
    pub(super) fn original_path(&self) -> &AbsolutePath {
        self.policy.original_path.as_ref().unwrap_or(&self.path)
    }

    /// The stored files that belong to this mount, by where they appear below the mount path. An archive that a sync
    /// packed is among them whatever the white lists say: they are for what it holds.
    pub(super) fn stored_files(&self) -> Vec<(RelativePath, StoredFile)> {
        let original = self.original_path();
        let stored = self.context.files.below(original).into_iter();
        stored
            .filter_map(|(path, file)| Some((path.below(original)?, file)))
            .filter(|(path, file)| file.packed.is_some() || self.policy.includes(path))
            .collect()
    }

    /// The path under which the context keeps a file of this mount.
    pub(super) fn stored_path(&self, path: &RelativePath) -> AbsolutePath {
        self.original_path().join(path)
    }
}
