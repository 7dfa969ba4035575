"""Contexts: made, found, listed, renamed, cleared and deleted."""

import pytest
from agb import AGB
from agb.context import Context, ContextListParams
from conftest import new_name


def test_a_context_is_created_once_and_found_by_name_and_by_id(agb):
    name = new_name("context")
    assert not agb.context.get(name=name).success
    created = agb.context.create(name)
    assert created.success and created.context.id.startswith("SdkCtx-")
    again = agb.context.get(name=name, create=True)
    assert again.context.id == created.context.id
    by_name, by_id = agb.context.get(name=name), agb.context.get(context_id=created.context.id)
    assert by_name.context.id == by_id.context.id == created.context.id
    assert by_id.context.name == name and by_id.context.created_at and by_id.context.last_used_at


def test_another_region_has_its_own_names(agb):
    name = new_name("context")
    here = agb.context.get(name=name, create=True, login_region_id="cn-hangzhou").context
    there = agb.context.get(name=name, create=True, login_region_id="ap-southeast-1").context
    assert here.id != there.id


def test_another_key_sees_nothing(agb, context):
    other = AGB(api_key=new_name("key"))
    assert not other.context.get(context_id=context.id).success
    assert not other.context.get(name=context.name).success
    assert other.context.list().contexts == []
    assert not other.context.delete(context).success
    assert agb.context.get(context_id=context.id).success


def test_contexts_are_listed_as_many_as_asked_for(agb):
    made = [agb.context.create(new_name("context")).context.id for _ in range(12)]
    # The SDK looks for the token of the next page, and for the total, where no list can have them.
    for asked, expected in ((None, 10), (2, 2), (100, 12)):
        page = agb.context.list(ContextListParams(max_results=asked))
        assert page.success and [context.id for context in page.contexts] == made[:expected]


def test_a_context_can_be_renamed_but_not_to_a_name_that_is_taken(agb, context):
    other = agb.context.create(new_name("context")).context
    renamed = Context(id=context.id, name=new_name("renamed"))
    assert agb.context.update(renamed).success
    assert agb.context.get(context_id=context.id).context.name == renamed.name
    refused = agb.context.update(Context(id=context.id, name=other.name))
    assert not refused.success and refused.error_message


def test_a_deleted_context_is_gone(agb, context):
    assert agb.context.delete(context).success
    gone = agb.context.get(context_id=context.id)
    assert not gone.success and "not found" in gone.error_message.lower()
    assert not agb.context.delete(context).success


def test_a_clear_goes_through_its_states_and_leaves_nothing(agb, context):
    put(agb, context, "/tmp/data/file", b"content")
    started = agb.context.clear_async(context.id)
    assert started.success and started.status == "clearing"
    assert agb.context.get_clear_status(context.id).status in ("clearing", "pre-available")
    cleared = agb.context.clear(context.id)
    assert cleared.success and cleared.status == "available"
    assert agb.context.list_files(context.id, "/tmp/data").entries == []
    assert not agb.context.clear("SdkCtx-none").success


def put(agb, context, path, content):
    import httpx

    url = agb.context.get_file_upload_url(context.id, path)
    assert url.success, url.error_message
    assert httpx.put(url.url, content=content).status_code == 200


@pytest.mark.parametrize("call", ["get_file_upload_url", "get_file_download_url", "delete_file"])
def test_files_of_a_context_that_is_not_there_are_refused(agb, call):
    refused = getattr(agb.context, call)("SdkCtx-none", "/tmp/file")
    assert not refused.success and "not found" in refused.error_message.lower()
