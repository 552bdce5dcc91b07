"""Single promises of the pools in a real Valkey: largest amounts, what was used before, carry-over, places, the end."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tollway.core.leases import Ask, Told
from tollway.core.money import MAX_NANO
from tollway.core.rules import Budget, Increase, carried_over, limit_at
from tollway.dataplane.admission.ports import Answer, Life, PoolAsk, PoolTold
from tollway.dataplane.admission.redis_counters import PLACES_MS, RedisCounters

LARGEST = 2**53 - 1
LATER_MS = 1 << 50
"""A window that begins after the life: nothing was used before."""


class Pools:
    """One organisation's pools in a life that is ready."""

    def __init__(self, store: RedisCounters, valkey: Any) -> None:
        self.store = store
        self.valkey = valkey
        self.organisation = uuid.uuid4().hex
        self.epoch = uuid.uuid4().hex
        self.seq = 0

    async def live(self) -> Pools:
        await self.store.begin(self.organisation, self.epoch)
        await self.store.ready(self.organisation, self.epoch, 1)
        return self

    async def answer(self, holder: str, *asks: PoolAsk) -> Answer:
        return await self.store.ask(self.organisation, self.epoch, holder, asks)

    async def told(self, holder: str, ask: PoolAsk) -> PoolTold:
        return (await self.answer(holder, ask)).told[0]

    def ask(
        self, account: str, limit: int, *, want: int = 0, spent: int = 0, held: int = 0, extra: int = 0, **rest: Any
    ) -> PoolAsk:
        self.seq += 1
        start = rest.pop("start_ms", LATER_MS)
        return PoolAsk(account, Ask(self.seq, spent, held, max(1, want), want, extra), limit, start, **rest)

    def stored(self, account: str, field: str) -> int:
        key = f"tw:{{o:{self.organisation}}}:{self.epoch}:a:{account}"
        return int(self.valkey.command("HGET", key, field) or 0)


@pytest.fixture
async def pools(valkey: Any) -> AsyncIterator[Pools]:
    store = RedisCounters(valkey.url, timeout_seconds=5)
    yield await Pools(store, valkey).live()
    await store.close()


@pytest.mark.parametrize("limit", [10**14, MAX_NANO, LARGEST])
async def test_the_last_unit_of_the_largest_amounts_is_given_out_once(pools: Pools, limit: int) -> None:
    first = await pools.told("one", pools.ask("b1:0", limit, want=limit - 1))
    assert first.told == Told(limit - 1, 0, limit - 1, limit, tight=False)
    assert (await pools.told("two", pools.ask("b1:0", limit, want=2))).told.granted == 0
    assert (await pools.told("two", pools.ask("b1:0", limit, want=1))).told.granted == 1
    assert (await pools.told("three", pools.ask("b1:0", limit, want=1))).told.granted == 0
    back = await pools.told("one", pools.ask("b1:0", limit, spent=limit - 2))
    assert back.told == Told(0, limit - 2, 1, limit, tight=False)
    assert (pools.stored("b1:0", "s"), pools.stored("b1:0", "o")) == (limit - 2, 1)


async def test_sums_beyond_exact_doubles_are_kept_to_the_unit_and_grant_nothing(pools: Pools) -> None:
    # Only calls that cost more than was reserved come here: limits, with all that may be added to them, stay below.
    for number, spent in enumerate((LARGEST, LARGEST - 1, 3), 1):
        told = await pools.told(f"h{number}", pools.ask("b1:0", LARGEST, spent=spent, want=1, extra=1))
        assert told.told.granted == 0
    assert pools.stored("b1:0", "s") == 2 * LARGEST + 2
    assert await pools.store.close_holder(pools.organisation, pools.epoch, "h3", {"b1:0": 8}) is True
    assert pools.stored("b1:0", "s") == 2 * LARGEST + 7


