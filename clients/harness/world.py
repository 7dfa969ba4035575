"""What one language's suite meets: an emulated AGB, two replicas, a proxy, and an HTTP API to steer them.

The API is on loopback. A suite asks it for what no gRPC call can do:

    POST   /freeze, /thaw      the proxy goes dead, or lives again
    GET    /traffic            {"sent", "received"}: the bytes that have passed the proxy
    POST   /restart?gateway=a  killed, and started again at its address
    POST   /stop?gateway=b     ended in order
    POST   /start?gateway=b    started again
    POST   /faults, DELETE     the emulator's faults, as its admin API takes them
    GET    /count?operation=X  how many requests of X AGB has had
    POST   /quiet?operation=X  answers when there were none for a second; 409 when that did not come within ten
"""

import json
import secrets
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from gateway import Gateway
from process import emulator
from proxy import Proxy

QUIET, QUIET_WITHIN = 1.0, 10.0


class World:
    def __init__(self, programs: Path, work: Path, tls):
        work.mkdir(parents=True, exist_ok=True)
        self._emulator, endpoint, self._admin = emulator(programs / "agb-emulator", work / "emulator.log")
        self.gateways = {}
        try:
            program = programs / "agb-gateway"
            self.token, token_file = new_token(program, work)
            for name in "ab":
                self.gateways[name] = Gateway(program, name, work, endpoint, tls, token_file)
            self.proxy = Proxy(self.gateways["a"].address)
            self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
            threading.Thread(target=self._server.serve_forever, daemon=True).start()
        except BaseException:
            self.end()
            raise
        port = lambda gateway: gateway.address.rsplit(":", 1)[1]
        self.env = {
            "AGB_TARGET": f"localhost:{port(self.gateways['a'])}",
            "AGB_REPLICAS": ",".join(gateway.address for gateway in self.gateways.values()),
            "AGB_PROXY": f"localhost:{self.proxy.port}",
            "AGB_CA_FILE": str(tls.ca),
            "AGB_TOKEN": self.token,
            "AGB_CONTROL": f"http://127.0.0.1:{self._server.server_address[1]}",
        }

    def end(self):
        for gateway in self.gateways.values():
            gateway.kill()
        self._emulator.stop()

    def admin(self, method: str, path: str, body: bytes | None = None):
        request = urllib.request.Request(self._admin + path, data=body, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def count(self, operation: str) -> int:
        counts = json.loads(self.admin("GET", "/requests/counts"))
        return int(counts.get("counts", counts).get(operation, 0))

    def is_quiet(self, operation: str) -> bool:
        end = time.monotonic() + QUIET_WITHIN
        before = self.count(operation)
        while time.monotonic() < end:
            # Silence shows only by time.
            time.sleep(QUIET)
            now = self.count(operation)
            if now == before:
                return True
            before = now
        return False

    def steer(self, method: str, path: str, query: dict, body: bytes):
        """The answer's status and its JSON."""
        gateway = self.gateways.get(query.get("gateway", ""))
        operation = query.get("operation", "")
        match method, path:
            case "POST", "/freeze":
                self.proxy.freeze()
            case "POST", "/thaw":
                self.proxy.thaw()
            case "GET", "/traffic":
                return 200, self.proxy.traffic()
            case "POST", "/restart" if gateway:
                gateway.kill()
                gateway.start()
            case "POST", "/stop" if gateway:
                gateway.stop()
            case "POST", "/start" if gateway:
                gateway.start()
            case "POST" | "DELETE", "/faults":
                self.admin(method, path, body or None)
            case "GET", "/count":
                return 200, {"count": self.count(operation)}
            case "POST", "/quiet":
                return (200 if self.is_quiet(operation) else 409), {}
            case _:
                return 404, {}
        return 200, {}


def handler(world: World):
    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            try:
                status, value = world.steer(self.command, url.path, query, body)
            except Exception as error:  # Told to the suite, whose case then fails with it.
                status, value = 500, {"error": repr(error)}
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_):
            pass

    return Handler


def new_token(program: Path, work: Path):
    """A token, and the file that the gateway knows it by."""
    said = subprocess.run([program, "new-token", f"contract-{secrets.token_hex(2)}"], check=True, capture_output=True, text=True)
    token, line = (text.split(":", 1)[1].strip() for text in said.stdout.splitlines())
    path = work / "tokens"
    path.write_text(line + "\n")
    return token, path
