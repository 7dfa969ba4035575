"""Drives a gateway through good and bad, lets Prometheus scrape it, and asks Prometheus all that the dashboard and the alerts ask."""

import argparse
import json
import math
import pathlib
import re
import socket
import subprocess
import tempfile
import time

import drive
import queries
from processes import Emulator, Gateway, Prometheus

HERE = pathlib.Path(__file__).resolve().parent
FILES = HERE.parent.parent / "helm/agb-gateway/files"
# Connections that one address may have.
CONNECTIONS = 20
# Alerts that one event is enough for: they must fire here, since that event has been.
MUST_FIRE = {"AgbGatewayFlooded", "AgbGatewaySecretReloadFailed"}


def configuration(work, emulator, collector):
    """The settings of the gateway, and the tokens of its callers."""
    tokens, lines = {}, []
    for name in ("ci", "reader", "limited"):
        said = subprocess.run([work.gateway, "new-token", name], capture_output=True, text=True, check=True)
        tokens[name] = re.search(r"agbgw_\S+", said.stdout)[0]
        lines.append(said.stdout.partition("line for the file:")[2].strip())
    (work.path / "tokens").write_text("\n".join(lines) + "\n")
    (work.path / "gateway.toml").write_text(f"""
[server]
listen = "127.0.0.1:0"
max_connections_per_address = {CONNECTIONS}
max_control_frames_per_second = 50
flood_pause = "200ms"
[auth]
methods = ["token", "jwt"]
token_file = "{work.path / "tokens"}"
# Nobody listens there.
jwt = [{{ name = "gone", issuer = "gone", audiences = ["agb-gateway"], jwks_url = "http://127.0.0.1:9/" }}]
[[auth.rules]]
principals = ["token:ci"]
roles = ["admin"]
[[auth.rules]]
principals = ["token:reader"]
roles = ["read"]
[[auth.rules]]
principals = ["token:limited"]
roles = ["read"]
calls_per_second = 0.1
burst = 1
[agb]
endpoint = "{emulator.url}"
retry_base = "10ms"
retry_cap = "50ms"
retry_tokens = 10
breaker_failures = 15
breaker_pause = "200ms"
breaker_longest_pause = "500ms"
[sync]
grace = "1s"
[session]
clock_skew = "50ms"
sweep_interval = "500ms"
[secrets]
reload_interval = "200ms"
[telemetry]
metrics_listen = "127.0.0.1:0"
[telemetry.otlp]
endpoint = "http://127.0.0.1:{collector}"
metrics_interval = "0s"
[telemetry.traces]
sample_ratio = 1.0
max_queued_spans = 1
""")
    return tokens


# The calls of the gateway that is killed last two seconds at most, and what they leave expires soon after that.
SHORT = {
    "AGB_GATEWAY_SERVER__MAX_DEADLINE": "2s",
    "AGB_GATEWAY_SERVER__DEFAULT_DEADLINE": "2s",
    "AGB_GATEWAY_AGB__REQUEST_TIMEOUT": "1s",
    "AGB_GATEWAY_SESSION__CREATION_LEASE": "1s",
    "AGB_GATEWAY_SESSION__EXPIRY_MARGIN": "500ms",
    "AGB_GATEWAY_SESSION__SETTLE": "100ms",
}


def drives(work, tokens, emulator, gateway, victim, rounds):
    caller = drive.Caller(gateway, tokens["ci"])
    for number in range(rounds):
        session, context = drive.scenario(caller)
        drive.syncs(caller, emulator, session)
        drive.clean_up(caller, session, context)
        drive.creations(caller, emulator)
        if number == 0:
            drive.left_behind(drive.Caller(victim, tokens["ci"]), emulator)
        drive.callers(gateway, tokens)
        drive.outage(caller, emulator)
        drive.secrets(gateway, work.path / "tokens")
        gateway.until_counted("agb_gateway_session_swept_total")
        drive.connections(caller, CONNECTIONS)


def lint(page):
    """`promtool check metrics`. Returns what it says."""
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]


def may_be_empty():
    """Panels without data, with the reasons."""
    lines = (HERE / "may_be_empty").read_text().splitlines()
    rows = [line.split(":", 1) for line in lines if line and not line.startswith("#")]
    return {title.strip(): reason.strip() for title, reason in rows}


