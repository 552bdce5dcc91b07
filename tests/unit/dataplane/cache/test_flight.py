"""One call for all who ask the same at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tollway.core.errors import Code, TollwayError
from tollway.dataplane.cache.flight import AHEAD_BYTES, Begun, Flight, FlightBroken, Flights, Member
from tollway.dataplane.providers.port import ProviderFault
from tollway.runtime.tasks import Tasks

KEY = (b"key", "")
LIMIT = 1000


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    made = Tasks()
    yield made
    await made.close()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def everything(member: Member) -> bytes:
    """Status line and body as one member gets them."""
    try:
        begun = await member.begun()
        assert begun == Begun(200, {"a": "b"})
        return b"".join([piece async for piece in member.pieces()])
    finally:
        member.leave()


async def speak(flight: Flight, *pieces: bytes) -> None:
    """A call that answers this."""
    flight.begin(200, {"a": "b"})
    for piece in pieces:
        await asyncio.sleep(0)
        await flight.write(piece)
    flight.end()


async def test_all_get_the_whole_answer_of_one_call(tasks: Tasks) -> None:
    flights = Flights(LIMIT)
    members = [flights.join(KEY) for _ in range(100)]
    assert [member.first for member in members] == [True] + [False] * 99
    members[0].flight.run(tasks, speak(members[0].flight, b"one ", b"", b"two ", b"three"))
    assert await asyncio.gather(*map(everything, members)) == [b"one two three"] * 100
    assert members[0].flight.body() == b"one two three"
    assert len(flights) == 0
    assert flights.join(KEY).first


async def test_who_comes_later_gets_it_from_the_beginning(tasks: Tasks) -> None:
    flights = Flights(LIMIT)
    first = flights.join(KEY)
    more = asyncio.Event()

    async def work() -> None:
        first.flight.begin(200, {"a": "b"})
        await first.flight.write(b"one ")
        await first.flight.write(b"two ")
        await more.wait()
        await first.flight.write(b"three")
        first.flight.end()

    first.flight.run(tasks, work())
    await settle()
    later = flights.join(KEY)
    assert not later.first
    pieces = later.pieces()
    assert await anext(pieces) == b"one two "
    more.set()
    assert await anext(pieces) == b"three"
    assert await everything(first) == b"one two three"
    later.leave()


async def test_other_keys_are_other_calls_and_alone_is_alone(tasks: Tasks) -> None:
    flights = Flights(LIMIT)
    one = flights.join(KEY)
    assert flights.join((b"other", "")).first
    assert flights.join((b"key", "1")).first
    fresh = flights.join(KEY, alone=True)
    assert fresh.first
    assert flights.join(KEY).flight is one.flight
    fresh.leave()
    assert len(flights) == 3


async def test_the_call_goes_on_without_the_one_who_began_it(tasks: Tasks) -> None:
    flights = Flights(LIMIT)
    first, second = flights.join(KEY), flights.join(KEY)
    go = asyncio.Event()

    async def work() -> None:
        await go.wait()
        await speak(first.flight, b"answer")

    first.flight.run(tasks, work())
    await settle()
    first.leave()
    go.set()
    assert await everything(second) == b"answer"


async def test_the_last_to_leave_cancels_the_call(tasks: Tasks) -> None:
    flights = Flights(LIMIT)
    members = [flights.join(KEY) for _ in range(3)]
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    members[0].flight.run(tasks, work())
    await settle()
    for member in members[:2]:
        member.leave()
        member.leave()
    await settle()
    assert not cancelled.is_set()
    members[2].leave()
    assert flights.join(KEY).first
    await asyncio.wait_for(cancelled.wait(), 1)


@pytest.mark.parametrize(
    ("error", "for_all"),
    [
        (ProviderFault(Code.PROVIDER_RATE_LIMITED, "busy", retryable=True, retry_after_seconds=3), True),
        (ProviderFault(Code.INVALID_REQUEST, "no such tool", retryable=False), True),
        (TollwayError(Code.PROVIDER_TIMEOUT, "slow"), True),
        (TollwayError(Code.BUDGET_EXCEEDED, "no money"), False),
        (TollwayError(Code.INVALID_REQUEST, "x-tollway-timeout"), False),
        (TollwayError(Code.OVERLOADED, "full"), False),
    ],
)
async def test_only_the_providers_failures_are_everybodys(tasks: Tasks, error: TollwayError, for_all: bool) -> None:
    flights = Flights(LIMIT)
    first, second = flights.join(KEY), flights.join(KEY)

    async def work() -> None:
        raise error

    first.flight.run(tasks, work())
    with pytest.raises(type(error)) as caught:
        await first.begun()
    assert caught.value is error
    if for_all:
        with pytest.raises(type(error)):
            await second.begun()
    else:
        assert await second.begun() is None
        assert flights.join(KEY).first


async def test_a_first_one_that_never_calls_does_not_hold_the_others() -> None:
    flights = Flights(LIMIT)
    first, second = flights.join(KEY), flights.join(KEY)
    first.leave()
    assert await asyncio.wait_for(second.begun(), 1) is None
    assert flights.join(KEY).first


async def test_an_answer_that_is_not_for_others_sends_them_away(tasks: Tasks) -> None:
    flights = Flights(LIMIT)
    first, second = flights.join(KEY), flights.join(KEY)

    async def work() -> None:
        first.flight.dismiss()
        await speak(first.flight, b"short")

    first.flight.run(tasks, work())
    assert await second.begun() is None
    assert flights.join(KEY).first
    assert await everything(first) == b"short"


async def test_a_call_that_breaks_off_is_told_to_all(tasks: Tasks) -> None:
    flights = Flights(LIMIT)
    first, second = flights.join(KEY), flights.join(KEY)

    async def work() -> None:
        first.flight.begin(200, {})
        await first.flight.write(b"half")

    first.flight.run(tasks, work())
    for member in (first, second):
        assert await member.begun() is not None
        pieces = member.pieces()
        assert await anext(pieces) == b"half"
        with pytest.raises(FlightBroken):
            await anext(pieces)


async def test_a_defect_in_the_call_is_an_error_of_ours(tasks: Tasks) -> None:
    first = Flights(LIMIT).join(KEY)

    async def work() -> None:
        raise KeyError("defect")

    first.flight.run(tasks, work())
    with pytest.raises(TollwayError) as caught:
        await first.begun()
    assert caught.value.code is Code.INTERNAL_ERROR


async def test_a_long_answer_waits_for_its_fastest_reader_and_takes_no_more_in(tasks: Tasks) -> None:
    flights = Flights(LIMIT)
    first, idle = flights.join(KEY), flights.join(KEY)
    piece, count, written = b"x" * 10_000, 200, 0

    async def work() -> None:
        nonlocal written
        first.flight.begin(200, {"a": "b"})
        for _ in range(count):
            await first.flight.write(piece)
            written += len(piece)
        first.flight.end()

    first.flight.run(tasks, work())
    await settle()
    assert 0 < written <= AHEAD_BYTES + len(piece)
    assert flights.join(KEY).first, "an answer over the limit is not joined any more"
    held = []
    total = 0
    async for data in first.pieces():
        total += len(data)
        held.append(sum(map(len, first.flight._pieces)))
    assert total == count * len(piece)
    assert max(held) <= 2 * AHEAD_BYTES + LIMIT + 2 * len(piece)
    assert first.flight.body() is None
    with pytest.raises(FlightBroken, match="too slow"):
        await anext(idle.pieces())
    first.leave()
    idle.leave()


async def test_a_reader_that_stays_near_enough_gets_a_long_answer_whole(tasks: Tasks) -> None:
    flights = Flights(LIMIT)
    members = [flights.join(KEY) for _ in range(3)]
    members[0].flight.run(tasks, speak(members[0].flight, *[bytes([n]) * 5000 for n in range(200)]))
    answers = await asyncio.gather(*map(everything, members))
    assert answers == [b"".join(bytes([n]) * 5000 for n in range(200))] * 3
