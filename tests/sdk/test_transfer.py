"""Files on their way between here and a session."""

import os

from conftest import shell


def test_a_file_goes_up_and_another_comes_down(session, tmp_path):
    content = os.urandom(5_000_000)
    local = tmp_path / "up.bin"
    local.write_bytes(content)
    folder = session.file.transfer_path()
    assert folder and folder.startswith(("/tmp/", "/home/"))
    up = session.file.upload(str(local), f"{folder}/up.bin")
    assert up.success, up.error_message
    assert up.http_status == 200 and up.bytes_sent == len(content) and up.etag
    assert shell(session, f"wc -c < {folder}/up.bin").strip() == str(len(content))

    shell(session, f"tac -s '' {folder}/up.bin > /dev/null; cp {folder}/up.bin {folder}/down.bin; echo tail >> {folder}/down.bin")
    down = session.file.download(f"{folder}/down.bin", str(tmp_path / "down.bin"), progress_cb=lambda count: None)
    assert down.success, down.error_message
    assert (tmp_path / "down.bin").read_bytes() == content + b"tail\n"


def test_a_later_version_replaces_the_earlier(session, tmp_path):
    folder = session.file.transfer_path()
    local = tmp_path / "file"
    for text in ("first", "second"):
        local.write_text(text)
        assert session.file.upload(str(local), f"{folder}/versions").success
        # The SDK takes the end of an earlier sync for that of this one.
        assert wait_for(lambda: session.command.execute(f"cat {folder}/versions", timeout_ms=20_000).stdout == text)


def test_a_folder_of_the_transfer_path_takes_files_and_gives_them(session, tmp_path):
    folder = session.file.transfer_path()
    local = tmp_path / "file"
    local.write_bytes(b"\x00deep\xff")
    up = session.file.upload(str(local), f"{folder}/some/where/deep.bin")
    assert up.success, up.error_message
    assert shell(session, f"wc -c < {folder}/some/where/deep.bin").strip() == "6"
    down = session.file.download(f"{folder}/some/where/deep.bin", str(tmp_path / "down"))
    assert down.success, down.error_message
    assert (tmp_path / "down").read_bytes() == b"\x00deep\xff"


def test_what_is_missing_is_told(session, tmp_path):
    folder = session.file.transfer_path()
    assert not session.file.upload(str(tmp_path / "none"), f"{folder}/none").success
    missing = session.file.download(f"{folder}/none", str(tmp_path / "x"))
    assert not missing.success and missing.error_message


def test_the_sessions_own_context_is_not_listed(session, shared_agb):
    assert session.file.transfer_path()
    assert shared_agb.context.list().contexts == []


def wait_for(look):
    import time

    deadline = time.monotonic() + 10
    while not look():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
