//! A session's files as the session itself reaches them: links are followed, but only within the session.

use std::fs::File;
use std::io;

use nix::dir::Dir;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;

use super::{World, own};
use crate::path::AbsolutePath;

/// What becomes of a file's former content.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WriteMode {
    Overwrite,
    Append,
}

/// What bears a name in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EntryKind {
    Folder,
    Other,
}

impl World {
    /// Opens a regular file as the session itself would, following links within the session.
    pub(crate) fn open_for_reading(&self, path: &AbsolutePath) -> io::Result<File> {
        regular(self.open_within(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK, Mode::empty())?)
    }

    /// Opens or makes a regular file as the session itself would, following links within the session.
    pub(crate) fn open_for_writing(
        &self,
        path: &AbsolutePath,
        mode: WriteMode,
    ) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK;
        let new = OFlag::O_CREAT | OFlag::O_EXCL;
        let file = match self.open_within(path, flags | new, Mode::from_bits_truncate(0o644)) {
            Ok(file) => {
                own(&file, self.owner)?;
                file
            }
            // It is there already, or its name is a link's.
            Err(nix::Error::EEXIST) => self.open_within(path, flags, Mode::empty())?,
            Err(error) => return Err(error.into()),
        };
        let file = regular(file)?;
        match mode {
            WriteMode::Overwrite => file.set_len(0)?,
            WriteMode::Append => {
                io::Seek::seek(&mut &file, io::SeekFrom::End(0))?;
            }
        }
        Ok(file)
    }

    /// The names in a folder, sorted.
    pub(crate) fn list(&self, path: &AbsolutePath) -> io::Result<Vec<(String, EntryKind)>> {
        let folder = self.open_within(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())?;
        let mut names = Vec::new();
        for entry in Dir::from_fd(folder.into())?.iter() {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let folder = entry.file_type() == Some(nix::dir::Type::Directory);
            if name != "." && name != ".." {
                names.push((
                    name,
                    if folder {
                        EntryKind::Folder
                    } else {
                        EntryKind::Other
                    },
                ));
            }
        }
        names.sort();
        Ok(names)
    }

    fn open_within(&self, path: &AbsolutePath, flags: OFlag, mode: Mode) -> nix::Result<File> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .mode(mode)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(&self.files, path.as_str(), how).map(File::from)
    }
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("not a regular file"))
    }
}
