"""A request that is over is freed at once: nothing of it, least of all its body, waits for the cyclic collector.

The collector is told to look rarely, because it holds the loop while it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import types
from collections import Counter
from collections.abc import Iterator

import aiohttp
import pytest

from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.upstream import Script, Upstream, event, raw, stream, whole, words

REQUESTS = 10
ON_THE_WAY = ("/tollway/dataplane/pipeline/", "/tollway/dataplane/http/", "/tollway/dataplane/upstream/")
ERROR = {"error": {"message": "no", "type": "x", "code": None}}


@contextlib.contextmanager
def uncollected() -> Iterator[list[object]]:
    """What the collector alone could free, filled in at the end."""
    found: list[object] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def ours(found: list[object]) -> Counter[str]:
    """The gateway's own objects, those of its server that hold requests, and the frames of its functions."""
    names = Counter[str]()
    for each in found:
        if isinstance(each, types.FrameType):
            names[f"frame of {each.f_code.co_qualname}"] += any(part in each.f_code.co_filename for part in ON_THE_WAY)
        else:
            names[f"{type(each).__module__}.{type(each).__qualname__}"] += 1
    kept = ("frame", "tollway.dataplane", "tollway.core", "aiohttp.web", "aiohttp.streams")
    return +Counter({name: count for name, count in names.items() if name.startswith(kept)})


@pytest.mark.parametrize(
    ("script", "fields"),
    [
        (whole(), {}),
        (stream(words(20)), {"stream": True}),
        (whole(ERROR, 400), {}),
        (whole(ERROR, 500), {}),
        (whole(b"<html>"), {}),
        (raw(b""), {}),
        (stream([event({"content": "Hel"})], end="cut"), {"stream": True}),
        (whole(), {"model": "no such model"}),
        (whole(), {"max_tokens": "many"}),
    ],
    ids=["whole", "stream", "400", "500", "no json", "closed", "cut stream", "unknown model", "bad field"],
)
async def test_a_request_leaves_nothing_to_the_collector(
    gateway: LoneDataPlane, upstream: Upstream, script: Script, fields: dict[str, object]
) -> None:
    upstream.script = script
    with uncollected() as found:
        for _ in range(REQUESTS):
            with contextlib.suppress(aiohttp.ClientError):
                response = await gateway.chat(**fields)
                await response.read()
        await asyncio.sleep(0.05)
    assert ours(found).total() < REQUESTS, ours(found)


async def test_a_client_that_leaves_leaves_its_connection_alone(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = stream([event({"content": "x"})] * 500, pause=0.01)
    with uncollected() as found:
        for _ in range(REQUESTS):
            response = await gateway.chat(stream=True)
            await response.content.readuntil(b"\n\n")
            response.close()
        async with asyncio.timeout(2):
            while upstream.open:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
    assert ours(found).keys() <= {"tollway.dataplane.http.connection.Connection"}


@pytest.mark.parametrize(
    ("script", "streamed"),
    [
        (whole(), False),
        (stream(words(20), pause=0.005), True),
        (whole(ERROR, 400), False),
        (whole(ERROR, 500), False),
        (stream([event({"content": "Hel"})] * 5, pause=0.01, end="cut"), True),
    ],
    ids=["whole", "stream", "400", "500", "cut stream"],
)
async def test_shared_calls_and_kept_answers_leave_nothing_either(
    gateway: LoneDataPlane, upstream: Upstream, script: Script, streamed: bool
) -> None:
    upstream.script = script
    headers = {"Authorization": f"Bearer {gateway.keys['of a project that keeps answers']}", "Connection": "close"}

    async def ask(number: int) -> str:
        body = {"model": "m", "messages": [{"role": "user", "content": f"{number}"}], "stream": streamed}
        async with gateway.client.post(f"{gateway.base_url}/chat/completions", json=body, headers=headers) as response:
            await response.read()
            return response.headers.get("x-tollway-cache", "")

    with uncollected() as found:
        for number in range(REQUESTS):
            with contextlib.suppress(aiohttp.ClientError):
                await asyncio.gather(ask(number), ask(number), ask(number))
                await ask(number)
        await asyncio.sleep(0.05)
    assert ours(found).total() < REQUESTS, ours(found)
    cache = gateway.process.cache
    assert cache is not None
    assert cache.counts.results["shared"] >= REQUESTS


@pytest.mark.parametrize("joined", [1, 3])
async def test_clients_that_leave_a_shared_call_leave_nothing(
    gateway: LoneDataPlane, upstream: Upstream, joined: int
) -> None:
    upstream.script = stream([event({"content": "x"})] * 500, pause=0.01)
    headers = {"Authorization": f"Bearer {gateway.keys['of a project that keeps answers']}"}

    async def begin(number: int) -> aiohttp.ClientResponse:
        body = {"model": "m", "messages": [{"role": "user", "content": f"{number}"}], "stream": True}
        return await gateway.client.post(f"{gateway.base_url}/chat/completions", json=body, headers=headers)

    with uncollected() as found:
        for number in range(REQUESTS):
            for response in [await begin(number) for _ in range(joined)]:
                response.close()
        async with asyncio.timeout(2):
            while upstream.open:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
    assert ours(found).keys() <= {"tollway.dataplane.http.connection.Connection"}
