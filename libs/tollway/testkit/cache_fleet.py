"""Data planes of one fleet as far as the cache goes, requests to them, and an embedder without a model."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from tollway.core.catalog import Caching, Model, Project, Provider, ProviderKind, Target
from tollway.core.usage import Usage
from tollway.dataplane.cache.cache import Cache
from tollway.dataplane.cache.entry import Answer, Hit
from tollway.dataplane.cache.flight import Member
from tollway.dataplane.cache.meaning import Embedder
from tollway.dataplane.cache.plan import CacheLimits, Plan
from tollway.dataplane.cache.redis_answers import RedisAnswers
from tollway.dataplane.config.holder import Candidate, Route
from tollway.dataplane.endpoints.table import ENDPOINTS
from tollway.dataplane.stores.redis_connection import RedisConnection
from tollway.runtime.tasks import Tasks
from tollway.testkit.fakes.clock import FakeClock

_KEY = b"k" * 32
CANARY = "the answer nobody else may read"
WHOLE = b'{"id":"chatcmpl-1","choices":[{"message":{"content":"%s"},"finish_reason":"stop"}]}' % CANARY.encode()
STREAM = b'data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":1}}\n\n'
DONE = b"data: [DONE]\n\n"


class Words:
    """An embedder without a model: questions with the same words are alike. `calls` are the texts that it was given."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.broken = False

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.calls += texts
        if self.broken:
            raise ConnectionError("away")
        return [[float(text.lower().count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]


class CacheFleet:
    """Data planes of one fleet, as far as the cache goes, and requests to them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = FakeClock()
        self.tasks = Tasks()
        self.organisation = uuid.uuid4().hex
        self.connections: list[RedisConnection] = []
        provider = Provider(id="p", name="p", kind=ProviderKind.OPENAI, base_url="https://a.example/v1")
        model = Model(id="m", name="m", targets=(Target(provider="p", model="x"),))
        self.route = Route("m", model, (Candidate(provider, "x", (), 1, 0),), None)

    def start(
        self,
        *,
        fleet_key: bytes = _KEY,
        url: str = "",
        timeout_seconds: float = 3.0,
        embedder: Embedder | None = None,
        **limits: int,
    ) -> Cache:
        """A process; `timeout_seconds`: how long it waits for the store."""
        connection = RedisConnection(url or self.url, timeout_seconds=timeout_seconds)
        self.connections.append(connection)
        store = RedisAnswers(connection, self.tasks)
        return Cache(store, [fleet_key], self.clock, self.tasks, CacheLimits(**limits), embedder)

    def plan(
        self,
        cache: Cache,
        text: str = "hi",
        project: str = "p1",
        header: str = "",
        stream: bool = False,
        **caching: Any,
    ) -> Plan:
        """A request of a project."""
        endpoint = ENDPOINTS["/v1/chat/completions"]
        body = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": text}], "stream": stream})
        chosen = Project(
            id=project,
            name=project,
            organisation=self.organisation,
            business_unit="u",
            caching=Caching(**{"enabled": True, **caching}),
        )
        head = endpoint.read(body, "application/json")
        headers = {"x-tollway-cache": header} if header else {}
        plan = cache.plan(endpoint, head, body, headers, chosen, self.route)
        assert plan is not None
        return plan

    async def stored(self) -> None:
        """Waits until what was kept is in the store."""
        await asyncio.sleep(0)
        while self.tasks._tasks:
            await asyncio.wait(self.tasks._tasks)

    async def close(self) -> None:
        """Ends everything."""
        await self.tasks.close()
        for connection in self.connections:
            await connection.close()


def answer(body: bytes = WHOLE, content_type: str = "application/json", dropped: tuple[str, ...] = ()) -> Answer:
    """What a provider answered."""
    return Answer(body, content_type, "m", "p", dropped, Usage(input=1), 5)


async def ask(fleet: CacheFleet, cache: Cache, text: str, calls: list[str], **plan: Any) -> bytes:
    """A request as the pipeline serves it; `calls` gets what the provider was asked."""
    planned = fleet.plan(cache, text, **plan)
    hit = await cache.find(planned)
    while hit is None:
        found = cache.enter(planned)
        if isinstance(found, Hit):
            hit = found
            break
        if found.first:
            found.flight.run(fleet.tasks, provide(cache, planned, found, text, calls))
        try:
            if await found.begun() is not None:
                return b"".join([piece async for piece in found.pieces()])
        finally:
            found.leave()
    return hit.answer.body


async def provide(cache: Cache, plan: Plan, member: Member, text: str, calls: list[str]) -> None:
    """The provider, which is slow."""
    calls.append(text)
    await asyncio.sleep(0.02)
    member.flight.begin(200, {})
    await member.flight.write(WHOLE)
    body = member.flight.body()
    assert body is not None
    cache.keep(plan, answer(body))
    member.flight.end()
