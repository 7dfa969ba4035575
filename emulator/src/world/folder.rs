//! A folder of a session, held open, and what the sync does in it. No link is followed.

use std::ffi::{CStr, CString};
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nix::dir::Dir;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::{OpenFile, Stamp, World, own};
use crate::ids;
use crate::path::RelativePath;

const FOLDER_MODE: Mode = Mode::from_bits_truncate(0o755);
/// Deeper trees are refused: whoever walks them holds one open folder for each level.
const MAX_DEPTH: usize = 64;

/// A folder in a session's file system, held open.
#[derive(Debug)]
pub(crate) struct Folder<'world> {
    pub(super) world: &'world World,
    pub(super) fd: OwnedFd,
}

impl<'world> Folder<'world> {
    /// Every regular file below, by its path from here. Links and special files are left out, and so is
    /// a name that is no UTF-8, which AGB's JSON could not carry: it is an error.
    pub(crate) fn walk(&self) -> io::Result<Vec<RelativePath>> {
        let mut found = Vec::new();
        self.walk_into(None, 0, &mut found)?;
        Ok(found)
    }

    fn walk_into(
        &self,
        here: Option<&RelativePath>,
        depth: usize,
        found: &mut Vec<RelativePath>,
    ) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(io::Error::other("the folders are nested too deeply"));
        }
        // Opened anew: a copy would share its place in the listing with the original.
        let mut entries = Dir::from_fd(self.child(".")?.fd)?;
        for entry in entries.iter() {
            let entry = entry?;
            let Some(name) = plain_name(entry.file_name())? else {
                continue;
            };
            let path = here.map_or_else(|| name.clone(), |here| here.join(&name));
            match entry.file_type() {
                Some(nix::dir::Type::File) => found.push(path),
                Some(nix::dir::Type::Directory) => match self.child(name.as_str()) {
                    Ok(child) => child.walk_into(Some(&path), depth + 1, found)?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                },
                _ => {}
            }
        }
        Ok(())
    }

    /// Opens a regular file; `None` when there is none, or something else has its name.
    pub(crate) fn open_file(&self, path: &RelativePath) -> io::Result<Option<OpenFile>> {
        let how = OpenHow::new()
            // Without O_NONBLOCK, a pipe that bears the name would hold this thread.
            .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        let file = match openat2(&self.fd, path.as_str(), how) {
            Ok(fd) => File::from(fd),
            Err(
                nix::Error::ENOENT | nix::Error::ENOTDIR | nix::Error::ELOOP | nix::Error::ENXIO,
            ) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let mode = metadata.mode() & 0o777;
        Ok(Some(OpenFile {
            stamp: Stamp::of(&metadata),
            mode,
            file,
        }))
    }

    /// Puts a file in place, whole or not at all, and makes the folders above it.
    pub(crate) fn place_file(
        &self,
        path: &RelativePath,
        mode: u32,
        source: &mut impl io::Read,
    ) -> io::Result<Stamp> {
        let (parent, name) = self.make_parent(path)?;
        let staged = ids::file_name();
        let result = self.stage_and_rename(&staged, &parent, name, mode, source);
        if result.is_err() {
            let _ = unlinkat(
                &self.world.stage,
                staged.as_str(),
                UnlinkatFlags::NoRemoveDir,
            );
        }
        result
    }

    fn stage_and_rename(
        &self,
        staged: &str,
        parent: &Folder<'_>,
        name: &str,
        mode: u32,
        source: &mut impl io::Read,
    ) -> io::Result<Stamp> {
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(
            &self.world.stage,
            staged,
            flags,
            Mode::from_bits_truncate(0o600),
        )?);
        io::copy(source, &mut file)?;
        own(&file, self.world.owner)?;
        file.set_permissions(Permissions::from_mode(mode & 0o777))?;
        renameat(&self.world.stage, staged, &parent.fd, name)?;
        // After the rename, which changes the file's change time.
        Ok(Stamp::of(&file.metadata()?))
    }

    fn make_parent<'path>(
        &self,
        path: &'path RelativePath,
    ) -> io::Result<(Folder<'world>, &'path str)> {
        let mut folder = Folder {
            world: self.world,
            fd: self.fd.try_clone()?,
        };
        let mut segments = path.segments().peekable();
        while let Some(segment) = segments.next() {
            if segments.peek().is_none() {
                return Ok((folder, segment));
            }
            folder = folder.make_child(segment)?;
        }
        Err(io::Error::other("the path is empty"))
    }

    pub(super) fn make_child(&self, name: &str) -> io::Result<Folder<'world>> {
        match mkdirat(&self.fd, name, FOLDER_MODE) {
            Ok(()) => {
                let child = self.child(name)?;
                own(&child.fd, self.world.owner)?;
                Ok(child)
            }
            Err(nix::Error::EEXIST) => self.child(name),
            Err(error) => Err(error.into()),
        }
    }

    fn child(&self, name: &str) -> io::Result<Folder<'world>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::empty())?;
        Ok(Folder {
            world: self.world,
            fd,
        })
    }
}

