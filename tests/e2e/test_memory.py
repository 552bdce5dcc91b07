"""A data plane does not grow: under load with hang-ups, bodies of a megabyte and many keys, all counted and logged.

The load comes in rounds, and memory is compared at the rest after each: what is under way just then is no growth.
TOLLWAY_MEMORY_SECONDS sets how long (48 by default; `make soak` takes an hour, with twenty times the keys).
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from itertools import count

import psutil
import pytest

from tollway.testkit.load import HANG_UP, Clients, Sent, paced, slope
from tollway.testkit.stack import SIMULATED, Service, Stack

SECONDS = float(os.environ.get("TOLLWAY_MEMORY_SECONDS", "48"))
LONG = SECONDS >= 600
ROUND_SECONDS = 30.0 if LONG else 4.0
KEYS = 10_000 if LONG else 500
RATE = 60
"""Requests a second. Every key is used before; the first half of the time is warm-up too."""
MEBIBYTE = 1 << 20
GROWTH_MIB = 3.0
"""What the line through the second half of a short run may rise."""
GROWTH_AN_HOUR = 0.01
"""The same of a long one, as a share."""
SPOOL_BYTES, MEMORY_BYTES = 64 * MEBIBYTE, 32 * MEBIBYTE
JOURNAL_BYTES = 32 * MEBIBYTE
IMAGE = "data:image/png;base64," + base64.b64encode(random.Random(1).randbytes(1024) * 768).decode()
"""A megabyte that packs well: what is measured is memory, not the disk of the request log."""
REST_SECONDS = 30.0
"""How long until all queues are empty again."""
QUEUES = {
    "tollway_bodies_memory_bytes": MEMORY_BYTES,
    "tollway_bodies_spool_bytes": SPOOL_BYTES,
    "tollway_journal_backlog_bytes": JOURNAL_BYTES,
}


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, list[str]]]:
    """One data plane with small queues; keys with a budget or a limit each, below budgets and limits of the project."""
    stack = Stack(tmp_path_factory.mktemp("memory"))
    try:
        stack.start(dataplanes=0)
        slow = [{"provider": "sim", "model": "sim-fast/rate=200,tokens=40"}]
        stack.api("POST", "models", {"name": "slow", "targets": slow, "price": {"input": "1", "output": "2"}})
        # What a picture costs at most cannot be told for a model that nobody knows: its context window bounds it.
        stack.api("PATCH", f"models/{SIMULATED}", {"capabilities": {"context_tokens": 128_000}})
        stack.api("PATCH", "budgets/organisation", {"limit": "1000000", "period": "year"})
        stack.api("PATCH", "budgets/project:demo", {"limit": "100000", "period": "month"})
        limits = [
            {"measure": "requests", "window": "minute", "amount": 1_000_000},
            {"measure": "tokens", "window": "minute", "amount": 1_000_000_000},
            {"measure": "concurrent", "amount": 5_000},
        ]
        stack.api("PUT", "limits/project:demo", {"limits": limits})
        keys = make_keys(stack)
        stack.add_dataplane(
            TOLLWAY_BODIES_SPOOL_BYTES=str(SPOOL_BYTES),
            TOLLWAY_BODIES_MEMORY_BYTES=str(MEMORY_BYTES),
            TOLLWAY_JOURNAL_BYTES=str(JOURNAL_BYTES),
        )
        yield stack, keys
    finally:
        stack.stop()


def make_keys(stack: Stack) -> list[str]:
    """The keys' secrets: half of the keys have a budget, the others a limit."""
    keys = []
    rules: tuple[dict[str, object], ...] = (
        {"budget": {"limit": "1000", "period": "day"}},
        {"limits": {"limits": [{"measure": "requests", "window": "minute", "amount": 100_000}]}},
    )
    for start in range(0, KEYS, 250):
        made = [{"name": f"key-{n}", **rules[n % 2]} for n in range(start, start + 250)]
        generated = stack.apply({"projects": [{"name": "demo", "keys": made}]})
        keys += [each["secret"] for each in generated]
    assert len(keys) == KEYS
    return keys


