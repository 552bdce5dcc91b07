"""A second call beside a slow one: what the client sees, and what becomes of the call that was not needed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tollway.core.catalog import Hedge, ProviderKind, Strategy, Target, Timeouts
from tollway.core.ledger import AttemptRow, Outcome
from tollway.core.money import NANO_PER_DOLLAR
from tollway.core.pricing import Price
from tollway.testkit.balance_service import BalanceService
from tollway.testkit.fleet import budget
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.upstream import Received, Script, Upstream, completion, event, stream, whole, words

LIMITS = Timeouts(connect=0.5, first_byte=5.0, between_chunks=5.0, total=8.0)
KNOWN_AFTER = 20
"""So many calls must have been seen before it is known what is slow."""
SLOW_SECONDS = 1.5
DOLLAR_A_TOKEN = Price(version="dear@1", input=0, output=NANO_PER_DOLLAR * 1_000_000)


def after(seconds: float, script: Script) -> Script:
    """The script, begun late."""

    async def late(request: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        await script(request, writer)

    return late


@pytest.fixture
async def ups() -> AsyncIterator[tuple[Upstream, Upstream]]:
    """The providers `one` and `two`, which answer with their names."""
    async with Upstream() as one, Upstream() as two:
        one.script, two.script = whole(completion("one")), whole(completion("two"))
        yield one, two


@pytest.fixture
async def ledger() -> AsyncIterator[BalanceService]:
    """A ledger that knows what was spent."""
    async with BalanceService() as service:
        yield service


@pytest.fixture
async def plane(
    tmp_path: Path, valkey: ValkeyServer, ups: tuple[Upstream, Upstream], ledger: BalanceService
) -> AsyncIterator[LoneDataPlane]:
    """A model that goes to `one`, and to `two` beside when `one` is slower than usual; what is usual is known."""
    made = LoneDataPlane(tmp_path / "data", valkey.url)
    for name, up in zip(("one", "two"), ups, strict=True):
        made.add_provider(name, ProviderKind.OPENAI_COMPATIBLE, up.url, timeouts=LIMITS)
    targets = tuple(Target(provider=name, model="up", priority=number) for number, name in enumerate(("one", "two")))
    made.add_model("m", price=DOLLAR_A_TOKEN, strategy=Strategy.PRIORITY)
    hedge = Hedge(percentile=0.5, least_seconds=0.05)
    made.models["m"] = msgspec.structs.replace(made.models["m"], targets=targets, hedge=hedge)
    made.rules["organisation"] = budget("hedging", "organisation", 100_000)
    made._settings["control_grpc"] = ledger.address
    async with made:
        ledger.replicas = [made.process.replica]
        for _ in range(KNOWN_AFTER):
            await made.chat(max_tokens=5)
        yield made


Last = Callable[[], Awaitable[Sequence[AttemptRow]]]


@pytest.fixture
def last(plane: LoneDataPlane, ledger: BalanceService) -> Last:
    """The calls of the request after the first ones, once it is booked and nothing is reserved any more."""

    async def calls() -> Sequence[AttemptRow]:
        counters = plane.process.admission.counters("default")
        async with asyncio.timeout(5):
            while len(ledger.rows) <= KNOWN_AFTER or counters.outstanding():
                await asyncio.sleep(0.02)
        _came, row = list(ledger.rows.values())[-1]
        return sorted(row.attempts, key=lambda attempt: attempt.number)

    return calls


async def answer_of(response: Any) -> str:
    """The text of an answer that is not streamed."""
    return str((await response.json())["choices"][0]["message"]["content"])


async def test_a_slow_call_is_outrun(plane: LoneDataPlane, ups: tuple[Upstream, Upstream], last: Last) -> None:
    one, two = ups
    one.script = after(SLOW_SECONDS, whole(completion("one")))
    began = asyncio.get_running_loop().time()
    response = await plane.chat(max_tokens=5)
    assert (response.status, await answer_of(response)) == (200, "two")
    assert asyncio.get_running_loop().time() - began < SLOW_SECONDS
    assert (response.headers["x-tollway-provider"], response.headers["x-tollway-attempts"]) == ("two", "2")
    lost, won = await last()
    assert (lost.provider, lost.outcome, lost.estimated) == ("one", Outcome.CANCELLED, True)
    assert (won.provider, won.outcome, won.usage.output, won.estimated) == ("two", Outcome.OK, 3, False)
    # Nobody knows what the cancelled call wrote: all that was reserved for it is booked, and no more.
    assert (lost.cost_nano, won.cost_nano) == (5 * NANO_PER_DOLLAR, 3 * NANO_PER_DOLLAR)
    async with asyncio.timeout(2):
        while one.open:
            await asyncio.sleep(0.02)
    assert (len(one.requests), len(two.requests)) == (KNOWN_AFTER + 1, 1)


async def test_the_first_call_may_still_win(plane: LoneDataPlane, ups: tuple[Upstream, Upstream], last: Last) -> None:
    one, two = ups
    one.script = after(0.4, stream(words()))
    two.script = after(SLOW_SECONDS, stream(words()))
    response = await plane.chat(stream=True, max_tokens=5)
    assert (response.headers["x-tollway-provider"], response.headers["x-tollway-attempts"]) == ("one", "2")
    assert b"w2 " in await response.read()
    won, lost = await last()
    assert (won.provider, won.outcome, won.usage.output) == ("one", Outcome.OK, 3)
    assert (lost.provider, lost.outcome) == ("two", Outcome.CANCELLED)


async def test_a_second_call_that_fails_is_no_harm(
    plane: LoneDataPlane, ups: tuple[Upstream, Upstream], last: Last
) -> None:
    one, two = ups
    one.script = after(0.4, whole(completion("one")))
    two.script = whole({"error": {"message": "boom"}}, 500)
    response = await plane.chat(max_tokens=5)
    assert (response.status, await answer_of(response)) == (200, "one")
    assert [row.outcome for row in await last()] == [Outcome.OK, Outcome.ERROR]


async def test_both_may_fail(plane: LoneDataPlane, ups: tuple[Upstream, Upstream], last: Last) -> None:
    one, two = ups
    one.script = after(0.4, whole({"error": {"message": "boom"}}, 400))
    two.script = whole({"error": {"message": "boom"}}, 400)
    response = await plane.chat(max_tokens=5)
    assert response.status == 400
    assert [row.outcome for row in await last()] == [Outcome.ERROR, Outcome.ERROR]


async def test_what_is_quick_is_called_once(plane: LoneDataPlane, ups: tuple[Upstream, Upstream]) -> None:
    response = await plane.chat(max_tokens=5)
    assert (await answer_of(response), response.headers["x-tollway-attempts"]) == ("one", "1")
    assert not ups[1].requests


async def test_a_client_that_leaves_ends_both(plane: LoneDataPlane, ups: tuple[Upstream, Upstream], last: Last) -> None:
    one, two = ups
    one.script = two.script = after(SLOW_SECONDS, stream([event({"content": "x"})]))
    request = asyncio.ensure_future(plane.chat(stream=True, max_tokens=5))
    async with asyncio.timeout(2):
        while not two.requests:
            await asyncio.sleep(0.01)
    request.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await request
    async with asyncio.timeout(2):
        while one.open or two.open:
            await asyncio.sleep(0.02)
    assert [row.outcome for row in await last()] == [Outcome.CLIENT_CLOSED, Outcome.CLIENT_CLOSED]


async def test_a_client_may_leave_after_the_first_call_has_failed(
    plane: LoneDataPlane, ups: tuple[Upstream, Upstream], last: Last
) -> None:
    one, two = ups
    one.script = after(0.4, whole({"error": {"message": "boom"}}, 500))
    two.script = after(SLOW_SECONDS, whole(completion("two")))
    request = asyncio.ensure_future(plane.chat(max_tokens=5))
    async with asyncio.timeout(2):
        while not two.requests:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.6)  # the first has failed by now
    request.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await request
    assert [row.outcome for row in await last()] == [Outcome.ERROR, Outcome.CLIENT_CLOSED]
    shown = plane.process.metrics()
    assert (shown.count(b'status="499"'), shown.count(b'status="500"')) == (1, 0)
