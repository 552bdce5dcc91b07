"""A process with too much to do: some requests wait, interactive ones first; the others are told when to come again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tollway.core.catalog import Priority, ProviderKind
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.upstream import Received, Upstream, completion, whole

MEBIBYTE = 1 << 20
AT_ONCE = 2


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A provider that answers when it may: `gate` is set."""
    async with Upstream() as server:
        yield server


@pytest.fixture
async def plane(tmp_path: Path, valkey: ValkeyServer, upstream: Upstream) -> AsyncIterator[LoneDataPlane]:
    made = LoneDataPlane(tmp_path / "data", valkey.url)
    made._settings["max_requests"] = AT_ONCE
    made._settings["max_bodies_bytes"] = 3 * MEBIBYTE // 2
    made.add_provider("up", ProviderKind.OPENAI_COMPATIBLE, upstream.url)
    made.add_model("m", ("up", "up-model"))
    made.add_project("night", priority=Priority.BATCH)
    made.batch_key = made.add_key(project="night")  # type: ignore[attr-defined]
    async with made:
        yield made


def held_back(upstream: Upstream) -> asyncio.Event:
    """The provider answers once the event is set."""
    may = asyncio.Event()
    answer = whole(completion("done"))

    async def script(request: Received, writer: asyncio.StreamWriter) -> None:
        await may.wait()
        await answer(request, writer)

    upstream.script = script
    return may


async def until(condition: Any) -> None:
    """Returns once it is so."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_who_comes_when_it_is_full_waits_and_interactive_requests_go_first(
    plane: LoneDataPlane, upstream: Upstream
) -> None:
    may = held_back(upstream)
    load = plane.process.overload
    under_way = [asyncio.ensure_future(plane.chat(user=f"first {n}")) for n in range(AT_ONCE)]
    await until(lambda: len(upstream.requests) == AT_ONCE)
    batch = {"Authorization": f"Bearer {plane.batch_key}"}  # type: ignore[attr-defined]
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "user": "batch"}
    late = asyncio.ensure_future(plane.client.post(f"{plane.base_url}/chat/completions", json=body, headers=batch))
    await until(lambda: load.load.waiting == 1)
    soon = asyncio.ensure_future(plane.chat(user="interactive"))
    await until(lambda: load.load.waiting == 2)
    assert len(upstream.requests) == AT_ONCE
    may.set()
    answers = await asyncio.gather(*under_way, soon, late)
    assert [answer.status for answer in answers] == [200] * (AT_ONCE + 2)
    order = [request.json["user"] for request in upstream.requests[AT_ONCE:]]
    assert order == ["interactive", "batch"]
    await until(lambda: load.load.in_flight == 0)


async def test_who_would_wait_too_long_is_told_when_to_come_again(plane: LoneDataPlane, upstream: Upstream) -> None:
    may = held_back(upstream)
    under_way = [asyncio.ensure_future(plane.chat()) for _ in range(AT_ONCE)]
    await until(lambda: len(upstream.requests) == AT_ONCE)
    refused = await plane.chat()
    error = (await refused.json())["error"]
    assert (refused.status, error["code"]) == (503, "overloaded")
    assert float(refused.headers["Retry-After"]) >= 1
    assert len(upstream.requests) == AT_ONCE
    may.set()
    assert [(await answer).status for answer in under_way] == [200] * AT_ONCE
    assert (await plane.chat()).status == 200


async def test_large_bodies_share_a_bounded_memory(plane: LoneDataPlane, upstream: Upstream) -> None:
    may = held_back(upstream)
    load = plane.process.overload
    large = [{"role": "user", "content": "word " * (MEBIBYTE * 9 // 50)}]
    first = asyncio.ensure_future(plane.chat(messages=large))
    await until(lambda: len(upstream.requests) == 1 or first.done())
    assert not first.done(), await first.result().text()
    assert load.load.body_bytes > MEBIBYTE // 2
    with contextlib.suppress(aiohttp.ClientError):  # it may be closed before the client has written all of it
        second = await plane.chat(messages=large)
        assert (second.status, (await second.json())["error"]["code"]) == (503, "overloaded")
    may.set()
    assert (await first).status == 200
    assert len(upstream.requests) == 1
    await until(lambda: load.load.body_bytes == 0)
    assert (await plane.chat(messages=large)).status == 200
