//! The transfers themselves, file by file. They block, and hold no more than one file's buffer in memory.
//!
//! Each file arrives whole, and of two sessions that change the same file the later upload wins. A file that
//! this session did not change is not uploaded over what another session stored meanwhile.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Weak};

use super::mount::{KnownFile, KnownFiles, Mount};
use crate::context::BlobStore;
use crate::world::World;

/// Brings the context's files into the session. Returns how many bytes it moved.
pub(super) fn download(world: &World, mount: &Mount, known: &mut KnownFiles) -> io::Result<u64> {
    let folder = world.make_folder(&mount.path)?;
    let mut moved = 0;
    for (path, stored) in mount.stored_files() {
        if let Some(before) = known.get(&path) {
            let here = folder.open_file(&path)?;
            let unchanged = here.is_some_and(|here| here.stamp == before.stamp);
            if unchanged && Weak::ptr_eq(&before.stored, &Arc::downgrade(&stored.blob)) {
                continue;
            }
        }
        let stamp = folder.place_file(&path, stored.mode, &mut stored.blob.open()?)?;
        moved += stored.blob.size();
        known.insert(
            path,
            KnownFile {
                stamp,
                stored: Arc::downgrade(&stored.blob),
            },
        );
    }
    Ok(moved)
}

/// Brings the session's files into the context. Returns how many bytes it moved.
pub(super) fn upload(
    world: &World,
    mount: &Mount,
    known: &mut KnownFiles,
    blobs: &BlobStore,
) -> io::Result<u64> {
    let folder = world.open_folder(&mount.path)?;
    let stored: BTreeSet<_> = mount
        .stored_files()
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    let mut present = BTreeSet::new();
    let mut moved = 0;
    for path in folder.walk()? {
        if !mount.policy.includes(&path) {
            continue;
        }
        // Gone since the listing: as if it had not been in it.
        let Some(mut here) = folder.open_file(&path)? else {
            continue;
        };
        present.insert(path.clone());
        if known
            .get(&path)
            .is_some_and(|before| before.stamp == here.stamp)
            && stored.contains(&path)
        {
            continue;
        }
        let blob = blobs.write(&mut here.file)?;
        moved += blob.size();
        known.insert(
            path.clone(),
            KnownFile {
                stamp: here.stamp,
                stored: Arc::downgrade(&blob),
            },
        );
        mount
            .context
            .files
            .put(mount.stored_path(&path), blob, here.mode);
    }
    known.retain(|path, _| {
        let kept = present.contains(path);
        if !kept && mount.policy.sync_local_file {
            mount.context.files.remove(&mount.stored_path(path));
        }
        kept
    });
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::context::Contexts;
    use crate::owner::Owners;
    use crate::path::AbsolutePath;

    /// A context on disk, and sessions on it.
    struct Bench {
        folder: tempfile::TempDir,
        contexts: Contexts,
        blobs: BlobStore,
    }

    struct Side {
        world: World,
        mount: Mount,
        known: KnownFiles,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let blobs = BlobStore::create(folder.path().join("blobs")).unwrap();
            Self {
                folder,
                contexts: Contexts::default(),
                blobs,
            }
        }

        fn session(&self, name: &str, path: &str, policy: &str) -> Side {
            let owner = Owners::new(Vec::new()).of_key("key").unwrap();
            let context = self.contexts.get_or_create(owner, "region", "context");
            let world = World::create(self.folder.path().join(name), None).unwrap();
            let mount = Mount::new(context, path, policy).unwrap();
            world.make_folder(&mount.path).unwrap();
            Side {
                world,
                mount,
                known: KnownFiles::new(),
            }
        }
    }

    impl Side {
        fn file(&self, path: &str) -> std::path::PathBuf {
            self.world.folder().join("files").join(path)
        }

        fn upload(&mut self, bench: &Bench) {
            upload(&self.world, &self.mount, &mut self.known, &bench.blobs).unwrap();
        }

        fn download(&mut self) {
            download(&self.world, &self.mount, &mut self.known).unwrap();
        }

        fn stored(&self) -> Vec<String> {
            let root = AbsolutePath::parse("/").unwrap();
            self.mount
                .context
                .files
                .below(&root)
                .into_iter()
                .map(|(path, _)| path.to_string())
                .collect()
        }
    }

    #[test]
    fn a_file_deleted_in_the_session_is_deleted_in_the_context_only_when_the_policy_says_so() {
        for (policy, left) in [
            ("", 0),
            (r#"{"deletePolicy": {"syncLocalFile": false}}"#, 1),
        ] {
            let bench = Bench::new();
            let mut session = bench.session("a", "/tmp/data", policy);
            fs::write(session.file("tmp/data/x"), "x").unwrap();
            session.upload(&bench);
            fs::remove_file(session.file("tmp/data/x")).unwrap();
            session.upload(&bench);
            assert_eq!(session.stored().len(), left, "{policy}");
        }
    }

    #[test]
    fn what_a_session_never_saw_is_not_deleted_by_its_upload() {
        let bench = Bench::new();
        let mut one = bench.session("a", "/tmp/data", "");
        let mut two = bench.session("b", "/tmp/data", "");
        fs::write(one.file("tmp/data/x"), "x").unwrap();
        one.upload(&bench);
        two.upload(&bench);
        assert_eq!(one.stored(), ["/tmp/data/x"]);
    }

    #[test]
    fn an_unchanged_copy_does_not_replace_what_another_session_stored_later() {
        let bench = Bench::new();
        let mut one = bench.session("a", "/tmp/data", "");
        let mut two = bench.session("b", "/tmp/data", "");
        fs::write(one.file("tmp/data/x"), "old").unwrap();
        one.upload(&bench);
        two.download();
        fs::write(one.file("tmp/data/x"), "newer").unwrap();
        one.upload(&bench);
        two.upload(&bench);
        two.download();
        assert_eq!(fs::read_to_string(two.file("tmp/data/x")).unwrap(), "newer");
    }

    #[test]
    fn a_mapped_mount_reads_and_writes_under_the_original_path() {
        let bench = Bench::new();
        let mut plain = bench.session("a", "/tmp/mapping", "");
        let mut mapped = bench.session(
            "b",
            "/home/data",
            r#"{"mappingPolicy": {"path": "/tmp/mapping"}}"#,
        );
        fs::create_dir(plain.file("tmp/mapping/deep")).unwrap();
        fs::write(plain.file("tmp/mapping/deep/x"), "x").unwrap();
        plain.upload(&bench);
        mapped.download();
        assert_eq!(
            fs::read_to_string(mapped.file("home/data/deep/x")).unwrap(),
            "x"
        );
        fs::write(mapped.file("home/data/y"), "y").unwrap();
        mapped.upload(&bench);
        assert_eq!(mapped.stored(), ["/tmp/mapping/deep/x", "/tmp/mapping/y"]);
    }

    #[test]
    fn white_lists_hold_in_both_directions() {
        let bench = Bench::new();
        let policy =
            r#"{"bwList": {"whiteLists": [{"path": "/keep", "excludePaths": ["/keep/not"]}]}}"#;
        let mut limited = bench.session("a", "/tmp/data", policy);
        for name in ["keep", "other"] {
            fs::create_dir(limited.file("tmp/data").join(name)).unwrap();
            fs::write(limited.file("tmp/data").join(name).join("x"), "x").unwrap();
        }
        fs::write(limited.file("tmp/data/keep/not"), "x").unwrap();
        limited.upload(&bench);
        assert_eq!(limited.stored(), ["/tmp/data/keep/x"]);

        let mut all = bench.session("b", "/tmp/data", "");
        fs::write(all.file("tmp/data/z"), "z").unwrap();
        all.upload(&bench);
        let mut again = bench.session("c", "/tmp/data", policy);
        again.download();
        assert!(again.file("tmp/data/keep/x").exists());
        assert!(!again.file("tmp/data/z").exists());
    }
}
