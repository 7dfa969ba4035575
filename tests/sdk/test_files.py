"""The file system of a session."""

import base64
import os
import threading

from conftest import shell


def test_text_is_written_appended_and_read(session):
    path = "/tmp/text.txt"
    assert session.file.write(path, "one ü\n").success
    assert session.file.write(path, "two", mode="append").success
    assert session.file.read(path).content == "one ü\ntwo"
    assert session.file.write(path, "").success
    empty = session.file.read(path)
    assert empty.success and empty.content == ""
    assert not session.file.write(path, "x", mode="other").success


def test_large_text_is_whole_wherever_it_is_cut(session):
    text = "".join(f"{number}: aä€😀\n" for number in range(30_000))
    assert session.file.write("/home/agb/large.txt", text).success
    assert session.file.read("/home/agb/large.txt").content == text


def test_large_binary_files_are_read_as_bytes(session):
    content = os.urandom(3_000_001)
    encoded = base64.b64encode(content).decode()
    assert session.file.write("/tmp/binary.b64", encoded).success
    shell(session, "base64 -d /tmp/binary.b64 > /tmp/binary")
    read = session.file.read("/tmp/binary", format="bytes")
    assert read.success and read.content == content and read.size == len(content)


def test_files_and_folders_are_described(session):
    session.file.write("/tmp/described", "12345")
    info = session.file.info("/tmp/described").file_info
    assert info["size"] == 5 and info["isFile"] is True and info["isDirectory"] is False
    assert info["permissions"] == 644 and str(info["modified"]).startswith("20")
    assert session.file.info("/tmp").file_info["isDirectory"] is True
    missing = session.file.info("/tmp/missing")
    assert not missing.success and "No such file" in missing.error_message


def test_folders_are_made_listed_and_moved(session):
    assert session.file.mkdir("/tmp/folder/deep").success
    session.file.write("/tmp/folder/file [1].txt", "x")
    listing = session.file.list("/tmp/folder")
    assert listing.entries == [
        {"isDirectory": True, "name": "deep"},
        {"isDirectory": False, "name": "file [1].txt"},
    ]
    assert session.file.move("/tmp/folder", "/home/agb/moved").success
    assert not session.file.list("/tmp/folder").success
    assert session.file.read("/home/agb/moved/file [1].txt").content == "x"
    session.file.write("/tmp/taken", "")
    assert not session.file.move("/home/agb/moved", "/tmp/taken").success


def test_files_are_removed(session):
    session.file.write("/tmp/doomed", "x")
    assert session.file.remove("/tmp/doomed").success
    assert not session.file.read("/tmp/doomed").success
    assert not session.file.remove("/tmp/doomed").success


def test_edits_replace_text_unless_they_are_tried_only(session):
    path = "/tmp/edited"
    session.file.write(path, "a = 1\nb = 2\n")
    edits = [{"oldText": "a = 1", "newText": "a = 3"}]
    assert session.file.edit(path, edits, dry_run=True).success
    assert session.file.read(path).content == "a = 1\nb = 2\n"
    assert session.file.edit(path, edits).success
    assert session.file.read(path).content == "a = 3\nb = 2\n"
    assert not session.file.edit(path, edits).success


def test_several_files_are_read_at_once(session):
    for name in ("x", "y"):
        session.file.write(f"/tmp/many-{name}", f"content {name}\nmore")
    read = session.file.read_batch(["/tmp/many-x", "/tmp/many-y", "/tmp/many-none"])
    assert read.contents["/tmp/many-x"] == "content x\nmore"
    assert read.contents["/tmp/many-y"] == "content y\nmore"
    assert "Error" in read.contents["/tmp/many-none"]


def test_files_are_found_by_pattern(session):
    for name in ("a.py", "deep/b.py", "deep/c.txt", "skipped/d.py"):
        session.file.mkdir(os.path.dirname(f"/tmp/search/{name}"))
        session.file.write(f"/tmp/search/{name}", "")
    found = session.file.search("/tmp/search", "*.py", exclude_patterns=["skipped"])
    assert found.matches == ["/tmp/search/a.py", "/tmp/search/deep/b.py"]
    assert session.file.search("/tmp/search", "*.rs").matches == []


def test_a_folder_can_be_watched(session):
    session.file.mkdir("/tmp/watched")
    session.file.write("/tmp/watched/old", "1")
    seen, changed = [], threading.Event()

    def hear(events):
        seen.extend(events)
        if {(event.event_type, event.path) for event in seen} >= expected:
            changed.set()

    expected = {("create", "/tmp/watched/new"), ("modify", "/tmp/watched/old")}
    watcher = session.file.watch_dir("/tmp/watched", hear, interval=0.05)
    watcher.start()
    assert watcher.ready_event.wait(10)
    session.file.write("/tmp/watched/new", "1")
    session.file.write("/tmp/watched/old", "22")
    assert changed.wait(10), seen
    watcher.stop_event.set()
    watcher.join(10)


def test_a_folder_is_no_file(session):
    assert not session.file.read("/tmp").success
    assert not session.file.write("/tmp", "x").success
    assert not session.file.list("/etc/passwd").success
