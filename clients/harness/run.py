"""Runs the contract of `contract.yaml` in every language, and shows a matrix of language and case.

Each language is built, gets a world of its own (an emulated AGB and two replicas, real processes over TLS), and answers one line
for each case. No line is a failure. The examples, and the chain through four languages, run against `agb-gateway dev`.
"""

import argparse
import json
import os
import queue
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

import chain
import examples
import tls
from languages import LANGUAGES
from world import World

CLIENTS = Path(__file__).resolve().parent.parent
SUITE_TIMEOUT = 120


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--programs", type=Path, required=True, help="where agb-gateway and agb-emulator are")
    arguments.add_argument("--work", type=Path, required=True, help="where logs and certificates go")
    arguments.add_argument("--only", action="append", metavar="LANGUAGE", help="only these languages, and no chain")
    options = arguments.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)

    contract = yaml.safe_load((CLIENTS / "contract.yaml").read_text())
    names = [case["name"] for case in contract["cases"]]
    assert len(set(names)) == len(names), "a case is in contract.yaml twice"
    listed = options.work / "contract.json"
    listed.write_text(json.dumps(contract))

    chosen = options.only or list(LANGUAGES)
    built, errors = {}, {}
    # Two at a time: compilers fill a machine by themselves.
    with ThreadPoolExecutor(2) as pool:
        for name, (seconds, error) in zip(chosen, pool.map(lambda name: build(name, options.work), chosen)):
            built[name] = error is None
            print(f"{name}: {'built' if built[name] else 'NOT BUILT'} in {seconds:.0f} s", flush=True)
            if error:
                print(error)
                errors[name] = {case: "not built" for case in names}

    files = tls.make(options.work / "tls")
    ready = [name for name in chosen if built[name]]
    with ThreadPoolExecutor(max(len(ready), 1)) as pool:
        run_one = lambda name: suite(name, names, listed, files, options)
        for name, failed in zip(ready, pool.map(run_one, ready)):
            errors[name] = failed
    rows = [*names]
    for name, failed in examples.run(ready, options.programs, options.work).items():
        errors[name].update(failed)
    rows += ["example", "ten_lines"]
    for name in chosen:
        if not built[name]:
            errors[name].update({"example": "not built", "ten_lines": "not built"})
    failed = show(rows, chosen, errors)
    if not options.only:
        failed |= chain.run(options.programs, options.work)
    sys.exit(failed)


def build(name, work):
    """How long it took, and what went wrong."""
    log = work / f"{name}-build.log"
    start = time.monotonic()
    with log.open("w") as file:
        code = subprocess.run([CLIENTS / name / "build"], stdout=file, stderr=subprocess.STDOUT, timeout=900).returncode
    return time.monotonic() - start, log.read_text()[-3000:] if code else None


def suite(name, cases, listed, files, options):
    """What went wrong, by case."""
    work = options.work / name
    world = World(options.programs, work, files)
    env = {**os.environ, **world.env, "CONTRACT": str(listed), "AGB_SERVICE_CONFIG": str(CLIENTS.parent / "docs/service-config.json")}
    results = {}
    try:
        with (work / "suite.log").open("w") as log:
            process = subprocess.Popen(LANGUAGES[name].suite, env=env, stdout=subprocess.PIPE, stderr=log, text=True, cwd=CLIENTS / name)
            try:
                ended = read(process, results, cases)
            finally:
                process.kill()
                process.wait()
    finally:
        world.end()
    failed = {case: result["error"] for case, result in results.items() if result["error"]}
    for case in cases:
        if case not in results:
            failed[case] = f"no result: {ended}; see {work / 'suite.log'}"
    slow = sorted(((result["ms"], case) for case, result in results.items()), reverse=True)[:3]
    print(f"{name}: {sum(result['ms'] for result in results.values()) / 1000:.0f} s, of which", ", ".join(f"{case} {ms / 1000:.1f} s" for ms, case in slow), flush=True)
    return failed


def read(process, results, cases):
    """Takes what a suite says until it ends or its time is over, and tells which."""
    lines = queue.Queue()
    threading.Thread(target=lambda: [*map(lines.put, process.stdout), lines.put(None)], daemon=True).start()
    end = time.monotonic() + SUITE_TIMEOUT
    while (left := end - time.monotonic()) > 0:
        try:
            line = lines.get(timeout=left)
        except queue.Empty:
            break
        if line is None:
            return f"the suite ended with {process.wait()}"
        if line.startswith("{"):
            result = json.loads(line)
            assert result["case"] in cases, f"a case that is not in contract.yaml: {line}"
            results[result["case"]] = result
    return f"the suite took more than {SUITE_TIMEOUT} s"


def show(rows, languages, errors):
    """Prints the matrix and each failure. Whether there was one."""
    width = max(map(len, rows))
    print("\n" + " " * width, *(f"{name:>7}" for name in languages))
    for row in rows:
        print(f"{row:{width}}", *(f"{'FAILED' if row in errors[name] else 'ok':>7}" for name in languages))
    print()
    for name in languages:
        for row, error in errors[name].items():
            print(f"FAILED {name} {row}: {error}")
    return any(errors.values())


if __name__ == "__main__":
    main()
