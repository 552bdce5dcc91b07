"""The cache on a real Valkey: what is kept is found by its own project alone, sealed, and bounded."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tollway.core.catalog import CacheScope
from tollway.dataplane.cache.redis_answers import MAX_STEPS, Partition, RedisAnswers
from tollway.dataplane.stores.redis_connection import RedisConnection
from tollway.testkit.cache_fleet import CANARY, DONE, STREAM, USAGE, WHOLE, CacheFleet, Words, answer
from tollway.testkit.servers import ValkeyServer

Keys = Callable[[], dict[str, Any]]


@pytest.fixture
def keys(fleet: CacheFleet, valkey: ValkeyServer) -> Keys:
    """Every key of the organisation, with its time to live in seconds."""

    def read() -> dict[str, Any]:
        names = valkey.command("KEYS", f"tw:{{o:{fleet.organisation}}}:cache:*")
        return {name.decode(): valkey.command("TTL", name) for name in names}

    return read


async def test_what_one_process_keeps_all_of_them_find(fleet: CacheFleet) -> None:
    one, other = fleet.start(), fleet.start()
    assert await one.find(fleet.plan(one)) is None
    kept = answer(dropped=("seed",))
    one.keep(fleet.plan(one), kept)
    fleet.clock.advance(7)
    at_once = await one.find(fleet.plan(one))
    await fleet.stored()
    found = await other.find(fleet.plan(other))
    again = await other.find(fleet.plan(other))
    assert at_once == found == again
    assert found is not None
    assert msgspec.structs.replace(found.answer, stored_ms=0, seconds=0) == kept
    assert (found.age, found.similar) == (7, False)
    assert one.counts.results | other.counts.results == {"memory": 1, "store": 1, "similar": 0, "shared": 0, "miss": 0}
    assert (one.counts.stored, other.counts.saved_nano) == (1, 10)


async def test_a_stream_is_given_again_byte_for_byte(fleet: CacheFleet) -> None:
    one, other = fleet.start(), fleet.start()
    events = STREAM.replace(b'"stop"', b"null") * 500 + STREAM + USAGE + DONE
    one.keep(fleet.plan(one, stream=True), answer(events, content_type="text/event-stream; charset=utf-8"))
    await fleet.stored()
    found = await other.find(fleet.plan(other, stream=True))
    assert found is not None
    assert b"".join(found.answer.pieces()) == events
    assert await other.find(fleet.plan(other, stream=False)) is None


async def test_projects_share_nothing_unless_both_chose_to(fleet: CacheFleet) -> None:
    cache = fleet.start()
    shared: dict[str, Any] = {"scope": CacheScope.ORGANISATION}
    cache.keep(fleet.plan(cache), answer())
    await fleet.stored()
    fresh = fleet.start()
    assert await fresh.find(fleet.plan(fresh, project="p2")) is None
    assert await fresh.find(fleet.plan(fresh, **shared)) is None
    cache.keep(fleet.plan(cache, project="p1", **shared), answer())
    await fleet.stored()
    assert await fresh.find(fleet.plan(fresh, project="p2")) is None
    assert await fresh.find(fleet.plan(fresh, project="p2", **shared)) is not None
    mine, fleet.organisation = fleet.organisation, uuid.uuid4().hex
    assert await fresh.find(fleet.plan(fresh, project="p2", **shared)) is None
    fleet.organisation = mine


async def test_nothing_in_the_store_can_be_read_moved_or_forged(
    fleet: CacheFleet, valkey: ValkeyServer, keys: Keys
) -> None:
    cache = fleet.start()
    mine, theirs = fleet.plan(cache, "mine"), fleet.plan(cache, "theirs", project="p2")
    cache.keep(mine, answer())
    cache.keep(theirs, answer(WHOLE.replace(b"chatcmpl-1", b"chatcmpl-2")))
    await fleet.stored()
    for plan in (mine, theirs):
        value = valkey.command("GET", f"{plan.partition.root}:{plan.name}")
        assert not any(word.encode() in value for word in (CANARY, "chatcmpl", "mine", "choices"))
    assert "mine" not in str(keys())
    moved = valkey.command("GET", f"{theirs.partition.root}:{theirs.name}")
    for forged in (moved, b"", b"x" * 100, b"\0" * 100_000):
        valkey.command("SET", f"{mine.partition.root}:{mine.name}", forged, "EX", 60)
        fresh = fleet.start()
        assert await fresh.find(fleet.plan(fresh, "mine")) is None
        assert fresh.counts.errors == 1
    stranger = fleet.start(fleet_key=b"o" * 32)
    assert await stranger.find(fleet.plan(stranger, "theirs", project="p2")) is None


async def test_every_key_goes_by_itself_and_lies_in_the_slot_of_its_organisation(fleet: CacheFleet, keys: Keys) -> None:
    cache = fleet.start(embedder=Words())
    for n, seconds in enumerate((600, 5, 60)):
        cache.keep(fleet.plan(cache, f"question {n}", ttl_seconds=seconds, similarity=0.9), answer())
        await fleet.stored()
    found = keys()
    assert len(found) == 6, "three answers, one place, index and sizes"
    assert all(0 < seconds <= 601 for seconds in found.values())
    root = Partition(fleet.organisation, "p:p1").root
    assert found[root] > 598
    assert found[f"{root}:bytes"] > 598
    (near,) = [name for name in found if name.startswith(f"{root}:near:")]
    assert found[near] > 598, "as long as the longest of its answers"


async def test_a_project_takes_no_more_than_its_share(fleet: CacheFleet, valkey: ValkeyServer, keys: Keys) -> None:
    cache = fleet.start(partition_bytes=3000, memory_bytes=1)
    noise = ["".join(uuid.uuid4().hex for _ in range(20)) for _ in range(12)]
    for n, text in enumerate(noise):
        cache.keep(
            fleet.plan(cache, str(n), ttl_seconds=600 + n), answer(WHOLE.replace(CANARY.encode(), text.encode()))
        )
        await fleet.stored()
    root = Partition(fleet.organisation, "p:p1").root
    sizes = {name.decode(): int(size) for name, size in valkey.command("HGETALL", f"{root}:bytes").items()}
    values = {name: valkey.command("STRLEN", f"{root}:{name}") for name in sizes if name}
    assert sizes.pop("") == sum(values.values()) <= 3000
    assert sizes == values
    assert valkey.command("ZCARD", root) == len(values)
    hits = [await cache.find(fleet.plan(cache, str(n))) is not None for n in range(12)]
    assert hits == sorted(hits), "the oldest went"
    assert 2 < sum(hits) < 12
    assert cache.counts.evicted == 12 - sum(hits)
    assert len(keys()) == len(values) + 2


async def test_room_is_made_in_bounded_steps(fleet: CacheFleet) -> None:
    connection = RedisConnection(fleet.url)
    fleet.connections.append(connection)
    store, partition = RedisAnswers(connection, fleet.tasks), Partition(fleet.organisation, "p:p1")
    for n in range(3 * MAX_STEPS):
        assert (await store.put(partition, str(n), b"x", seconds=60, quota=3 * MAX_STEPS)).stored
    big = b"x" * (2 * MAX_STEPS + 50)
    told = [await store.put(partition, "big", big, seconds=60, quota=3 * MAX_STEPS) for _ in range(3)]
    assert told == [(False, MAX_STEPS), (False, MAX_STEPS), (True, 50)]
    assert await store.get(partition, "big") == big
    assert await store.get(partition, "0") is None
    assert await store.get(partition, str(3 * MAX_STEPS - 1)) == b"x"
    assert (await store.put(partition, "huge", b"x" * 1000, seconds=60, quota=900)) == (False, 0)


async def test_expired_answers_give_their_room_back(fleet: CacheFleet, valkey: ValkeyServer) -> None:
    connection = RedisConnection(fleet.url)
    fleet.connections.append(connection)
    store, partition = RedisAnswers(connection, fleet.tasks), Partition(fleet.organisation, "p:p1")
    await store.put(partition, "long", b"x" * 50, seconds=60, quota=100)
    await store.put(partition, "short", b"x" * 50, seconds=1, quota=100)
    await asyncio.sleep(1.1)
    assert await store.get(partition, "short") is None
    assert await store.put(partition, "new", b"x" * 50, seconds=60, quota=100) == (True, 0)
    assert int(valkey.command("HGET", f"{partition.root}:bytes", "")) == 100


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (WHOLE.replace(b"stop", b"content_filter"), "incomplete"),
        (WHOLE[:-1], "incomplete"),
        (b'{"error":{}}' + b" " * 70_000, "incomplete"),
        (WHOLE.replace(b"answer", b"a" * 200_000), "large"),
    ],
)
async def test_only_whole_answers_of_a_bearable_size_are_kept(fleet: CacheFleet, body: bytes, reason: str) -> None:
    cache = fleet.start(answer_bytes=100_000)
    cache.keep(fleet.plan(cache), answer(body))
    await fleet.stored()
    assert await cache.find(fleet.plan(cache)) is None
    assert {name: count for name, count in cache.counts.lost.items() if count} == {reason: 1}


async def test_a_large_answer_is_kept_beside_the_loop(fleet: CacheFleet) -> None:
    one, other = fleet.start(), fleet.start()
    big = WHOLE.replace(b"answer", uuid.uuid4().hex.encode() * 20_000)
    one.keep(fleet.plan(one), answer(big))
    await fleet.stored()
    found = await other.find(fleet.plan(other))
    assert found is not None
    assert found.answer.body == big


async def test_what_waits_to_be_stored_is_bounded(fleet: CacheFleet) -> None:
    cache = fleet.start(pending_bytes=2000)
    for n in range(10):
        cache.keep(fleet.plan(cache, str(n)), answer())
    assert cache.counts.lost["busy"] == 7
    await fleet.stored()
    cache.keep(fleet.plan(cache, "later"), answer())
    assert cache.counts.lost["busy"] == 7


async def test_a_length_that_the_gateway_bounded_is_nobodys_wish(fleet: CacheFleet) -> None:
    cache = fleet.start()
    cut = answer(WHOLE.replace(b"stop", b"length"))
    cache.keep(fleet.plan(cache), cut, capped=True)
    assert await cache.find(fleet.plan(cache)) is None
    cache.keep(fleet.plan(cache), cut)
    assert await cache.find(fleet.plan(cache)) is not None


async def test_age_control_and_refresh(fleet: CacheFleet) -> None:
    cache = fleet.start()
    cache.keep(fleet.plan(cache), answer())
    fleet.clock.advance(100)
    assert await cache.find(fleet.plan(cache, header="ttl=99")) is None
    assert await cache.find(fleet.plan(cache, header="ttl=100")) is not None
    assert await cache.find(fleet.plan(cache, ttl_seconds=50)) is None
    assert await cache.find(fleet.plan(cache, header="refresh")) is None
    cache.keep(fleet.plan(cache, header="refresh"), answer(WHOLE.replace(b"chatcmpl-1", b"chatcmpl-2")))
    found = await cache.find(fleet.plan(cache, header="ttl=99"))
    assert found is not None
    assert b"chatcmpl-2" in found.answer.body
    cache.keep(fleet.plan(cache, "brief", header="ttl=10"), answer())
    fleet.clock.advance(11)
    assert await cache.find(fleet.plan(cache, "brief")) is None
