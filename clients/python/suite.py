"""The contract suite in Python. One line of JSON for each case of the list that CONTRACT names."""

import contextlib
import hashlib
import json
import os
import sys
import time
import traceback
import urllib.request
import uuid
from collections import Counter

import grpc
from agb_gateway.v1 import context_service_pb2 as contexts_pb
from agb_gateway.v1 import context_service_pb2_grpc as contexts_grpc
from agb_gateway.v1 import mapping_policy_service_pb2 as mappings_pb
from agb_gateway.v1 import mapping_policy_service_pb2_grpc as mappings_grpc
from agb_gateway.v1 import session_service_pb2 as sessions_pb
from agb_gateway.v1 import session_service_pb2_grpc as sessions_grpc
from agb_gateway.v1 import sync_policy_service_pb2 as policies_pb
from agb_gateway.v1 import sync_policy_service_pb2_grpc as policies_grpc
from agb_gateway.v1 import sync_service_pb2 as syncs_pb
from agb_gateway.v1 import sync_service_pb2_grpc as syncs_grpc
from agb_gateway.v1 import sync_task_pb2 as tasks_pb
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from connect import SERVICE_CONFIG, connect

TARGET, PROXY, REPLICAS = (os.environ[f"AGB_{name}"] for name in ("TARGET", "PROXY", "REPLICAS"))
TRACEPARENT = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"
METADATA = (("traceparent", TRACEPARENT),)
SECONDS = {"timeout": 60, "metadata": METADATA}
CHANNEL = connect(TARGET)
CONTEXTS = contexts_grpc.ContextServiceStub(CHANNEL)
SESSIONS = sessions_grpc.SessionServiceStub(CHANNEL)
SYNCS = syncs_grpc.SyncServiceStub(CHANNEL)


