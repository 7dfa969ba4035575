"""Programs that are started, told where they listen by what they say, and ended by their process ids."""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

PATIENCE = 60


def until(what, ask, patience=PATIENCE):
    """Asks until the answer is true, and returns it."""
    end = time.monotonic() + patience
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise SystemExit(f"waited {patience} s in vain: {what}")
        time.sleep(0.05)


def fetch(url, body=None, method=None):
    """What a server answers, as text."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{url}: {error.code} {error.read().decode()}") from error


class Program:
    """A program whose output is read, line by line, from the beginning to the end."""

    def __init__(self, name, command, environment=None):
        self.name = name
        self.lines = []
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def says(self, find):
        """What `find` makes of the first line that it makes anything of."""

        def look():
            found = next(filter(None, map(find, list(self.lines))), None)
            if found is None and self.process.poll() is not None:
                raise SystemExit(f"{self.name} has ended:\n" + "\n".join(self.lines[-20:]))
            return found

        return until(f"a line of {self.name}", look)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()


def _json(line):
    try:
        return json.loads(line)
    except ValueError:
        return {}


class Emulator(Program):
    def __init__(self, program):
        command = [program, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        super().__init__("the emulator", command)
        self.url = self.says(lambda line: line.partition("listening on ")[2])
        self.admin = self.says(lambda line: line.partition("admin API and page on ")[2])

    def fault(self, operation, action, times=1, skip=0):
        """The next requests of an operation go wrong, after some that do not."""
        fault = {"operation": operation, "times": times, "skip": skip, "action": action}
        fetch(f"{self.admin}/faults", fault)

    def no_faults(self):
        fetch(f"{self.admin}/faults", method="DELETE")

    def sessions(self):
        return json.loads(fetch(f"{self.admin}/sessions"))["sessions"]

    def requests(self, operation):
        return json.loads(fetch(f"{self.admin}/requests/counts"))["counts"].get(operation, 0)


class Gateway(Program):
    def __init__(self, name, program, configuration, environment):
        command = [program, "serve", "--config", str(configuration)]
        super().__init__(name, command, environment)
        self.address = self.says(lambda line: self._address(line, "serving"))
        self.metrics = self.says(lambda line: self._address(line, "serving metrics"))

    @staticmethod
    def _address(line, message):
        event = _json(line)
        return event["address"] if event.get("message") == message else None

    def page(self):
        return fetch(f"http://{self.metrics}/metrics")

    def until_counted(self, *texts):
        """Waits until a line of the page has all these texts, and a value above zero."""

        def look():
            return any(
                all(text in line for text in texts) and float(line.split()[-1]) > 0
                for line in self.page().splitlines()
                if not line.startswith("#")
            )

        until(f"{texts} on the page of {self.name}", look)


class Prometheus(Program):
    def __init__(self, work, targets, rules):
        targets = ", ".join(f'"{target}"' for target in targets)
        configuration = work / "prometheus.yml"
        configuration.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
            f'rule_files: ["{rules}"]\n'
            f"scrape_configs: [{{job_name: agb-gateway, static_configs: [{{targets: [{targets}]}}]}}]\n"
        )
        command = [
            "prometheus",
            f"--config.file={configuration}",
            f"--storage.tsdb.path={work / 'data'}",
            "--web.listen-address=127.0.0.1:0",
        ]
        super().__init__("Prometheus", command)
        address = self.says(
            lambda line: line.partition("Listening on\" address=")[2].split(" ")[0]
        )
        self.url = f"http://{address}"
        self.says(lambda line: "Server is ready" in line)

    def ask(self, path, **parameters):
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}"
        return json.loads(fetch(url))["data"]

    def scrapes(self, target):
        """How many scrapes of a target have succeeded."""
        answer = self.ask("query", query=f'sum_over_time(up{{instance="{target}"}}[1h])')
        return float(answer["result"][0]["value"][1]) if answer["result"] else 0

    def until_scraped(self, target, times):
        """Waits for so many more good scrapes."""
        goal = self.scrapes(target) + times
        until(f"{times} scrapes of {target}", lambda: self.scrapes(target) >= goal)
