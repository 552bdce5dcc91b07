"""Falling back under budgets and limits: who is called is paid for, and what was taken is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tollway.core.catalog import Capabilities, ProviderKind, Retries, Timeouts
from tollway.core.money import NANO_PER_DOLLAR
from tollway.core.pricing import Price
from tollway.core.rules import Measure, Rules
from tollway.testkit.balance_service import BalanceService
from tollway.testkit.fleet import budget, limit
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.upstream import Upstream, raw, whole

LIMITS = Timeouts(connect=0.5, first_byte=0.6, between_chunks=0.5, total=3.0)
BROKEN = whole({"error": {"message": "boom"}}, 500)
LATER = whole({"error": {"message": "slow down"}}, 429, retry_after="60")
DOLLAR_A_TOKEN = Price(version="dear@1", input=0, output=NANO_PER_DOLLAR * 1_000_000)
ONCE = Retries(attempts=0)


@pytest.fixture
async def first() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def second() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def ledger() -> AsyncIterator[BalanceService]:
    async with BalanceService() as service:
        yield service


@pytest.fixture
async def plane(
    tmp_path: Path, valkey: ValkeyServer, first: Upstream, second: Upstream, ledger: BalanceService
) -> LoneDataPlane:
    """Not started: providers `one` and `two`; the models `cheap` and `dear` are at the second."""
    made = LoneDataPlane(tmp_path / "data", valkey.url)
    made.add_provider("one", ProviderKind.OPENAI_COMPATIBLE, first.url, timeouts=LIMITS)
    made.add_provider("two", ProviderKind.OPENAI_COMPATIBLE, second.url, timeouts=LIMITS)
    made.add_model("cheap", ("two", "cheap"))
    made.add_model("dear", ("two", "dear"), price=DOLLAR_A_TOKEN)
    made._settings["control_grpc"] = ledger.address
    return made


async def rows_of(ledger: BalanceService, count: int = 1) -> list[int]:
    """What the calls of the first rows cost, once the rows are there."""
    async with asyncio.timeout(5):
        while len(ledger.rows) < count:
            await asyncio.sleep(0.02)
    return [attempt.cost_nano for _, row in ledger.rows.values() for attempt in row.attempts]


async def test_a_target_that_asked_to_be_left_alone_is_not_called_for_want_of_a_paid_fallback(
    plane: LoneDataPlane, first: Upstream, second: Upstream
) -> None:
    first.script = LATER
    plane.add_model("small", ("one", "up"), retries=ONCE, fallbacks=("dear",))
    plane.rules["project:p1"] = budget("left-alone", "project", 5)
    async with plane:
        statuses = [(await plane.chat(model="small", max_tokens=10)).status for _ in range(3)]
    assert statuses == [429, 429, 429]
    assert (len(first.requests), len(second.requests)) == (1, 0)


async def test_the_chain_goes_on_behind_a_model_that_is_too_dear(
    plane: LoneDataPlane, first: Upstream, second: Upstream, ledger: BalanceService
) -> None:
    first.script = BROKEN
    plane.add_model("small", ("one", "up"), retries=ONCE, fallbacks=("dear", "cheap"))
    plane.rules["model:dear"] = Rules(limits=(limit("of-dear", Measure.REQUESTS, 1, scope="model"),))
    plane.rules["project:p1"] = budget("chain", "project", 5)
    async with plane:
        ledger.replicas = [plane.process.replica]
        for _ in range(3):
            answer = await plane.chat(model="small", max_tokens=10)
            assert (answer.status, answer.headers["x-tollway-model"]) == (200, "cheap")
        assert [request.json["model"] for request in second.requests] == ["cheap"] * 3
        # A limit of the model that was passed over is not touched.
        answer = await plane.chat(model="dear", max_tokens=3)
        assert answer.status == 200
        assert max(await rows_of(ledger, 4)) == 3 * NANO_PER_DOLLAR


async def test_a_limit_counts_the_requests_that_fall_back_to_its_model(
    plane: LoneDataPlane, first: Upstream, second: Upstream
) -> None:
    first.script = BROKEN
    plane.add_model("small", ("one", "up"), retries=ONCE, fallbacks=("cheap",))
    plane.rules["model:cheap"] = Rules(limits=(limit("of-cheap", Measure.REQUESTS, 5, 86_400, scope="model"),))
    async with plane:
        statuses = [(await plane.chat(model="small")).status for _ in range(8)]
    assert statuses == [200] * 5 + [502] * 3
    assert len(second.requests) == 5


async def test_the_limit_of_output_fits_the_model_that_is_called(
    plane: LoneDataPlane, first: Upstream, second: Upstream
) -> None:
    first.script = BROKEN
    plane.add_model("small", ("two", "short"), capabilities=Capabilities(max_output_tokens=4096))
    plane.add_model(
        "large",
        ("one", "long"),
        retries=ONCE,
        fallbacks=("small",),
        capabilities=Capabilities(max_output_tokens=64_000),
    )
    plane.rules["project:p1"] = budget("output", "project", 5_000)
    async with plane:
        assert (await plane.chat(model="large")).status == 200
    asked = [{**up.requests[0].json} for up in (first, second)]
    assert [each.get("max_completion_tokens", each.get("max_tokens")) for each in asked] == [64_000, 4096]


async def test_a_call_that_breaks_without_a_word_may_be_billed(
    plane: LoneDataPlane, first: Upstream, ledger: BalanceService
) -> None:
    """The request left on a new connection: the provider may be at work, so what was reserved is booked."""
    first.script = raw(b"")
    plane.add_model("small", ("one", "up"), price=DOLLAR_A_TOKEN, retries=ONCE)
    plane.rules["project:p1"] = budget("silent", "project", 5)
    async with plane:
        ledger.replicas = [plane.process.replica]
        assert (await plane.chat(model="small", max_tokens=3)).status == 502
        assert await rows_of(ledger) == [3 * NANO_PER_DOLLAR]


async def test_names_of_models_are_bounded(plane: LoneDataPlane, first: Upstream) -> None:
    async with plane:
        answer = await plane.chat(model="one/" + "x" * 1000)
        assert answer.status == 404
        assert (await plane.chat(model="one/" + "x" * 200)).status == 200
        assert len(first.requests) == 1