def ask_dashboard(prometheus, begin, labels_of):
    """Asks what the panels ask. Returns what is wrong, and the answers."""
    dashboard, asked = queries.of_dashboard(FILES / "dashboard.json")
    excused, wrong, answers = may_be_empty(), [], []
    wrong += [f"may_be_empty: there is no panel {title!r}" for title in excused.keys() - {q[0] for q in asked}]
    for title, unit, legend, query in asked:
        query = queries.filled_in(query, dashboard)
        wrong += [f"{title}: {what}" for what in queries.unknown(query, labels_of)]
        answer = prometheus.ask("query_range", query=query, start=begin, end=time.time(), step=1)["result"]
        has_data = any(not math.isnan(float(value)) for series in answer for _, value in series["values"])
        if has_data == (title in excused):
            wrong.append(f"{title}: {'has data, and is in may_be_empty' if has_data else 'no data'}: {query}")
        for label in set(re.findall(r"\{\{(\w+)\}\}", legend)):
            if not any(label in series["metric"] for series in answer) and has_data:
                wrong.append(f"{title}: the legend names {label}, which no series has")
        answers.append({"title": title, "unit": unit, "legend": legend, "series": answer})
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", variable["query"]["query"]).groups()
            if label not in labels_of(metric):
                wrong.append(f"the variable {variable['name']}: {metric} has no {label}")
    for annotation in dashboard["annotations"]["list"]:
        prometheus.ask("query", query=queries.filled_in(annotation["expr"], dashboard))
    return wrong, dashboard, answers


def ask_rules(prometheus, labels_of):
    """Asks what the rules ask; recorded ones must have data. Returns what is wrong, and the alerts that fire."""
    wrong, firing = [], set()
    for group in prometheus.ask("rules")["groups"]:
        for rule in group["rules"]:
            name = rule["name"]
            if rule["health"] != "ok":
                wrong.append(f"{name}: {rule.get('lastError', rule['health'])}")
            wrong += [f"{name}: {what}" for what in queries.unknown(rule["query"], labels_of)]
            answer = prometheus.ask("query", query=rule["query"])["result"]
            if rule["type"] == "recording" and not answer:
                wrong.append(f"{name}: no data")
            if rule.get("state") == "firing":
                firing.add(name)
    wrong += [f"{name} should fire" for name in MUST_FIRE - firing]
    return wrong, firing


class Labels:
    """The labels of each metric that Prometheus has seen."""

    def __init__(self, prometheus):
        self.prometheus, self.known = prometheus, {}

    def __call__(self, metric):
        if metric not in self.known:
            series = self.prometheus.ask("series", **{"match[]": f'{{__name__="{metric}"}}'})
            self.known[metric] = {label for one in series for label in one}
        return self.known[metric]


class Work:
    def __init__(self, path, gateway):
        self.path, self.gateway = pathlib.Path(path), gateway


def run(arguments, work, running):
    def started(program):
        running.append(program)
        return program

    # A collector that takes connections and never answers.
    collector = socket.create_server(("127.0.0.1", 0))
    emulator = started(Emulator(arguments.emulator))
    tokens = configuration(work, emulator, collector.getsockname()[1])
    key = {"AGB_API_KEY": "emulated-account"}
    settings = work.path / "gateway.toml"
    gateway = started(Gateway("the gateway", arguments.gateway, settings, key))
    victim = started(Gateway("the other gateway", arguments.gateway, settings, key | SHORT))
    begin = time.time()
    targets = [gateway.metrics, victim.metrics]
    prometheus = started(Prometheus(work.path, targets, FILES / "alerts.yaml"))
    for target in targets:
        prometheus.until_scraped(target, 2)
    drives(work, tokens, emulator, gateway, victim, arguments.rounds)
    # A rate needs two values, and a rule the one after.
    prometheus.until_scraped(gateway.metrics, 4)
    labels_of = Labels(prometheus)
    wrong = [f"promtool check metrics: {line}" for line in lint(gateway.page())]
    more, dashboard, answers = ask_dashboard(prometheus, begin, labels_of)
    wrong += more
    more, firing = ask_rules(prometheus, labels_of)
    wrong += more
    if arguments.answers:
        data = {"panels": dashboard["panels"], "answers": answers}
        pathlib.Path(arguments.answers).write_text(json.dumps(data))
    if wrong:
        raise SystemExit("\n".join(wrong))
    print(f"{prometheus.scrapes(gateway.metrics):.0f} scrapes in {time.time() - begin:.0f} s;", end=" ")
    print(f"{len(answers)} queries of the dashboard have data; firing: {', '.join(sorted(firing))}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gateway", required=True, help="its program")
    parser.add_argument("--emulator", required=True, help="its program")
    parser.add_argument("--answers", help="a file for the answers to the dashboard's queries")
    parser.add_argument("--rounds", type=int, default=1, help="how often all of it happens")
    arguments = parser.parse_args()
    running = []
    with tempfile.TemporaryDirectory() as path:
        try:
            run(arguments, Work(path, arguments.gateway), running)
        finally:
            for program in reversed(running):
                program.end()


if __name__ == "__main__":
    main()
