"""A hard budget under concurrency, over several data planes, whatever happens to the counters: never too much."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tollway.core.money import NANO_PER_DOLLAR
from tollway.testkit.fleet import COST, Fleet, budget

LIMIT = 1.0
FIT = 10
"""Requests of ten cents that a dollar pays for."""


async def settled(fleet: Fleet, seconds: float = 3.0) -> None:
    """Waits until nothing is reserved any more."""
    for _ in range(int(seconds / 0.05)):
        if fleet.outstanding() == 0:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"still reserved: {fleet.outstanding()}")


@pytest.mark.parametrize("repetition", range(3))
async def test_two_hundred_at_once_spend_the_budget_and_no_more(fleet: Fleet, repetition: int) -> None:
    fleet.rules["project:p1"] = budget(f"b{repetition}", "project", LIMIT)
    async with fleet:
        answers = await fleet.burst(200)
        answers += await fleet.burst(20)
        assert Counter(answer.status for answer in answers) == {200: FIT, 429: 220 - FIT}
        assert {answer.code for answer in answers if answer.status == 429} == {"budget_exceeded"}
        await settled(fleet)
        assert fleet.spent() == FIT * COST == LIMIT * NANO_PER_DOLLAR
        assert fleet.simulator.counts()["received"] == FIT


async def test_the_whole_chain_is_reserved_in_one_step(fleet: Fleet) -> None:
    """The tightest budget decides, and what it refuses is not taken from the others."""
    fleet.rules["organisation"] = budget("b1", "organisation", 5)
    fleet.rules["business_unit:default"] = budget("b2", "business_unit", 0.3)
    fleet.rules["project:p1"] = budget("b3", "project", 2)
    async with fleet:
        answers = await fleet.burst(60)
        await settled(fleet)
        assert sum(answer.status == 200 for answer in answers) == 3
        refused = next(answer for answer in answers if answer.status == 429)
        assert refused.error["details"]["scope"] == "business_unit"
        assert fleet.spent() == 3 * COST


async def test_counters_that_are_lost_forgive_nobody(fleet: Fleet) -> None:
    fleet.rules["project:p1"] = budget("b1", "project", LIMIT)
    async with fleet:
        before = await fleet.burst(5)
        assert {answer.status for answer in before} == {200}
        fleet.valkey.flush()
        answers = await fleet.burst(60)
        for _ in range(8):  # what was held here and there comes back: who asks again gets it
            await asyncio.sleep(0.5)
            answers += await fleet.burst(10)
        await settled(fleet)
        assert sum(answer.status == 200 for answer in before + answers) == FIT
        assert fleet.spent() == LIMIT * NANO_PER_DOLLAR


async def test_counters_lost_in_mid_stream_keep_what_is_under_way(fleet: Fleet) -> None:
    fleet.rules["project:p1"] = budget("b1", "project", 0.5)
    async with fleet:
        streams = asyncio.gather(*(fleet.ask(model="slow", stream=True) for _ in range(4)))
        await asyncio.sleep(0.5)
        fleet.valkey.flush()
        await asyncio.sleep(1.2)
        answers = await fleet.burst(20)
        assert {answer.status for answer in await streams} == {200}
        assert sum(answer.status == 200 for answer in answers) <= 1
        await settled(fleet)
        answers += await fleet.burst(20)
        assert 4 + sum(answer.status == 200 for answer in answers) == 5
        assert fleet.spent() == 5 * COST


async def test_what_the_ledger_knows_counts_from_the_start(fleet: Fleet) -> None:
    """A new life of the counters, at the first start too, begins with what was spent in the window before."""
    fleet.ledger.used = lambda query: 700_000_000 if query.measure == "cost" else 0
    fleet.rules["project:p1"] = budget("b1", "project", LIMIT)
    async with fleet:
        answers = await fleet.burst(40)
        assert sum(answer.status == 200 for answer in answers) == 3
        (query,) = {query for query in fleet.ledger.asked if query.measure == "cost"}
        assert (query.scope, query.subject) == ("project", "p1")


async def test_a_frozen_server_delays_nobody_for_long_and_admits_nothing_that_is_not_held(fleet: Fleet) -> None:
    fleet.rules["project:p1"] = budget("b1", "project", LIMIT)
    async with fleet:
        warm = [await fleet.ask(max_tokens=1) for _ in range(3)]
        assert {answer.status for answer in warm} == {200}
        await asyncio.sleep(0.6)
        fleet.valkey.freeze()
        answers = [await fleet.ask() for _ in range(10)]
        fleet.valkey.freeze(False)
        assert max(answer.seconds for answer in answers) < 4.0, (
            "the directory waits for a second, counters for one and a half"
        )
        later = sorted(answer.seconds for answer in answers[3:])
        assert later[len(later) // 2] < 0.3, "who comes later waits for nothing"
        assert {answer.code for answer in answers} <= {"overloaded", ""}
        assert {answer.headers["Retry-After"] for answer in answers if answer.status == 503} == {"1"}
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (await fleet.ask()).status != 200:
            assert loop.time() - began < 10
            await asyncio.sleep(0.1)
        await fleet.burst(40)
        await settled(fleet)
        assert LIMIT * NANO_PER_DOLLAR - COST < fleet.spent() <= LIMIT * NANO_PER_DOLLAR


async def test_a_server_that_is_killed_and_comes_back_empty(fleet: Fleet) -> None:
    fleet.rules["project:p1"] = budget("b1", "project", LIMIT)
    async with fleet:
        answers = await fleet.burst(4)
        fleet.valkey.kill()
        answers += await fleet.burst(10)
        fleet.valkey.start()
        fleet.valkey.flush()
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (first := await fleet.ask()).status != 200:
            assert loop.time() - began < 10
            await asyncio.sleep(0.1)
        answers += [first, *await fleet.burst(40), *await fleet.burst(10)]
        await settled(fleet)
        assert sum(answer.status == 200 for answer in answers) == FIT
        assert fleet.spent() == LIMIT * NANO_PER_DOLLAR


async def test_what_comes_free_may_be_taken_while_the_lease_lasts_and_no_longer(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may be told to go on without a process that was not heard of: by then it must take nothing any more."""
    fleet.rules["project:p1"] = budget("b1", "project", 100)
    async with fleet:
        stream = asyncio.create_task(fleet.ask(model="slow", stream=True, max_tokens=1000, plane=0))
        await asyncio.sleep(0.3)
        fleet.valkey.freeze()
        while (await fleet.ask(plane=0)).status == 200:
            pass
        assert (await stream).status == 200
        assert (await fleet.ask(plane=0)).status == 200, "what the stream did not need"
        monkeypatch.setattr("tollway.dataplane.admission.counters.LEASE_SECONDS", 0.0)
        counters = fleet.first.process.admission.counters("default")
        (holding,) = [each for key, each in counters.holdings.items() if key.startswith("b1:")]
        assert holding.account.free >= COST
        refused = await fleet.ask(plane=0)
        fleet.valkey.freeze(False)
        assert (refused.status, refused.code) == (503, "overloaded")
