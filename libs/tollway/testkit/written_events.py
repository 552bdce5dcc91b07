"""Streams that the writers make of neutral events, read back: what a client has of them is what a whole answer says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Raw

from tollway.core import chat
from tollway.core.dialects import anthropic_messages, openai_chat, openai_completions, openai_responses, sse
from tollway.core.dialects.ports import StreamWriter
from tollway.core.usage import Usage
from tollway.testkit.stream_runs import CHAT, COMPLETIONS, MESSAGES, RESPONSES, check_grammar

_CREATED = 9
_ID, _MODEL = "id", "model"
_RESPONSE: dict[str, Any] = {"response_id": "resp_1", "created": _CREATED}
_NO_FIELDS: Mapping[str, Raw] = {}

WRITERS: Mapping[str, Callable[[], StreamWriter]] = {
    CHAT: lambda: openai_chat.StreamWriter(model="shown", created=_CREATED, include_usage=True),
    COMPLETIONS: lambda: openai_completions.StreamWriter(model="shown", created=_CREATED, include_usage=True),
    RESPONSES: lambda: openai_responses.StreamWriter(model="shown", fields=_NO_FIELDS, **_RESPONSE),
    MESSAGES: lambda: anthropic_messages.StreamWriter(model="shown", message_id="m"),
}
"""A new writer for each path of a conversation."""


def events_of(blocks: Iterable[chat.Block]) -> list[chat.Event]:
    """The deltas of a stream of these blocks, each in two pieces."""
    events: list[chat.Event] = []
    calls = 0
    for block in blocks:
        match block:
            case chat.Text(text):
                events += [chat.TextDelta(piece) for piece in _halves(text)]
            case chat.Refusal(text):
                events += [chat.RefusalDelta(piece) for piece in _halves(text)]
            case chat.Thinking(text, signature):
                events += [chat.ReasoningDelta(piece) for piece in _halves(text)]
                events += [chat.ThinkingSigned(signature)] if signature else []
            case chat.RedactedThinking(data):
                events.append(chat.ThinkingRedacted(data))
            case chat.ToolCall(given, name, arguments):
                events.append(chat.ToolStarted(calls, given, name))
                events += [chat.ToolDelta(calls, piece) for piece in _halves(arguments)]
                calls += 1
    return events


def _halves(text: str) -> list[str]:
    return [piece for piece in (text[: len(text) // 2], text[len(text) // 2 :]) if piece]


def write_stream(path: str, events: Iterable[chat.Event]) -> bytes:
    """What a writer makes of the events; it must keep to the grammar of its dialect."""
    writer = WRITERS[path]()
    out = b"".join([writer.write(event) for event in events])
    check_grammar(path, out)
    return out


def check_whole(path: str, blocks: tuple[chat.Block, ...], finish: chat.Finish, usage: Usage | None = None) -> None:
    """Raise AssertionError unless the stream of these blocks and the whole answer tell a client the same."""
    opened = chat.Opened(_ID, _MODEL)
    stream = write_stream(path, [opened, *events_of(blocks), chat.Closed(finish, usage)])
    answer = chat.Answer(id=_ID, model=_MODEL, created=_CREATED, finish=finish, blocks=blocks, usage=usage)
    read, write = _READ[path]
    streamed, whole = read(_data(stream)), json.loads(write(answer))
    assert streamed == _plain(path, whole), f"{path}: the stream says {streamed}, the whole {whole}"


def _data(stream: bytes) -> list[Any]:
    found = (event.data for event in sse.Parser().feed(stream))
    return [json.loads(data) for data in found if data is not None and data != b"[DONE]"]


def _plain(path: str, whole: dict[str, Any]) -> Any:
    """What can be compared: a stream does not tell where one block of a kind ends and the next begins."""
    if path == MESSAGES:
        return whole | {"content": _joined(whole["content"])}
    if path == CHAT:
        message = whole["choices"][0]["message"]
        message = {name: value for name, value in message.items() if value and name != "role"}
        return message, whole["choices"][0]["finish_reason"], whole.get("usage")
    if path == COMPLETIONS:
        return whole["choices"][0]["text"], whole["choices"][0]["finish_reason"], whole.get("usage")
    return whole


def _joined(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Texts in a row as one, and reasoning up to its signature; empty ones are not told in a stream."""
    joined: list[dict[str, Any]] = []
    for block in content:
        kind = block["type"]
        if kind in ("text", "thinking") and not block[kind] and not block.get("signature"):
            continue
        last = joined[-1] if joined else {}
        if kind == "text" and last.get("type") == "text":
            last["text"] += block["text"]
        elif kind == "thinking" and last.get("type") == "thinking" and not last["signature"]:
            last["thinking"] += block["thinking"]
            last["signature"] = block["signature"]
        else:
            joined.append(dict(block))
    return joined


def _read_chat(events: list[Any]) -> Any:
    message: dict[str, Any] = {}
    finish = usage = None
    for event in events:
        usage = event.get("usage") or usage
        for choice in event["choices"]:
            finish = choice["finish_reason"] or finish
            for name in ("content", "refusal", "reasoning_content"):
                message[name] = message.get(name, "") + choice["delta"].get(name, "")
            for told in choice["delta"].get("tool_calls", ()):
                calls = message.setdefault("tool_calls", [])
                if told["index"] == len(calls):
                    calls.append({"id": told["id"], "type": "function", "function": dict(told["function"])})
                else:
                    calls[told["index"]]["function"]["arguments"] += told["function"]["arguments"]
    return {name: value for name, value in message.items() if value}, finish, usage


def _read_completion(events: list[Any]) -> Any:
    choices = [choice for event in events for choice in event["choices"]]
    usage = next((event["usage"] for event in events if event.get("usage")), None)
    return "".join(choice["text"] for choice in choices), choices[-1]["finish_reason"], usage


def _read_messages(events: list[Any]) -> Any:
    message: dict[str, Any] = {}
    for event in events:
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                message["content"].append(event["content_block"] | {"partial": ""})
            case "content_block_delta":
                delta, block = event["delta"], message["content"][-1]
                (key,) = delta.keys() - {"type"}
                place = "partial" if key == "partial_json" else key
                block[place] += delta[key]
            case "content_block_stop":
                block = message["content"][-1]
                partial = block.pop("partial")
                if partial:
                    block["input"] = json.loads(partial)
            case "message_delta":
                message |= event["delta"] | {"usage": event["usage"]}
    return message | {"content": _joined(message["content"])}


_READ: Mapping[str, tuple[Callable[[list[Any]], Any], Callable[[chat.Answer], bytes]]] = {
    CHAT: (_read_chat, openai_chat.write_answer),
    COMPLETIONS: (_read_completion, openai_completions.write_answer),
    MESSAGES: (_read_messages, anthropic_messages.write_answer),
    RESPONSES: (
        lambda events: events[-1]["response"],
        lambda answer: openai_responses.write_answer(answer, _NO_FIELDS, **_RESPONSE),
    ),
}
