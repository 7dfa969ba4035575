"""The scripts of the guide to data that outlives its environment, run as they are written."""

import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).resolve().parent / "guide"


def run(script):
    command = [sys.executable, str(GUIDE / "run_script.py"), str(GUIDE / script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_basic_usage():
    printed = run("basic_usage.py")
    assert "Data synced successfully: True" in printed
    assert "File content: This file was created in the first session" in printed


def test_complete_example():
    printed = run("complete_example.py")
    assert "Data persistence result: True" in printed
    assert "✅ Cross-platform data access successful!" in printed
