"""`agb-gateway dev` for a while: what a newcomer runs."""

import contextlib

from process import Process


@contextlib.contextmanager
def gateway(programs, work, log="dev.log"):
    """The address at which it serves."""
    process = Process([str(programs / "agb-gateway"), "dev", "--listen", "127.0.0.1:0"], work / log)
    try:
        words = "  gateway "
        yield process.line(lambda line: line[len(words):].strip() if line.startswith(words) else None)
    finally:
        process.stop()
