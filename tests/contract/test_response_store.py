"""One suite for every response store: the memory twin and a real Valkey keep the same promises."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tollway.dataplane.stores.memory_responses import MemoryResponses
from tollway.dataplane.stores.ports import StoreUnavailable
from tollway.dataplane.stores.redis_connection import RedisConnection
from tollway.dataplane.stores.redis_responses import RedisResponses
from tollway.dataplane.stores.response_store import ResponseStore
from tollway.testkit.fakes.clock import FakeClock

Put = Callable[..., Awaitable[bool]]


@pytest.fixture(params=["memory", "valkey"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ResponseStore]:
    if request.param == "memory":
        yield MemoryResponses(FakeClock().monotonic)
        return
    valkey: Any = request.getfixturevalue("valkey")
    connection = RedisConnection(valkey.url)
    yield RedisResponses(connection)
    await connection.close()


@pytest.fixture
def project() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def put(store: ResponseStore, project: str) -> Put:
    async def write(
        name: str, value: bytes, *ancestors: str, items: tuple[str, ...] = (), seconds: int = 60, quota: int = 100
    ) -> bool:
        return await store.put(project, name, value, ancestors=ancestors, items=items, seconds=seconds, quota=quota)

    return write


async def test_what_is_kept_is_found_in_its_project_alone(store: ResponseStore, project: str, put: Put) -> None:
    assert await put("a", b"one")
    assert await store.get(project, ["a", "b"]) == [b"one", None]
    assert await store.get("another", ["a"]) == [None]
    assert not await store.remove("another", "a")
    assert await store.remove(project, "a")
    assert not await store.remove(project, "a")
    assert await store.get(project, ["a"]) == [None]


async def test_a_part_leads_to_what_holds_it(store: ResponseStore, project: str, put: Put) -> None:
    await put("a", b"one", "older", items=("x", "y"))
    await put("b", b"two", items=("z",))
    assert await store.owners(project, ["z", "x", "unknown"]) == ["b", "a", None]
    assert await store.owners("another", ["z"]) == [None]


async def test_over_the_quota_what_would_go_first_goes(store: ResponseStore, project: str, put: Put) -> None:
    await put("a", b"x" * 40, seconds=30)
    await put("b", b"x" * 40, seconds=20)
    await put("c", b"x" * 40, seconds=40)
    assert await store.get(project, ["a", "b", "c"]) == [b"x" * 40, None, b"x" * 40]
    assert not await put("d", b"x" * 101)
    assert await store.get(project, ["a", "c", "d"]) == [b"x" * 40, b"x" * 40, None]
    await put("e", b"x" * 100, seconds=10)
    assert await store.get(project, ["a", "c", "e"]) == [None, None, b"x" * 100]


async def test_what_was_removed_or_replaced_takes_no_space(store: ResponseStore, project: str, put: Put) -> None:
    await put("a", b"x" * 60)
    await put("a", b"y" * 60)
    await store.remove(project, "a")
    await put("b", b"x" * 50)
    await put("c", b"x" * 50)
    assert await store.get(project, ["b", "c"]) == [b"x" * 50, b"x" * 50]


async def test_a_continued_response_lives_as_long_as_what_continues_it(
    store: ResponseStore, project: str, put: Put
) -> None:
    await put("root", b"x" * 30, seconds=10)
    await put("other", b"x" * 30, seconds=20)
    await put("leaf", b"x" * 30, "root", "gone", seconds=30)
    await put("last", b"x" * 30, seconds=40)
    found = await store.get(project, ["root", "other", "leaf", "gone"])
    assert found == [b"x" * 30, None, b"x" * 30, None]


async def test_an_unreachable_server_is_told(project: str) -> None:
    connection = RedisConnection("redis://127.0.0.1:1/0", timeout_seconds=0.5)
    store = RedisResponses(connection)
    with pytest.raises(StoreUnavailable):
        await store.get(project, ["a"])
    await connection.close()
