"""What a pass-through relay sees: the same as the reader, in any split, without changing a byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core import chat
from tollway.core.dialects import sse
from tollway.core.dialects.anthropic_messages import ErrorEvent, MessagesView, StreamReader
from tollway.core.usage import Usage


def event(body: dict[str, Any]) -> bytes:
    return f"event: {body['type']}\ndata: {json.dumps(body)}\n\n".encode()


def delta(body: dict[str, Any]) -> bytes:
    return event({"type": "content_block_delta", "index": 0, "delta": body})


def start(block: dict[str, Any]) -> bytes:
    return event({"type": "content_block_start", "index": 0, "content_block": block})


def seen(view: MessagesView) -> tuple[Any, ...]:
    return (view.started, view.done, view.usage, view.output_chars, view.output_events)


def test_recorded_streams_in_any_spelling_and_split(anthropic_stream: dict[str, Any]) -> None:
    body = anthropic_stream["body"].encode()
    reader = StreamReader()
    reader.feed(body)
    view = MessagesView()
    blocks = sse.Framer().feed(body)
    assert [view.see(block) for block in blocks[:-1]] == [True] * (len(blocks) - 1)
    assert view.see(blocks[-1]) is (reader.failure is None)
    assert type(view.failure) is type(reader.failure)
    assert (view.done, view.usage) == (reader.done, reader.usage)
    assert view.started
    for line_end in (b"\n", b"\r\n", b"\r"):
        framer, other = sse.Framer(), MessagesView()
        spelt = body.replace(b"\n", line_end)
        for i in range(len(spelt)):
            for block in framer.feed(spelt[i : i + 1]):
                other.see(block)
        if rest := framer.rest():
            other.see(rest)
        assert seen(other) == seen(view)


def test_characters_are_counted_as_delivered(anthropic_stream: dict[str, Any]) -> None:
    view, chars, events = MessagesView(), 0, 0
    for block in sse.Framer().feed(anthropic_stream["body"].encode()):
        view.see(block)
        data = sse.read_event(block).data
        body = json.loads(data) if data else {}
        if body.get("type") == "content_block_delta":
            fields = ("text", "thinking", "partial_json", "content")
            text = "".join(value for name in fields if isinstance(value := body["delta"].get(name), str))
            chars += len(text)
            events += bool(text)
    assert (view.output_chars, view.output_events) == (chars, events)


@pytest.mark.parametrize(
    ("block", "started"),
    [
        (event({"type": "message_start", "message": {"usage": {"input_tokens": 1}}}), False),
        (event({"type": "ping"}), False),
        (start({"type": "text", "text": ""}), False),
        (start({"type": "thinking", "thinking": "", "signature": ""}), False),
        (delta({"type": "text_delta", "text": ""}), False),
        (delta({"type": "signature_delta", "signature": "x"}), False),
        (b": comment\n\n", False),
        (b'event: novel\ndata: {"type":"novel","delta":3}\n\n', False),
        (start({"type": "text", "text": "x"}), True),
        (start({"type": "tool_use", "id": "t", "name": "f", "input": {}}), True),
        (start({"type": "redacted_thinking", "data": "x"}), True),
        (delta({"type": "text_delta", "text": "x"}), True),
        (delta({"type": "thinking_delta", "thinking": "x"}), True),
        (delta({"type": "input_json_delta", "partial_json": "{"}), True),
        (event({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 3}}), True),
    ],
)
def test_the_commit_point(block: bytes, started: bool) -> None:
    view = MessagesView()
    assert view.see(block)
    assert (view.started, view.done, view.failure) == (started, False, None)


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (event({"type": "error", "error": {"type": "overloaded_error"}}), {"type": "overloaded_error"}),
        (b"event: content_block_delta\ndata: {\n\n", None),
        (b"data: [1]\n\n", None),
        (b'data: {"type":"message_start","message":3}\n\n', None),
        (b"<html>\n\n", None),
    ],
)
def test_errors_and_garbage_are_failures_and_not_passed_on(block: bytes, error: Any) -> None:
    view = MessagesView()
    assert not view.see(block)
    assert view.failure is not None
    assert (view.failure.error if isinstance(view.failure, ErrorEvent) else None) == error
    assert not view.see(event({"type": "message_stop"}))
    assert not view.done


def test_usage_is_merged_and_nothing_follows_the_end() -> None:
    view = MessagesView()
    usage = {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 1}
    view.see(event({"type": "message_start", "message": {"usage": usage}}))
    view.see(event({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 9, "input_tokens": None}}))
    assert view.see(event({"type": "message_stop"}))
    assert (view.done, view.usage) == (True, Usage(input=7, cached_input=2, output=9))
    assert not view.see(delta({"type": "text_delta", "text": "x"}))
    assert view.output_chars == 0


@settings(max_examples=60)
@given(st.data())
def test_mutated_streams_raise_nothing(data: st.DataObject) -> None:
    body = bytearray(
        event({"type": "message_start", "message": {"usage": {"input_tokens": 5}}})
        + start({"type": "tool_use", "id": "t", "name": "f", "input": {}})
        + delta({"type": "input_json_delta", "partial_json": "{}"})
        + event({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}})
        + event({"type": "message_stop"})
    )
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    view, framer = MessagesView(), sse.Framer()
    for block in [*framer.feed(bytes(body)), framer.rest()]:
        view.see(block)
    reader = StreamReader()
    told = [*reader.feed(bytes(body)), *reader.end()]
    assert view.done is reader.done or view.failure is not None or reader.failure is not None
    if view.done and reader.done:
        assert view.usage == reader.usage
        assert isinstance(told[-1], chat.Closed)
