"""Compares a report of h2spec with the list of cases that are known to fail."""

import sys
import xml.etree.ElementTree as ElementTree

# The suite has this many cases; a report with fewer is of a run that did not come to its end.
CASES = 146


def outcomes(report: str) -> dict[str, str]:
    """Each case by its section and number, and what came of it: an empty text for a pass."""
    found = {}
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        for number, case in enumerate(suite.iter("testcase"), start=1):
            wrong = case.find("failure")
            if wrong is None:
                wrong = case.find("error")
            words = case.get("classname", "")
            skipped = case.find("skipped") is not None
            name = f"{suite.get('package')}/{number}"
            if name in found:
                sys.exit(f"{report}: {name} is there twice")
            if skipped:
                found[name] = f"skipped: {words}"
            elif wrong is not None:
                found[name] = f"{words}: {' '.join((wrong.text or '').split())}"
            else:
                found[name] = ""
    return found


def main() -> int:
    report, known_file, name = sys.argv[1:]
    with open(known_file, encoding="utf-8") as lines:
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    known = {case: outcome for case, run, outcome in rows if run in (name, "both")}
    fails = {case for case, outcome in known.items() if outcome == "fails"}
    found = outcomes(report)
    failing = {case: wrong for case, wrong in found.items() if wrong}
    problems = [f"fails: {case} {failing[case]}" for case in sorted(failing.keys() - known.keys())]
    problems += [f"is known to fail, and passes: {case}" for case in sorted(fails - failing.keys())]
    if len(found) != CASES:
        problems.append(f"{len(found)} cases were run, not {CASES}")
    for problem in problems:
        print(f"h2spec, {name}: {problem}")
    print(f"h2spec, {name}: {len(found) - len(failing)} of {len(found)} cases pass, {len(failing.keys() & known.keys())} are known not to")
    return 1 if problems else 0


sys.exit(main())
