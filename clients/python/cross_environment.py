"""Data of a browser session, found in a code session at another path. Argument: the gateway's address."""

import sys

import grpc
from agb_gateway.v1 import context_service_pb2 as c, context_service_pb2_grpc as contexts
from agb_gateway.v1 import session_service_pb2 as s, session_service_pb2_grpc as sessions
from agb_gateway.v1 import sync_service_pb2 as y, sync_service_pb2_grpc as syncs

channel = grpc.insecure_channel(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051")
contexts, sessions, syncs = contexts.ContextServiceStub(channel), sessions.SessionServiceStub(channel), syncs.SyncServiceStub(channel)
context = contexts.CreateContext(c.CreateContextRequest(context={"name": "cross-platform-context"}), timeout=30).context.context_id
browser = s.CreateSessionRequest(image_id="agb-browser-use-1", context_syncs=[{"context_id": context, "path": "/tmp/mapping"}])
browser = sessions.CreateSession(browser, timeout=300).session.session_id
write = "echo 'This file was created in the first session' > /tmp/mapping/test-file.txt"
sessions.ExecuteCommand(s.ExecuteCommandRequest(session_id=browser, command=write), timeout=30)
syncs.SyncContexts(y.SyncContextsRequest(session_id=browser), timeout=300)
# Synced: what follows is another session, which sees the data at another path.
sessions.DeleteSession(s.DeleteSessionRequest(session_id=browser), timeout=300)
mapped = {"context_id": context, "path": "/home/data", "policy": {"mapping_policy": {"path": "/tmp/mapping"}}}
code = sessions.CreateSession(s.CreateSessionRequest(image_id="agb-code-space-1", context_syncs=[mapped]), timeout=300).session.session_id
read = sessions.ExecuteCommand(s.ExecuteCommandRequest(session_id=code, command="cat /home/data/test-file.txt"), timeout=30)
print(read.stdout, end="")
sessions.DeleteSession(s.DeleteSessionRequest(session_id=code), timeout=300)
contexts.DeleteContext(c.DeleteContextRequest(context_id=context), timeout=30)
