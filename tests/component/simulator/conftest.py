"""Official clients that point at the simulator and never retry by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import anthropic
import openai
import pytest

from tollway.testkit.simulator import SimulatorServer

SECONDS = 5.0


@pytest.fixture
def client(simulator: SimulatorServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=simulator.openai_url, api_key="sk-x", max_retries=0, timeout=SECONDS) as found:
        yield found


@pytest.fixture
async def aclient(simulator: SimulatorServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=simulator.openai_url, api_key="sk-x", max_retries=0, timeout=SECONDS
    ) as found:
        yield found


@pytest.fixture
def huggingface(simulator: SimulatorServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=simulator.huggingface_url, api_key="hf_x", max_retries=0, timeout=SECONDS) as found:
        yield found


@pytest.fixture
def azure(simulator: SimulatorServer) -> Iterator[openai.AzureOpenAI]:
    with openai.AzureOpenAI(
        azure_endpoint=simulator.azure_url, api_key="x", api_version="2024-10-21", max_retries=0, timeout=SECONDS
    ) as found:
        yield found


@pytest.fixture
def claude(simulator: SimulatorServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=simulator.anthropic_url, api_key="sk-x", max_retries=0, timeout=SECONDS) as found:
        yield found


@pytest.fixture
async def aclaude(simulator: SimulatorServer) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=simulator.anthropic_url, api_key="sk-x", max_retries=0, timeout=SECONDS
    ) as found:
        yield found
