"""Requests that the response cache answers, over real sockets and a real Valkey: what clients get, what is booked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tollway.core.catalog import Bodies, CacheScope, Caching, Logging, ProviderKind
from tollway.core.ledger import Outcome
from tollway.core.rules import Measure, Rules
from tollway.testkit.balance_service import BalanceService
from tollway.testkit.fleet import limit
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.upstream import Upstream, completion, event, stream, whole, words

CACHING = Caching(enabled=True, ttl_seconds=600)


def made(folder: Path, url: str, upstream: Upstream, **settings: Any) -> LoneDataPlane:
    """A data plane whose project `p1` keeps answers, as `p2` and, with each other, `s1` and `s2` do; `p3` does not."""
    plane = LoneDataPlane(folder, url, **settings)
    plane.add_provider("up", ProviderKind.OPENAI_COMPATIBLE, upstream.url)
    plane.add_provider("claude", ProviderKind.ANTHROPIC, upstream.url.removesuffix("/v1"))
    plane.add_model("m", ("up", "up-model"), aliases=("small",))
    plane.add_model("c", ("claude", "claude-up"))
    shared = Caching(enabled=True, scope=CacheScope.ORGANISATION)
    plane.add_project("p1", caching=CACHING, logging=Logging(bodies=Bodies.MASKED))
    plane.add_project("p2", caching=CACHING)
    plane.add_project("p3")
    plane.keys = {name: plane.add_key(project=name) for name in ("p2", "p3")}
    for name in ("s1", "s2"):
        plane.add_project(name, caching=shared)
        plane.keys[name] = plane.add_key(project=name)
    plane.keys["mate"] = plane.add_key()
    return plane


@pytest.fixture
async def plane(tmp_path: Path, valkey: ValkeyServer, upstream: Upstream) -> AsyncIterator[LoneDataPlane]:
    async with made(tmp_path / "data", valkey.url, upstream) as found:
        yield found


async def ask(
    plane: LoneDataPlane, *, key: str = "", control: str = "", path: str = "chat/completions", **fields: Any
) -> aiohttp.ClientResponse:
    """One request, its answer read; `key` names one of `plane.keys`."""
    headers = {"Connection": "close", **({"x-tollway-cache": control} if control else {})}
    if key:
        headers["Authorization"] = f"Bearer {plane.keys[key]}"
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], **fields}
    given = {name: value for name, value in body.items() if value is not None}
    response = await plane.client.post(f"{plane.base_url}/{path}", json=given, headers=headers)
    await response.read()
    return response


def said(response: aiohttp.ClientResponse) -> str:
    """What the answer says of the cache."""
    return response.headers["x-tollway-cache"]


async def test_a_hit_is_the_same_answer_without_a_call(plane: LoneDataPlane, upstream: Upstream) -> None:
    first = await ask(plane)
    again = await ask(plane, model="small", key="mate")
    assert (said(first), said(again)) == ("miss", "hit")
    assert await first.read() == await again.read() == json.dumps(completion()).encode()
    assert len(upstream.requests) == 1
    told = {name: again.headers[name] for name in ("x-tollway-attempts", "x-tollway-cost", "x-tollway-provider", "Age")}
    assert told == {"x-tollway-attempts": "0", "x-tollway-cost": "0", "x-tollway-provider": "up", "Age": "0"}
    assert first.headers["x-tollway-attempts"] == "1"
    assert first.headers["x-request-id"] != again.headers["x-request-id"]
    called, given = await plane.wait_rows(2)
    assert (called.cache, len(called.attempts)) == ("miss", 1)
    assert (given.cache, given.attempts, given.outcome, given.status) == ("hit", (), Outcome.OK, 200)
    assert given.id == again.headers["x-request-id"]
    assert given.key_id != called.key_id


@pytest.mark.parametrize("path", ["chat/completions", "messages", "responses"])
async def test_a_stream_is_replayed_byte_for_byte(plane: LoneDataPlane, upstream: Upstream, path: str) -> None:
    upstream.script = stream(words(40))
    fields: dict[str, Any] = {"stream": True, "path": path}
    if path == "messages":
        fields["max_tokens"] = 100
    if path == "responses":
        fields |= {"input": "Hello", "messages": None, "store": False}
    first, again = [await ask(plane, **fields) for _ in range(2)]
    assert (first.status, again.status, len(upstream.requests)) == (200, 200, 1)
    assert (said(first), said(again)) == ("miss", "hit")
    body = await first.read()
    assert body == await again.read()
    assert body.count(b"w39")
    for name in ("Content-Type", "Cache-Control", "X-Accel-Buffering", "x-tollway-model"):
        assert first.headers[name] == again.headers[name]
    rows = await plane.wait_rows(2)
    assert [(row.cache, row.stream, len(row.attempts)) for row in rows] == [("miss", True, 1), ("hit", True, 0)]


async def test_a_translated_answer_is_kept_as_the_client_got_it(plane: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = whole(
        {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn",
            "stop_sequence": None, "content": [{"type": "text", "text": "Hi."}],
            "usage": {"input_tokens": 9, "output_tokens": 3},
        }
    )  # fmt: skip
    first, again = [await ask(plane, model="c", seed=1) for _ in range(2)]
    assert (said(again), first.headers["x-tollway-dropped"]) == ("hit", "seed")
    assert again.headers["x-tollway-dropped"] == "seed"
    assert await first.read() == await again.read()


async def test_what_the_client_can_say(plane: LoneDataPlane, upstream: Upstream) -> None:
    steps = [("", "miss"), ("off", "off"), ("", "hit"), ("refresh", "miss"), ("ttl=60", "hit")]
    for number, (control, expected) in enumerate(steps):
        upstream.script = whole(completion(f"answer {number}"))
        response = await ask(plane, control=control)
        assert said(response) == expected, (number, control)
    assert (await response.json())["choices"][0]["message"]["content"] == "answer 3", "what `refresh` put there"
    assert len(upstream.requests) == 3
    rows = await plane.wait_rows(5)
    assert [row.cache for row in rows] == ["miss", "", "hit", "miss", "hit"]
    wrong = await ask(plane, control="often")
    assert (wrong.status, (await wrong.json())["error"]["param"]) == (400, "x-tollway-cache")


async def test_an_answer_lives_as_long_as_the_client_says_and_no_longer(
    plane: LoneDataPlane, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, later = plane.process.clock, 0
    now_ms = type(clock).now_ms
    monkeypatch.setattr(type(clock), "now_ms", lambda self: now_ms(self) + later)
    await ask(plane)
    later = 61_000
    assert said(response := await ask(plane)) == "hit"
    assert response.headers["Age"] == "61"
    assert said(await ask(plane, control="ttl=60")) == "miss"
    assert len(upstream.requests) == 2


async def test_another_project_never_gets_it(plane: LoneDataPlane, upstream: Upstream) -> None:
    for key, expected, calls in (("", "miss", 1), ("p2", "miss", 2), ("p3", "off", 3), ("s1", "miss", 4)):
        response = await ask(plane, key=key)
        assert (said(response), len(upstream.requests)) == (expected, calls), key
    assert said(await ask(plane, key="s2")) == "hit", "both chose to share"
    assert said(await ask(plane, key="p3", control="ttl=60")) == "off"
    together = await asyncio.gather(*[ask(plane, key=key, seed=1) for key in ("", "p2", "p3")])
    assert sorted(map(said, together)) == ["miss", "miss", "off"], "nor a part in its call"


async def test_two_processes_share_what_is_kept(
    plane: LoneDataPlane, upstream: Upstream, valkey: ValkeyServer, tmp_path: Path
) -> None:
    upstream.script = stream(words(5))
    first = await ask(plane, stream=True)
    async with asyncio.timeout(3):
        while not plane.process.cache or not plane.process.cache.counts.stored:
            await asyncio.sleep(0.01)
    async with plane.sibling(tmp_path / "other") as other:
        again = await ask(other, stream=True)
        assert (said(again), await again.read()) == ("hit", await first.read())


@pytest.mark.parametrize(
    "answer",
    [
        whole({"error": {"message": "no", "type": "x", "code": None}}, 400),
        whole(completion(choices=[{"index": 0, "message": {}, "finish_reason": "content_filter"}])),
        stream([event({"content": "Hel"})], end="cut"),
        stream([event({"content": "Hel"}), b'data: {"error": {"message": "no"}}\n\n']),
    ],
    ids=["refused", "filtered", "cut", "broken"],
)
async def test_what_is_not_whole_is_not_kept(plane: LoneDataPlane, upstream: Upstream, answer: Any) -> None:
    upstream.script = answer
    streamed = answer.__qualname__.startswith("stream")
    for number in (1, 2):
        response = await ask(plane, stream=streamed)
        assert len(upstream.requests) == number
        body = await response.read()
        assert b"[DONE]" not in body
        assert (b'"error"' in body) == (b"content_filter" not in body)
    rows = await plane.wait_rows(2)
    assert [len(row.attempts) for row in rows] == [1, 1]


async def test_a_client_that_left_leaves_nothing_behind(plane: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = stream(words(100), pause=0.01)
    response = await plane.chat(stream=True)
    await response.content.readuntil(b"\n\n")
    response.close()
    (row,) = await plane.wait_rows(1)
    assert (row.outcome, row.attempts[0].outcome, row.attempts[0].estimated) == ("client_closed", "client_closed", True)
    async with asyncio.timeout(1):
        while upstream.open or plane.process.routes.in_flight:
            await asyncio.sleep(0.01)
    assert plane.process.cache is not None
    assert plane.process.cache.levels() == (0, 0, 0)
    upstream.script = stream(words(2))
    assert said(await ask(plane, stream=True)) == "miss"


async def test_large_requests_and_answers(plane: LoneDataPlane, upstream: Upstream) -> None:
    question = [{"role": "user", "content": "x" * 300_000}]
    assert [said(await ask(plane, messages=question)) for _ in range(2)] == ["miss", "hit"]
    for streamed in (False, True):
        events = [event({"content": "y" * 4096})] * 600
        upstream.script = stream([*events, *words(1)[-3:]]) if streamed else whole(completion("y" * (2 << 20)))
        calls = len(upstream.requests)
        answers = await asyncio.gather(*[ask(plane, stream=streamed) for _ in range(3)])
        bodies = [await answer.read() for answer in answers]
        assert len(bodies[0]) > 2 << 20
        assert (len(set(bodies)), sorted(map(said, answers))) == (1, ["hit", "hit", "miss"])
        assert said(await ask(plane, stream=streamed)) == "miss", "too large to be kept"
        assert len(upstream.requests) == calls + 2


async def test_rate_limits_count_hits(tmp_path: Path, valkey: ValkeyServer, upstream: Upstream) -> None:
    plane = made(tmp_path / "limited", valkey.url, upstream)
    at_once, often = (
        limit("hits at once", Measure.CONCURRENT, 1, scope="project"),
        limit("hits", Measure.REQUESTS, 3, scope="project"),
    )
    plane.rules["project:p1"] = Rules(limits=(at_once, often))
    async with BalanceService() as ledger:
        plane._settings["control_grpc"] = ledger.address
        await plane.__aenter__()
        ledger.replicas = [plane.process.replica]
        answers = [await ask(plane) for _ in range(4)]
        await plane.__aexit__()
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers.get("x-ratelimit-remaining-requests") for answer in answers[:3]] == ["2", "1", "0"]
    assert len(upstream.requests) == 1


async def test_without_its_store_nothing_fails(tmp_path: Path, valkey: ValkeyServer, upstream: Upstream) -> None:
    away = made(tmp_path / "away", valkey.url, upstream, cache_redis_url="redis://127.0.0.1:1/0", cache_memory_bytes=1)
    async with away:
        answers = [await ask(away) for _ in range(3)]
        assert [(answer.status, said(answer)) for answer in answers] == [(200, "miss")] * 3
        assert away.process.cache is not None
        assert away.process.cache.counts.errors >= 1
        assert [row.cache for row in await away.wait_rows(3)] == ["miss"] * 3


async def test_switched_off_there_is_none(tmp_path: Path, valkey: ValkeyServer, upstream: Upstream) -> None:
    async with made(tmp_path / "off", valkey.url, upstream, cache=False) as plane:
        answers = [await ask(plane) for _ in range(2)]
        assert [said(answer) for answer in answers] == ["off", "off"]
        assert (plane.process.cache, len(upstream.requests)) == (None, 2)
        assert b"tollway_cache_" not in plane.process.metrics()


async def test_the_metrics_say_it(plane: LoneDataPlane) -> None:
    for _ in range(3):
        await ask(plane)
    text = plane.process.metrics().decode()
    assert 'tollway_cache_requests_total{result="memory"} 2.0' in text
    assert 'tollway_cache_requests_total{result="miss"} 1.0' in text
    assert "tollway_cache_saved_dollars_total 0.0" not in text
