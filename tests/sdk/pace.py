"""Makes the SDK's waits short: they are meant for a cloud, and the emulator is quicker."""

import asyncio
import time

LONGEST = 0.05

_sleep = time.sleep
_asyncio_sleep = asyncio.sleep


def hurry():
    time.sleep = lambda seconds: _sleep(min(seconds, LONGEST))
    asyncio.sleep = lambda seconds, result=None: _asyncio_sleep(min(seconds, LONGEST), result)
