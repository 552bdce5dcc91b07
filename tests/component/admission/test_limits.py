"""Rates and concurrency over several data planes: exact in each window, and what clients are told about them."""

from __future__ import annotations

import asyncio
import re

import pytest

from tollway.core.rules import Measure, Outage, Rules
from tollway.testkit.fleet import TOKENS, Answer, Fleet, limit

HOUR = 3600


def admitted(answers: list[Answer]) -> int:
    return sum(answer.status == 200 for answer in answers)


@pytest.mark.parametrize("amount", [7, 40, 400])
async def test_requests_are_exact_over_replicas(fleet: Fleet, amount: int) -> None:
    fleet.rules["project:p1"] = Rules(limits=(limit("l1", Measure.REQUESTS, amount, HOUR),))
    async with fleet:
        answers = [answer for _ in range(4) for answer in await fleet.burst(amount // 3 + 10, model="plain")]
        answers += await fleet.burst(30, model="plain")
        assert admitted(answers) == amount
        refused = [answer for answer in answers if answer.status == 429]
        assert {answer.code for answer in refused} == {"rate_limit_exceeded"}
        assert {answer.error["type"] for answer in refused} == {"requests"}
        assert all(0 < int(answer.headers["Retry-After"]) <= HOUR for answer in refused)


async def test_tokens_are_settled_with_what_was_used(fleet: Fleet) -> None:
    """A thousand tokens are reserved each, fifty used: what was not used is there for the next."""
    fleet.rules["project:p1"] = Rules(limits=(limit("l1", Measure.TOKENS, 2_000, HOUR),))
    async with fleet:
        for _ in range(10):
            answer = await fleet.ask(max_tokens=1_000)
            assert answer.status == 200, answer.body
        refused = await fleet.ask(max_tokens=1_900)
        assert (refused.status, refused.error["type"]) == (429, "tokens")
        assert (await fleet.ask(max_tokens=100)).status == 200


async def test_a_request_without_a_limit_of_output_works_under_a_limit_of_tokens(fleet: Fleet) -> None:
    fleet.rules["project:p1"] = Rules(limits=(limit("l1", Measure.TOKENS, 5_000, HOUR),))
    async with fleet:
        assert (await fleet.ask(max_tokens=None)).status == 200


async def test_no_more_at_once_than_allowed(fleet: Fleet) -> None:
    fleet.rules["project:p1"] = Rules(limits=(limit("c1", Measure.CONCURRENT, 4),))
    async with fleet:
        running = asyncio.gather(*(fleet.ask(model="slow", stream=bool(n % 2)) for n in range(20)))
        seen = 0
        for _ in range(20):
            await asyncio.sleep(0.1)
            seen = max(seen, fleet.simulator.counts()["open"])
        answers = await running
        assert seen == 4
        assert admitted(answers) == 4
        assert {answer.headers["Retry-After"] for answer in answers if answer.status == 429} == {"1"}
        assert admitted(await fleet.burst(4)) == 4, "places are given back"


async def test_the_tightest_of_a_combination_decides_and_models_are_told_apart(fleet: Fleet) -> None:
    fleet.rules["project:p1"] = Rules(
        limits=(
            limit("l1", Measure.REQUESTS, 100, HOUR),
            limit("l2", Measure.REQUESTS, 2, HOUR, model="ten-*"),
        )
    )
    fleet.rules["model:plain"] = Rules(limits=(limit("l3", Measure.REQUESTS, 3, HOUR, scope="model", subject="plain"),))
    async with fleet:
        dear = await fleet.burst(10)
        plain = await fleet.burst(10, model="plain") + await fleet.burst(10, model="plain")
        assert (admitted(dear), admitted(plain)) == (2, 3)
        refused = next(answer for answer in plain if answer.status == 429)
        assert (refused.error["details"]["scope"], refused.error["details"]["subject"]) == ("model", "plain")


async def test_headers_tell_what_is_left(fleet: Fleet) -> None:
    fleet.rules["project:p1"] = Rules(
        limits=(limit("l1", Measure.REQUESTS, 30, HOUR), limit("l2", Measure.TOKENS, 100_000, HOUR))
    )
    async with fleet:
        left = []
        for _ in range(6):
            answer = await fleet.ask(stream=True)
            assert answer.headers["x-ratelimit-limit-requests"] == "30"
            assert answer.headers["x-ratelimit-limit-tokens"] == "100000"
            assert re.fullmatch(r"(\d+m)?[\d.]+s", answer.headers["x-ratelimit-reset-requests"])
            left.append(int(answer.headers["x-ratelimit-remaining-requests"]))
        assert all(remaining <= 29 - index for index, remaining in enumerate(left)), left
        messages = {"model": "ten-cents", "max_tokens": TOKENS, "messages": [{"role": "user", "content": "hi"}]}
        answer = await fleet.post("/messages", messages)
        assert answer.headers["anthropic-ratelimit-requests-limit"] == "30"
        assert int(answer.headers["anthropic-ratelimit-requests-remaining"]) <= 23
        assert answer.headers["anthropic-ratelimit-tokens-reset"].endswith("Z")


async def test_without_counters_each_process_allows_its_share_or_nothing(fleet: Fleet) -> None:
    fleet.rules["project:p1"] = Rules(limits=(limit("l1", Measure.REQUESTS, 9, HOUR, model="ten-*"),))
    fleet.rules["model:plain"] = Rules(limits=(limit("l2", Measure.REQUESTS, 100, HOUR, on_outage=Outage.CLOSED),))
    async with fleet:
        assert admitted([await fleet.ask(plane=n) for n in range(3)]) == 3
        await asyncio.sleep(1.0)
        fleet.valkey.freeze()
        await asyncio.sleep(2.5)
        answers = [await fleet.ask(plane=n) for n in range(3) for _ in range(6)]
        closed = await fleet.ask(model="plain")
        fleet.valkey.freeze(False)
        assert admitted(answers) == 6, "a third of nine each, of which one was used"
        assert (closed.status, closed.code) == (503, "overloaded")
        await asyncio.sleep(3)
        assert admitted(await fleet.burst(20)) == 0, "what was allowed meanwhile counts"


async def test_lost_counters_of_rates_come_back_from_what_each_process_knows(fleet: Fleet) -> None:
    fleet.rules["project:p1"] = Rules(limits=(limit("l1", Measure.REQUESTS, 20, HOUR),))
    async with fleet:
        first = await fleet.burst(12)
        fleet.valkey.flush()
        await asyncio.sleep(1.5)
        second = await fleet.burst(30) + await fleet.burst(10)
        assert (admitted(first), admitted(second)) == (12, 8)
