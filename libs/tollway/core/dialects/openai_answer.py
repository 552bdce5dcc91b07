"""The OpenAI view of an answer that another dialect gave: whole, as stream chunks, and as a mid-stream error.

Owns writing alone. Shapes: `CreateChatCompletionResponse` and `CreateChatCompletionStreamResponse` of OpenAI's API
description; `reasoning_content` is the field that OpenAI-compatible services and clients use for visible reasoning.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core import chat
from tollway.core.dialects.openai_usage import write_usage
from tollway.core.dialects.sse import data_event
from tollway.core.usage import Usage

DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


def write_answer(answer: chat.Answer) -> bytes:
    """A whole `chat.completion` body."""
    refusal, calls = answer.refusal, answer.tool_calls
    # null says that there is something else in place of text; an answer of nothing at all has empty text.
    content = "" if answer.text is None and not calls and refusal is None else answer.text
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": refusal}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    body: dict[str, Any] = {
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish.value}],
    }
    if answer.usage is not None:
        body["usage"] = write_usage(answer.usage)
    return _encode(body)


def write_error_event(message: str, error_type: str, code: str, param: str | None = None) -> bytes:
    """The event that tells of an error after the stream began; no `[DONE]` follows it."""
    return data_event(_encode({"error": {"message": message, "type": error_type, "param": param, "code": code}}))


class StreamWriter:
    """Neutral events to `chat.completion.chunk` events. With `include_usage`, the last chunk carries the usage."""

    def __init__(self, *, model: str, created: int, include_usage: bool) -> None:
        """`model` is shown until the provider names its own; `created` is Unix seconds."""
        self._model = model
        self._created = created
        self._include_usage = include_usage
        self._id = "chatcmpl"

    def write(self, event: chat.Event) -> bytes:
        """The bytes for the client; `Closed` writes the finish, the usage when asked for, and `[DONE]`."""
        match event:
            case chat.TextDelta(text):
                return self._delta({"content": text})
            case chat.ReasoningDelta(text):
                return self._delta({"reasoning_content": text})
            case chat.RefusalDelta(text):
                return self._delta({"refusal": text})
            case chat.ThinkingSigned() | chat.ThinkingRedacted():
                return b""  # this dialect has no place for them
            case chat.ToolDelta(index, arguments):
                return self._delta({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
            case chat.ToolStarted(index, call_id, name):
                function = {"name": name, "arguments": ""}
                call = {"index": index, "id": call_id, "type": "function", "function": function}
                return self._delta({"tool_calls": [call]})
            case chat.Opened(answer_id, model):
                self._id = answer_id or self._id
                self._model = model or self._model
                return self._delta({"role": "assistant", "content": ""})
            case chat.Closed(finish, usage):
                return self._delta({}, finish.value) + self._usage(usage) + DONE

    def _delta(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        return self._chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], None)

    def _usage(self, usage: Usage | None) -> bytes:
        if not self._include_usage or usage is None:
            return b""
        return self._chunk([], write_usage(usage))

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None) -> bytes:
        body: dict[str, Any] = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }
        if self._include_usage:
            body["usage"] = usage
        return data_event(_encode(body))
