//! A session's file system, handled from the outside.
//!
//! A session can put symbolic links, pipes and whatever else it likes into its folders, at any moment. So
//! nothing here follows a link out of them: every path is opened from the session's own root by `openat2`, or
//! from an open folder, one segment at a time. All of it blocks and belongs on blocking threads.
//!
//! A session's folder holds `files/tmp` and `files/home` (what the session sees), `stage` (files on their way
//! in, on the same file system, so that they appear whole) and `root` (the empty mount point of its world).

mod folder;
mod stamp;

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

pub(crate) use self::folder::Folder;
pub(crate) use self::stamp::{OpenFile, Stamp};
use crate::path::AbsolutePath;

/// The file system of one session.
#[derive(Debug)]
pub(crate) struct World {
    folder: PathBuf,
    files: OwnedFd,
    stage: OwnedFd,
    owner: Option<(u32, u32)>,
}

impl World {
    /// Makes the folders of a new session. `owner` is the host user that the session runs as, when not ours.
    pub(crate) fn create(folder: PathBuf, owner: Option<(u32, u32)>) -> io::Result<Self> {
        for part in [
            "",
            "files",
            "files/tmp",
            "files/home",
            "files/home/agb",
            "stage",
            "root",
        ] {
            let path = folder.join(part);
            DirBuilder::new().mode(0o700).create(&path)?;
            let directory = File::open(&path)?;
            own(&directory, owner)?;
            if part.starts_with("files/") {
                directory.set_permissions(Permissions::from_mode(if part == "files/tmp" {
                    0o1777
                } else {
                    0o755
                }))?;
            }
        }
        let files = File::open(folder.join("files"))?.into();
        let stage = File::open(folder.join("stage"))?.into();
        Ok(Self {
            folder,
            files,
            stage,
            owner,
        })
    }

    /// Where the session's folder lies on the host.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Opens a folder by its path in the session. A link anywhere in the path is refused.
    pub(crate) fn open_folder(&self, path: &AbsolutePath) -> io::Result<Folder<'_>> {
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        let path = path
            .below_root()
            .map_or_else(|| ".".to_owned(), |path| path.to_string());
        let fd = openat2(&self.files, path.as_str(), how)?;
        Ok(Folder { world: self, fd })
    }

    /// Opens a folder and makes what is missing of it.
    pub(crate) fn make_folder(&self, path: &AbsolutePath) -> io::Result<Folder<'_>> {
        let mut folder = Folder {
            world: self,
            fd: self.files.try_clone()?,
        };
        if let Some(path) = path.below_root() {
            for segment in path.segments() {
                folder = folder.make_child(segment)?;
            }
        }
        Ok(folder)
    }

    /// Removes the session's folder with everything in it.
    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder)
    }
}

fn own(file: &impl AsFd, owner: Option<(u32, u32)>) -> io::Result<()> {
    owner.map_or(Ok(()), |(user, group)| {
        fchown(file, Some(user), Some(group))
    })
}
