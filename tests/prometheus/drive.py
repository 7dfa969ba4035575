"""What happens to the gateway, so that every metric has something to tell: the README's scenario, and whatever can go wrong."""

import json
import socket
import subprocess
import threading

from processes import until

UNAVAILABLE = {"respond": {"status": 503, "body": "{}", "headers": {}}}
CODE_IMAGE = "agb-code-space-1"


class Caller:
    """Somebody who calls a gateway with a token."""

    def __init__(self, gateway, token):
        self.gateway, self.token = gateway, token

    def tries(self, method, request=None, seconds=30):
        """The answer, or `None` where the call fails, and the words of the status."""
        service, _, name = method.partition("/")
        command = ["grpcurl", "-plaintext", "-max-time", str(seconds), "-d", json.dumps(request or {})]
        command += ["-H", f"authorization: Bearer {self.token}"]
        command += [self.gateway.address, f"agb.gateway.v1.{service}/{name}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return (json.loads(done.stdout or "{}") if done.returncode == 0 else None), done.stderr

    def calls(self, method, request=None):
        answer, words = self.tries(method, request)
        if answer is None:
            raise SystemExit(f"{method} failed: {words}")
        return answer

    def fails(self, word, method, request=None, seconds=30):
        """Makes a call that must fail with this word in its status."""
        answer, words = self.tries(method, request, seconds)
        if answer is not None or word not in words:
            raise SystemExit(f"{method} should fail with {word}: {answer} {words}")

    def creates_session(self, image=CODE_IMAGE, **more):
        answer = self.calls("SessionService/CreateSession", {"image_id": image, **more})
        return answer["session"]["sessionId"]


def scenario(caller):
    """The README's: what one session writes, another one finds at another path. Returns the last session and its context."""
    context = caller.calls("ContextService/CreateContext", {"context": {"name": "cross-platform"}})
    context = context["context"]["contextId"]
    mounts = [{"context_id": context, "path": "/tmp/mapping"}]
    browser = caller.creates_session("agb-browser-use-1", context_syncs=mounts)
    write = {"session_id": browser, "command": "echo here > /tmp/mapping/file"}
    caller.calls("SessionService/ExecuteCommand", write)
    caller.calls("SyncService/SyncContexts", {"session_id": browser})
    caller.calls("SessionService/DeleteSession", {"session_id": browser})
    mapped = {"mapping_policy": {"path": "/tmp/mapping"}}
    mounts = [{"context_id": context, "path": "/home/data", "policy": mapped}]
    code = caller.creates_session(context_syncs=mounts)
    read = {"session_id": code, "command": "cat /home/data/file"}
    answer = caller.calls("SessionService/ExecuteCommand", read)
    if answer.get("stdout") != "here\n":
        raise SystemExit(f"the file is not there: {answer}")
    return code, context


def syncs(caller, emulator, session):
    sync = ("SyncService/SyncContexts", {"session_id": session})
    # The first look is that of the start, which is repeated.
    emulator.fault("GetContextInfo", UNAVAILABLE, times=3, skip=1)
    caller.calls(*sync)
    emulator.fault("SyncContext", {"failSyncTask": {"message": "disk full"}})
    caller.fails("SYNC_FAILED", *sync)
    emulator.fault("SyncContext", {"hideNewTasks": {"looks": 0, "durationMs": 4000}})
    caller.fails("SYNC_NOT_OBSERVED", *sync)
    emulator.fault("SyncContext", {"stallSyncTask": {}})
    caller.fails("DeadlineExceeded", *sync, seconds=1)


def clean_up(caller, session, context):
    caller.calls("SessionService/DeleteSession", {"session_id": session})
    caller.calls("ContextService/DeleteContext", {"context_id": context})


def creations(caller, emulator):
    for _ in range(2):
        caller.creates_session(request_id="again")
    emulator.fault("createSession", {"refuse": {"code": "NoQuota", "message": "no", "status": 400}})
    caller.fails("AGB_INVALID_ARGUMENT", "SessionService/CreateSession", {"image_id": CODE_IMAGE})
    emulator.fault("createSession", "closeAfterWork")
    caller.creates_session()


def left_behind(victim, emulator):
    """A gateway is killed while it creates a session; another one sweeps."""
    before, listed = emulator.requests("createSession"), active(emulator)
    emulator.fault("createSession", {"delayAnswer": {"delayMs": 60_000}})
    request = {"image_id": CODE_IMAGE}
    call = threading.Thread(target=victim.tries, args=("SessionService/CreateSession", request))
    call.start()
    until("the creation", lambda: emulator.requests("createSession") > before)
    until("the session", lambda: active(emulator) > listed)
    victim.gateway.kill()
    call.join()


def active(emulator):
    return sum(session["status"] == "RUNNING" for session in emulator.sessions())


def callers(gateway, tokens):
    admin, reader, limited = (Caller(gateway, tokens[name]) for name in ("ci", "reader", "limited"))
    read = "ContextService/ListContexts"
    Caller(gateway, "agbgw_" + "A" * 43).fails("UNAUTHENTICATED", read)
    reader.fails("PERMISSION_DENIED", "ContextService/CreateContext", {"context": {"name": "x"}})
    refused = [limited.tries(read)[1] for _ in range(4)]
    if not any("RATE_LIMITED" in words for words in refused):
        raise SystemExit(f"no quota was used up: {refused}")
    admin.fails("INVALID_ARGUMENT", "ContextService/GetContext")


def outage(caller, emulator):
    """AGB takes away the key for a moment, answers with 503 until nothing is repeated, and then does not answer at all."""
    read = "ContextService/ListContexts"
    emulator.fault("ListContexts", UNAVAILABLE, times=2)
    caller.calls(read)
    emulator.fault("ListContexts", {"refuse": {"code": "InvalidApiKey", "message": "no", "status": 401}})
    caller.fails("AGB_KEY_REJECTED", read)
    emulator.fault("ListContexts", UNAVAILABLE, times=1000)
    for _ in range(8):
        caller.fails("AGB_", read)
    emulator.no_faults()
    # All operations, since the sweeper asks as well, and a breaker counts failures in a row.
    emulator.fault("*", "closeBeforeWork", times=1000)
    for _ in range(20):
        caller.fails("AGB_", read)
    caller.gateway.until_counted("agb_gateway_agb_breaker_opened_total")
    emulator.no_faults()
    until("the end of the outage", lambda: caller.tries(read)[0] is not None)


def secrets(gateway, token_file):
    good = token_file.read_text()
    token_file.write_text("this is no token\n")
    gateway.until_counted("agb_gateway_secret_reloads_total", 'outcome="failed"')
    token_file.write_text(good + "# rotated\n")
    gateway.until_counted("agb_gateway_secret_reloads_total", 'outcome="changed"')


def connections(caller, allowed):
    """More connections than one address may have, and one that floods with pings."""
    gateway = caller.gateway
    host, port = gateway.address.split(":")

    def connect():
        return socket.create_connection((host, int(port)), timeout=10)

    idle = [connect() for _ in range(allowed + 2)]
    gateway.until_counted("agb_gateway_connection_refused_total")
    for connection in idle:
        connection.close()
    greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    ping = bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + b"anything"

    def flood():
        try:
            with connect() as connection:
                connection.sendall(greeting + ping * 5000)
                connection.settimeout(1)
                while connection.recv(65536):
                    pass
        except OSError:
            pass  # The gateway has ended it.
        return any(
            line.startswith("agb_gateway_connection_floods_total") and float(line.split()[-1]) > 0
            for line in gateway.page().splitlines()
        )

    until("the end of a flood", flood)
    # The address gets no connection for a moment.
    until("the end of the pause", lambda: caller.tries("ContextService/ListContexts")[0] is not None)