async def test_what_was_used_before_is_asked_for_and_counted_once(pools: Pools) -> None:
    def ask(before: int | None, **more: int) -> PoolAsk:
        return pools.ask("b1:0", 10**14, start_ms=0, before=before, **more)

    unknown = await pools.told("one", ask(None, want=5, extra=9))
    assert unknown == PoolTold(Told(0, 0, 0, 10**14, tight=False, known=False))
    known = await pools.told("one", ask(10**14 - 7, want=5))
    assert known.told == Told(5, 10**14 - 7, 5, 10**14, tight=False)
    again = await pools.told("two", ask(10**14 - 1, want=2))
    assert again.told == Told(2, 10**14 - 7, 7, 10**14, tight=False)


async def test_a_window_that_began_before_the_life_is_unknown_and_one_after_it_is_not(pools: Pools) -> None:
    now = int(time.time() * 1000)
    assert not (await pools.told("one", pools.ask("b1:1", 100, want=1, start_ms=now - 60_000))).told.known
    assert (await pools.told("one", pools.ask("b1:2", 100, want=1, start_ms=now + 60_000))).told.granted == 1


BUDGET = Budget(
    id="b1",
    scope="project",
    subject="p",
    limit_nano=100,
    carry_over=True,
    increases=(Increase(amount_nano=50, from_ms=0, until_ms=10),),
)


@pytest.mark.parametrize("used", [0, 30, 100, 120, 150])
async def test_the_rest_of_the_window_before_is_carried_over_as_the_budget_says(pools: Pools, used: int) -> None:
    """Increases are not carried, and neither is what was carried into that window."""
    await pools.told("one", pools.ask("b1:0", limit_at(BUDGET, 5), spent=used, previous="b1:-1", carry=100))
    told = await pools.told("one", pools.ask("b1:9", 100, previous="b1:0", carry=100, previous_start_ms=LATER_MS))
    assert told.told.limit == 100 + carried_over(BUDGET, used)


async def test_what_was_carried_is_not_carried_again(pools: Pools) -> None:
    def ask(number: int, spent: int = 0) -> PoolAsk:
        previous = f"b1:{number - 1}"
        return pools.ask(f"b1:{number}", 100, spent=spent, previous=previous, carry=100, previous_start_ms=LATER_MS)

    assert (await pools.told("one", ask(1))).told.limit == 200  # of an empty window
    await pools.told("one", ask(1, spent=130))
    assert (await pools.told("one", ask(2))).told.limit == 100  # 130 of its own 100 were used


async def test_what_is_held_of_the_window_before_is_not_carried_until_it_is_given_back(pools: Pools) -> None:
    def next_window() -> PoolAsk:
        return pools.ask("b1:9", 100, previous="b1:0", carry=100, previous_start_ms=LATER_MS)

    await pools.told("one", pools.ask("b1:0", 100, spent=20, want=50))
    assert (await pools.told("two", next_window())).told.limit == 130
    await pools.told("one", pools.ask("b1:0", 100, spent=30))
    assert (await pools.told("two", next_window())).told.limit == 170


async def test_a_window_before_of_which_nothing_is_known_must_be_asked_for(pools: Pools) -> None:
    def ask(**more: Any) -> PoolAsk:
        return pools.ask("b1:9", 100, want=120, previous="b1:0", carry=100, **more)

    unknown = await pools.told("one", ask())
    assert unknown == PoolTold(Told(0, 0, 0, 100, tight=False, known=False), previous_unknown=True)
    await pools.told("one", pools.ask("b1:0", 100, start_ms=0, before=75))
    known = await pools.told("one", ask())
    assert known.told == Told(120, 0, 120, 125, tight=False)


async def test_limits_are_lowered_and_raised(pools: Pools) -> None:
    await pools.told("one", pools.ask("b1:0", 100, want=80))
    lowered = await pools.told("two", pools.ask("b1:0", 50, want=1))
    assert (lowered.told.granted, lowered.told.free, lowered.told.tight) == (0, -30, True)
    assert (await pools.told("two", pools.ask("b1:0", 101, want=21))).told.granted == 21


