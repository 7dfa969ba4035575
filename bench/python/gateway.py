"""What a team would write instead: a grpc.aio server around the official SDK.

    gateway.py FOLDER    FOLDER holds what protoc has made of the gateway's protos.

The SDK blocks, so its calls run in threads.
"""

import asyncio
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import agb
import grpc

# The protos' package has the SDK's name.
agb.__path__.append(os.path.join(sys.argv[1], "agb"))

from agb import AGB
from agb.gateway.v1 import session_service_pb2 as pb
from agb.gateway.v1 import session_service_pb2_grpc as rpc
from loguru import logger

logger.remove()
THREADS = 16


class Sessions(rpc.SessionServiceServicer):
    def __init__(self):
        self._agb = AGB()
        self._threads = ThreadPoolExecutor(THREADS)

    async def GetSession(self, request, context):
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(self._threads, self._agb.get_session, request.session_id)
        if not result.success:
            await context.abort(grpc.StatusCode.UNKNOWN, result.error_message)
        data = result.data
        return pb.GetSessionResponse(
            session=pb.Session(
                session_id=data.session_id,
                state=pb.SESSION_STATE_RUNNING,
                resource_url=data.resource_url,
                app_instance_id=data.app_instance_id,
                resource_id=data.resource_id,
            )
        )


def answer_questions():
    for _ in sys.stdin:
        print(json.dumps(None), flush=True)
    os._exit(0)


async def main():
    server = grpc.aio.server()
    rpc.add_SessionServiceServicer_to_server(Sessions(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    threading.Thread(target=answer_questions, daemon=True).start()
    await server.wait_for_termination()


asyncio.run(main())
