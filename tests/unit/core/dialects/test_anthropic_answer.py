"""Answers of the Messages API: every recorded exchange against an independent reading, the traps, and any split."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core import chat
from tollway.core.dialects.anthropic_messages import ErrorEvent, StreamReader, read_answer, read_usage
from tollway.core.errors import TollwayError
from tollway.core.usage import Usage

FINISH = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}


def gather(events: list[chat.Event]) -> dict[str, Any]:
    """The whole answer that a stream of neutral events amounts to."""
    calls: list[list[str]] = []
    text = reasoning = ""
    closed = None
    for event in events:
        match event:
            case chat.TextDelta(more):
                text += more
            case chat.ReasoningDelta(more):
                reasoning += more
            case chat.ToolStarted(index, call_id, name):
                assert index == len(calls)
                calls.append([call_id, name, ""])
            case chat.ToolDelta(index, arguments):
                calls[index][2] += arguments
            case chat.Closed():
                closed = event
    return {"text": text, "reasoning": reasoning, "calls": calls, "closed": closed}


def reference(body: str) -> dict[str, Any]:
    """A second, plain reading of a recorded stream: blocks assembled as the provider's documentation says."""
    blocks: dict[int, dict[str, Any]] = {}
    usage: dict[str, Any] = {}
    stop = None
    for line in body.splitlines():
        if not line.startswith("data:"):
            continue
        event = json.loads(line[5:])
        kind = event["type"]
        if kind == "message_start":
            usage |= event["message"]["usage"]
        elif kind == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"], json="")
        elif kind == "content_block_delta" and event["index"] in blocks:
            delta, block = event["delta"], blocks[event["index"]]
            if delta["type"] in ("text_delta", "thinking_delta"):
                key = delta["type"].removesuffix("_delta")
                block[key] += delta[key]
            elif delta["type"] == "input_json_delta":
                block["json"] += delta["partial_json"]
        elif kind == "message_delta":
            usage |= {key: value for key, value in event["usage"].items() if value is not None}
            stop = event["delta"]["stop_reason"]
    ordered = [blocks[index] for index in sorted(blocks)]
    return {
        "text": "".join(block["text"] for block in ordered if block["type"] == "text"),
        "reasoning": "".join(block["thinking"] for block in ordered if block["type"] == "thinking"),
        "calls": [[b["id"], b["name"], b["json"] or "{}"] for b in ordered if b["type"] == "tool_use"],
        "finish": FINISH.get(stop or ""),
        "usage": usage,
    }


def test_recorded_streams(anthropic_stream: dict[str, Any]) -> None:
    body = anthropic_stream["body"]
    expected = reference(body)
    if "event: error" in body:
        reader = StreamReader()
        assert gather(reader.feed(body.encode())) == {
            "text": expected["text"],
            "reasoning": "",
            "calls": [],
            "closed": None,
        }
        assert isinstance(reader.failure, ErrorEvent)
        assert reader.failure.error == {"type": "overloaded_error", "message": "Overloaded"}
        return
    reader = StreamReader()
    got = gather(reader.feed(body.encode()))
    assert (got["text"], got["reasoning"], got["calls"]) == (expected["text"], expected["reasoning"], expected["calls"])
    assert reader.done
    assert got["closed"].finish.value == expected["finish"]
    usage, top = got["closed"].usage, expected["usage"]
    if "iterations" not in top:
        cached = top.get("cache_read_input_tokens", 0)
        assert usage.input == top["input_tokens"] + cached + top.get("cache_creation_input_tokens", 0)
        assert (usage.cached_input, usage.output) == (cached, top["output_tokens"])


def test_recorded_streams_split_at_every_byte(anthropic_stream: dict[str, Any]) -> None:
    body = anthropic_stream["body"].encode()
    whole = StreamReader().feed(body)
    reader = StreamReader()
    assert [event for i in range(len(body)) for event in reader.feed(body[i : i + 1])] == whole
    crlf = body.replace(b"\n", b"\r\n")
    reader = StreamReader()
    assert [event for i in range(0, len(crlf), 7) for event in reader.feed(crlf[i : i + 7])] == whole


def test_recorded_streams_cut_short_never_close(anthropic_stream: dict[str, Any]) -> None:
    body = anthropic_stream["body"].encode()
    for cut in range(0, len(body) - 40, 97):
        reader = StreamReader()
        events = [*reader.feed(body[:cut]), *reader.end()]
        assert not any(isinstance(event, chat.Closed) for event in events)
        assert not reader.done


def test_recorded_answers(anthropic_whole: dict[str, Any]) -> None:
    message = json.loads(anthropic_whole["body"])
    answer = read_answer(anthropic_whole["body"].encode(), created=5)
    texts = [block["text"] for block in message["content"] if block["type"] == "text"]
    assert (answer.text or "") == "".join(texts)
    assert answer.reasoning == "".join(b["thinking"] for b in message["content"] if b["type"] == "thinking")
    assert [(call.id, call.name, json.loads(call.arguments)) for call in answer.tool_calls] == [
        (block["id"], block["name"], block["input"]) for block in message["content"] if block["type"] == "tool_use"
    ]
    assert answer.finish.value == FINISH[message["stop_reason"]]
    assert (answer.id, answer.model, answer.created) == (message["id"], message["model"], 5)
    usage = message["usage"]
    written, read = usage.get("cache_creation_input_tokens", 0), usage.get("cache_read_input_tokens", 0)
    assert answer.usage == Usage(
        input=usage["input_tokens"] + written + read,
        cached_input=read,
        cache_write_5m=written,
        output=usage["output_tokens"],
    )


