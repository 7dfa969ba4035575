"""Runs the commands of docs/grpcurl.md, in one shell and as they are written, and compares what they print.

With `--write` the page gets what was printed. Ids, times, tokens, URLs and measurements differ from run to run and count as equal.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import tls
from world import World

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs/grpcurl.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:\n```output\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
NOT_A_VALUE = '"…"'
DIFFERS = [
    (re.compile(r"(SdkCtx|session|trace|req|aig|p|file)-[0-9a-f-]{8,}"), r"\1-…"),
    (re.compile(r'"\d{4}-\d\d-\d\dT[\d:.]+Z"'), NOT_A_VALUE),
    (re.compile(
        r'("(?:syncToken|nextPageToken|url|resourceUrl|traceId|trace_id|requestId|fileId|authCode|ticket|connectionProperties|agbRequestId'
        r"|appInstanceId|resourceId|appId|port|lookCount|executionTime|cpuCount|cpuUsedPercent|\w*Bytes|\w*Kilobytes\w*|text|sizeBytes)"
        r'": )("[^"]*(?:\\"[^"]*)*"|[\d.e+-]+)'
    ), rf"\1{NOT_A_VALUE}"),
]
# Sizes of files are told the same in every run.
SAME = re.compile(r'"(?:sizeBytes|totalSizeBytes)"')


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--programs", type=Path, required=True)
    arguments.add_argument("--work", type=Path, required=True)
    arguments.add_argument("--write", action="store_true")
    options = arguments.parse_args()
    page = PAGE.read_text()
    missing = every_rpc() - set(re.findall(r"\bagb (\w+/\w+)", page))
    if missing:
        sys.exit(f"docs/grpcurl.md lacks {', '.join(sorted(missing))}")
    blocks = [(command, expected) for command, expected in BLOCK.findall(page)]
    printed = run(blocks, options)
    if options.write:
        outputs = iter(printed)
        PAGE.write_text(BLOCK.sub(lambda block: written(block, next(outputs)), page))
        return
    failed = 0
    for (command, expected), (code, output) in zip(blocks, printed, strict=True):
        if code or masked(output) != masked(expected):
            failed += 1
            print(f"FAILED (ended with {code}):\n{command}printed:\n{masked(output)}and not:\n{masked(expected)}")
    print(f"docs/grpcurl.md: {len(blocks) - failed} of {len(blocks)} commands print what is written")
    sys.exit(bool(failed))


def every_rpc():
    """Each `Service/Method` of the protos."""
    found = set()
    for file in (ROOT / "proto/agb/gateway/v1").glob("*.proto"):
        service = None
        for line in file.read_text().splitlines():
            if match := re.match(r"service (\w+)", line):
                service = match[1]
            elif match := re.match(r"\s+rpc (\w+)", line):
                found.add(f"{service}/{match[1]}")
    return found


def run(blocks, options):
    """The exit code and the output of each block."""
    options.work.mkdir(parents=True, exist_ok=True)
    files = tls.make(options.work / "tls")
    world = World(options.programs, options.work, files)
    env = {**os.environ, "GATEWAY": world.env["AGB_TARGET"], "CA": str(files.ca), "TOKEN": world.token}
    try:
        with tempfile.TemporaryDirectory() as folder:
            script = "set -u -o pipefail\n"
            for index, (command, _) in enumerate(blocks):
                script += f"{{ {command}}} >{index}.out\necho $? >{index}.code\n"
            subprocess.run(["bash", "-c", script], cwd=folder, env=env, timeout=180, check=False)
            read = lambda name: Path(folder, name).read_text() if Path(folder, name).exists() else ""
            return [(int(read(f"{index}.code") or -1), read(f"{index}.out")) for index in range(len(blocks))]
    finally:
        world.end()


def written(block, ran):
    code, output = ran
    if code:
        sys.exit(f"it ended with {code}:\n{block[1]}{output}")
    return f"```sh\n{block[1]}```\n" + (f"\n```output\n{shortened(output)}```\n" if output else "\n```output\n```\n" if block[2] is not None else "")


def shortened(output):
    """Without secrets that would be worth nothing and take a screen."""
    return re.sub(r'("(?:syncToken|url|resourceUrl|connectionProperties|authCode|ticket)": ")[^"]{24,}"', r'\1…"', output)


def in_order(text):
    """Tasks come by the ids of their contexts, which AGB makes up: here they come by their paths."""
    try:
        answer = json.loads(text)
    except ValueError:
        return text
    status = answer.get("syncStatus", answer.get("status")) if isinstance(answer, dict) else None
    if not isinstance(status, dict) or "tasks" not in status:
        return text
    status["tasks"].sort(key=lambda task: (task["path"], task["direction"]))
    return json.dumps(answer, indent=2, ensure_ascii=False) + "\n"


def masked(text):
    lines = []
    for line in in_order(text).splitlines():
        # Of these, grpcurl leaves out what happens to be nought.
        if re.search(r'"(?:cpuUsedPercent|\w*Kilobytes\w*)"', line):
            continue
        for pattern, replacement in DIFFERS[:2] if SAME.search(line) else DIFFERS:
            line = pattern.sub(replacement, line)
        lines.append(line + "\n")
    return "".join(lines)


if __name__ == "__main__":
    main()