def control(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(os.environ["AGB_CONTROL"] + path, data=data, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


@contextlib.contextmanager
def a_context():
    request = contexts_pb.CreateContextRequest(context={"name": f"python-{uuid.uuid4()}"})
    context = CONTEXTS.CreateContext(request, **SECONDS).context
    yield context
    CONTEXTS.DeleteContext(contexts_pb.DeleteContextRequest(context_id=context.context_id), **SECONDS)


@contextlib.contextmanager
def a_session(*syncs):
    request = sessions_pb.CreateSessionRequest(image_id="agb-code-space-1", context_syncs=syncs)
    session_id = SESSIONS.CreateSession(request, **SECONDS).session.session_id
    yield session_id
    SESSIONS.DeleteSession(sessions_pb.DeleteSessionRequest(session_id=session_id), **SECONDS)


def refused(code, call):
    """The error of a call, which must have this code."""
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, error
        return error
    raise AssertionError(f"it should have been refused with {code}")


def details(error):
    """The details of an error by the names of their types."""
    status = rpc_status.from_call(error)
    found = {}
    for detail in status.details if status else ():
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.ResourceInfo, tasks_pb.SyncStatus):
            message = kind()
            if detail.Unpack(message):
                found[kind.DESCRIPTOR.name] = message
    return found


def content(length):
    return bytes(range(251)) * (length // 251) + bytes(range(length % 251))


def upload(stub, context_id, data, piece):
    def messages():
        header = contexts_pb.UploadContextFileHeader(context_id=context_id, path="/tmp/file", size_bytes=len(data))
        yield contexts_pb.UploadContextFileRequest(header=header)
        for start in range(0, len(data), piece):
            yield contexts_pb.UploadContextFileRequest(data=data[start : start + piece])

    written = stub.UploadContextFile(messages(), **SECONDS)
    assert written.size_bytes == len(data)
    assert written.sha256 == hashlib.sha256(data).digest()


def download(stub, context_id, data):
    request = contexts_pb.DownloadContextFileRequest(context_id=context_id, path="/tmp/file")
    parts = list(stub.DownloadContextFile(request, **SECONDS))
    kinds = [part.WhichOneof("payload") for part in parts]
    assert kinds == ["header", *["data"] * (len(parts) - 2), "trailer"], kinds
    assert parts[0].header.size_bytes == len(data)
    assert b"".join(part.data for part in parts) == data
    assert parts[-1].trailer.size_bytes == len(data)
    assert parts[-1].trailer.sha256 == hashlib.sha256(data).digest()


def unary(_):
    with a_context() as context:
        found = CONTEXTS.GetContext(contexts_pb.GetContextRequest(name=context.name), **SECONDS).context
        assert found.context_id == context.context_id
        assert abs(found.create_time.ToSeconds() - time.time()) < 3600
    gone = contexts_pb.GetContextRequest(context_id=context.context_id)
    refused(grpc.StatusCode.NOT_FOUND, lambda: CONTEXTS.GetContext(gone, **SECONDS))


def client_streaming(case):
    with a_context() as context:
        upload(CONTEXTS, context.context_id, content(case["bytes"]), case["piece_bytes"])


def server_streaming(case):
    data = content(case["bytes"])
    with a_context() as context:
        upload(CONTEXTS, context.context_id, data, case["piece_bytes"])
        download(CONTEXTS, context.context_id, data)


def watch_sync(_):
    with a_context() as context, a_session({"context_id": context.context_id, "path": "/tmp/mapping"}) as session_id:
        start = syncs_pb.SyncContextsRequest(session_id=session_id, return_immediately=True)
        token = SYNCS.SyncContexts(start, **SECONDS).status.sync_token
        events = list(SYNCS.WatchSync(syncs_pb.WatchSyncRequest(sync_token=token), **SECONDS))
        assert events[0].event == syncs_pb.WATCH_SYNC_EVENT_SNAPSHOT, events
        assert events[-1].event == syncs_pb.WATCH_SYNC_EVENT_VERDICT, events
        assert events[-1].status.state == tasks_pb.SYNC_STATE_SUCCEEDED, events
        waited = SYNCS.WaitForSync(syncs_pb.WaitForSyncRequest(sync_token=token), **SECONDS)
        assert waited.status.state == tasks_pb.SYNC_STATE_SUCCEEDED


def deadline(case):
    seconds = case["deadline_ms"] / 1000
    with a_session() as session_id:
        start = time.monotonic()
        request = syncs_pb.WaitForSyncRequest(session_id=session_id)
        error = refused(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: SYNCS.WaitForSync(request, timeout=seconds, metadata=METADATA))
        assert time.monotonic() - start < seconds + 0.5
        told = details(error)
        assert told["ErrorInfo"].reason == "DEADLINE_EXCEEDED", told
        assert "SyncStatus" in told, told


def cancellation(_):
    with a_session() as session_id:
        call = SYNCS.WatchSync(syncs_pb.WatchSyncRequest(session_id=session_id), **SECONDS)
        assert next(call).event == syncs_pb.WATCH_SYNC_EVENT_SNAPSHOT
        call.cancel()
        refused(grpc.StatusCode.CANCELLED, lambda: list(call))
        control("POST", "/quiet?operation=GetContextInfo")


def auth(_):
    for token in (None, "agbgw_wrong"):
        with connect(TARGET, token=token) as channel:
            stub = contexts_grpc.ContextServiceStub(channel)
            error = refused(grpc.StatusCode.UNAUTHENTICATED, lambda: stub.ListContexts(contexts_pb.ListContextsRequest(), **SECONDS))
            assert details(error)["ErrorInfo"].reason == "UNAUTHENTICATED"
    CONTEXTS.ListContexts(contexts_pb.ListContextsRequest(), **SECONDS)


def error_details(case):
    request = sessions_pb.CreateSessionRequest(context_syncs=[{"context_id": "c", "path": "/opt"}])
    error = refused(grpc.StatusCode.INVALID_ARGUMENT, lambda: SESSIONS.CreateSession(request, **SECONDS))
    told = details(error)
    assert (told["ErrorInfo"].domain, told["ErrorInfo"].reason) == (case["domain"], "INVALID_ARGUMENT")
    assert [violation.field for violation in told["BadRequest"].field_violations] == case["fields"], told
    request = sessions_pb.GetSessionRequest(session_id="session-of-nobody")
    error = refused(grpc.StatusCode.NOT_FOUND, lambda: SESSIONS.GetSession(request, **SECONDS))
    told = details(error)
    assert told["ErrorInfo"].reason == "SESSION_NOT_FOUND"
    assert told["ResourceInfo"].resource_name == "session-of-nobody", told


def retries(case):
    before = control("GET", "/count?operation=ListContexts")["count"]
    fault = {"operation": "ListContexts", "times": case["failures"], "action": {"respond": {"status": 503}}}
    control("POST", "/faults", fault)
    CONTEXTS.ListContexts(contexts_pb.ListContextsRequest(), **SECONDS)
    assert control("GET", "/count?operation=ListContexts")["count"] == before + case["failures"] + 1


def no_blind_retries(_):
    with a_session() as session_id:
        before = control("GET", "/count?operation=callTool")["count"]
        control("POST", "/faults", {"operation": "callTool", "times": 1, "action": "closeAfterWork"})
        request = sessions_pb.ExecuteCommandRequest(session_id=session_id, command="true")
        error = refused(grpc.StatusCode.UNKNOWN, lambda: SESSIONS.ExecuteCommand(request, **SECONDS))
        assert details(error)["ErrorInfo"].reason == "AGB_OUTCOME_UNKNOWN"
        assert control("GET", "/count?operation=callTool")["count"] == before + 1


def keepalive(case):
    options = {"grpc.keepalive_time_ms": case["interval_ms"], "grpc.keepalive_timeout_ms": case["timeout_ms"]}
    # How long a ping is waited for has a name of its own in the core, whose default is a minute.
    options["grpc.http2.ping_timeout_ms"] = case["timeout_ms"]
    # Otherwise two pings are all that goes out while no data does.
    options["grpc.http2.max_pings_without_data"] = 0
    with a_session() as session_id, connect(PROXY, options=options) as channel:
        stub = syncs_grpc.SyncServiceStub(channel)
        call = stub.WatchSync(syncs_pb.WatchSyncRequest(session_id=session_id), timeout=case["deadline_ms"] / 1000, metadata=METADATA)
        next(call)
        control("POST", "/freeze")
        try:
            start = time.monotonic()
            refused(grpc.StatusCode.UNAVAILABLE, lambda: list(call))
            assert time.monotonic() - start < case["noticed_within_ms"] / 1000
        finally:
            control("POST", "/thaw")


def compression(case):
    data = bytes(case["bytes"])
    with a_context() as context, connect(PROXY, compression=grpc.Compression.Gzip) as channel:
        stub = contexts_grpc.ContextServiceStub(channel)
        before = control("GET", "/traffic")
        upload(stub, context.context_id, data, 262144)
        download(stub, context.context_id, data)
        for way, count in control("GET", "/traffic").items():
            assert count - before[way] < case["most_bytes_on_the_wire"], f"{way}: {count - before[way]}"


def large_messages(case):
    paths = [f"/tmp/mapping/{number:04}/".ljust(case["path_bytes"], "a") for number in range(case["paths"])]
    with connect(TARGET, options={"grpc.max_receive_message_length": 16 << 20}) as channel:
        stub = mappings_grpc.MappingPolicyServiceStub(channel)
        request = mappings_pb.ResolveMappingRequest(original_path="/tmp/mapping", target_path="/home/data", paths=paths)
        answer = stub.ResolveMapping(request, **SECONDS)
        assert answer.ByteSize() > 4 << 20
        assert [path.target_path for path in answer.resolved_paths] == ["/home/data" + path[12:] for path in paths]
        request.paths.extend(paths)
        error = refused(grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: stub.ResolveMapping(request, **SECONDS))
        assert details(error)["ErrorInfo"].reason == "MESSAGE_TOO_LONG"
        assert case["setting"] in error.details(), error


def reconnect(_):
    with a_context() as context, a_session({"context_id": context.context_id, "path": "/tmp/mapping"}) as session_id:
        start = syncs_pb.SyncContextsRequest(session_id=session_id, return_immediately=True)
        token = SYNCS.SyncContexts(start, **SECONDS).status.sync_token
        control("POST", "/restart?gateway=a")
        request = syncs_pb.WaitForSyncRequest(sync_token=token)
        answer = SYNCS.WaitForSync(request, wait_for_ready=True, **SECONDS)
        assert answer.status.state == tasks_pb.SYNC_STATE_SUCCEEDED


def balancing(case):
    config = {**SERVICE_CONFIG, "loadBalancingConfig": [{"round_robin": {}}]}
    with connect(f"ipv4:{REPLICAS}", config=config) as channel:
        stub = policies_grpc.SyncPolicyServiceStub(channel)
        ask = lambda: stub.GetSyncPolicy(policies_pb.GetSyncPolicyRequest(name="replica"), wait_for_ready=True, **SECONDS).preset.description
        # Balanced over those that are connected: wait until both are.
        end = time.monotonic() + 20
        while {ask() for _ in range(4)} != {"a", "b"}:
            assert time.monotonic() < end, "only one replica is ever asked"
        answers = Counter(ask() for _ in range(case["calls"]))
        assert all(answers[name] >= case["least_for_each"] for name in "ab"), answers
        control("POST", "/stop?gateway=b")
        try:
            assert {ask() for _ in range(case["calls"])} == {"a"}
        finally:
            control("POST", "/start?gateway=b")


def run(case):
    function = globals().get(case["name"])
    if not callable(function):
        return "the suite has no such case"
    try:
        function(case)
    except Exception as error:
        traceback.print_exc()
        return f"{type(error).__name__}: {error}" if str(error) else traceback.format_exc().strip().splitlines()[-2].strip()
    return None


def main():
    with open(os.environ["CONTRACT"]) as file:
        cases = json.load(file)["cases"]
    for case in cases:
        start = time.monotonic()
        error = run(case)
        print(json.dumps({"case": case["name"], "error": error, "ms": round((time.monotonic() - start) * 1000)}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
