"""An HTTP server that records every request and answers each operation with one canned success."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

SESSION = "session-1"
# A session with a link of its own. The gateway remembers which sessions have one.
LINKED_SESSION = "session-2"
CONTEXT = "SdkCtx-1"
# Values that are JSON text inside: they are compared as JSON.
JSON_TEXTS = {"labels", "Labels", "args", "policy", "browserOption", "contextTypes"}


@dataclass
class Request:
    method: str
    path: str
    query: dict
    body: object
    headers: dict


def tool_answer(body):
    texts = {
        "shell": json.dumps({"stdout": "", "stderr": "", "exit_code": 0}),
        "run_code": json.dumps({"result": [], "stdout": [], "stderr": []}),
        "get_file_info": "size: 4\nisDirectory: false",
        "read_file": "YWJjZA==",
        "get_metrics": "{}",
    }
    name = (body or {}).get("name") or (body or {}).get("tool")
    return {"isError": False, "content": [{"type": "text", "text": texts.get(name, "")}]}


class Recorder:
    def __init__(self):
        self.requests = []
        self.has_link = False
        self._lock = threading.Lock()
        self._looks = 0
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                length = int(self.headers.get("content-length") or 0)
                text = self.rfile.read(length)
                body = json.loads(text) if text else None
                url = urlsplit(self.path)
                request = Request(
                    self.command, url.path, dict(parse_qsl(url.query)), body, dict(self.headers.items())
                )
                with recorder._lock:
                    recorder.requests.append(request)
                    answer = recorder.answer(request)
                data = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = handle_any

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()

    def start_case(self, has_link):
        with self._lock:
            self.requests = []
            self.has_link = has_link
            self._looks = 0

    def session_data(self):
        session_id = LINKED_SESSION if self.has_link else SESSION
        data = {"sessionId": session_id, "resourceUrl": "https://agb.example/1", "success": True}
        if self.has_link:
            tools = [{"name": name, "server": "tools"} for name in ("shell", "list_directory")]
            data |= {"linkUrl": f"{self.url}/link", "token": "session-token", "toolList": json.dumps(tools)}
        return data

    def tasks(self):
        """Each look shows tasks that the look before did not show."""
        self._looks += 1
        tasks = [
            {"contextId": CONTEXT, "path": path, "status": "Success", "errorMessage": "",
             "startTime": self._looks, "finishTime": self._looks + 1, "taskType": kind}
            for kind in ("upload", "download")
            for path in ("/home/data", "/tmp/extensions/", "/tmp/agb_browser_fingerprint", "/tmp/agb_browser_data")
        ]
        return json.dumps([{"type": "data", "data": json.dumps(tasks)}])

    def answer(self, request):
        operation = request.path.rsplit("/", 1)[-1]
        envelope = {"success": True, "code": "ok", "requestId": "r-1", "httpStatusCode": 200}
        if operation == "callTool":
            return {"data": {"result": tool_answer(request.body)}}
        data = {
            "GetContext": lambda: {"id": CONTEXT, "name": "name", "state": "available"},
            "ListContexts": lambda: [],
            "DescribeContextFiles": lambda: [],
            "GetContextFileUploadUrl": lambda: {"url": "https://storage.example/u", "expireTime": 1},
            "GetContextFileDownloadUrl": lambda: {"url": "https://storage.example/d", "expireTime": 1},
            "createSession": self.session_data,
            "getSession": self.session_data,
            "getSessionInfo": lambda: {"status": "FINISH"},
            "ListSession": lambda: [],
            "GetLabel": lambda: {"labels": "{}"},
            "getLink": lambda: {"url": "https://link.example"},
            "getCdpLink": lambda: {"url": "wss://cdp.example"},
            "getMcpResource": lambda: {"sessionId": SESSION, "resourceUrl": "https://agb.example/1"},
            "init": lambda: {"port": 9333},
            "listTools": lambda: "[]",
            "mcp": lambda: tool_answer(request.body),
            "GetAndLoadInternalContext": lambda: [],
            "GetContextInfo": lambda: {"contextStatus": self.tasks()},
        }.get(operation, dict)()
        return envelope | {"data": data, "nextToken": "", "count": 0, "totalCount": 0}


def plain(value, name=""):
    """The same value with JSON texts parsed."""
    if isinstance(value, dict):
        return {key: plain(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, str) and name in JSON_TEXTS:
        return {"json": json.loads(value)}
    return value
