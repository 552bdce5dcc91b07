"""Work on large bodies, done beside the event loop so that small requests do not wait for it.

One thread for each process: a second one would only take its share of the interpreter from the event loop.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

LARGE_BYTES = 1 << 18
"""Bodies below are worked on at once: it takes less than a millisecond, and a thread would cost more."""
SWITCH_SECONDS = 0.0005
"""After this long the thread lets the event loop go on; the interpreter's own 5 ms would be felt by every request."""
T = TypeVar("T")
_thread = ThreadPoolExecutor(1, "large-bodies")


def prepare() -> None:
    """Makes the interpreter switch between threads as often as that; called once for each process."""
    sys.setswitchinterval(SWITCH_SECONDS)


async def aside(work: Callable[[], T]) -> T:
    """What `work` returns or raises; it must not touch what the event loop changes meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(_thread, work)
