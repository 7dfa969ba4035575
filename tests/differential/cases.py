"""What the SDK and the gateway are both asked, operation by operation.

A case names AGB's operation, what is asked of the SDK, and what is asked of the gateway.
"""

from dataclasses import dataclass, field
from typing import Callable

from agb.context_sync import (
    BWList, ContextSync, DeletePolicy, DownloadPolicy, ExtractPolicy, Lifecycle, MappingPolicy, RecyclePolicy,
    SyncPolicy, UploadMode, UploadPolicy, WhiteList,
)
from agb.api.models import GetAndLoadInternalContextRequest
from agb.context import Context, ContextListParams
from agb.extension import ExtensionOption
from agb.modules.browser.browser import BrowserFingerprintContext, BrowserOption
from agb.session import Session
from agb.session_params import BrowserContext, CreateSessionParams

from recorder import CONTEXT, LINKED_SESSION, SESSION


@dataclass
class Case:
    name: str
    operation: str
    sdk: Callable
    rpc: str
    message: dict
    has_link: bool = False
    different: dict = field(default_factory=dict)


def session(agb):
    return Session(agb, SESSION)


def linked(agb):
    return agb.get(LINKED_SESSION).session


def create(**params):
    return lambda agb: agb.create(CreateSessionParams(image_id="agb-code-space-1", **params))


async def _sync(session, **arguments):
    return await session.context.sync(**arguments)


def sync(**arguments):
    import asyncio

    return lambda agb: asyncio.run(_sync(session(agb), **arguments))


def extension_option():
    return ExtensionOption(context_id=CONTEXT, extension_ids=["ext-1", "ext-2"])


FULL_POLICY = SyncPolicy(
    upload_policy=UploadPolicy(auto_upload=False, upload_mode=UploadMode.ARCHIVE),
    download_policy=DownloadPolicy(auto_download=True),
    delete_policy=DeletePolicy(sync_local_file=False),
    extract_policy=ExtractPolicy(extract=False, delete_src_file=False, extract_current_folder=True),
    recycle_policy=RecyclePolicy(lifecycle=Lifecycle.LIFECYCLE_30DAYS, paths=["/logs"]),
    bw_list=BWList(white_lists=[WhiteList(path="/keep", exclude_paths=["/keep/not"])]),
    mapping_policy=MappingPolicy(path="/tmp/mapping"),
)
FULL_POLICY_MESSAGE = {
    "upload_policy": {"auto_upload": False, "upload_mode": "UPLOAD_MODE_ARCHIVE"},
    "download_policy": {"auto_download": True},
    "delete_policy": {"sync_local_file": False},
    "extract_policy": {"extract": False, "delete_src_file": False, "extract_to_current_folder": True},
    "recycle_policy": {"lifecycle": "LIFECYCLE_30_DAYS", "paths": ["/logs"]},
    "bw_list": {"white_lists": [{"path": "/keep", "exclude_paths": ["/keep/not"]}]},
    "mapping_policy": {"path": "/tmp/mapping"},
}

# Deliberate differences, each with its reason: request -> request as the gateway makes it.


def without_stats(request):
    """`sdkStats` tells AGB about the use of its SDK; the gateway is not its SDK."""
    request["query"].pop("sdkStats", None)


def without_request_id(request):
    """The request id of a direct tool call is chosen anew for each."""
    request["body"].pop("requestId", None)


def without_labels_of_its_own(request):
    """The gateway marks the sessions that it creates, so that one `request_id` gives one session and none is left behind."""
    labels = request["body"]["labels"]["json"]
    own = [key for key in labels if key.startswith("agb-gateway/")]
    assert "agb-gateway/proof" in own
    for key in own:
        del labels[key]
    if not labels:
        del request["body"]["labels"]


CREATION = {"sdk": without_stats, "gateway": without_labels_of_its_own}
REQUEST_ID = {"sdk": without_request_id, "gateway": without_request_id}

