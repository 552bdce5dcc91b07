"""The cache when its store is away, for many who ask at once, and for questions that mean the same."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tollway.dataplane.cache.cache import WRITERS
from tollway.testkit.cache_fleet import WHOLE, CacheFleet, Words, answer, ask
from tollway.testkit.servers import ValkeyServer


async def test_a_store_that_is_away_costs_one_short_wait(fleet: CacheFleet, valkey: ValkeyServer) -> None:
    cache = fleet.start(timeout_seconds=0.2)
    cache.keep(fleet.plan(cache, "known"), answer())
    await fleet.stored()
    valkey.freeze()
    try:
        began = time.monotonic()
        for n in range(50):
            assert await cache.find(fleet.plan(cache, str(n))) is None
            cache.keep(fleet.plan(cache, str(n)), answer())
        assert await cache.find(fleet.plan(cache, "known")) is not None
        assert await cache.find(fleet.plan(cache, "7")) is not None
        assert time.monotonic() - began < 0.8
        await fleet.stored()
    finally:
        valkey.freeze(False)
    assert cache.counts.errors == 1 + WRITERS
    assert cache.counts.lost["store"] == 50
    fleet.clock.advance(2)
    cache.keep(fleet.plan(cache, "after"), answer())
    await fleet.stored()
    other = fleet.start()
    assert await other.find(fleet.plan(other, "after")) is not None
    assert await cache.find(fleet.plan(cache, "nobody asked")) is None
    assert cache.counts.errors == 1 + WRITERS


async def test_no_store_at_all_is_a_cache_of_one_process(fleet: CacheFleet) -> None:
    cache = fleet.start(url="redis://127.0.0.1:1/0")
    assert await cache.find(fleet.plan(cache)) is None
    cache.keep(fleet.plan(cache), answer())
    await fleet.stored()
    assert await cache.find(fleet.plan(cache)) is not None


async def test_a_hundred_at_once_make_one_call(fleet: CacheFleet) -> None:
    cache = fleet.start()
    calls: list[str] = []
    first = await asyncio.gather(*(ask(fleet, cache, "same", calls) for _ in range(100)))
    later = await ask(fleet, cache, "same", calls)
    assert {*first, later} == {WHOLE}
    assert calls == ["same"]
    assert cache.counts.results == {"memory": 1, "store": 0, "similar": 0, "shared": 99, "miss": 1}
    await ask(fleet, cache, "same", calls, header="refresh")
    await ask(fleet, cache, "same", calls, project="p2")
    assert len(calls) == 3
    assert cache.levels().flights == 0
    await fleet.stored()


async def test_questions_that_mean_the_same_find_each_other_in_their_own_project(fleet: CacheFleet) -> None:
    words = Words()
    one, other = fleet.start(embedder=words), fleet.start(embedder=words)
    near: dict[str, Any] = {"similarity": 0.8}
    one.keep(fleet.plan(one, "How do I sort a list in Python?", **near), answer())
    await fleet.stored()
    for text, found in (
        ("In Python, how can I sort a list?", True),
        ("In Java, how can I sort a list?", False),
        ("How do I not sort a list in Python?", False),
        ("How do I sort a list in Python 2?", False),
    ):
        hit = await other.find(fleet.plan(other, text, **near))
        assert (hit is not None) is found, text
        assert hit is None or hit.similar
    same = "Please, how do I sort a list in Python?"
    assert await other.find(fleet.plan(other, same)) is None, "not asked for"
    assert await other.find(fleet.plan(other, same, project="p2", **near)) is None
    assert await other.find(fleet.plan(other, same, stream=True, **near)) is None
    assert await other.find(fleet.plan(other, same, similarity=0.9999999)) is None
    assert await other.find(fleet.plan(other, same, header="refresh", **near)) is None
    fleet.clock.advance(10)
    assert await other.find(fleet.plan(other, same, header="ttl=9", **near)) is None
    found_again = await other.find(fleet.plan(other, same, header="ttl=10", **near))
    assert found_again is not None
    assert (found_again.age, found_again.answer.body) == (10, WHOLE)
    fleet.clock.advance(3600)
    assert await other.find(fleet.plan(other, same, **near)) is None


async def test_meaning_is_only_asked_for_where_it_can_decide_and_its_failure_is_a_miss(fleet: CacheFleet) -> None:
    words = Words()
    cache = fleet.start(embedder=words)
    near: dict[str, Any] = {"similarity": 0.8}
    assert await cache.find(fleet.plan(cache, "How do I sort a list?", **near)) is None
    assert words.calls == [], "there is nothing to compare with"
    cache.keep(fleet.plan(cache, "How do I sort a list?", **near), answer())
    await fleet.stored()
    assert len(words.calls) == 1
    assert await cache.find(fleet.plan(cache, "How do I boil an egg?", **near)) is None
    assert len(words.calls) == 1, "the words differ: no need to compare the meaning"
    words.broken = True
    assert await cache.find(fleet.plan(cache, "How can I sort a list?", **near)) is None
    assert len(words.calls) == 2
    words.broken = False
    assert await cache.find(fleet.plan(cache, "How can I sort a list?", **near)) is not None
