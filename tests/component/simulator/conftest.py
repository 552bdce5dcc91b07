"""Official clients that point at the simulator and never retry by themselves."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import jsonschema
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


@pytest.fixture(scope="session")
def breaks() -> Callable[[str, Any], list[str]]:
    """What in a value breaks a schema of the official description.

    Where the real service's own answers do, `soft.json` lists it, and it is no break.
    """
    folder = Path(__file__).parents[2] / "fixtures" / "openai"
    schemas, soft = (json.loads((folder / name).read_text()) for name in ("openai_schemas.json", "soft.json"))

    def find(name: str, value: Any) -> list[str]:
        described = jsonschema.Draft202012Validator({**schemas, "$ref": f"#/components/schemas/{name}"})
        found = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in described.iter_errors(value)]
        return [line for line in found if not any(re.search(known, line) for known in soft.get(name, ()))]

    return find
