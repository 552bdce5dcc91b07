"""The OpenAI view of an answer that another dialect gave: whole, as stream chunks, and as a mid-stream error.

Owns writing alone. Shapes: `CreateChatCompletionResponse` and `CreateChatCompletionStreamResponse` of OpenAI's API
description; `reasoning_content` is the field that OpenAI-compatible services and clients use for visible reasoning.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tollway.core import chat
from tollway.core.dialects.openai_usage import write_usage
from tollway.core.dialects.sse import data_event
from tollway.core.usage import Usage

DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


def encoded(value: Any) -> bytes:
    """JSON. Half a surrogate pair, which some providers write, stays the escape that it was."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode("ascii")


def write_answer(answer: chat.Answer) -> bytes:
    """A whole `chat.completion` body."""
    text, refusal, calls, reasoning = answer.text, answer.refusal, answer.tool_calls, answer.reasoning
    # null says that there is something else in place of text; an answer of nothing at all has empty text.
    content = "" if text is None and not calls and refusal is None else text
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": refusal}
    if reasoning:
        message["reasoning_content"] = reasoning
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
    return encoded(body)


def write_error_event(message: str, error_type: str, code: str, param: str | None = None) -> bytes:
    """The event that tells of an error after the stream began; no `[DONE]` follows it."""
    return data_event(encoded({"error": {"message": message, "type": error_type, "param": param, "code": code}}))


class StreamWriter:
    """Neutral events to `chat.completion.chunk` events. With `include_usage`, the last chunk carries the usage.

    All that does not change from chunk to chunk is encoded once: a delta costs the encoding of its text.
    """

    __slots__ = ("_before", "_calls", "_created", "_id", "_include_usage", "_model", "_reasoning", "_tail", "_text")

    def __init__(self, *, model: str, created: int, include_usage: bool) -> None:
        """`model` is shown until the provider names its own; `created` is Unix seconds."""
        self._created = created
        self._include_usage = include_usage
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"
        self._open("chatcmpl", model)

    def _open(self, answer_id: str, model: str) -> None:
        self._id = answer_id
        self._model = model
        self._before = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":' % (
            encoded(answer_id),
            self._created,
            encoded(model),
        )
        self._text = self._before + b'[{"index":0,"delta":{"content":'
        self._reasoning = self._before + b'[{"index":0,"delta":{"reasoning_content":'
        self._calls = self._before + b'[{"index":0,"delta":{"tool_calls":[{"index":'

    def write(self, event: chat.Event) -> bytes:
        """The bytes for the client; `Closed` writes the finish, the usage when asked for, and `[DONE]`."""
        if isinstance(event, chat.TextDelta):
            return self._text + encoded(event.text) + b'},"logprobs":null,"finish_reason":null}]' + self._tail
        if isinstance(event, chat.ReasoningDelta):
            return self._reasoning + encoded(event.text) + b'},"logprobs":null,"finish_reason":null}]' + self._tail
        return self._write_other(event)

    def _write_other(self, event: chat.Event) -> bytes:
        match event:
            case chat.ToolDelta(index, arguments):
                call = b'%d,"function":{"arguments":%b}}]' % (index, encoded(arguments))
                return self._calls + call + b'},"logprobs":null,"finish_reason":null}]' + self._tail
            case chat.RefusalDelta(text):
                return self._delta({"refusal": text})
            case chat.ToolStarted(index, call_id, name):
                function = {"name": name, "arguments": ""}
                call_started = {"index": index, "id": call_id, "type": "function", "function": function}
                return self._delta({"tool_calls": [call_started]})
            case chat.Opened(answer_id, model):
                self._open(answer_id or self._id, model or self._model)
                return self._delta({"role": "assistant", "content": ""})
            case chat.Closed(finish, usage):
                return self._delta({}, finish.value) + self._usage(usage) + DONE
        return b""  # signatures and redacted reasoning have no place in this dialect

    def fail(self, message: str, error_type: str, code: str, param: str | None = None) -> bytes:
        """As `ports.StreamWriter.fail`."""
        return write_error_event(message, error_type, code, param)

    def _delta(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._before + encoded([choice]) + self._tail

    def _usage(self, usage: Usage | None) -> bytes:
        if not self._include_usage or usage is None:
            return b""
        return self._before + b'[],"usage":' + encoded(write_usage(usage)) + b"}\n\n"
