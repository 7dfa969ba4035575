//! Several sessions on one context, as transfers see them.

mod archives;
mod hostile;

use std::fs;
use std::sync::Arc;

use super::*;
use crate::clock::Clock;
use crate::context::{Contexts, FileChange, Keeper};
use crate::owner::Owners;
use crate::path::AbsolutePath;
use crate::storage::Ledger;
use crate::sync::mount::Mount;

const LIMITS: Limits = Limits {
    bytes: 1024 * 1024,
    files: 1000,
};

/// A context on disk, and sessions on it.
struct Bench {
    folder: tempfile::TempDir,
    contexts: Contexts,
    blobs: BlobStore,
}

struct Side {
    world: World,
    mount: Arc<Mount>,
    known: KnownFiles,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blobs = BlobStore::new(folder.path().join("blobs"));
        fs::create_dir(folder.path().join("blobs")).unwrap();
        let keeper = Keeper {
            ledger: Ledger::forgetful(),
            blobs: blobs.clone(),
            clock: Clock::default(),
        };
        Self {
            folder,
            contexts: Contexts::open(keeper).unwrap(),
            blobs,
        }
    }

    fn session(&self, name: &str, path: &str, policy: &str) -> Side {
        let owner = Owners::new(Vec::new()).of_key("key").unwrap();
        let context = self
            .contexts
            .get_or_create(owner, "region", "context")
            .unwrap();
        let world = World::create(self.folder.path().join(name), None).unwrap();
        let mount = Arc::new(Mount::new(context, path, policy).unwrap());
        world.make_folder(&mount.path).unwrap();
        mount.begin_use().unwrap();
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

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.file(path)).unwrap()
    }

    fn whole(&self) -> Part {
        Part::whole(Arc::clone(&self.mount))
    }

    /// One folder of the mount, by its path in the session.
    fn folder(&self, path: &str) -> Part {
        let path = AbsolutePath::parse(path).unwrap();
        Part::at(Arc::clone(&self.mount), &path).unwrap()
    }

    fn upload(&mut self, bench: &Bench) {
        self.upload_part(bench, &self.whole());
    }

    fn upload_part(&mut self, bench: &Bench, part: &Part) {
        upload(&self.world, part, &mut self.known, &bench.blobs, LIMITS).unwrap();
    }

    fn download(&mut self) {
        self.try_download().unwrap();
    }

    fn try_download(&mut self) -> io::Result<u64> {
        self.download_part(&self.whole())
    }

    fn download_part(&mut self, part: &Part) -> io::Result<u64> {
        download(&self.world, part, &mut self.known, LIMITS)
    }

    /// Puts bytes into the context as an upload from outside does.
    fn put(&self, bench: &Bench, path: &str, bytes: &[u8]) {
        let blob = bench.blobs.write(&mut &bytes[..]).unwrap();
        let change = FileChange::Put {
            path: AbsolutePath::parse(path).unwrap(),
            blob,
            mode: 0o644,
            packed: None,
        };
        self.mount.context.apply(vec![change]).unwrap();
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

#[test]
fn a_folder_is_uploaded_without_what_lies_beside_it() {
    let bench = Bench::new();
    let mut one = bench.session("one", "/tmp/data", "");
    for folder in ["tmp/data/in", "tmp/data/inner"] {
        fs::create_dir(one.file(folder)).unwrap();
    }
    for path in ["in/kept", "in/gone", "inner/gone"] {
        fs::write(one.file("tmp/data").join(path), path).unwrap();
    }
    one.upload(&bench);
    for path in ["in/gone", "inner/gone"] {
        fs::remove_file(one.file("tmp/data").join(path)).unwrap();
    }
    for path in ["in/new", "inner/new"] {
        fs::write(one.file("tmp/data").join(path), path).unwrap();
    }
    one.upload_part(&bench, &one.folder("/tmp/data/in"));
    let after_the_folder = [
        "/tmp/data/in/kept",
        "/tmp/data/in/new",
        "/tmp/data/inner/gone",
    ];
    assert_eq!(one.stored(), after_the_folder);
    // What was beside it is not forgotten.
    one.upload(&bench);
    let after_all = [
        "/tmp/data/in/kept",
        "/tmp/data/in/new",
        "/tmp/data/inner/new",
    ];
    assert_eq!(one.stored(), after_all);
}

#[test]
fn a_folder_is_downloaded_without_what_lies_beside_it() {
    for policy in ["", r#"{"uploadPolicy": {"uploadMode": "Archive"}}"#] {
        let bench = Bench::new();
        let mut one = bench.session("one", "/tmp/data", policy);
        for path in ["in", "out"] {
            fs::create_dir(one.file("tmp/data").join(path)).unwrap();
            fs::write(one.file("tmp/data").join(path).join("file"), "stored").unwrap();
        }
        one.upload(&bench);
        let mut two = bench.session("two", "/tmp/data", policy);
        fs::create_dir(two.file("tmp/data/out")).unwrap();
        fs::write(two.file("tmp/data/out/file"), "local").unwrap();
        two.download_part(&two.folder("/tmp/data/in")).unwrap();
        assert_eq!(two.read("tmp/data/in/file"), "stored");
        assert_eq!(two.read("tmp/data/out/file"), "local");
        assert!(!two.file("tmp/data/agb-archive.zip").exists());
    }
}