async def one(clients: Clients, key: str, number: int) -> Sent:
    """Every tenth leaves an answer that is under way, every twentieth has a megabyte, every second is streamed."""
    if number % 10 == 3:
        return await clients.chat(key, model="slow", max_tokens=100, stream=True, hang_up=True)
    content: object = "word " * (number % 40 + 1)
    if number % 20 == 7:
        content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": IMAGE}}]
    messages = [{"role": "user", "content": content}]
    return await clients.chat(key, model=SIMULATED, messages=messages, max_tokens=100, stream=bool(number % 2))


class Watch:
    """A data plane's memory at rest, and the most that its queues held."""

    def __init__(self, service: Service) -> None:
        self._process = psutil.Process(service.pid)
        self._metrics = f"http://127.0.0.1:{service.ports['admin']}/metrics"
        self._began = time.monotonic()
        self.memory: list[tuple[float, float]] = []
        self.most: dict[str, float] = dict.fromkeys(QUEUES, 0.0)

    async def queues(self) -> None:
        """Looks at the queues until it is cancelled."""
        while True:
            for name, value in (await asyncio.to_thread(self.levels)).items():
                self.most[name] = max(self.most[name], value)
            await asyncio.sleep(0.5)

    async def rest(self) -> None:
        """Waits until all queues are empty, and takes the least of what is held in a moment."""
        deadline = time.monotonic() + REST_SECONDS
        while any((await asyncio.to_thread(self.levels)).values()):
            assert time.monotonic() < deadline, "all queues empty again"
            await asyncio.sleep(0.1)
        held = []
        for _ in range(4):
            held.append(self._held())
            await asyncio.sleep(0.1)
        self.memory.append((time.monotonic() - self._began, min(held)))

    def levels(self) -> dict[str, float]:
        """What the queues hold."""
        with urllib.request.urlopen(self._metrics, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs if name in QUEUES}

    def _held(self) -> float:
        """In MiB, without the journal's segment, a mapped file that fills and is replaced by an empty one."""
        found = self._process.memory_info()
        return (found.rss - found.shared) / MEBIBYTE


@pytest.mark.chaos
@pytest.mark.timeout(int(SECONDS) + 300 + KEYS // 5)
def test_memory_does_not_grow_under_load(ruled: tuple[Stack, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    stack, keys = ruled
    watch = Watch(stack.dataplanes[0])
    outcomes: Counter[str] = Counter()
    numbers = count()

    async def load() -> None:
        async with Clients([stack.base_url()]) as clients:
            await paced(KEYS, 1, lambda n: clients.chat(keys[n], model=SIMULATED, max_tokens=50), most_open=32)
            watching = asyncio.ensure_future(watch.queues())

            async def send(_number: int) -> Sent:
                number = next(numbers)
                sent = await one(clients, keys[number % KEYS], number)
                outcomes[sent.code or sent.outcome] += 1
                return sent

            for _ in range(round(SECONDS / ROUND_SECONDS)):
                await paced(round(ROUND_SECONDS * RATE), ROUND_SECONDS, send, most_open=64)
                await watch.rest()
            watching.cancel()

    asyncio.run(load())
    half = watch.memory[len(watch.memory) // 2 :]
    rise = slope(half) * (half[-1][0] - half[0][0])
    an_hour = slope(half) * 3600 / half[0][1]
    with capsys.disabled():
        levels = {name: round(value / MEBIBYTE, 2) for name, value in watch.most.items()}
        print(f"\nmemory: {SECONDS:.0f} s, {KEYS} keys, {dict(outcomes)}, at most (MiB): {levels}")
        print(f"from {half[0][1]:.1f} to {half[-1][1]:.1f} MiB in the second half; the line rises {rise:+.2f} MiB")
        print("by eighths:", ", ".join(f"{watch.memory[len(watch.memory) * n // 8][1]:.1f}" for n in range(8)))
    assert outcomes.keys() == {"200", HANG_UP}
    assert sum(outcomes.values()) > SECONDS * RATE / 3, "there was a load"
    if LONG:
        assert an_hour < GROWTH_AN_HOUR
    else:
        assert rise < GROWTH_MIB
    for name, bound in QUEUES.items():
        assert watch.most[name] <= bound, name
    assert stack.sql("SELECT count(*) FROM ledger_requests") == [(KEYS + sum(outcomes.values()),)]
