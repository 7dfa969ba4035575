"""Runs a script as it is written, but for the length of its waits."""

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pace

pace.hurry()
runpy.run_path(sys.argv[1], run_name="__main__")
