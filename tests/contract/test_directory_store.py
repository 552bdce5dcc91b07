"""One suite for every directory store: the memory twin and a real Valkey keep the same promises."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tollway.dataplane.stores.memory_directory import MemoryDirectory
from tollway.dataplane.stores.ports import Change, DirectoryStore, Marker, SealedCatalog, StoredEntry, StoreUnavailable
from tollway.dataplane.stores.redis_connection import RedisConnection
from tollway.dataplane.stores.redis_directory import RedisDirectory


@pytest.fixture(params=["memory", "valkey"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[DirectoryStore]:
    if request.param == "memory":
        yield MemoryDirectory()
        return
    valkey: Any = request.getfixturevalue("valkey")
    valkey.flush()
    redis = RedisDirectory(RedisConnection(valkey.url))
    yield redis
    await redis.close()


def epoch() -> str:
    return uuid.uuid4().hex


async def test_an_empty_store_says_so(store: DirectoryStore) -> None:
    assert await store.marker() is None
    assert await store.load_catalog() is None
    assert await store.read(epoch(), "nobody") == (None, None)


async def test_a_newer_version_wins_in_any_order(store: DirectoryStore) -> None:
    e = epoch()
    await store.apply(e, [Change("k", 5, b"five")])
    await store.apply(e, [Change("k", 4, b"four"), Change("other", 1, b"one")])
    assert (await store.read(e, "k"))[0] == StoredEntry(5, b"five")
    await store.apply(e, [Change("k", 6, b"")])
    assert (await store.read(e, "k"))[0] == StoredEntry(6, b"")
    await store.apply(e, [Change("k", 5, b"five")])
    assert (await store.read(e, "k"))[0] == StoredEntry(6, b"")


async def test_versions_are_compared_as_numbers(store: DirectoryStore) -> None:
    e = epoch()
    await store.apply(e, [Change("k", 9, b"nine")])
    await store.apply(e, [Change("k", 10, b"ten")])
    assert (await store.read(e, "k"))[0] == StoredEntry(10, b"ten")
    large = 2**53 - 1
    await store.apply(e, [Change("k", large, b"large")])
    await store.apply(e, [Change("k", large - 1, b"smaller")])
    assert (await store.read(e, "k"))[0] == StoredEntry(large, b"large")


async def test_epochs_do_not_see_each_other(store: DirectoryStore) -> None:
    old, new = epoch(), epoch()
    await store.apply(old, [Change("k", 9, b"old")])
    assert (await store.read(new, "k"))[0] is None


async def test_the_marker_only_moves_forward_within_an_epoch(store: DirectoryStore) -> None:
    e, other = epoch(), epoch()
    await store.set_marker(Marker(e, 7, complete=True))
    await store.set_marker(Marker(e, 6, complete=True))
    assert await store.marker() == Marker(e, 7, complete=True)
    await store.set_marker(Marker(other, 1, complete=True))
    assert await store.marker() == Marker(other, 1, complete=True)


async def test_the_entry_comes_with_the_marker_of_the_same_moment(store: DirectoryStore) -> None:
    e = epoch()
    await store.apply(e, [Change("k", 1, b"\x00\xff")])
    await store.set_marker(Marker(e, 1, complete=True))
    assert await store.read(e, "k") == (StoredEntry(1, b"\x00\xff"), Marker(e, 1, complete=True))


async def test_the_catalog_is_kept_unless_a_newer_one_is_there(store: DirectoryStore) -> None:
    e = epoch()
    await store.save_catalog(SealedCatalog(e, 3, b"three"))
    await store.save_catalog(SealedCatalog(e, 2, b"two"))
    assert await store.load_catalog() == SealedCatalog(e, 3, b"three")


async def test_one_writer_leads_until_its_lease_ends(valkey: Any) -> None:
    valkey.flush()
    store = RedisDirectory(RedisConnection(valkey.url))
    assert await store.lead("one", 30)
    assert not await store.lead("two", 30)
    assert await store.lead("one", 0.001)
    import asyncio

    await asyncio.sleep(0.05)
    assert await store.lead("two", 30)
    await store.close()


async def test_entries_of_old_epochs_can_be_dropped(store: DirectoryStore) -> None:
    old, new = epoch(), epoch()
    await store.apply(old, [Change(f"k{n}", 1, b"x") for n in range(20)])
    await store.apply(new, [Change("k", 1, b"x")])
    assert await store.drop_epochs_but(new) == 20
    assert (await store.read(new, "k"))[0] == StoredEntry(1, b"x")


async def test_a_store_that_cannot_be_reached_says_so_in_bounded_time() -> None:
    store = RedisDirectory(RedisConnection("redis://127.0.0.1:1/0", timeout_seconds=0.5))
    with pytest.raises(StoreUnavailable):
        await store.marker()
    await store.close()