async def test_places_of_the_dead_are_given_up_after_their_time(pools: Pools) -> None:
    def ask(want: int, held: int = 0) -> PoolAsk:
        return pools.ask("c1:c", 10, want=want, held=held, places=True)

    async def silent(holder: str, ms: int) -> None:
        key = f"tw:{{o:{pools.organisation}}}:{pools.epoch}:holders"
        pools.valkey.command("ZADD", key, int(time.time() * 1000) - ms, holder)

    await pools.told("alive", ask(3))
    await pools.told("dead", ask(6))
    assert (await pools.told("new", ask(2))).told.granted == 0
    await silent("dead", PLACES_MS - 1000)
    assert (await pools.told("new", ask(2))).told.granted == 0
    await silent("dead", PLACES_MS + 1000)
    await silent("alive", PLACES_MS - 1000)
    assert (await pools.told("new", ask(2))).told == Told(2, 0, 5, 10, tight=False)
    # It was only slow: what it still holds counts again, and nothing is granted before there is room.
    assert (await pools.told("dead", ask(1, held=6))).told == Told(0, 0, 11, 10, tight=True)
    assert pools.stored("c1:c", "o") == 11


async def test_money_of_the_dead_is_never_given_up_by_time(pools: Pools) -> None:
    await pools.told("dead", pools.ask("b1:0", 10, want=6))
    key = f"tw:{{o:{pools.organisation}}}:{pools.epoch}:holders"
    pools.valkey.command("ZADD", key, 1, "dead")
    assert (await pools.told("new", pools.ask("b1:0", 10, want=5))).told.granted == 0


async def test_a_dead_holder_is_closed_once_and_told_so_when_it_comes_back(pools: Pools) -> None:
    async def close(holder: str, **totals: int) -> bool | None:
        named = {name.replace("_", ":"): total for name, total in totals.items()}
        return await pools.store.close_holder(pools.organisation, pools.epoch, holder, named)

    await pools.answer(
        "dead",
        pools.ask("b1:0", 100, spent=5, want=20),
        pools.ask("b2:0", 100, spent=5, want=20),
        pools.ask("r1:0", 100, spent=5, want=20),
        pools.ask("c1:c", 100, want=20, places=True),
    )
    assert await close("dead", b1_0=17, b2_0=3) is True
    assert [pools.stored(a, "s") for a in ("b1:0", "b2:0", "r1:0", "c1:c")] == [17, 5, 25, 0]
    assert [pools.stored(a, "o") for a in ("b1:0", "b2:0", "r1:0", "c1:c")] == [0, 0, 0, 0]
    assert await close("dead", b1_0=90) is True
    assert pools.stored("b1:0", "s") == 17
    assert await pools.answer("dead", pools.ask("b1:0", 100, want=1)) == Answer(None, closed=True)
    assert await close("nobody", b1_0=90) is None
    assert await pools.store.close_holder(pools.organisation, "another life", "dead", {}) is False


async def test_pools_end_with_their_windows(pools: Pools) -> None:
    now = int(time.time() * 1000)
    await pools.told("one", pools.ask("r1:0", 5, want=1, expire_ms=now + 60_000))
    key = f"tw:{{o:{pools.organisation}}}:{pools.epoch}:a:r1:0"
    assert 50_000 < pools.valkey.command("PTTL", key) <= 60_000


async def test_a_life_that_gathers_hears_and_grants_nothing(pools: Pools) -> None:
    organisation = uuid.uuid4().hex
    store = pools.store
    assert await store.begin(organisation, "e1") == Life("e1", ready=False)
    assert await store.begin(organisation, "e2") == Life("e1", ready=False)
    answer = await store.ask(organisation, "e1", "one", [pools.ask("b1:0", 100, want=5, spent=7, held=9, extra=50)])
    assert answer.life == Life("e1", ready=False)
    assert answer.told[0].told == Told(0, 7, 9, 100, tight=False)
    await store.join(organisation, "e1", "one", "replica-1")
    assert await store.members(organisation, "e1") == {"replica-1"}
    assert await store.ready(organisation, "e1", 123)
    assert await store.ready(organisation, "e1", 456)
    ready = await store.ask(organisation, "e1", "one", [pools.ask("b1:0", 100, want=5, spent=7, held=9)])
    assert ready.life == Life("e1", ready=True, cut_us=123)
    assert ready.told[0].told.granted == 5
    assert not await store.ready(organisation, "e3", 1)
    assert (await store.ask(organisation, "e3", "one", [pools.ask("b1:0", 100, want=5)])).life is None
