"""Every endpoint's answers, of each kind of provider that serves it, held against OpenAI's own description.

The simulator stands in for the providers. What it answers passes through the gateway, or is translated by it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from tollway.core.catalog import ProviderKind
from tollway.testkit.client_views import CHAT, COMPLETIONS, MESSAGES, PATHS, RESPONSES, request
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.messages_grammar import check_events
from tollway.testkit.openai_schemas import Description
from tollway.testkit.recorded_truth import data_of
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.simulator import SimulatorServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPENAI = Description(Path(__file__).parents[2] / "fixtures" / "openai")
WHOLE = {CHAT: "CreateChatCompletionResponse", COMPLETIONS: "CreateCompletionResponse", RESPONSES: "Response"}
CHUNK = {CHAT: "CreateChatCompletionStreamResponse", COMPLETIONS: "CreateCompletionResponse"}
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
KINDS = {
    "openai": ProviderKind.OPENAI,
    "azure": ProviderKind.AZURE_OPENAI,
    "anthropic": ProviderKind.ANTHROPIC,
    "huggingface": ProviderKind.HUGGINGFACE,
    "vllm": ProviderKind.VLLM,
    "compatible": ProviderKind.OPENAI_COMPATIBLE,
}
SPECIAL = (
    "gpt-image-1",
    "dall-e-3",
    "whisper-1",
    "gpt-4o-transcribe",
    "text-embedding-3-small",
    "omni-moderation-latest",
)
"""Models of OpenAI whose endpoints answer by the model's name."""
PLAIN: list[tuple[str, str, dict[str, Any], str]] = [
    ("embeddings", "text-embedding-3-small", {"input": "one"}, "CreateEmbeddingResponse"),
    ("embeddings", "text-embedding-3-small", {"input": ["one", "two"], "dimensions": 8}, "CreateEmbeddingResponse"),
    ("embeddings", "text-embedding-3-small", {"input": [5, 6], "encoding_format": "base64"}, "CreateEmbeddingResponse"),
    *[("embeddings", name, {"input": "one"}, "CreateEmbeddingResponse") for name in ("azure", "huggingface", "vllm")],
    ("moderations", "omni-moderation-latest", {"input": "I will kill"}, "CreateModerationResponse"),
    ("moderations", "omni-moderation-latest", {"input": ["a", "b"]}, "CreateModerationResponse"),
    ("images/generations", "dall-e-3", {"prompt": "A mill"}, "ImagesResponse"),
    ("images/generations", "dall-e-3", {"prompt": "A mill", "response_format": "b64_json"}, "ImagesResponse"),
    ("images/generations", "gpt-image-1", {"prompt": "A mill", "n": 2, "quality": "low"}, "ImagesResponse"),
]
FORMS: list[tuple[str, str, dict[str, str], str]] = [
    ("images/edits", "gpt-image-1", {"prompt": "Red"}, "ImagesResponse"),
    ("audio/transcriptions", "whisper-1", {}, "CreateTranscriptionResponseJson"),
    ("audio/transcriptions", "gpt-4o-transcribe", {}, "CreateTranscriptionResponseJson"),
    (
        "audio/transcriptions",
        "whisper-1",
        {"response_format": "verbose_json", "timestamp_granularities[]": "word"},
        "CreateTranscriptionResponseVerboseJson",
    ),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(
    tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer, simulator_server: SimulatorServer
) -> AsyncIterator[LoneDataPlane]:
    found = LoneDataPlane(tmp_path_factory.mktemp("endpoints") / "data", valkey.url)
    urls = {"anthropic": simulator_server.origin, "azure": simulator_server.origin}
    urls["huggingface"] = simulator_server.huggingface_url
    for name, kind in KINDS.items():
        version = "2024-10-21" if name == "azure" else ""
        found.add_provider(name, kind, urls.get(name, simulator_server.openai_url), api_version=version)
        found.add_model(name, (name, f"sim-{name}"))
    for name in SPECIAL:
        found.add_model(name, ("openai", name))
    async with found:
        yield found


async def post(plane: LoneDataPlane, path: str, body: Any = None, form: aiohttp.FormData | None = None) -> bytes:
    async with plane.client.post(plane.origin + path, json=body, data=form) as response:
        data = await response.read()
        assert response.status == 200, data
        return data


@pytest.mark.parametrize("model", KINDS)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("tools", [False, True])
async def test_turns_of_conversations(
    plane: LoneDataPlane, simulator: SimulatorServer, path: str, model: str, tools: bool
) -> None:
    for stream in (False, True):
        asked = request(path, model, stream=stream)
        if tools and path != COMPLETIONS:
            asked |= tools_of(path)
        body = await post(plane, path, asked)
        if path == MESSAGES:
            if stream:
                check_events(body)
                for event in (event for event in data_of(body) if event["type"] != "ping"):
                    EVENT.validate_python(event)
            else:
                Message.model_validate_json(body)
        elif not stream:
            assert OPENAI.hard_breaks(WHOLE[path], json.loads(body)) == []
        elif path == RESPONSES:
            assert [found for event in data_of(body) for found in OPENAI.event_breaks(event, soft=True)] == []
        else:
            chunks = data_of(body)
            if (path, model) == (CHAT, "azure"):
                first = chunks.pop(0)  # Azure's own, which breaks every description
                assert (first["object"], first["choices"]) == ("", [])
            assert {found for chunk in chunks for found in OPENAI.hard_breaks(CHUNK[path], chunk)} == set()
    assert simulator.settled(2)["received"] == 2


def tools_of(path: str) -> dict[str, Any]:
    """A tool that must be called, in the words of the dialect."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    if path == MESSAGES:
        return {"tools": [{"name": "weather", "input_schema": schema}], "tool_choice": {"type": "any"}}
    if path == RESPONSES:
        tool: dict[str, Any] = {"type": "function", "name": "weather", "parameters": schema, "strict": False}
    else:
        tool = {"type": "function", "function": {"name": "weather", "parameters": schema}}
    return {"tools": [tool], "tool_choice": "required"}


@pytest.mark.parametrize(("path", "model", "fields", "schema"), PLAIN)
async def test_an_endpoint(
    plane: LoneDataPlane, simulator: SimulatorServer, path: str, model: str, fields: dict[str, Any], schema: str
) -> None:
    found = json.loads(await post(plane, f"/v1/{path}", {"model": model, **fields}))
    assert OPENAI.hard_breaks(schema, found) == []
    assert simulator.settled(1)["received"] == 1


@pytest.mark.parametrize(("path", "model", "fields", "schema"), FORMS)
async def test_an_endpoint_that_takes_forms(
    plane: LoneDataPlane, simulator: SimulatorServer, path: str, model: str, fields: dict[str, str], schema: str
) -> None:
    form = aiohttp.FormData({"model": model, **fields})
    name, content = ("image", b"\x89PNG any") if path == "images/edits" else ("file", bytes(40_000))
    form.add_field(name, content, filename="a.png" if name == "image" else "a.mp3", content_type="image/png")
    found = json.loads(await post(plane, f"/v1/{path}", form=form))
    assert OPENAI.hard_breaks(schema, found) == []
    assert simulator.settled(1)["received"] == 1


async def test_the_list_of_models(plane: LoneDataPlane) -> None:
    async with plane.client.get(f"{plane.base_url}/models") as response:
        listed = await response.json()
    assert OPENAI.breaks("ListModelsResponse", listed) == []
    assert {model["id"] for model in listed["data"]} == {*KINDS, *SPECIAL}
    async with plane.client.get(f"{plane.base_url}/models/openai") as response:
        assert OPENAI.breaks("Model", await response.json()) == []


@pytest.mark.parametrize("path", [path for path in PATHS if path != MESSAGES])
@pytest.mark.parametrize("fields", [{"model": "gone"}, {"model": 5}, {"model": "openai", "stream": "yes"}, {}])
async def test_what_the_gateway_refuses_itself(plane: LoneDataPlane, path: str, fields: dict[str, Any]) -> None:
    body = {name: value for name, value in request(path, "openai", stream=False).items() if name != "model"}
    async with plane.client.post(plane.origin + path, json=body | fields) as response:
        assert response.status in (400, 404)
        assert OPENAI.breaks("ErrorResponse", await response.json()) == []
