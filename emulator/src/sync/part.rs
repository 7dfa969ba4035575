//! Which of a mount's files a sync concerns: all of them, or those below one of its folders.

use std::sync::Arc;

use super::mount::Mount;
use crate::path::{AbsolutePath, RelativePath};

/// A part of a mount: what one sync task is about.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) mount: Arc<Mount>,
    /// `None` for all of it.
    folder: Option<RelativePath>,
}

impl Part {
    pub(crate) fn whole(mount: Arc<Mount>) -> Self {
        Self {
            mount,
            folder: None,
        }
    }

    /// What lies at that path of the session and below; `None` when that is not in the mount.
    pub(crate) fn at(mount: Arc<Mount>, path: &AbsolutePath) -> Option<Self> {
        if *path == mount.path {
            return Some(Self::whole(mount));
        }
        let folder = Some(path.below(&mount.path)?);
        Some(Self { mount, folder })
    }

    /// Where it lies in the session.
    pub(crate) fn path(&self) -> AbsolutePath {
        let path = &self.mount.path;
        let folder = self.folder.as_ref();
        folder.map_or_else(|| path.clone(), |folder| path.join(folder))
    }

    /// Whether a file of the mount belongs to it.
    pub(super) fn holds(&self, file: &RelativePath) -> bool {
        let folder = self.folder.as_ref();
        folder.is_none_or(|folder| file.is_within(folder))
    }

    /// Whether a file belongs to it that the mount's policy lets through.
    pub(super) fn includes(&self, file: &RelativePath) -> bool {
        self.holds(file) && self.mount.policy.includes(file)
    }
}
