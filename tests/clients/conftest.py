"""Official npm clients in front of one data plane and a simulator that stands in for every kind of provider."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tollway.core.catalog import ProviderKind, Retries
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.simulator import SimulatorServer

PROVIDERS = {
    "gpt": (ProviderKind.OPENAI, "openai_url"),
    "azure": (ProviderKind.AZURE_OPENAI, "azure_url"),
    "claude": (ProviderKind.ANTHROPIC, "anthropic_url"),
    "hub": (ProviderKind.HUGGINGFACE, "huggingface_url"),
    "local": (ProviderKind.VLLM, "openai_url"),
    "other": (ProviderKind.OPENAI_COMPATIBLE, "openai_url"),
}
BEHAVIOURS = {
    "slow": "rate=40,tokens=400",
    "thinking": "reasoning=8",
    "limited": "fault=429,retry_after=7s",
    "failing": "fault=500",
    "refused": "fault=401",
    "broken": "fault=error-event",
    "cut": "fault=cut",
}
"""For each model there is one of these names before it, for example `slow-gpt`."""
SECONDS = 30.0
COUNTED = "/count_tokens"
"""The one call that only some providers are asked for."""

Said = Callable[[str], Awaitable[dict[str, Any]]]


@pytest.fixture(params=tuple(PROVIDERS))
def model(request: pytest.FixtureRequest) -> str:
    """A model of each kind of provider."""
    name: str = request.param
    return name


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(
    tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer, simulator_server: SimulatorServer
) -> AsyncIterator[LoneDataPlane]:
    """A data plane with models at each kind of provider, all of them the simulator."""
    simulator_server.reset()
    plane = LoneDataPlane(tmp_path_factory.mktemp("plane") / "data", valkey.url)
    for name, (kind, url) in PROVIDERS.items():
        version: dict[str, Any] = {"api_version": "2024-10-21"} if kind is ProviderKind.AZURE_OPENAI else {}
        plane.add_provider(name, kind, getattr(simulator_server, url), **version)
        plane.add_model(name, (name, f"sim-{name}"), retries=Retries(attempts=0))
        for behaviour, options in BEHAVIOURS.items():
            plane.add_model(f"{behaviour}-{name}", (name, f"sim-{name}/{options}"), retries=Retries(attempts=0))
    async with plane:
        yield plane


@pytest.fixture(scope="module")
def script(plane: LoneDataPlane, npm_openai: Path) -> Said:
    """Runs a script of this folder against the data plane; what it printed."""

    async def run(name: str) -> dict[str, Any]:
        environment = {**os.environ, "TOLLWAY_ORIGIN": plane.origin, "TOLLWAY_KEY": plane.key}
        node = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).parent / "node"),
            str(npm_openai / name),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(SECONDS):
                printed, complaints = await node.communicate()
        finally:
            if node.returncode is None:
                node.kill()
                await node.wait()
        assert node.returncode == 0, complaints.decode()
        found: dict[str, Any] = json.loads(printed)
        return found

    return run


@pytest.fixture(scope="module")
def one_upstream_request_each(simulator_server: SimulatorServer) -> Callable[[dict[str, Any]], None]:
    """Asserts that each answer a script got cost one request of a provider, and a refusal of the gateway's none."""

    def check(said: dict[str, Any]) -> None:
        asked = [r for r in said["requests"] if r["method"].upper() == "POST" and not r["path"].endswith(COUNTED)]
        # A provider that asked to be left alone for a while is not asked again: then the gateway says so by itself.
        answered = [r for r in asked if r["status"] == 200 or (r["status"] in (429, 502) and r["attempts"])]
        assert {r["attempts"] for r in answered} == {1}, [r for r in answered if r["attempts"] != 1]
        simulator_server.settled(len(answered))
        served = [r for r in simulator_server.requests(limit=10_000) if not r["endpoint"].endswith(COUNTED)]
        assert len([r for r in served if r["status"] != 400]) == len(answered)
        assert {r["status"] for r in asked} <= {200, 400, 401, 404, 429, 502}

    return check


@pytest.fixture(scope="module")
def aborted(simulator_server: SimulatorServer) -> Callable[[str], int]:
    """How many streams of `slow-MODEL` were broken off at the provider because the client had left."""

    def count(model: str) -> int:
        records = [r for r in simulator_server.requests(limit=10_000) if f"/{BEHAVIOURS['slow']}" in r["model"]]
        found = [r["outcome"] for r in records if r["model"].startswith(f"sim-{model}/")]
        assert set(found) == {"aborted"}
        return len(found)

    return count
