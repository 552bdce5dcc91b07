"""The Vercel AI SDK: OpenAI's provider (chat and responses), Anthropic's, and the one for compatible services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

ANSWER = "Simulated answer to: What is the capital of France?"
TRIP = {"city": "sample", "days": 1.5, "kind": "work"}
THOUGHT = 8
"""Tokens of reasoning in each answer of the models that reason."""
WITHOUT = (4 + 8) + (4 + 13) + (4 + 1)
"""Input tokens of a second turn that takes no reasoning along."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def said(script: Callable[[str], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """What the script printed: model -> part -> what came."""
    return await script("vercel.mjs")


@pytest.fixture(params=["chat", "responses", "messages", "compatible"])
def face(request: pytest.FixtureRequest) -> str:
    """Which API the SDK speaks: the parts begin with its name."""
    name: str = request.param
    return name


def test_one_request_is_one_upstream_request(
    said: dict[str, Any], one_upstream_request_each: Callable[[dict[str, Any]], None]
) -> None:
    one_upstream_request_each(said)


def test_text(said: dict[str, Any], model: str, face: str) -> None:
    found = said[model][f"{face}_text"]
    assert found["plain"] == found["streamed"]
    assert (found["plain"]["text"], found["plain"]["finish"]) == (ANSWER, "stop")
    usage = found["plain"]["usage"]
    assert usage["outputTokens"] == 13
    assert usage["totalTokens"] == usage["inputTokens"] + 13
    assert found["deltas"] == ANSWER
    # The SDK tells the first event of Anthropic's streams as a part of its own.
    parts = [part for part in found["types"] if part != "custom"]
    assert parts == ["start", "start-step", "text-start", "text-delta", "text-end", "finish-step", "finish"]


def test_objects(said: dict[str, Any], model: str, face: str) -> None:
    found = said[model][f"{face}_object"]
    assert found["plain"] == found["streamed"] == found["output"] == TRIP
    assert found["parts"] > 1


@pytest.mark.parametrize("how", ["tools", "tools_streamed"])
def test_tools_in_several_steps(said: dict[str, Any], model: str, face: str, how: str) -> None:
    found = said[model][f"{face}_{how}"]
    assert found["cities"] == ["Paris", "Rome"]
    assert found["steps"] == ["tool-calls", "stop"]
    assert found["roles"] == ["assistant", "tool", "assistant"]
    assert found["text"].startswith("Simulated answer to: ")
    assert found["last"] == "Simulated answer to: Thanks."


@pytest.mark.parametrize("how", ["plain", "streamed"])
def test_the_conversation_goes_on_after_reasoning(said: dict[str, Any], model: str, face: str, how: str) -> None:
    """Reasoning that its provider takes back reaches it: by reference, and as the client sends it."""
    found = said[model][f"{face}_reasoning"][how]
    assert found["second"]["text"] == "Simulated answer to: Why?"
    returned = (model == "gpt" and face == "responses") or (model == "claude" and face in ("responses", "messages"))
    assert found["second"]["input"] == WITHOUT + (THOUGHT if returned else 0)


@pytest.mark.parametrize("how", ["plain", "streamed"])
def test_reasoning_returns_without_a_store(said: dict[str, Any], model: str, how: str) -> None:
    """With `store: false` the client brings it along, sealed; the SDK leaves out what is beside the seal."""
    found = said[model]["responses_unstored"][how]
    assert found["second"]["text"] == "Simulated answer to: Why?"
    assert found["second"]["input"] == WITHOUT + (THOUGHT if model in ("gpt", "claude") else 0)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("gpt", "responses_reasoning"),
        ("claude", "messages_reasoning"),
        ("claude", "compatible_reasoning"),
        ("hub", "messages_reasoning"),
        ("hub", "compatible_reasoning"),
    ],
)
def test_reasoning_is_shown(said: dict[str, Any], name: str, part: str) -> None:
    plain, streamed = said[name][part]["plain"], said[name][part]["streamed"]
    assert plain["reasoning"] == streamed["reasoning"]
    assert len(plain["reasoning"]) == THOUGHT * 4


def test_errors(said: dict[str, Any], model: str, face: str) -> None:
    found = said[model][f"{face}_errors"]
    told = {name: (e["class"], e.get("status"), e.get("retryable")) for name, e in found.items()}
    assert told == {
        "limited": ("APICallError", 429, True),
        "failing": ("APICallError", 502, True),
        "refused": ("APICallError", 502, True),
        "unknown": ("APICallError", 404, False),
        "broken": ("StreamProviderError", None, None),
    }
    assert "no-such-model" in found["unknown"]["message"]


def test_a_stream_is_left_in_the_middle(said: dict[str, Any], aborted: Callable[[str], int], model: str) -> None:
    """Once with each API."""
    for name in ("chat", "responses", "messages", "compatible"):
        parts = said[model][f"{name}_abort"]
        assert parts[-1] == "abort"
        assert "finish" not in parts
    assert aborted(model) == 4


@pytest.mark.parametrize("name", ["gpt", "azure", "hub", "local", "other"])
@pytest.mark.parametrize("part", ["chat_embeddings", "compatible_embeddings"])
def test_embeddings(said: dict[str, Any], name: str, part: str) -> None:
    found = said[name][part]
    first, second, third = found["lengths"]
    assert first == second == third > 1
    assert found["tokens"] > 0
