"""Sessions: made, found, listed by labels, kept alive, and released."""

import time

import pytest
from agb import AGB
from conftest import CODE_IMAGE, create, new_name


def test_a_session_is_made_found_and_deleted(agb):
    session = create(agb, labels={"purpose": "test"})
    assert session.session_id and session.resource_url and session.image_id == CODE_IMAGE
    assert session.link_url and session.ws_url and session.token and session.tool_list
    status = session.get_status()
    assert status.success and status.status == "RUNNING"
    found = agb.get(session.session_id)
    assert found.success and found.session.resource_url == session.resource_url
    assert agb.get_session(session.session_id).data.status == "RUNNING"
    assert session.keep_alive().success
    assert agb.delete(session).success
    gone = agb.get(session.session_id)
    assert not gone.success
    status = session.get_status()
    assert not status.success or status.status == "FINISH"
    assert not session.keep_alive().success
    assert not session.command.execute("true").success


def test_a_session_needs_an_image(agb):
    from agb.session_params import CreateSessionParams

    assert not agb.create(CreateSessionParams(image_id="")).success


def test_what_was_never_made_is_not_found(agb):
    missing = agb.get("session-none")
    assert not missing.success and "not found" in missing.error_message.lower()


def test_another_key_sees_no_session(agb):
    session = create(agb)
    other = AGB(api_key=new_name("key"))
    assert not other.get(session.session_id).success
    assert session.session_id not in other.list().session_ids
    assert agb.delete(session).success


def test_labels_are_set_replaced_and_validated(agb):
    session = create(agb, labels={"a": "1"})
    assert session.get_labels().data == {"a": "1"}
    assert session.set_labels({"b": "2", "ü": "ö"}).success
    assert session.get_labels().data == {"b": "2", "ü": "ö"}
    assert not session.set_labels({}).success
    assert agb.delete(session).success


def test_sessions_are_listed_by_labels_and_pages(agb):
    sessions = [create(agb, labels={"team": "x", "number": str(number % 2)}) for number in range(5)]
    everything = agb.list()
    assert everything.total_count == 5 and len(everything.session_ids) == 5
    odd = agb.list(labels={"team": "x", "number": "1"})
    assert set(odd.session_ids) == {sessions[1].session_id, sessions[3].session_id}
    assert agb.list(labels={"team": "y"}).session_ids == []
    pages = [agb.list(labels={"team": "x"}, page=page, limit=2) for page in (1, 2, 3)]
    assert [len(page.session_ids) for page in pages] == [2, 2, 1]
    assert all(page.total_count == 5 for page in pages)
    listed = {session_id for page in pages for session_id in page.session_ids}
    assert listed == {session.session_id for session in sessions}
    assert pages[0].next_token and not pages[2].next_token
    assert not agb.list(page=4, limit=2).success
    for session in sessions:
        assert session.delete().success
    assert agb.list().session_ids == []


def test_an_idle_session_is_released_and_a_call_keeps_it(agb):
    used, idle = (create(agb, idle_release_timeout=2) for _ in range(2))
    deadline = time.monotonic() + 20
    while idle.session_id in agb.list().session_ids:
        assert used.keep_alive().success
        assert time.monotonic() < deadline, "the idle session is still there"
        time.sleep(0.05)
    assert used.get_status().status == "RUNNING"
    assert used.delete().success


@pytest.mark.parametrize("sync_context", [False, True])
def test_a_session_can_be_deleted_with_and_without_a_sync(agb, sync_context):
    session = create(agb)
    assert agb.delete(session, sync_context=sync_context).success


def test_the_resource_of_a_session_is_told(session):
    info = session.info()
    assert info.success, info.error_message
    assert info.data["session_id"] == session.session_id
    assert info.data["resource_url"] == session.resource_url
    assert info.data["resource_id"] and info.data["auth_code"] and info.data["ticket"]
