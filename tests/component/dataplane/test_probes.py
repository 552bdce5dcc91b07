"""Probes of targets that are left alone, against a real server on loopback."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tollway.core.catalog import Catalog, Credential, Model, Provider, ProviderKind, Target
from tollway.core.errors import Code
from tollway.core.routing.breaker import CONSECUTIVE, State
from tollway.dataplane.config.holder import Routes
from tollway.dataplane.providers.port import ProviderFault
from tollway.dataplane.providers.registry import REGISTRY
from tollway.dataplane.routing.probes import HttpGet, Probes
from tollway.dataplane.routing.router import Choice, Router
from tollway.dataplane.routing.targets import TargetState
from tollway.runtime.tasks import Tasks
from tollway.testkit.fakes.clock import FakeClock

BROKEN = ProviderFault(Code.PROVIDER_ERROR, "x", retryable=True, status=500)


class Server:
    """Answers every GET with `status` and remembers what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[tuple[str, str | None]] = []

    async def answer(self, request: web.Request) -> web.Response:
        authorization = request.headers.get("authorization") or request.headers.get("x-api-key")
        self.asked.append((request.path_qs, authorization or request.headers.get("api-key")))
        return web.Response(status=self.status, headers={"location": "/elsewhere"})


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, str]]:
    found = Server()
    app = web.Application()
    app.router.add_get("/{rest:.*}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield found, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def failing(
    clock: FakeClock, base_url: str, *, kind: ProviderKind = ProviderKind.OPENAI, every: float = 5.0, version: str = ""
) -> tuple[Probes, Provider, TargetState]:
    """Probes of a provider whose only target has just been opened."""
    provider = Provider(
        id="p",
        name="n",
        kind=kind,
        base_url=base_url,
        api_version=version,
        credentials=(Credential(id="k", name="k", api_key="secret"),),
        probe_seconds=every,
    )
    model = Model(id="1", name="chat", targets=(Target(provider="p", model="m"),))
    routes = Routes(Catalog(epoch="e", version=1, providers={"p": provider}, models={"chat": model}))
    router = Router(clock.monotonic, random.Random(1).random)
    router.prepare(routes)
    route = routes.find("chat")
    assert route is not None
    for _ in range(CONSECUTIVE):
        router.begin(route, Choice(route.candidates[0], None), 1, clock.monotonic()).end(clock.monotonic(), BROKEN)
    state = router.state(route.candidates[0])
    assert state.breaker.state is State.OPEN

    async def resolve(credential: Credential) -> Credential:
        return credential

    return Probes(router, REGISTRY, HttpGet(), resolve, clock.monotonic), provider, state


@pytest.mark.parametrize(
    ("kind", "version", "path", "sent"),
    [
        (ProviderKind.OPENAI, "", "/v1/models", "Bearer secret"),
        (ProviderKind.ANTHROPIC, "", "/v1/models", "secret"),
        (ProviderKind.AZURE_OPENAI, "", "/openai/v1/models", "secret"),
        (ProviderKind.AZURE_OPENAI, "2024-10-21", "/openai/models?api-version=2024-10-21", "secret"),
    ],
)
async def test_the_list_of_models_is_asked_for_with_the_credential(
    server: tuple[Server, str], kind: ProviderKind, version: str, path: str, sent: str
) -> None:
    probes, provider, state = failing(FakeClock(), server[1], kind=kind, version=version)
    assert await probes.ask(provider)
    assert server[0].asked == [(path, sent)]
    assert state.breaker.state is State.HALF_OPEN


@pytest.mark.parametrize(
    ("status", "state"),
    [(200, State.HALF_OPEN), (302, State.HALF_OPEN), (404, State.HALF_OPEN), (429, State.OPEN), (503, State.OPEN)],
)
async def test_what_counts_as_being_back(server: tuple[Server, str], status: int, state: State) -> None:
    server[0].status = status
    probes, provider, target = failing(FakeClock(), server[1])
    assert await probes.ask(provider) is (state is State.HALF_OPEN)
    assert target.breaker.state is state
    assert len(server[0].asked) == 1


async def test_nobody_there_and_addresses_that_are_refused() -> None:
    for url in ("http://127.0.0.1:1/v1", "http://169.254.169.254/v1"):
        probes, provider, target = failing(FakeClock(), url)
        assert not await probes.ask(provider)
        assert target.breaker.state is State.OPEN


async def test_it_is_asked_at_its_pace(server: tuple[Server, str]) -> None:
    server[0].status = 503
    clock = FakeClock()
    probes, _, _ = failing(clock, server[1], every=5.0)
    times = []
    for _ in range(20):
        clock.advance(1.0)
        for found in probes.due():
            times.append(clock.monotonic())
            await probes.ask(found)
    assert [round(time - 1000.0) for time in times] == [5, 10, 15, 20]
    never, _, _ = failing(clock, server[1], every=0.0)
    clock.advance(100.0)
    assert never.due() == []


async def test_it_runs_in_the_background(server: tuple[Server, str]) -> None:
    clock, tasks = FakeClock(), Tasks()
    probes, _, state = failing(clock, server[1], every=1.0)
    clock.advance(1.0)
    probes.start(tasks)
    try:
        async with asyncio.timeout(5):
            while state.breaker.state is State.OPEN:
                await asyncio.sleep(0.01)
    finally:
        await tasks.close()
    assert len(server[0].asked) == 1
