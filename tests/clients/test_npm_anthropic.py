"""The official npm client of Anthropic, against its own provider and all the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

QUESTION = "What is the capital of France?"
ANSWER = f"Simulated answer to: {QUESTION}"
TEXT = [{"type": "text", "text": ANSWER}]
TOKENS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
ONE_BLOCK = ["message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"]
SHOWS_THINKING = ("claude", "hub")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def said(script: Callable[[str], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """What the script printed: model -> part -> what came."""
    return await script("anthropic.mjs")


def kinds(events: list[str]) -> list[str]:
    """The events of a stream without what may come any number of times."""
    return [event for event in events if event not in ("ping", "content_block_delta")]


def tokens(message: dict[str, Any]) -> list[int]:
    """The counts of a message's usage."""
    return [message["usage"][name] for name in TOKENS]


def test_one_request_is_one_upstream_request(
    said: dict[str, Any], one_upstream_request_each: Callable[[dict[str, Any]], None]
) -> None:
    one_upstream_request_each(said)


def test_messages(said: dict[str, Any], model: str) -> None:
    found = said[model]["messages"]
    plain, final, heard = found["plain"], found["final"], found["heard"]
    assert plain["content"] == final["content"] == TEXT
    assert plain["stop_reason"] == final["stop_reason"] == "end_turn"
    assert (plain["type"], plain["role"]) == (final["type"], final["role"]) == ("message", "assistant")
    assert tokens(plain) == tokens(final)
    assert plain["usage"]["output_tokens"] == 13
    assert heard["text"] == ANSWER
    assert kinds(heard["events"]) == kinds(found["raw"]) == ONE_BLOCK
    assert found["auth_token"] == [ANSWER]
    assert found["request_id"]


def test_limits_and_stop_sequences(said: dict[str, Any], model: str) -> None:
    """OpenAI's API does not say which of the sequences it was, nor that it was one."""
    found = said[model]["messages"]
    assert found["limited"] == "max_tokens"
    told = ("stop_sequence", "capital") if model == "claude" else ("end_turn", None)
    assert (found["stopped"]["reason"], found["stopped"]["sequence"]) == told
    assert found["stopped"]["text"] == "Simulated answer to: What is the "


@pytest.mark.parametrize("how", ["plain", "streamed"])
def test_a_tool_round_trip(said: dict[str, Any], model: str, how: str) -> None:
    found = said[model]["tools"][how]
    assert (found["stop"], found["tool"], found["input"]) == ("tool_use", "weather", {"city": "Paris"})
    assert (found["answer"], found["end"]) == (["Simulated answer to: So what?"], "end_turn")
    if how == "streamed":
        assert found["json"] == '{"city":"Paris"}'


@pytest.mark.parametrize("part", ["tool_runner", "tool_runner_streamed"])
def test_the_runner_of_tools(said: dict[str, Any], model: str, part: str) -> None:
    assert said[model][part] == {"calls": ["Paris", "Rome"], "stop": "end_turn"}


def test_messages_parse_what_zod_describes(said: dict[str, Any], model: str) -> None:
    assert said[model]["parse"] == {"city": "sample", "days": 1.5, "kind": "work"}


def test_thinking(said: dict[str, Any], model: str) -> None:
    """What a provider shows is a block before the text, streamed as a whole; what it hides is counted alone."""
    found = said[model]["thinking"]
    plain, final, heard = found["plain"], found["final"], found["heard"]
    assert plain["content"] == final["content"]
    assert plain["content"][-1:] == TEXT
    assert tokens(plain) == tokens(final)
    if model in SHOWS_THINKING:
        thinking = plain["content"][0]
        assert thinking["type"] == "thinking"
        assert heard["thinking"] == thinking["thinking"] != ""
        assert heard["signature"] == thinking["signature"]
        assert bool(thinking["signature"]) == (model == "claude")
        assert kinds(heard["events"]) == [*ONE_BLOCK[:3], *ONE_BLOCK[1:]]
    else:
        assert plain["content"] == TEXT
        assert plain["usage"]["output_tokens_details"]["thinking_tokens"] == 8


def test_thinking_is_sent_back(said: dict[str, Any], model: str) -> None:
    """Its own provider gets it as it was; another one, which could not read it, goes without."""
    found = said[model]["thinking"]
    assert found["second"]["content"][-1] == {"type": "text", "text": "Simulated answer to: And of Italy?"}
    assert found["other"] == ["Simulated answer to: And of Italy?"]
    without = (4 + 8) + (4 + 13) + (4 + 4)
    assert found["second"]["usage"]["input_tokens"] == without + (16 if model == "claude" else 0)


def test_counted_tokens(said: dict[str, Any], model: str) -> None:
    """Exact at the provider that counts, an estimate elsewhere."""
    counted = said[model]["counted"]
    assert counted == (3 + 4 + 8 if model == "claude" else counted)
    assert 8 < counted < 40


def test_models(said: dict[str, Any], model: str) -> None:
    found = said["all"]["models"]
    assert model in found["ids"]
    assert (found["one"]["id"], found["one"]["type"], found["one"]["display_name"]) == ("claude", "model", "claude")
    assert (found["missing"]["class"], found["missing"]["type"]) == ("NotFoundError", "not_found_error")


def test_error_classes(said: dict[str, Any], model: str) -> None:
    found = {name: (e["class"], e.get("status"), e["type"]) for name, e in said[model]["errors"].items()}
    assert found == {
        "limited": ("RateLimitError", 429, "rate_limit_error"),
        "failing": ("InternalServerError", 502, "api_error"),
        "refused": ("InternalServerError", 502, "api_error"),
        "not_again": ("InternalServerError", 502, "api_error"),
        "broken": ("APIError", None, "api_error"),
        "cut": ("APIError", None, "api_error"),
        "wrong_key": ("AuthenticationError", 401, "authentication_error"),
        "unknown_model": ("NotFoundError", 404, "not_found_error"),
        "wrong_type": ("BadRequestError", 400, "invalid_request_error"),
        "no_limit": ("BadRequestError", 400, "invalid_request_error"),
    }
    assert said[model]["errors"]["limited"]["retry_after"] == "7"


def test_a_stream_is_left_in_the_middle(said: dict[str, Any], aborted: Callable[[str], int], model: str) -> None:
    assert said[model]["abort"]["class"] == "APIUserAbortError"
    assert aborted(model) == 1
