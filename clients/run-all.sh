#!/usr/bin/env bash
# Runs the contract suite in every language against real gateways and emulators, and prints a matrix of language and case.
#
#   clients/run-all.sh                  all languages, the examples, and the chain through four languages
#   clients/run-all.sh --only go        only these; may be repeated
#
# Needs cargo, python3, node with npm, go, and java with mvn; everything else is installed below target/, in pinned versions.
# Nothing but loopback is listened at, and what was started is ended.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
cargo build --quiet --locked --package agb-gateway --package agb-emulator
scripts/artefacts >/dev/null
tools="$(clients/tools)"
export PATH="$tools/bin:$PATH"
exec "$tools/venv/bin/python" clients/harness/run.py --programs "$CARGO_TARGET_DIR/debug" --work "$CARGO_TARGET_DIR/clients/work" "$@"
