"""Calls the official SDK from some threads for some seconds, and prints what that took as JSON.

    sdk.py THREADS SECONDS
"""

import json
import sys
import threading
import time

from agb import AGB
from loguru import logger

# Its logs would cost time, too.
logger.remove()
WARM_UP = 0.5


def main():
    threads, seconds = int(sys.argv[1]), float(sys.argv[2])
    begin = time.perf_counter() + WARM_UP
    end = begin + seconds
    latencies = [[] for _ in range(threads)]
    failures = []

    def call(mine):
        agb = AGB()
        while (before := time.perf_counter()) < end:
            result = agb.get_session(f"s-{1:022}")
            if not result.success:
                failures.append(result.error_message)
                return
            if before >= begin:
                mine.append(time.perf_counter() - before)

    callers = [threading.Thread(target=call, args=(mine,)) for mine in latencies]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    if failures:
        sys.exit(f"calls failed: {failures}")
    took = sorted(latency for mine in latencies for latency in mine)
    print(
        json.dumps(
            {
                "calls_per_second": len(took) / seconds,
                "p50_us": 1e6 * took[len(took) // 2],
                "p99_us": 1e6 * took[len(took) * 99 // 100],
            }
        )
    )


main()
