"""Runs each language's example, and counts the lines that it takes from nothing to a synced session."""

import re
import subprocess

import dev
from languages import LANGUAGES

MOST_LINES = 10
LONGEST_LINE = 150
# What stands before what is done in a language, and what only closes it, is not a newcomer's own.
NOT_OWN = re.compile(r"""
    ^\s*($ | // | \# | /\*\* | \* | "{3} | package\b | import\b | from\b | use\b | mod\b
    | [)}\]];?\s*$ | func\ main | fn\ main | async\ fn\ main | public\ (final\ )?class | private\ \w+\(\)\ \{\} | public\ static\ void\ main
    | async\ function\ main | const\ \{.*require )
""", re.VERBOSE)


def run(languages, programs, work):
    """What went wrong, by language and row."""
    errors = {}
    with dev.gateway(programs, work) as address:
        for name in languages:
            language = LANGUAGES[name]
            errors[name] = {}
            try:
                ran = subprocess.run([*language.example, address], capture_output=True, text=True, timeout=60)
                if ran.returncode or "This file was created in the first session" not in ran.stdout:
                    errors[name]["example"] = f"it ended with {ran.returncode}: {ran.stdout}{ran.stderr}"
            except subprocess.TimeoutExpired:
                errors[name]["example"] = "it did not end within a minute"
            if told := too_long(language.example_source.read_text()):
                errors[name]["ten_lines"] = told
    return errors


def too_long(source):
    """Why more than ten lines are needed, or None."""
    before, marker, _ = source.partition("Synced:")
    if not marker:
        return "the line that begins with `Synced:` is missing"
    # An import can be of several lines.
    before = re.sub(r"(?s)^(import|use)\s*[({].*?^[)}].*?$|^(import|use) [^;]*?;$|^import \{.*?\} from .*?$", "", before, flags=re.MULTILINE)
    # What a comment says at the beginning of a Python file.
    before = re.sub(r'(?s)^""".*?"""$', "", before, flags=re.MULTILINE)
    own = [line for line in before.splitlines() if not NOT_OWN.match(line)]
    if longest := [line for line in own if len(line) > LONGEST_LINE]:
        return f"a line of more than {LONGEST_LINE} characters: {longest[0]}"
    return f"{len(own)} lines: {own}" if len(own) > MOST_LINES else None
