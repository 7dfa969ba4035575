"""For every operation that both have, the SDK and the gateway make the same HTTP request of the same question."""

import json
import os
import subprocess
import time
from types import SimpleNamespace

import pytest
from agb import AGB
from agb.config import Config
from loguru import logger

from cases import CASES
from recorder import Recorder, plain

logger.remove()

KEY = "differential-key"
# What libraries add on their own, and what differs from one machine to the next.
CONTENT_TYPE = "application/json"


@pytest.fixture(scope="session")
def recorder():
    recorder = Recorder()
    yield recorder
    recorder.stop()


@pytest.fixture(scope="session")
def gateway(recorder, tmp_path_factory):
    """A gateway in front of the recorder, and the address at which it says that it listens."""
    process = subprocess.Popen(
        [os.environ["AGB_GATEWAY"], "serve"],
        env={
            "AGB_API_KEY": KEY,
            "AGB_ENDPOINT": recorder.url,
            "AGB_GATEWAY_SERVER__LISTEN": "127.0.0.1:0",
            "AGB_GATEWAY_SYNC__SETTLE": "0s",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        event = json.loads(line)
        if event.get("message") == "serving":
            break
    else:
        pytest.fail("the gateway did not start")
    yield event["address"]
    process.terminate()
    process.communicate(timeout=60)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """The SDK waits for a fixed time between looks; here there is nothing to wait for."""
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)


def first(recorder, operation):
    """The first request of the operation, as plain data."""
    for request in recorder.requests:
        if request.path.rsplit("/", 1)[-1] == operation:
            headers = {name.lower(): value for name, value in request.headers.items()}
            return {
                "method": request.method,
                "path": request.path,
                "query": plain(request.query),
                # A GET of the SDK has no body, and neither has one of the gateway.
                "body": plain(request.body),
                "authorization": headers.get("authorization"),
                "token": headers.get("x-access-token"),
                "content-type": headers.get("content-type", CONTENT_TYPE),
            }
    seen = [request.path for request in recorder.requests]
    pytest.fail(f"no request of {operation} among {seen}")


def of_sdk(recorder, case):
    recorder.start_case(case.has_link)
    agb = AGB(api_key=KEY, cfg=Config(endpoint=recorder.url, timeout_ms=20_000))
    case.sdk(agb)
    return first(recorder, case.operation)


def of_gateway(recorder, gateway, case, message):
    recorder.start_case(case.has_link)
    subprocess.run(
        [os.environ["GRPCURL"], "-plaintext", "-max-time", "30", "-d", json.dumps(message), gateway,
         f"agb.gateway.v1.{case.rpc}"],
        capture_output=True, text=True, timeout=60, check=False,
    )
    return first(recorder, case.operation)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_ask_the_same(recorder, gateway, case):
    sdk = of_sdk(recorder, case)
    message = case.message
    if message is None:
        # The options of a browser are AGB's own: the gateway is given those that the SDK sent.
        message = {"session_id": sdk["query"]["sessionId"], "browser_option": sdk["query"]["browserOption"]["json"]}
    ours = of_gateway(recorder, gateway, case, message)
    for side, request in (("sdk", sdk), ("gateway", ours)):
        case.different.get(side, lambda _request: None)(request)
    assert ours == sdk


def test_every_operation_of_the_sdk_is_compared():
    compared = {case.operation for case in CASES}
    source = SimpleNamespace(path=__import__("agb.api.http_client", fromlist=["x"]).__file__)
    with open(source.path, encoding="utf-8") as file:
        text = file.read()
    import re

    known = {path.rsplit("/", 1)[-1] for path in re.findall(r'endpoint="(/[A-Za-z/]+)"', text)}
    # The older release, which nothing of the SDK calls.
    assert known - compared == {"releaseSession"}