CASES = [
    Case("get a context by name", "GetContext", lambda agb: agb.context.get(name="n ü&"),
         "ContextService/GetContext", {"name": "n ü&"}),
    Case("get a context by id", "GetContext", lambda agb: agb.context.get(context_id=CONTEXT),
         "ContextService/GetContext", {"context_id": CONTEXT}),
    Case("get a context of a region", "GetContext", lambda agb: agb.context.get(name="n", login_region_id="cn-x"),
         "ContextService/GetContext", {"name": "n", "login_region_id": "cn-x"}),
    Case("create a context", "GetContext", lambda agb: agb.context.create("n"),
         "ContextService/CreateContext", {"context": {"name": "n"}}),
    Case("list contexts", "ListContexts", lambda agb: agb.context.list(),
         "ContextService/ListContexts", {}),
    Case("list contexts by size", "ListContexts", lambda agb: agb.context.list(ContextListParams(max_results=3)),
         "ContextService/ListContexts", {"page_size": 3}),
    Case("rename a context", "ModifyContext", lambda agb: agb.context.update(Context(id=CONTEXT, name="new")),
         "ContextService/UpdateContext", {"context": {"context_id": CONTEXT, "name": "new"}}),
    Case("delete a context", "DeleteContext", lambda agb: agb.context.delete(Context(id=CONTEXT, name="n")),
         "ContextService/DeleteContext", {"context_id": CONTEXT}),
    Case("clear a context", "ClearContext", lambda agb: agb.context.clear_async(CONTEXT),
         "ContextService/ClearContext", {"context_id": CONTEXT}),
    Case("look at a context that is cleared", "GetContext", lambda agb: agb.context.get_clear_status(CONTEXT),
         "ContextService/ClearContext", {"context_id": CONTEXT}),
    Case("list files", "DescribeContextFiles", lambda agb: agb.context.list_files(CONTEXT, "/tmp/a b", 1, 20),
         "ContextService/ListContextFiles", {"context_id": CONTEXT, "parent_path": "/tmp/a b", "page_size": 20}),
    Case("delete a file", "DeleteContextFile", lambda agb: agb.context.delete_file(CONTEXT, "/tmp/a"),
         "ContextService/DeleteContextFile", {"context_id": CONTEXT, "path": "/tmp/a"}),
    Case("make an upload URL", "GetContextFileUploadUrl", lambda agb: agb.context.get_file_upload_url(CONTEXT, "/tmp/a"),
         "ContextService/CreateUploadUrl", {"context_id": CONTEXT, "path": "/tmp/a"}),
    Case("make a download URL", "GetContextFileDownloadUrl",
         lambda agb: agb.context.get_file_download_url(CONTEXT, "/tmp/a"),
         "ContextService/CreateDownloadUrl", {"context_id": CONTEXT, "path": "/tmp/a"}),
    Case("create a plain session", "createSession", create(),
         "SessionService/CreateSession", {"image_id": "agb-code-space-1"}, different=CREATION),
    Case("create a session with everything", "createSession",
         create(labels={"a": "1", "b": "ü"}, policy_id="p-1", idle_release_timeout=90,
                context_syncs=[ContextSync.new(CONTEXT, "/home/data", FULL_POLICY)]),
         "SessionService/CreateSession",
         {"image_id": "agb-code-space-1", "labels": {"a": "1", "b": "ü"}, "policy_id": "p-1", "idle_timeout": "90s",
          "context_syncs": [{"context_id": CONTEXT, "path": "/home/data", "policy": FULL_POLICY_MESSAGE}]},
         different=CREATION),
    Case("create a session with the default policy", "createSession",
         create(context_syncs=[ContextSync.new(CONTEXT, "/home/data", SyncPolicy())]),
         "SessionService/CreateSession",
         {"image_id": "agb-code-space-1", "context_syncs": [{"context_id": CONTEXT, "path": "/home/data"}]},
         different=CREATION),
    Case("create a session with browser data", "createSession",
         lambda agb: agb.create(CreateSessionParams(
             image_id="agb-browser-use-1",
             browser_context=BrowserContext(
                 CONTEXT, auto_upload=False, extension_option=extension_option(),
                 fingerprint_context=BrowserFingerprintContext(CONTEXT)))),
         "SessionService/CreateSession",
         {"image_id": "agb-browser-use-1", "browser_context": {
             "context_id": CONTEXT, "auto_upload": False, "fingerprint_context_id": CONTEXT,
             "extension_option": {"context_id": CONTEXT, "extension_ids": ["ext-1", "ext-2"]}}},
         different=CREATION),
    Case("get a session", "getSession", lambda agb: agb.get(SESSION),
         "SessionService/GetSession", {"session_id": SESSION}),
    Case("list sessions", "ListSession", lambda agb: agb.list(),
         "SessionService/ListSessions", {}),
    Case("list sessions by labels", "ListSession", lambda agb: agb.list(labels={"a": "1"}, limit=7),
         "SessionService/ListSessions", {"labels": {"a": "1"}, "page_size": 7}),
    Case("release a session", "releaseSessionAsync", lambda agb: session(agb).delete(),
         "SessionService/DeleteSession", {"session_id": SESSION}),
    Case("look at a session that is released", "getSessionInfo", lambda agb: session(agb).delete(),
         "SessionService/DeleteSession", {"session_id": SESSION}),
    Case("keep a session alive", "refreshSessionIdleTime", lambda agb: session(agb).keep_alive(),
         "SessionService/KeepSessionAlive", {"session_id": SESSION}),
    Case("set labels", "SetLabel", lambda agb: session(agb).set_labels({"a": "1"}),
         "SessionService/SetSessionLabels", {"session_id": SESSION, "labels": {"a": "1"}}),
    Case("get labels", "GetLabel", lambda agb: session(agb).get_labels(),
         "SessionService/GetSessionLabels", {"session_id": SESSION}),
    Case("get a link", "getLink", lambda agb: session(agb).get_link("https", 30100),
         "SessionService/GetSessionLink", {"session_id": SESSION, "protocol_type": "https", "port": 30100}),
    Case("get a plain link", "getLink", lambda agb: session(agb).get_link(),
         "SessionService/GetSessionLink", {"session_id": SESSION}),
    Case("get the CDP link", "getCdpLink", lambda agb: cdp_link(agb),
         "SessionService/GetCdpLink", {"session_id": SESSION}),
    Case("get the resource", "getMcpResource", lambda agb: session(agb).info(),
         "SessionService/GetSessionResource", {"session_id": SESSION}),
    Case("start the browser", "init", lambda agb: session(agb).browser.initialize(BrowserOption(use_stealth=True)),
         "SessionService/InitBrowser", None),
    Case("list tools", "listTools", lambda agb: session(agb).list_mcp_tools("agb-code-space-1"),
         "SessionService/ListTools", {"image_id": "agb-code-space-1"}),
    Case("call a tool", "mcp", lambda agb: session(agb).call_mcp_tool("some_tool", {"a": 1, "b": [True, "ü"]}),
         "SessionService/CallTool",
         {"session_id": SESSION, "name": "some_tool", "arguments": {"a": 1, "b": [True, "ü"]}}),
    Case("execute a command", "mcp",
         lambda agb: session(agb).command.execute("echo ü", timeout_ms=5000, cwd="/tmp", envs={"A": "b"}),
         "SessionService/ExecuteCommand",
         {"session_id": SESSION, "command": "echo ü", "timeout": "5s", "working_directory": "/tmp",
          "environment": {"A": "b"}}),
    Case("execute a plain command", "mcp", lambda agb: session(agb).command.execute("true"),
         "SessionService/ExecuteCommand", {"session_id": SESSION, "command": "true"}),
    Case("execute a command by the session's own link", "callTool", lambda agb: linked(agb).command.execute("true"),
         "SessionService/ExecuteCommand", {"session_id": LINKED_SESSION, "command": "true"},
         has_link=True, different=REQUEST_ID),
    Case("run code", "mcp", lambda agb: session(agb).code.run("1", "py"),
         "SessionService/RunCode", {"session_id": SESSION, "code": "1", "language": "py"}),
    Case("list a directory", "mcp", lambda agb: session(agb).file.list("/tmp"),
         "SessionService/ListDirectory", {"session_id": SESSION, "path": "/tmp"}),
    Case("get metrics", "mcp", lambda agb: session(agb).get_metrics(),
         "SessionService/GetSessionMetrics", {"session_id": SESSION}),
    Case("sync all contexts", "SyncContext", sync(),
         "SyncService/SyncContexts", {"session_id": SESSION}),
    Case("sync one context", "SyncContext", sync(context_id=CONTEXT, path="/home/data", mode="download"),
         "SyncService/SyncContexts",
         {"session_id": SESSION, "context_id": CONTEXT, "path": "/home/data", "direction": "SYNC_DIRECTION_DOWNLOAD"}),
    Case("look at syncs", "GetContextInfo", lambda agb: session(agb).context.info(),
         "SyncService/GetSyncStatus", {"session_id": SESSION}),
    Case("load internal contexts", "GetAndLoadInternalContext",
         lambda agb: agb.client.get_and_load_internal_context(GetAndLoadInternalContextRequest(
             authorization=f"Bearer {agb.api_key}", session_id=SESSION, context_types=["file_transfer"])),
         "SessionService/LoadInternalContexts", {"session_id": SESSION, "context_types": ["file_transfer"]}),
]


def cdp_link(agb):
    from agb.api.models.get_cdp_link_request import GetCdpLinkRequest

    return agb.client.get_cdp_link(GetCdpLinkRequest(authorization=f"Bearer {agb.api_key}", session_id=SESSION))
