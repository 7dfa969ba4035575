//! Archives that mean harm: nothing is written outside of the mount, nothing panics, and no more comes of them than is allowed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

const LINK: u32 = 0o120_777;
const PIPE: u32 = 0o010_644;
const PLAIN: u32 = 0o100_644;

/// One entry, every field as it will be written.
#[derive(Clone, Debug)]
struct Entry {
    name: Vec<u8>,
    mode: u32,
    content: Vec<u8>,
    flags: u16,
    /// What is said about the size, when it is not the truth.
    announced: Option<u32>,
    /// Where it is said to begin, when it is not the truth.
    offset: Option<u32>,
}

impl Entry {
    fn new(name: &str, mode: u32, content: &[u8]) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            mode,
            content: content.to_vec(),
            flags: 0x0800,
            announced: None,
            offset: None,
        }
    }

    fn file(name: &str) -> Self {
        Self::new(name, PLAIN, b"planted")
    }
}

/// Writes an archive without asking whether it makes sense. Contents are stored as they are.
fn archive(entries: &[Entry]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let begins = entry.offset.unwrap_or(length(&bytes));
        let size = entry.announced.unwrap_or(length(&entry.content));
        let mut common = Vec::new();
        for field in [20, entry.flags, 0, 0, 0] {
            common.extend(u16::to_le_bytes(field));
        }
        for field in [crc32(&entry.content), length(&entry.content), size] {
            common.extend(u32::to_le_bytes(field));
        }
        common.extend(u16::try_from(entry.name.len()).unwrap().to_le_bytes());
        common.extend(0_u16.to_le_bytes());
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend(&entry.name);
        bytes.extend(&entry.content);
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend(begins.to_le_bytes());
        directory.extend(&entry.name);
    }
    let begins = length(&bytes);
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count, count].concat());
    bytes.extend(length(&directory).to_le_bytes());
    bytes.extend(begins.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    })
}

/// Everything below a folder, with the length of each file.
fn tree(folder: &Path, skipped: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        if path == skipped {
            continue;
        }
        if metadata.is_dir() {
            found.extend(tree(&path, skipped));
        }
        found.insert(path, metadata.len());
    }
    found
}

/// Has an archive extracted. Whatever it holds, nothing but the mount's folder may change, and in it there are only folders
/// and files, with no more bytes than are allowed.
fn extract(bytes: &[u8]) -> (Result<Vec<String>, String>, Bench, Side) {
    let bench = Bench::new();
    let policy = r#"{"uploadPolicy": {"uploadMode": "Archive"}, "extractPolicy": {"extractToCurrentFolder": true}}"#;
    let mut session = bench.session("a", "/tmp/data", policy);
    fs::write(session.file("tmp/outside"), "kept").unwrap();
    session.put(&bench, "/tmp/data/evil.zip", bytes);
    let mount = session.file("tmp/data");
    let before = tree(bench.folder.path(), &mount);
    let result = session.try_download();
    assert_eq!(tree(bench.folder.path(), &mount), before, "written outside");

    let inside = tree(&mount, Path::new(""));
    for path in inside.keys() {
        let kind = path.symlink_metadata().unwrap().file_type();
        assert!(kind.is_file() || kind.is_dir(), "{}", path.display());
    }
    let files = inside.iter().filter(|(path, _)| path.is_file());
    let total: u64 = files.map(|(_, length)| length).sum();
    let allowed = LIMITS.bytes + bytes.len() as u64;
    assert!(total <= allowed, "{total} bytes");
    let names = inside
        .keys()
        .filter(|path| path.is_file())
        .map(|path| path.strip_prefix(&mount).unwrap().display().to_string());
    let result = result
        .map(|_| names.collect())
        .map_err(|error| error.to_string());
    (result, bench, session)
}

