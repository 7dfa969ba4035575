"""Syncs between sessions and contexts."""

import asyncio
import threading

import pytest
from agb.context_sync import (
    BWList,
    ContextSync,
    DeletePolicy,
    DownloadPolicy,
    ExtractPolicy,
    MappingPolicy,
    SyncPolicy,
    UploadPolicy,
    WhiteList,
)
from conftest import create, shell

PATH = "/tmp/data"


def policy(**parts):
    return SyncPolicy(
        upload_policy=parts.pop("upload_policy", UploadPolicy()),
        download_policy=DownloadPolicy(),
        delete_policy=DeletePolicy(),
        extract_policy=ExtractPolicy(),
        **parts,
    )


def session_with(agb, context, path=PATH, image="agb-code-space-1", **parts):
    sync = ContextSync.new(context.id, path, policy(**parts))
    return create(agb, image=image, context_syncs=[sync])


def stored(agb, context, folder=PATH):
    return [entry.file_path for entry in agb.context.list_files(context.id, folder).entries]


def test_what_a_session_writes_is_found_by_the_next(agb, context):
    first = session_with(agb, context)
    shell(first, f"mkdir -p {PATH}/deep && echo content > {PATH}/deep/file")
    result = asyncio.run(first.context.sync())
    assert result.success, result.error_message
    assert first.delete().success
    assert stored(agb, context) == [f"{PATH}/deep"]

    second = session_with(agb, context)
    assert shell(second, f"cat {PATH}/deep/file") == "content\n"
    assert second.delete().success


def test_a_mapping_leads_to_another_path_and_image(agb, context):
    browser = session_with(agb, context, "/tmp/mapping", "agb-browser-use-1")
    shell(browser, "echo mapped > /tmp/mapping/file")
    assert browser.delete(sync_context=True).success
    code = session_with(agb, context, "/home/data", mapping_policy=MappingPolicy(path="/tmp/mapping"))
    assert shell(code, "cat /home/data/file") == "mapped\n"
    assert code.delete().success


def test_a_sync_can_name_one_context_and_a_direction(agb, context):
    session = session_with(agb, context, upload_policy=UploadPolicy(auto_upload=False))
    shell(session, f"echo 1 > {PATH}/file")
    assert asyncio.run(session.context.sync(context_id=context.id, path=PATH, mode="upload")).success
    assert wait_for(session, context, "upload") == "Success"
    assert stored(agb, context) == [f"{PATH}/file"]
    shell(session, f"rm {PATH}/file")
    assert asyncio.run(session.context.sync(context_id=context.id, path=PATH, mode="download")).success
    wait_until(lambda: shell(session, f"ls {PATH}") == "file\n")
    assert not asyncio.run(session.context.sync(context_id=context.id)).success
    assert not asyncio.run(session.context.sync(context_id=context.id, path="/tmp/other")).success
    assert session.delete().success


def test_tasks_are_told_with_their_times(agb, context):
    session = session_with(agb, context)
    info = session.context.info(context_id=context.id, path=PATH, task_type="download")
    assert info.success
    (task,) = info.context_status_data
    assert (task.context_id, task.path, task.task_type, task.status) == (context.id, PATH, "download", "Success")
    assert task.finish_time >= task.start_time > 0 and not task.error_message
    assert session.context.info(task_type="upload").context_status_data == []
    assert session.delete().success


def test_a_callback_hears_the_end(agb, context):
    session = session_with(agb, context)
    ended, heard = threading.Event(), []

    def hear(success):
        heard.append(success)
        ended.set()

    assert asyncio.run(session.context.sync(callback=hear)).success
    assert ended.wait(20) and heard == [True]
    assert session.delete().success


def test_a_white_list_limits_what_is_stored(agb, context):
    lists = BWList(white_lists=[WhiteList(path="/keep", exclude_paths=["/keep/not"])])
    session = session_with(agb, context, bw_list=lists)
    shell(session, f"cd {PATH} && mkdir keep other && touch keep/yes keep/not other/no")
    assert session.delete(sync_context=True).success
    assert stored(agb, context) == [f"{PATH}/keep"]
    assert stored(agb, context, f"{PATH}/keep") == [f"{PATH}/keep/yes"]


@pytest.mark.parametrize("path", ["/opt/data", "/etc", "relative"])
def test_a_mount_outside_of_home_and_tmp_is_refused(agb, context, path):
    from agb.session_params import CreateSessionParams

    sync = ContextSync.new(context.id, path, policy())
    assert not agb.create(CreateSessionParams(image_id="agb-code-space-1", context_syncs=[sync])).success


def wait_for(session, context, kind):
    def status():
        tasks = session.context.info(context_id=context.id, path=PATH, task_type=kind).context_status_data
        return tasks[-1].status if tasks and tasks[-1].status in ("Success", "Failed") else None

    return wait_until(status)


def wait_until(look):
    import time

    deadline = time.monotonic() + 20
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, "in time"
        time.sleep(0.02)
