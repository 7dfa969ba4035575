"""One piece of work through four languages, in one trace: Python fills a context, Go reads it through a mapping, Node watches the
sync of what Go has written, and Java deletes all of it.

Every call of the four carries one `traceparent`. The gateway tells a collector, which must have been told of all four in that one trace,
each call with what was asked of AGB for it.
"""

import secrets
import subprocess

from collector import Collector
from languages import LANGUAGES
from process import Process, address_of, emulator


def run(programs, work):
    """Whether it failed."""
    trace = secrets.token_hex(16)
    traceparent = f"00-{trace}-{secrets.token_hex(8)}-01"
    step = None

    def link(name, *arguments):
        nonlocal step
        step = name
        command = [*LANGUAGES[name].link, address, *arguments, traceparent]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=90).stdout.strip()

    collector = Collector()
    agb, endpoint, _admin = emulator(programs / "agb-emulator", work / "chain-emulator.log")
    settings = {
        "AGB_API_KEY": "chain",
        "AGB_ENDPOINT": endpoint,
        "AGB_GATEWAY_SERVER__LISTEN": "127.0.0.1:0",
        "AGB_GATEWAY_TELEMETRY__OTLP__ENDPOINT": collector.url,
        "AGB_GATEWAY_TELEMETRY__OTLP__PROTOCOL": "http/protobuf",
    }
    try:
        gateway = Process([str(programs / "agb-gateway"), "serve"], work / "chain.log", settings)
        try:
            address = gateway.line(address_of)
            context = link("python")
            session = link("go", context)
            seen = link("node", session)
            link("java", session, context)
        except subprocess.CalledProcessError as error:
            print(f"FAILED chain {step}: {error.stderr[-2000:]}")
            return True
        except subprocess.TimeoutExpired:
            print(f"FAILED chain {step}: it did not end")
            return True
        finally:
            # What has not been told yet is told now.
            gateway.stop()
    finally:
        agb.stop()
        collector.end()
    wrong = untraced(collector.spans, trace)
    if wrong:
        print(f"FAILED chain trace: {wrong}")
        return True
    print(f"chain: filled by Python, read through a mapping by Go, watched by Node ({', '.join(seen.splitlines())}), deleted by Java")
    print(f"trace: {trace}, {len(collector.spans)} spans")
    return False


# What each language calls.
CALLS = {
    "python": "ContextService/CreateContext",
    "go": "SessionService/CreateSession",
    "node": "SyncService/WatchSync",
    "java": "ContextService/DeleteContext",
}
SERVER, CLIENT = 2, 3


def untraced(spans, trace):
    """What of the chain is not in the trace; nothing when all of it is."""
    ours = [span for span in spans if span.trace_id.hex() == trace]
    calls = {span.span_id: span for span in ours if span.kind == SERVER}
    for language, call in CALLS.items():
        if not any(span.name.endswith(call) for span in calls.values()):
            return f"{language}'s {call} is not in it, only {sorted({span.name for span in calls.values()})}"
    by_id = {span.span_id: span for span in ours}
    requests = [span for span in ours if span.kind == CLIENT]
    if not requests:
        return "nothing was asked of AGB in it"
    for request in requests:
        above = request
        while above.parent_span_id in by_id:
            above = by_id[above.parent_span_id]
        if above.span_id not in calls:
            return f"{request.name} belongs to no call"
    return None