/// The archive is refused whole, for this reason: it comes as it is, and nothing that it holds.
#[track_caller]
fn refused(bytes: &[u8], reason: &str) {
    let (result, _bench, session) = extract(bytes);
    let error = result.unwrap_err();
    assert!(error.contains(reason), "{error}");
    let found = tree(&session.file("tmp/data"), Path::new(""));
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn the_builder_writes_archives_that_are_read() {
    let (result, _bench, session) = extract(&archive(&[Entry::file("a"), Entry::file("b/c")]));
    assert_eq!(result.unwrap(), ["a", "b/c"]);
    assert_eq!(session.read("tmp/data/b/c"), "planted");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in ["../evil", "a/../../evil", "..", "good/.."] {
        refused(&archive(&[Entry::file("good"), Entry::file(name)]), "'..'");
    }
    for name in ["/etc/evil", "/", "", ".", "//"] {
        refused(
            &archive(&[Entry::file("x"), Entry::file(name)]),
            "unusable name",
        );
    }
    refused(&archive(&[Entry::file("a\0b")]), "NUL");
    refused(&archive(&[Entry::file(&"a".repeat(256))]), "too long");
    refused(
        &archive(&[Entry::file(&"a/".repeat(100).add_name())]),
        "unusable name",
    );
    let mut latin = Entry::file("");
    latin.name = b"caf\xe9".to_vec();
    refused(&archive(&[latin]), "unusable name");
}

trait AddName {
    fn add_name(&self) -> String;
}

impl AddName for String {
    fn add_name(&self) -> String {
        format!("{self}name")
    }
}

#[test]
fn links_and_special_files_are_left_out() {
    let entries = [
        Entry::new("link", LINK, b"/etc"),
        Entry::new("up", LINK, b"../outside"),
        Entry::new("pipe", PIPE, b""),
        Entry::new("device", 0o020_666, b""),
        Entry::file("file"),
    ];
    let (result, ..) = extract(&archive(&entries));
    assert_eq!(result.unwrap(), ["file"]);
}

#[test]
fn nothing_is_written_through_a_link() {
    for target in ["/tmp", "..", "../outside"] {
        let entries = [
            Entry::new("d", LINK, target.as_bytes()),
            Entry::file("d/planted"),
        ];
        let (result, ..) = extract(&archive(&entries));
        assert_eq!(result.unwrap(), ["d/planted"]);
    }
    // A link that the session itself has made is not followed either.
    let bench = Bench::new();
    let mut session = bench.session(
        "a",
        "/tmp/data",
        r#"{"uploadPolicy": {"uploadMode": "Archive"}}"#,
    );
    session.put(
        &bench,
        "/tmp/data/evil.zip",
        &archive(&[Entry::file("planted")]),
    );
    fs::create_dir(session.file("tmp/outside")).unwrap();
    std::os::unix::fs::symlink("../outside", session.file("tmp/data/evil")).unwrap();
    assert!(session.try_download().is_err());
    assert_eq!(session.file("tmp/outside").read_dir().unwrap().count(), 0);
}

#[test]
fn one_name_twice_is_refused_however_it_is_written() {
    for (one, two) in [
        ("a", "a"),
        ("a/b", "a//b"),
        ("a", "./a"),
        ("a", "a/b"),
        ("a/b/c", "a"),
    ] {
        refused(
            &archive(&[Entry::file(one), Entry::file(two)]),
            "more than once",
        );
    }
}

#[test]
fn entries_that_share_their_bytes_are_refused() {
    let mut second = Entry::file("b");
    second.offset = Some(0);
    refused(&archive(&[Entry::file("a"), second]), "overlap");
}

#[test]
fn a_size_that_is_a_lie_is_found_out() {
    for announced in [0, 3, 1000] {
        let mut liar = Entry::file("liar");
        liar.announced = Some(announced);
        let (result, _bench, session) = extract(&archive(&[liar]));
        assert!(result.is_err(), "{announced}");
        assert!(!session.file("tmp/data/liar").exists());
    }
}

#[test]
fn encrypted_entries_are_refused() {
    let mut secret = Entry::file("secret");
    secret.flags |= 1;
    refused(&archive(&[secret]), "encrypted");
}

#[test]
fn more_files_than_allowed_are_refused() {
    let entries: Vec<_> = (0..=LIMITS.files)
        .map(|number| Entry::file(&number.to_string()))
        .collect();
    refused(&archive(&entries), "more than 1000 files");
    assert_eq!(
        extract(&archive(&entries[1..])).0.unwrap().len(),
        LIMITS.files
    );
}

#[test]
fn a_directory_that_would_fill_the_memory_is_not_read() {
    let entries: Vec<_> = (0..17_000)
        .map(|number| Entry::file(&format!("{number:01000}")))
        .collect();
    refused(&archive(&entries), "directory is too large");
}

#[test]
fn more_bytes_than_allowed_are_refused() {
    let half = vec![b'x'; 1 + usize::try_from(LIMITS.bytes).unwrap() / 2];
    let entries = [Entry::new("a", PLAIN, &half), Entry::new("b", PLAIN, &half)];
    refused(&archive(&entries), "are allowed");
    let mut boaster = Entry::file("a");
    boaster.announced = Some(u32::MAX - 1);
    refused(&archive(&[boaster]), "are allowed");
}

#[test]
fn what_blows_up_beyond_reason_is_refused() {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    writer
        .start_file("zeros", zip::write::SimpleFileOptions::default())
        .unwrap();
    let chunk = vec![0; 1024 * 1024];
    for _ in 0..65 {
        writer.write_all(&chunk).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bomb"), &bytes).unwrap();
    let open = |trust| {
        let file = fs::File::open(folder.path().join("bomb")).unwrap();
        crate::archive::Unpacker::open(file, trust).map(drop)
    };
    let generous = Limits {
        bytes: u64::MAX,
        files: 10,
    };
    let error = open(crate::archive::Trust::Foreign(generous)).unwrap_err();
    assert!(error.to_string().contains("are allowed"), "{error}");
    // What a sync has packed is known to be no larger than it was.
    open(crate::archive::Trust::Packed(65 * 1024 * 1024)).unwrap();
    assert!(open(crate::archive::Trust::Packed(65 * 1024 * 1024 - 1)).is_err());
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 256,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_000),
        ..ProptestConfig::default()
    }
}

fn names() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "a", "b", "/", "/", "..", ".", "\\", "\0", "C:", "~", "\u{202e}", ".zip", "é",
    ]);
    prop::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat())
}

prop_compose! {
    fn entries()(
        name in names(),
        mode in prop::sample::select(vec![PLAIN, PLAIN, PLAIN, LINK, PIPE, 0, 0o040_755, 0o104_777]),
        content in prop::collection::vec(any::<u8>(), 0..40),
        flags in prop::sample::select(vec![0x0800, 0x0800, 0, 1, 8]),
        announced in prop::option::weighted(0.1, any::<u32>()),
        offset in prop::option::weighted(0.1, 0_u32..200),
    ) -> Entry {
        Entry { name: name.into_bytes(), mode, content, flags, announced, offset }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_archive_writes_outside(entries in prop::collection::vec(entries(), 0..6)) {
        let _ = extract(&archive(&entries));
    }

    #[test]
    fn no_damage_to_an_archive_does_harm(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) {
        let mut bytes = archive(&[Entry::file("a"), Entry::file("d/b"), Entry::new("l", LINK, b"/etc")]);
        for (place, byte) in edits {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = extract(&bytes);
    }
}