fn plain_name(name: &CStr) -> io::Result<Option<RelativePath>> {
    let text = name.to_str().map_err(|_| {
        let name = CString::from(name);
        io::Error::other(format!("a file name is no UTF-8: {name:?}"))
    })?;
    Ok(RelativePath::from_name(text))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::path::AbsolutePath;

    fn world() -> (tempfile::TempDir, World) {
        let folder = tempfile::tempdir().unwrap();
        let world = World::create(folder.path().join("session"), None).unwrap();
        (folder, world)
    }

    fn absolute(text: &str) -> AbsolutePath {
        AbsolutePath::parse(text).unwrap()
    }

    fn relative(text: &str) -> RelativePath {
        RelativePath::parse(text).unwrap().unwrap()
    }

    #[test]
    fn a_placed_file_is_found_and_read_back() {
        let (_folder, world) = world();
        let mount = world.make_folder(&absolute("/home/data")).unwrap();
        let stamp = mount
            .place_file(&relative("a/b.txt"), 0o640, &mut "text".as_bytes())
            .unwrap();
        assert_eq!(mount.walk().unwrap(), [relative("a/b.txt")]);
        let opened = mount.open_file(&relative("a/b.txt")).unwrap().unwrap();
        assert_eq!((opened.stamp, opened.mode), (stamp, 0o640));
        assert_eq!(io::read_to_string(opened.file).unwrap(), "text");
    }

    #[test]
    fn links_are_not_followed_for_reading_walking_or_writing() {
        let (folder, world) = world();
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        let tmp = world.folder().join("files/tmp");
        symlink(&outside, tmp.join("out")).unwrap();
        symlink(outside.join("secret"), tmp.join("secret")).unwrap();

        let mount = world.open_folder(&absolute("/tmp")).unwrap();
        assert!(mount.walk().unwrap().is_empty());
        assert!(mount.open_file(&relative("secret")).unwrap().is_none());
        assert!(mount.open_file(&relative("out/secret")).unwrap().is_none());
        assert!(
            mount
                .place_file(&relative("out/planted"), 0o644, &mut "x".as_bytes())
                .is_err()
        );
        assert!(world.open_folder(&absolute("/tmp/out")).is_err());
        assert!(world.make_folder(&absolute("/tmp/out/deeper")).is_err());
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }

    #[test]
    fn placing_over_a_link_replaces_the_link_and_not_its_target() {
        let (folder, world) = world();
        let outside = folder.path().join("outside");
        fs::write(&outside, "kept").unwrap();
        symlink(&outside, world.folder().join("files/tmp/name")).unwrap();
        let mount = world.open_folder(&absolute("/tmp")).unwrap();
        mount
            .place_file(&relative("name"), 0o644, &mut "new".as_bytes())
            .unwrap();
        assert_eq!(fs::read_to_string(outside).unwrap(), "kept");
    }

    #[test]
    fn a_pipe_does_not_hold_the_reader() {
        let (_folder, world) = world();
        nix::unistd::mkfifo(
            &world.folder().join("files/tmp/pipe"),
            Mode::from_bits_truncate(0o600),
        )
        .unwrap();
        let mount = world.open_folder(&absolute("/tmp")).unwrap();
        assert!(mount.open_file(&relative("pipe")).unwrap().is_none());
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        struct Broken;
        impl io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let (_folder, world) = world();
        let mount = world.open_folder(&absolute("/tmp")).unwrap();
        assert!(
            mount
                .place_file(&relative("file"), 0o644, &mut Broken)
                .is_err()
        );
        assert!(mount.walk().unwrap().is_empty());
        assert_eq!(
            fs::read_dir(world.folder().join("stage")).unwrap().count(),
            0
        );
    }
}
