"""What a provider accepts: the rules of a request of Anthropic's messages and of OpenAI's chat completions.

Owns the checks that tests apply to everything that leaves for a provider. Shapes are those of the official clients'
request types, held strictly: a field that the type does not know is a break. The rules of turns come from the
providers' documentation and error messages.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import BaseModel, ConfigDict, TypeAdapter

_TYPES: dict[tuple[str, bool], Any] = {
    ("anthropic", False): MessageCreateParamsNonStreaming,
    ("anthropic", True): MessageCreateParamsStreaming,
    ("openai", False): CompletionCreateParamsNonStreaming,
    ("openai", True): CompletionCreateParamsStreaming,
}
_SAMPLING = ("temperature", "top_p", "top_k")
_BUDGET = 1024
_CALL_ID = 40


@cache
def _adapter(dialect: str, stream: bool) -> TypeAdapter[Any]:
    # In a list, because pydantic takes no configuration beside a type that could have its own.
    listed: Any = list.__class_getitem__(_TYPES[dialect, stream])
    return TypeAdapter(listed, config=ConfigDict(extra="forbid"))


def check_shape(dialect: str, body: dict[str, Any]) -> None:
    """Raise pydantic's ValidationError unless `body` is a request as the official client types it."""
    _read_on(_adapter(dialect, bool(body.get("stream"))).validate_python([body]))


def _read_on(value: Any) -> None:
    """Iterables are validated as they are read."""
    assert not isinstance(value, BaseModel), f"only an answer has this: {value!r}"
    if isinstance(value, dict):
        for item in value.values():
            _read_on(item)
    elif not isinstance(value, str | bytes) and hasattr(value, "__iter__"):
        for item in value:
            _read_on(item)


def check_messages_request(body: dict[str, Any]) -> None:
    """Raise unless Anthropic's Messages API takes the request."""
    # Only older models can be told how to sample, and the official client's types leave it out.
    check_shape("anthropic", {name: value for name, value in body.items() if name not in _SAMPLING})
    assert all(0 <= body[name] <= 1 for name in _SAMPLING[:2] if name in body), "sampling out of range"
    turns = body["messages"]
    roles = [turn["role"] for turn in turns]
    assert roles == [("user", "assistant")[index % 2] for index in range(len(roles))], roles
    before: list[dict[str, Any]] = []
    for turn in turns:
        blocks = turn["content"]
        blocks = [{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks
        assert blocks, "a turn without content"
        assert all(block["text"].strip() for block in blocks if block["type"] == "text"), "an empty text block"
        kinds = [block["type"] for block in blocks]
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        wanted = [block["id"] for block in before if block["type"] == "tool_use"]
        assert sorted(results) == sorted(wanted), f"results {results} for calls {wanted}"
        assert kinds[: len(results)] == ["tool_result"] * len(results), "text before the results of tools"
        before = blocks
    assert not any(block["type"] == "tool_use" for block in before), "the last turn wants tools called"
    if roles[-1] == "assistant" and before[-1]["type"] == "text":
        assert before[-1]["text"] == before[-1]["text"].rstrip(), "a prefilled answer that ends in white space"
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled":
        assert _BUDGET <= thinking["budget_tokens"] < body["max_tokens"], "a budget without room"
        assert body.get("temperature", 1) == 1, "a thinking model takes temperature 1 alone"
    if "tool_choice" in body:
        assert body.get("tools"), "a choice without tools"


def check_chat_request(body: dict[str, Any]) -> None:
    """Raise unless OpenAI's chat completions take the request."""
    check_shape("openai", body)
    waiting: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            assert message["tool_call_id"] in waiting, f"a result of {message['tool_call_id']}, which nobody called"
            waiting.remove(message["tool_call_id"])
            continue
        assert not waiting, f"calls without results: {waiting}"
        if message["role"] == "assistant":
            calls = message.get("tool_calls", [])
            assert calls or message.get("content") is not None or message.get("refusal"), "an empty message"
            waiting = [call["id"] for call in calls]
            assert all(len(name) <= _CALL_ID for name in waiting), "the id of a call is too long"
        else:
            assert message["content"], "a message without content"
    assert not waiting, f"calls without results: {waiting}"
    assert len(body.get("stop") or ()) <= 4, "more than four stop sequences"
    assert body.get("tools") != [], "an empty list of tools"
    if "tool_choice" in body or "parallel_tool_calls" in body:
        assert body.get("tools"), "a choice without tools"
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        assert wanted["json_schema"]["name"], "a schema without a name"
