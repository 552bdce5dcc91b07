"""A gate: how many are inside, who comes next, who is refused, and that no place is ever lost."""

from __future__ import annotations

import asyncio
import random

import pytest

from tollway.core.catalog import Priority
from tollway.core.errors import Code, TollwayError
from tollway.dataplane.routing.gate import Gate, Waiting

INTERACTIVE, BATCH = Priority.INTERACTIVE, Priority.BATCH


class Limit:
    def __init__(self, limit: float) -> None:
        self.limit = limit


def gate(limit: float = 1.0, most_waiting: int = 10) -> Gate:
    return Gate(Limit(limit), "The test", most_waiting=most_waiting)


async def test_there_is_room_up_to_the_limit() -> None:
    g = gate(2.0)
    assert g.acquire(INTERACTIVE) is None
    assert g.acquire(BATCH) is None
    assert g.full()
    waiting = g.acquire(INTERACTIVE)
    assert waiting is not None
    assert (g.in_flight, g.waiting) == (2, 1)
    g.release(None, 1.0)
    await waiting
    assert (g.in_flight, g.waiting) == (2, 0)
    g.release(waiting, 2.0)
    g.release(None, 3.0)
    assert (g.in_flight, g.waiting) == (0, 0)


async def test_interactive_goes_before_batch_and_the_first_before_the_next() -> None:
    g = gate()
    g.acquire(INTERACTIVE)
    came: list[str] = []
    for name in ("b1", "i1", "b2", "i2"):
        waiting = g.acquire(BATCH if name.startswith("b") else INTERACTIVE)
        assert waiting is not None
        waiting.add_done_callback(lambda _, name=name: came.append(name))  # type: ignore[misc]
    for _ in range(4):
        g.release(None, 1.0)
        await asyncio.sleep(0)
    assert came == ["i1", "i2", "b1", "b2"]


async def test_a_full_queue_refuses_and_interactive_takes_the_place_of_the_last_batch() -> None:
    g = gate(most_waiting=2)
    g.acquire(INTERACTIVE)
    first, last = g.acquire(BATCH), g.acquire(BATCH)
    with pytest.raises(TollwayError) as refused:
        g.acquire(BATCH)
    assert refused.value.code is Code.OVERLOADED
    assert refused.value.retry_after_seconds is not None
    urgent = g.acquire(INTERACTIVE)
    assert last is not None
    assert last.done()
    with pytest.raises(TollwayError):
        await last
    g.release(last, 1.0)
    assert g.waiting == 2
    for waiting in (first, urgent):
        g.release(waiting, 1.0)
    assert (g.in_flight, g.waiting) == (1, 0)
    for _ in range(2):
        assert g.acquire(INTERACTIVE) is not None
    with pytest.raises(TollwayError):
        g.acquire(INTERACTIVE)


async def test_a_wait_has_an_end() -> None:
    g = gate()
    g.acquire(INTERACTIVE)
    waiting = g.acquire(INTERACTIVE, wait_seconds=0.02)
    assert waiting is not None
    with pytest.raises(TollwayError) as refused:
        await waiting
    assert refused.value.code is Code.OVERLOADED
    g.release(waiting, 1.0)
    assert (g.in_flight, g.waiting) == (1, 0)


async def test_who_would_wait_too_long_is_refused_at_once_and_told_for_how_long() -> None:
    g = gate()
    g.acquire(INTERACTIVE)
    now = 0.0
    queue = [g.acquire(INTERACTIVE, wait_seconds=1e6) for _ in range(9)]
    for _ in range(60):  # one leaves each 4 seconds
        now += 4.0
        queue.append(g.acquire(INTERACTIVE, wait_seconds=1e6))
        g.release(None, now)
    assert g.waiting == 9
    with pytest.raises(TollwayError) as refused:
        g.acquire(INTERACTIVE, wait_seconds=30.0)
    assert refused.value.retry_after_seconds == pytest.approx(40.0, rel=0.05)
    assert g.acquire(INTERACTIVE, wait_seconds=50.0) is not None
    for waiting in queue:
        if waiting is not None and not waiting.done():
            g.release(waiting, now)


async def test_a_limit_that_rises_lets_in_who_waits() -> None:
    limit = Limit(1.0)
    g = Gate(limit, "The test")
    g.acquire(INTERACTIVE)
    waiting = [g.acquire(INTERACTIVE) for _ in range(3)]
    limit.limit = 3.0
    g.wake()
    assert [w.done() for w in waiting if w is not None] == [True, True, False]
    assert g.in_flight == 3
    g.release(waiting[2], 1.0)


async def test_clients_that_leave_at_any_moment_lose_no_place() -> None:
    dice = random.Random(1)
    g = gate(3.0, most_waiting=20)
    loop = asyncio.get_running_loop()
    inside = most = 0

    async def client() -> None:
        nonlocal inside, most
        waiting: Waiting | None = g.acquire(dice.choice([INTERACTIVE, BATCH]), dice.choice([0.001, 0.05]))
        try:
            if waiting is not None:
                await waiting
            inside += 1
            most = max(most, inside)
            try:
                await asyncio.sleep(dice.random() * 0.003)
            finally:
                inside -= 1
        finally:
            g.release(waiting, loop.time())

    tasks = []
    for _ in range(400):
        tasks.append(asyncio.create_task(client()))
        if dice.random() < 0.3:
            dice.choice(tasks).cancel()
        await asyncio.sleep(dice.random() * 0.0005)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 3
    assert (g.in_flight, g.waiting) == (0, 0)
    kinds = {type(result) for result in results if result is not None}
    assert kinds <= {TollwayError, asyncio.CancelledError}
    assert asyncio.CancelledError in kinds


async def test_a_quiet_time_before_the_queue_says_nothing_of_its_pace() -> None:
    g = gate()
    g.acquire(INTERACTIVE)
    g.release(None, 1.0)
    g.acquire(INTERACTIVE)
    waiting = [g.acquire(INTERACTIVE, wait_seconds=5.0) for _ in range(3)]
    g.release(None, 7200.0)
    waiting.append(g.acquire(INTERACTIVE, wait_seconds=5.0))  # hours are no reason to refuse it
    for each in waiting:
        g.release(each, 7201.0)
