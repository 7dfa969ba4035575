//! Upload mode `Archive`, and what becomes of archives from outside.

use std::io::Write;

use super::*;

const ARCHIVE: &str = r#"{"uploadPolicy": {"uploadMode": "Archive"}}"#;
const STORED: &str = "/tmp/data/agb-archive.zip";

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, content) in files {
        writer
            .start_file(*name, zip::write::SimpleFileOptions::default())
            .unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The policy of an archive context with these parts beside.
fn archive_with(parts: &str) -> String {
    format!(r#"{{"uploadPolicy": {{"uploadMode": "Archive"}}, {parts}}}"#)
}

fn write(side: &Side, path: &str, content: &str) {
    let path = side.file(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn a_mount_is_stored_as_one_archive_and_comes_back_as_it_was() {
    let bench = Bench::new();
    let mut one = bench.session("a", "/tmp/data", ARCHIVE);
    write(&one, "tmp/data/x", "x");
    write(&one, "tmp/data/deep/y", "y");
    one.upload(&bench);
    assert_eq!(one.stored(), [STORED]);

    let mut two = bench.session("b", "/tmp/data", ARCHIVE);
    two.download();
    assert_eq!(
        (two.read("tmp/data/x"), two.read("tmp/data/deep/y")),
        ("x".to_owned(), "y".to_owned())
    );
    assert!(!two.file("tmp/data/agb-archive.zip").exists());

    let mapping = archive_with(r#""mappingPolicy": {"path": "/tmp/data"}"#);
    let mut mapped = bench.session("c", "/home/elsewhere", &mapping);
    mapped.download();
    assert_eq!(mapped.read("home/elsewhere/deep/y"), "y");
    write(&mapped, "home/elsewhere/z", "z");
    mapped.upload(&bench);
    assert_eq!(mapped.stored(), [STORED]);
    two.download();
    assert_eq!(two.read("tmp/data/z"), "z");
}

#[test]
fn the_mode_of_the_first_use_holds() {
    let bench = Bench::new();
    let mut first = bench.session("a", "/tmp/data", ARCHIVE);
    let mut second = bench.session("b", "/tmp/data", "");
    write(&first, "tmp/data/x", "x");
    first.upload(&bench);
    second.download();
    write(&second, "tmp/data/y", "y");
    second.upload(&bench);
    assert_eq!(second.stored(), [STORED]);
    assert_eq!(second.read("tmp/data/x"), "x");
}

#[test]
fn an_upload_without_a_change_leaves_the_archive_alone() {
    let bench = Bench::new();
    let mut one = bench.session("a", "/tmp/data", ARCHIVE);
    write(&one, "tmp/data/x", "x");
    one.upload(&bench);
    let stored = |side: &Side| {
        let path = AbsolutePath::parse(STORED).unwrap();
        side.mount
            .context
            .files
            .get(&path)
            .unwrap()
            .blob
            .name()
            .to_owned()
    };
    let before = stored(&one);
    one.upload(&bench);
    assert_eq!(stored(&one), before);
    write(&one, "tmp/data/x", "changed");
    one.upload(&bench);
    assert_ne!(stored(&one), before);
}

#[test]
fn two_sessions_on_one_archive_keep_each_other_s_changes() {
    let bench = Bench::new();
    let mut one = bench.session("a", "/tmp/data", ARCHIVE);
    let mut two = bench.session("b", "/tmp/data", ARCHIVE);
    write(&one, "tmp/data/both", "old");
    one.upload(&bench);
    two.download();
    write(&one, "tmp/data/both", "newer");
    write(&one, "tmp/data/one", "1");
    one.upload(&bench);
    // It changed neither, and never saw the second.
    write(&two, "tmp/data/two", "2");
    two.upload(&bench);
    let mut three = bench.session("c", "/tmp/data", ARCHIVE);
    three.download();
    let found = ["both", "one", "two"].map(|name| three.read(&format!("tmp/data/{name}")));
    assert_eq!(found, ["newer", "1", "2"]);
}

#[test]
fn a_deleted_file_leaves_the_archive_only_when_the_policy_says_so() {
    for (syncs, left) in [(true, false), (false, true)] {
        let bench = Bench::new();
        let policy = archive_with(&format!(r#""deletePolicy": {{"syncLocalFile": {syncs}}}"#));
        let mut one = bench.session("a", "/tmp/data", &policy);
        write(&one, "tmp/data/x", "x");
        write(&one, "tmp/data/y", "y");
        one.upload(&bench);
        fs::remove_file(one.file("tmp/data/x")).unwrap();
        one.upload(&bench);
        let mut two = bench.session("b", "/tmp/data", &policy);
        two.download();
        assert_eq!(two.file("tmp/data/x").exists(), left, "{syncs}");
        assert_eq!(two.read("tmp/data/y"), "y");
    }
}

#[test]
fn an_archive_that_is_left_without_files_goes() {
    let bench = Bench::new();
    let mut one = bench.session("a", "/tmp/data", ARCHIVE);
    write(&one, "tmp/data/x", "x");
    one.upload(&bench);
    fs::remove_file(one.file("tmp/data/x")).unwrap();
    one.upload(&bench);
    assert!(one.stored().is_empty());
}

#[test]
fn white_lists_are_for_what_the_archive_holds() {
    let bench = Bench::new();
    let list = archive_with(
        r#""bwList": {"whiteLists": [{"path": "/keep", "excludePaths": ["/keep/not"]}]}"#,
    );
    let mut all = bench.session("a", "/tmp/data", ARCHIVE);
    let mut limited = bench.session("b", "/tmp/data", &list);
    for name in ["keep/x", "keep/not", "other"] {
        write(&all, &format!("tmp/data/{name}"), "first");
        write(&limited, &format!("tmp/data/{name}"), "limited");
    }
    all.upload(&bench);
    limited.upload(&bench);
    let mut found = bench.session("c", "/tmp/data", ARCHIVE);
    found.download();
    let versions =
        ["keep/x", "keep/not", "other"].map(|name| found.read(&format!("tmp/data/{name}")));
    assert_eq!(versions, ["limited", "first", "first"]);

    let mut part = bench.session("d", "/tmp/data", &list);
    part.download();
    assert!(part.file("tmp/data/keep/x").exists());
    assert!(!part.file("tmp/data/keep/not").exists());
    assert!(!part.file("tmp/data/other").exists());
}

#[test]
fn the_three_switches_decide_what_becomes_of_an_archive_from_outside() {
    // extract, deleteSrcFile, extractToCurrentFolder; then what lies in the folder.
    let cases = [
        (true, true, false, vec!["set/a"]),
        (true, true, true, vec!["a"]),
        (true, false, false, vec!["set.zip", "set/a"]),
        (true, false, true, vec!["a", "set.zip"]),
        (false, true, false, vec!["set.zip"]),
        (false, false, true, vec!["set.zip"]),
    ];
    for (extract, delete, current, expected) in cases {
        let bench = Bench::new();
        let policy = archive_with(&format!(
            r#""extractPolicy": {{"extract": {extract}, "deleteSrcFile": {delete}, "extractToCurrentFolder": {current}}}"#
        ));
        let mut session = bench.session("a", "/tmp/data", &policy);
        session.put(&bench, "/tmp/data/in/set.zip", &zip(&[("a", "text")]));
        session.download();
        let folder = session
            .world
            .open_folder(&AbsolutePath::parse("/tmp/data/in").unwrap());
        let mut found: Vec<_> = folder
            .unwrap()
            .walk()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        found.sort();
        assert_eq!(found, expected, "{policy}");
    }
}

#[test]
fn the_switches_hold_for_the_mount_s_own_archive() {
    for (extract, delete, expected) in [
        (true, true, vec!["x"]),
        (true, false, vec!["agb-archive.zip", "x"]),
        (false, true, vec!["agb-archive.zip"]),
    ] {
        let bench = Bench::new();
        let policy = archive_with(&format!(
            r#""extractPolicy": {{"extract": {extract}, "deleteSrcFile": {delete}}}"#
        ));
        let mut one = bench.session("a", "/tmp/data", &policy);
        write(&one, "tmp/data/x", "x");
        one.upload(&bench);
        let mut two = bench.session("b", "/tmp/data", &policy);
        two.download();
        let mut found: Vec<_> = two
            .file("tmp/data")
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        found.sort();
        assert_eq!(found, expected, "{policy}");
        // The archive is no file of the session: the next upload does not pack it, nor take its absence for a deletion.
        write(&two, "tmp/data/y", "y");
        two.upload(&bench);
        assert_eq!(two.stored(), [STORED]);
        let mut three = bench.session("c", "/tmp/data", ARCHIVE);
        three.download();
        assert_eq!(
            (three.read("tmp/data/x"), three.read("tmp/data/y")),
            ("x".to_owned(), "y".to_owned())
        );
    }
}

#[test]
fn an_archive_never_holds_itself() {
    let bench = Bench::new();
    let keeps = archive_with(r#""extractPolicy": {"deleteSrcFile": false}"#);
    let mut one = bench.session("a", "/tmp/data", &keeps);
    write(&one, "tmp/data/x", "x");
    one.upload(&bench);
    let mut two = bench.session("b", "/tmp/data", &keeps);
    two.download();
    write(&one, "tmp/data/x", "newer");
    one.upload(&bench);
    // What it has is an archive that nobody stores any more.
    write(&two, "tmp/data/y", "y");
    two.upload(&bench);
    let mut three = bench.session("c", "/tmp/data", ARCHIVE);
    three.download();
    assert_eq!(three.read("tmp/data/x"), "newer");
    assert_eq!(three.read("tmp/data/y"), "y");
    assert!(!three.file("tmp/data/agb-archive.zip").exists());
}

#[test]
fn what_was_extracted_moves_into_the_mount_s_archive_with_the_next_upload() {
    let bench = Bench::new();
    let mut one = bench.session("a", "/tmp/data", ARCHIVE);
    one.put(
        &bench,
        "/tmp/data/set.zip",
        &zip(&[("a", "text"), ("b", "gone")]),
    );
    one.download();
    fs::remove_file(one.file("tmp/data/set/b")).unwrap();
    one.upload(&bench);
    assert_eq!(one.stored(), [STORED]);
    let mut two = bench.session("b", "/tmp/data", ARCHIVE);
    two.download();
    assert_eq!(two.read("tmp/data/set/a"), "text");
    assert!(!two.file("tmp/data/set/b").exists());
}

#[test]
fn an_archive_that_cannot_be_extracted_comes_as_it_is_and_holds_nothing_else_up() {
    let bench = Bench::new();
    let mut one = bench.session("a", "/tmp/data", ARCHIVE);
    one.put(&bench, "/tmp/data/a-broken.zip", b"no archive");
    one.put(&bench, "/tmp/data/good.zip", &zip(&[("a", "text")]));
    one.put(&bench, "/tmp/data/plain", b"plain");
    let error = one.try_download().unwrap_err().to_string();
    assert!(error.contains("a-broken.zip"), "{error}");
    assert_eq!(one.read("tmp/data/a-broken.zip"), "no archive");
    assert_eq!(one.read("tmp/data/good/a"), "text");
    assert_eq!(one.read("tmp/data/plain"), "plain");
}

#[test]
fn in_a_file_context_an_archive_is_a_file_like_any_other() {
    let bench = Bench::new();
    let mut one = bench.session("a", "/tmp/data", "");
    one.put(&bench, "/tmp/data/set.zip", &zip(&[("a", "text")]));
    one.download();
    assert!(one.file("tmp/data/set.zip").exists());
    assert!(!one.file("tmp/data/set").exists());
}
