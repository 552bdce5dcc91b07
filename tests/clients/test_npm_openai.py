"""The official npm `openai` client: chat, completions, responses, embeddings, media, Azure, errors; its own helpers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

QUESTION = "What is the capital of France?"
ANSWER = f"Simulated answer to: {QUESTION}"
TRIP = {"city": "sample", "days": 1.5, "kind": "work"}
INVALID = "invalid_request_error"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def said(script: Callable[[str], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """What the script printed: model -> part -> what came."""
    return await script("openai.mjs")


def test_one_request_is_one_upstream_request(
    said: dict[str, Any], one_upstream_request_each: Callable[[dict[str, Any]], None]
) -> None:
    one_upstream_request_each(said)


@pytest.mark.parametrize("part", ["chat", "azure_chat"])
def test_chat(said: dict[str, Any], model: str, part: str) -> None:
    found = said[model][part]
    plain, streamed = found["plain"], found["streamed"]
    assert (plain["text"], plain["finish"]) == (streamed["text"], streamed["finish"]) == (ANSWER, "stop")
    assert found["deltas"] == ANSWER
    assert plain["usage"] == streamed["usage"]
    assert found["total"]["total_tokens"] == plain["usage"]["total_tokens"] == 12 + 13
    assert (plain["usage"]["prompt_tokens"], plain["usage"]["completion_tokens"]) == (12, 13)
    assert plain["request_id"]


def test_chat_parses_what_zod_describes(said: dict[str, Any], model: str) -> None:
    assert said[model]["parse"] == {"plain": TRIP, "streamed": TRIP}


@pytest.mark.parametrize("part", ["tools", "tools_streamed"])
def test_the_runner_of_tools(said: dict[str, Any], model: str, part: str) -> None:
    found = said[model][part]
    assert found["calls"] == [{"city": "Paris"}]
    assert found["roles"] == ["user", "assistant", "tool", "assistant"]
    assert found["text"].startswith("Simulated answer to: ")


def test_completions(said: dict[str, Any], model: str) -> None:
    assert said[model]["completions"] == {"plain": "Simulated answer to: hi", "streamed": "Simulated answer to: hi"}


def test_responses_are_kept_continued_and_deleted(said: dict[str, Any], model: str) -> None:
    found = said[model]["responses"]
    first, second = found["first"], found["second"]
    assert (first["text"], first["status"]) == ("Simulated answer to: My name is Ada.", "completed")
    assert found["kept"] == first
    assert second["text"] == "Simulated answer to: Who am I?"
    # The second turn was sent with the first one: its question, its answer, and the new question.
    assert second["usage"]["input_tokens"] == first["usage"]["input_tokens"] + (4 + 9) + (4 + 3)
    assert found["gone"]["class"] == found["orphan"]["class"] == "NotFoundError"
    assert found["gone"]["code"] == found["orphan"]["code"] == "response_not_found"


def test_input_items_have_the_shape_of_the_api(said: dict[str, Any], model: str) -> None:
    """An item's content is a list of parts, also where the client sent a text."""
    newest, answer, oldest = said[model]["responses"]["items"]
    assert newest == {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Who am I?"}]}
    assert (answer["role"], [part["text"] for part in answer["content"]]) == (
        "assistant",
        ["Simulated answer to: My name is Ada."],
    )
    assert oldest["content"] == [{"type": "input_text", "text": "My name is Ada."}]


def test_responses_streamed(said: dict[str, Any], model: str) -> None:
    found = said[model]["responses_stream"]
    assert found["final"] == found["kept"] == said[model]["responses"]["first"]
    assert found["deltas"] == found["final"]["text"]
    assert [number for _, number in found["events"]] == list(range(len(found["events"])))
    kinds = [kind for kind, _ in found["events"] if kind != "response.output_text.delta"]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


def test_responses_with_tools_and_structure(said: dict[str, Any], model: str) -> None:
    found = said[model]["responses_tools"]
    assert found["arguments"] == {"city": "Paris"}
    assert (found["answer"]["status"], found["answer"]["types"]) == ("completed", ["message"])
    assert found["parsed"] == TRIP


def test_azure_responses(said: dict[str, Any]) -> None:
    found = said["azure"]["azure_responses"]
    assert (found["text"], found["status"]) == ("Simulated answer to: hi", "completed")


@pytest.mark.parametrize(
    ("name", "part"),
    [(name, "embeddings") for name in ("gpt", "azure", "hub", "local", "other")] + [("azure", "azure_embeddings")],
)
def test_embeddings(said: dict[str, Any], name: str, part: str) -> None:
    """The client asks for base64 unless it is told otherwise, and decodes it itself."""
    found = said[name][part]
    first, second = found["standard"]
    assert len(first) == len(second) > 1
    assert first != second
    assert found["floats"] == [pytest.approx(first), pytest.approx(second)]
    assert found["base64"] == ["string", "string"]
    assert found["usage"]["prompt_tokens"] == found["usage"]["total_tokens"] > 0


def test_media(said: dict[str, Any]) -> None:
    found = said["gpt"]["media"]
    assert found["image"] > 0
    assert found["flagged"] is False
    assert found["audio"] > 0
    assert "hello.mp3" in found["transcript"]


def test_models(said: dict[str, Any], model: str) -> None:
    assert model in said["all"]["models"]


def test_error_classes(said: dict[str, Any], model: str) -> None:
    found = {name: (e["class"], e.get("status"), e["code"], e["type"]) for name, e in said[model]["errors"].items()}
    failed = "provider_unavailable" if model == "claude" else "provider_error"  # Anthropic's event says `overloaded`
    assert found == {
        "limited": ("RateLimitError", 429, "provider_rate_limited", "requests"),
        "failing": ("InternalServerError", 502, "provider_error", "server_error"),
        "refused": ("InternalServerError", 502, "provider_auth_failed", "server_error"),
        "not_again": ("InternalServerError", 502, "provider_auth_failed", "server_error"),
        "broken": ("APIError", None, failed, "server_error"),
        "broken_responses": ("APIError", None, failed, "server_error"),
        "cut": ("APIError", None, "provider_unavailable", "server_error"),
        "wrong_key": ("AuthenticationError", 401, "invalid_api_key", INVALID),
        "unknown_model": ("NotFoundError", 404, "model_not_found", INVALID),
        "wrong_type": ("BadRequestError", 400, "invalid_request", INVALID),
        "unknown_endpoint": ("NotFoundError", 404, "endpoint_not_found", INVALID),
        "unknown_response": ("NotFoundError", 404, "response_not_found", INVALID),
    }
    assert said[model]["errors"]["limited"]["retry_after"] == "7"
    assert said[model]["errors"]["unknown_model"]["param"] == "model"


def test_a_stream_is_left_in_the_middle(said: dict[str, Any], aborted: Callable[[str], int], model: str) -> None:
    """The provider stops too: for the stream that is broken off, and for the helper that is aborted."""
    assert said[model]["abort"]["chunks"] == 5
    assert said[model]["abort"]["aborted"]["class"] == "APIUserAbortError"
    assert aborted(model) == 2
