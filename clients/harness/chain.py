"""One piece of work through four languages, in one trace: Python fills a context, Go reads it through a mapping, Node watches the
sync of what Go has written, and Java deletes all of it.

Every call of the four carries one `traceparent`, whose trace id is told at the end.
"""

import secrets
import subprocess

import dev
from languages import LANGUAGES


def run(programs, work):
    """Whether it failed."""
    trace = secrets.token_hex(16)
    traceparent = f"00-{trace}-{secrets.token_hex(8)}-01"
    step = None

    def link(name, *arguments):
        nonlocal step
        step = name
        command = [*LANGUAGES[name].link, address, *arguments, traceparent]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=90).stdout.strip()

    with dev.gateway(programs, work, "chain.log") as address:
        try:
            context = link("python")
            session = link("go", context)
            seen = link("node", session)
            link("java", session, context)
        except subprocess.CalledProcessError as error:
            print(f"FAILED chain {step}: {error.stderr[-2000:]}")
            return True
        except subprocess.TimeoutExpired:
            print(f"FAILED chain {step}: it did not end")
            return True
    print(f"chain: filled by Python, read through a mapping by Go, watched by Node ({', '.join(seen.splitlines())}), deleted by Java")
    print(f"trace: {trace}")
    return False
