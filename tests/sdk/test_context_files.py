"""The files of a context: presigned URLs, listings and deletions."""

import time

import httpx
import pytest

SIZE = 64 * 1024 * 1024


def upload_url(agb, context, path):
    result = agb.context.get_file_upload_url(context.id, path)
    assert result.success, result.error_message
    assert result.expire_time > time.time()
    return result.url


def download_url(agb, context, path):
    result = agb.context.get_file_download_url(context.id, path)
    assert result.success, result.error_message
    return result.url


@pytest.mark.parametrize("path", ["/tmp/a.txt", "/home/data/a b/ü%+?&#.bin"])
def test_what_is_put_is_got_without_a_key(agb, context, path):
    content = bytes(range(256))
    assert httpx.put(upload_url(agb, context, path), content=content).status_code == 200
    got = httpx.get(download_url(agb, context, path))
    assert (got.status_code, got.content) == (200, content)
    part = httpx.get(download_url(agb, context, path), headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])


def test_a_large_file_goes_through_in_pieces(agb, context):
    piece = bytes(range(256)) * 4096
    pieces = (piece for _ in range(SIZE // len(piece)))
    put = httpx.put(upload_url(agb, context, "/tmp/large"), content=pieces, timeout=120)
    assert put.status_code == 200 and put.headers["etag"]
    received = 0
    with httpx.stream("GET", download_url(agb, context, "/tmp/large"), timeout=120) as answer:
        assert answer.headers["content-length"] == str(SIZE)
        for chunk in answer.iter_bytes(len(piece)):
            assert chunk == piece
            received += len(chunk)
    assert received == SIZE


def test_a_url_is_good_for_its_own_act_only(agb, context):
    put = upload_url(agb, context, "/tmp/file")
    assert httpx.get(put).status_code == 403
    assert httpx.put(put.replace("/tmp/file", "/tmp/other"), content=b"x").status_code == 403
    assert httpx.put(put.split("?")[0], content=b"x").status_code == 403
    assert httpx.put(put.replace("Expires=", "Expires=9"), content=b"x").status_code == 403
    assert httpx.get(download_url(agb, context, "/tmp/file")).status_code == 404
    assert agb.context.list_files(context.id, "/tmp").entries == []


def test_files_are_listed_by_folder_in_pages_and_deleted(agb, context):
    for name in ("a", "b", "c", "deep/d"):
        httpx.put(upload_url(agb, context, f"/tmp/data/{name}"), content=name.encode())
    listing = agb.context.list_files(context.id, "/tmp/data", page_number=1, page_size=10)
    assert listing.success and listing.count == 4
    entries = {entry.file_name: entry for entry in listing.entries}
    assert set(entries) == {"a", "b", "c", "deep"}
    assert entries["a"].file_path == "/tmp/data/a" and entries["a"].size == 1
    assert entries["a"].file_type == "FILE" and entries["a"].gmt_create and entries["a"].gmt_modified
    assert entries["deep"].file_type == "FOLDER"
    pages = [agb.context.list_files(context.id, "/tmp/data", page_number=number, page_size=3).entries for number in (1, 2, 3)]
    assert [len(page) for page in pages] == [3, 1, 0]

    assert agb.context.delete_file(context.id, "/tmp/data/a").success
    missing = agb.context.delete_file(context.id, "/tmp/data/a")
    assert not missing.success and "not found" in missing.error_message.lower()
    assert httpx.get(download_url(agb, context, "/tmp/data/a")).status_code == 404


def test_a_put_replaces_the_file(agb, context):
    for content in (b"longer content", b"short"):
        httpx.put(upload_url(agb, context, "/tmp/file"), content=content)
    assert httpx.get(download_url(agb, context, "/tmp/file")).content == b"short"
    assert agb.context.list_files(context.id, "/tmp").entries[0].size == 5
