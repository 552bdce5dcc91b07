"""One data plane in front of a simulator that stands in for every kind of provider; official clients for both sides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anthropic
import openai
import pytest

from tollway.core.catalog import DialectPolicy, ProviderKind
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.simulator import SimulatorServer

MODELS = ("gpt", "azure", "claude", "hub", "local", "other")
SECONDS = 10.0


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    """A model of each kind of provider."""
    name: str = request.param
    return name


@pytest.fixture
async def gateway(tmp_path: Path, valkey: ValkeyServer, simulator: SimulatorServer) -> AsyncIterator[LoneDataPlane]:
    """A data plane with a model at each kind of provider, all of them the simulator."""
    plane = LoneDataPlane(tmp_path / "data", valkey.url)
    plane.add_provider("openai", ProviderKind.OPENAI, simulator.openai_url)
    plane.add_provider("azure", ProviderKind.AZURE_OPENAI, simulator.azure_url, api_version="2024-10-21")
    plane.add_provider("anthropic", ProviderKind.ANTHROPIC, simulator.anthropic_url)
    plane.add_provider("huggingface", ProviderKind.HUGGINGFACE, simulator.huggingface_url)
    plane.add_provider("vllm", ProviderKind.VLLM, simulator.openai_url)
    plane.add_provider("compatible", ProviderKind.OPENAI_COMPATIBLE, simulator.openai_url)
    plane.add_model("gpt", ("openai", "sim-gpt"))
    plane.add_model("painter", ("openai", "sim-gpt-image-1"))
    plane.add_model("azure", ("azure", "sim-azure"))
    plane.add_model("claude", ("anthropic", "claude-sim"))
    plane.add_model("hub", ("huggingface", "sim-hub"))
    plane.add_model("local", ("vllm", "sim-local"))
    plane.add_model("other", ("compatible", "sim-other"))
    plane.add_project("strict", dialect_policy=DialectPolicy.STRICT)
    plane.keys["strict"] = plane.add_key(project="strict")
    async with plane:
        yield plane


@pytest.fixture
async def openai_client(gateway: LoneDataPlane) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=gateway.base_url, api_key=gateway.key, max_retries=0, timeout=SECONDS
    ) as client:
        yield client


@pytest.fixture
async def azure_client(gateway: LoneDataPlane) -> AsyncIterator[openai.AsyncAzureOpenAI]:
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=gateway.origin, api_key=gateway.key, api_version="2024-10-21", max_retries=0, timeout=SECONDS
    ) as client:
        yield client


@pytest.fixture
async def anthropic_client(gateway: LoneDataPlane) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=gateway.origin, api_key=gateway.key, max_retries=0, timeout=SECONDS
    ) as client:
        yield client
