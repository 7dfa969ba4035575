"""Real processes: started, waited for by what they say, and ended by id."""

import json
import os
import queue
import signal
import subprocess
import threading
from pathlib import Path

START_TIMEOUT = 30


class Failed(Exception):
    """Something of the harness itself did not work."""


class Process:
    """A program whose lines are read, and written to a log."""

    def __init__(self, command, log: Path, env=None):
        self.name = Path(command[0]).name
        self._lines = queue.Queue()
        self._log = log
        self.popen = subprocess.Popen(
            command, env={**os.environ, **(env or {})}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with self._log.open("a") as log:
            for line in self.popen.stdout:
                log.write(line)
                log.flush()
                self._lines.put(line)
        self._lines.put(None)

    def line(self, wanted):
        """The first line of which `wanted` makes something."""
        while True:
            try:
                line = self._lines.get(timeout=START_TIMEOUT)
            except queue.Empty:
                line = None
            if line is None:
                raise Failed(f"{self.name} did not come up:\n{self._log.read_text()[-3000:]}")
            found = wanted(line)
            if found is not None:
                return found

    def kill(self):
        """Ends it at once, without its consent."""
        self._end(signal.SIGKILL)

    def stop(self):
        """Ends it in order."""
        self._end(signal.SIGTERM)

    def _end(self, how):
        if self.popen.poll() is None:
            self.popen.send_signal(how)
        try:
            self.popen.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


def emulator(program: Path, log: Path):
    """An emulated AGB: the process, the URL of its API, and that of its admin API."""
    process = Process([str(program), "--listen", "127.0.0.1:0", "--log-format", "text"], log, {"RUST_LOG": "warn"})
    after = lambda words: lambda line: line[len(words):].strip() if line.startswith(words) else None
    return process, process.line(after("listening on ")), process.line(after("admin API and page on "))


def address_of(line):
    """Where a gateway serves, from the line of its log that says so."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event["address"] if event.get("message") == "serving" else None
