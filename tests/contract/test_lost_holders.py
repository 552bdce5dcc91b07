"""What is left of a lost process in a real Valkey: its accounts count as spent, its copy is read, and removed once."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tollway.core.leases import Ask
from tollway.dataplane.admission.ports import PoolAsk, WrittenOff
from tollway.dataplane.admission.redis_counters import RedisCounters
from tollway.dataplane.outbox.journal import Position
from tollway.dataplane.stores.redis_connection import RedisConnection
from tollway.dataplane.stores.redis_copies import HOLDERS, PAGE_ENTRIES, RedisCopies, Silent, stream_key

LATER_MS = 1 << 50
LIMIT = 10**14


class Life:
    """One organisation's counters."""

    def __init__(self, store: RedisCounters, valkey: Any) -> None:
        self.store = store
        self.valkey = valkey
        self.organisation = uuid.uuid4().hex
        self.epoch = uuid.uuid4().hex

    async def begin(self) -> Life:
        await self.store.begin(self.organisation, self.epoch)
        await self.store.ready(self.organisation, self.epoch, 1)
        return self

    async def hold(self, holder: str, account: str, spent: int, held: int, seq: int = 1) -> None:
        """A process that has spent and holds."""
        ask = PoolAsk(account, Ask(seq, spent, held), LIMIT, LATER_MS, places=account.endswith(":c"))
        answer = await self.store.ask(self.organisation, self.epoch, holder, [ask])
        assert not answer.closed

    def pool(self, account: str) -> tuple[int, int]:
        """Spent and held."""
        key = f"tw:{{o:{self.organisation}}}:{self.epoch}:a:{account}"
        spent, held = self.valkey.command("HMGET", key, "s", "o")
        return int(spent or 0), int(held or 0)

    async def lost(self, holder: str, epoch: str | None = None) -> WrittenOff | None:
        """Closes a holder as lost."""
        return await self.store.close_holder(self.organisation, epoch or self.epoch, holder, {}, lost=True)


@pytest.fixture
async def life(valkey: Any) -> AsyncIterator[Life]:
    store = RedisCounters(valkey.url, timeout_seconds=5)
    yield await Life(store, valkey).begin()
    await store.close()


@pytest.fixture
async def copies(valkey: Any) -> AsyncIterator[RedisCopies]:
    valkey.command("DEL", HOLDERS)
    connection = RedisConnection(valkey.url, timeout_seconds=5)
    yield RedisCopies(connection)
    await connection.close()


@pytest.fixture
def holder() -> str:
    return uuid.uuid4().hex


async def test_all_that_a_lost_holder_held_counts_as_spent_and_the_answer_says_how_much(life: Life) -> None:
    await life.hold("dead", "b1:0", 5, 7)
    await life.hold("alive", "b1:0", 1, 2)
    await life.hold("dead", "b2:0", 3, 0)
    await life.hold("dead", "b3:0", 0, 2**52)
    await life.hold("dead", "r1:0", 10, 4)
    await life.hold("dead", "r2:c", 0, 6)
    expected = WrittenOff({"b1:0": 7, "b3:0": 2**52})
    for _ in range(3):
        assert await life.lost("dead") == expected
    assert life.pool("b1:0") == (13, 2)
    assert life.pool("b2:0") == (3, 0)
    assert life.pool("b3:0") == (2**52, 0)
    assert life.pool("r1:0") == (14, 0)
    assert life.pool("r2:c") == (0, 0)
    answer = await life.store.ask(life.organisation, life.epoch, "dead", [])
    assert answer.closed
    assert await life.store.close_holder(life.organisation, life.epoch, "dead", {"b1:0": 99}) is True
    assert life.pool("b1:0") == (13, 2), "its successor adds nothing"


async def test_who_ended_in_order_or_was_booked_by_a_successor_is_not_written_off(life: Life) -> None:
    await life.hold("left", "b1:0", 5, 0)
    await life.store.leave(life.organisation, life.epoch, "left")
    assert await life.lost("left") == WrittenOff({}, ended=True)
    await life.hold("booked", "b1:0", 1, 7)
    assert await life.store.close_holder(life.organisation, life.epoch, "booked", {"b1:0": 2}) is True
    assert await life.lost("booked") == WrittenOff({}, ended=True)
    assert life.pool("b1:0") == (7, 0)


async def test_a_holder_without_accounts_and_another_life(life: Life) -> None:
    assert await life.lost("nobody") == WrittenOff({})
    assert await life.lost("nobody", "another life") is None


async def test_as_many_budgets_as_there_may_be(life: Life) -> None:
    asks = [PoolAsk(f"b{n}:0", Ask(1, 0, n), LIMIT, LATER_MS) for n in range(1, 9001)]
    await life.store.ask(life.organisation, life.epoch, "dead", asks)
    written = await life.lost("dead")
    assert written is not None
    assert sum(written.amounts.values()) == 9000 * 9001 // 2


async def test_an_entry_is_added_once_and_trimmed_by_its_place(copies: RedisCopies, holder: str) -> None:
    places = [Position(1, 50), Position(1, 90), Position(2, 10)]
    for place in places:
        for _ in range(2):
            await copies.append(holder, place, b"%d" % place.offset)
    assert await copies.beat(holder) == 3
    assert (await copies.read(holder)).entries == (b"50", b"90", b"10")
    await copies.trim(holder, Position(1, 89))
    assert (await copies.read(holder)).entries == (b"90", b"10")
    await copies.trim(holder, Position(1, 90))
    assert (await copies.read(holder)).entries == (b"10",)
    await copies.append(holder, Position(1, 90), b"late")
    assert (await copies.read(holder)).entries == (b"10",)
    await copies.forget(holder)
    assert await copies.silent(0) == []


async def test_a_stream_is_read_in_pages_and_marked_at_its_end(copies: RedisCopies, holder: str) -> None:
    count = 2 * PAGE_ENTRIES
    for number in range(1, count + 1):
        await copies.append(holder, Position(number, 0), b"%d" % number)
    found: list[bytes] = []
    for _ in range(2):
        await copies.mark_shipped(holder, f"{count}-0", "life")  # twice is once
        found, after, marks = [], None, []
        while True:
            page = await copies.read(holder, after)
            found += page.entries
            marks.append(page.shipped_in)
            after = page.after
            if after is None:
                break
    assert found == [b"%d" % number for number in range(1, count + 1)]
    assert marks == [None, None, "life"]
    await copies.append(holder, Position(count, 100), b"later")
    assert await copies.beat(holder) == count + 2


async def test_only_the_silent_are_found_and_one_of_all_buries(valkey: Any, copies: RedisCopies, holder: str) -> None:
    await copies.append(holder, Position(1, 1), b"x")
    await copies.beat(holder, ["unknown"])
    assert await copies.silent(60) == []
    (found,) = await copies.silent(0)
    assert found.holder == holder
    assert not await copies.bury(Silent(holder, found.heartbeat_ms - 1))
    assert valkey.command("EXISTS", stream_key(holder)) == 1
    assert [await copies.bury(found), await copies.bury(found)] == [True, False]
    assert valkey.command("EXISTS", stream_key(holder), HOLDERS) == 0


async def test_one_looks_at_a_time(valkey: Any, copies: RedisCopies) -> None:
    valkey.command("DEL", "tw:copies:sweeper")
    assert await copies.lead("one", 5)
    assert not await copies.lead("two", 5)
    assert await copies.lead("one", 0.05)
    valkey.command("DEL", "tw:copies:sweeper")
    assert await copies.lead("two", 5)
