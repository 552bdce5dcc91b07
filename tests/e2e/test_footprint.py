"""How long a data plane takes to be ready, and how much memory it holds after work."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psutil

from tollway.testkit.stack import Stack, until

READY_SECONDS = 3.0
MEMORY_MIB = 120


def test_a_data_plane_is_ready_within_three_seconds(stack: Stack) -> None:
    service = stack.dataplanes[0]
    service.stop()
    began = time.monotonic()
    service.start()
    until(lambda: stack.ready(service), 10, "readiness")
    assert time.monotonic() - began < READY_SECONDS


def test_memory_stays_small_after_work(stack: Stack) -> None:
    service = stack.dataplanes[0]
    until(lambda: stack.ready(service), 10, "readiness")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: stack.chat(stream=n % 2 == 0, content="x" * 1000)[0], range(600)))
    assert set(answers) == {200}
    mebibytes = psutil.Process(service.pid).memory_info().rss / (1 << 20)
    assert mebibytes < MEMORY_MIB, f"{mebibytes:.0f} MiB"