def test_known_traps(recorded: Any) -> None:
    assert read_answer(recorded("anthropic-07")["body"].encode()).text == "\n\n2 + 2 = **4**"
    assert read_answer(recorded("anthropic-15")["body"].encode()).tool_calls == ()
    assert read_answer(recorded("anthropic-21")["body"].encode()).tool_calls[0].arguments == "{}"
    assert read_answer(recorded("anthropic-01")["body"].encode()).text is None
    calls = gather(StreamReader().feed(recorded("anthropic-25")["body"].encode()))["calls"]
    assert [call[1:] for call in calls] == [["pelican_name_generator", "{}"]] * 2


def test_billed_iterations_beside_the_top_level_count(recorded: Any) -> None:
    reader = StreamReader()
    reader.feed(recorded("anthropic-35")["body"].encode())
    assert reader.usage == Usage(input=100 + 55096 + 181, cached_input=55096, output=83 + 8)


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        ({"input_tokens": 3, "output_tokens": 0}, Usage(input=3)),
        (
            {
                "input_tokens": 3,
                "output_tokens": 9,
                "cache_creation_input_tokens": 30,
                "cache_read_input_tokens": 4,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
                "output_tokens_details": {"thinking_tokens": 7},
            },
            Usage(input=37, cached_input=4, cache_write_5m=10, cache_write_1h=20, output=9, reasoning=7),
        ),
        (
            {"input_tokens": 1, "cache_creation_input_tokens": 8, "cache_creation": {"ephemeral_1h_input_tokens": 3}},
            Usage(input=9, cache_write_5m=5, cache_write_1h=3),
        ),
        ({"input_tokens": 1, "output_tokens": 2, "iterations": []}, Usage(input=1, output=2)),
        ({"service_tier": "standard"}, None),
        (None, None),
        ("x", None),
    ],
)
def test_usage(value: Any, usage: Usage | None) -> None:
    assert read_usage(value) == usage


def stream_of(*events: dict[str, Any]) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


START = {
    "type": "message_start",
    "message": {"id": "m", "model": "c", "usage": {"input_tokens": 5, "output_tokens": 1}},
}
STOP = {"type": "message_stop"}


def test_the_last_usage_that_is_not_null_wins() -> None:
    reader = StreamReader()
    first = {"input_tokens": None, "cache_read_input_tokens": 2, "output_tokens": 7}
    reader.feed(stream_of(START, {"type": "message_delta", "delta": {"stop_reason": "refusal"}, "usage": first}))
    assert (reader.usage, reader.done) == (Usage(input=7, cached_input=2, output=7), False)
    events = reader.feed(stream_of({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 9}}, STOP))
    closed = chat.Closed(chat.Finish.CONTENT_FILTER, Usage(input=7, cached_input=2, output=9))
    assert events == [closed]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("pause_turn", "stop"), ("model_context_window_exceeded", "length"), ("new_reason", "stop"), (None, "stop")],
)
def test_finish_reasons(reason: str | None, finish: str) -> None:
    events = StreamReader().feed(stream_of(START, {"type": "message_delta", "delta": {"stop_reason": reason}}, STOP))
    assert isinstance(events[-1], chat.Closed)
    assert events[-1].finish.value == finish


def test_input_given_at_the_start_of_a_call_and_unknown_events() -> None:
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    events = StreamReader().feed(
        stream_of(
            START,
            {"type": "content_block_start", "index": 4, "content_block": block},
            {"type": "content_block_delta", "index": 4, "delta": {"type": "novel_delta", "x": 1}},
            {"type": "novel_event", "index": "x", "delta": 3},
            {
                "type": "content_block_start",
                "index": 5,
                "content_block": {"type": "novel", "id": None, "text": {"a": 1}},
            },
            {"type": "content_block_delta", "index": 5, "delta": {"type": "text_delta", "text": None}},
            {"type": "content_block_stop", "index": 4},
            STOP,
        )
    )
    assert events[1:3] == [chat.ToolStarted(0, "t", "f"), chat.ToolDelta(0, '{"a":1}')]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b'{"type":"message"}', b'{"type":"error","error":{"type":"x"}}']
)
def test_what_is_no_message_is_an_error(body: bytes) -> None:
    with pytest.raises(TollwayError):
        read_answer(body)


@settings(max_examples=60)
@given(st.data())
def test_mutated_streams_raise_nothing_but_our_error(recorded_body: bytes, data: st.DataObject) -> None:
    body = bytearray(recorded_body)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    reader = StreamReader()
    reader.feed(bytes(body))
    reader.end()
    with contextlib.suppress(TollwayError):
        read_answer(bytes(body))


@pytest.fixture(scope="module")
def recorded_body() -> bytes:
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    return stream_of(
        START,
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}},
        STOP,
    )
