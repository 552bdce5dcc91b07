"""Streams written for Anthropic's clients: their grammar, and what the official SDK makes of them."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tollway.core import chat
from tollway.core.dialects import sse
from tollway.core.dialects.anthropic_messages import StreamReader, StreamWriter, write_answer
from tollway.core.usage import Usage
from tollway.testkit.messages_grammar import check_events

SDK_EVENT: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
STOP = chat.Closed(chat.Finish.STOP, Usage(input=5, output=2))


def write(*events: chat.Event) -> bytes:
    writer = StreamWriter(model="m", message_id="req1")
    return b"".join(writer.write(event) for event in events)


def accumulated(data: bytes, *, strict: bool = True) -> Message:
    """What the official SDK makes of a stream; `strict`: its types must accept each event."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in sse.Parser().feed(data):
        assert event.data is not None
        parsed: Any = SDK_EVENT.validate_json(event.data) if strict else json.loads(event.data)
        if event.name == "ping":
            continue
        snapshot = accumulate_event(event=parsed, current_snapshot=snapshot, json_bufs=buffers)
    message: Message = snapshot
    return message


def content(data: bytes) -> list[dict[str, Any]]:
    """The blocks as the SDK sees them."""
    check_events(data)
    shown = ("type", "text", "thinking", "signature", "data", "id", "name", "input")
    return [
        {key: value for key, value in block.to_dict().items() if key in shown and value is not None}
        for block in accumulated(data).content
    ]


def test_a_plain_stream_to_the_byte() -> None:
    closed = chat.Closed(chat.Finish.LENGTH, Usage(input=9, cached_input=4, output=2))
    data = write(chat.Opened("chatcmpl-1", "gpt"), chat.TextDelta('a"'), chat.TextDelta("\n\u2028é"), closed)
    assert data.decode().split("\n\n") == [
        'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_chatcmpl-1","type":"message",'
        '"role":"assistant","model":"gpt","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,'
        '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}',
        'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
        '"content_block":{"type":"text","text":""}}',
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        '"delta":{"type":"text_delta","text":"a\\""}}',
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        '"delta":{"type":"text_delta","text":"\\n\u2028é"}}',
        'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}',
        'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},'
        '"usage":{"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"cache_creation":'
        '{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":2}}',
        'event: message_stop\ndata: {"type":"message_stop"}',
        "",
    ]
    check_events(data)
    message = accumulated(data)
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens) == (5, 4, 2)
    assert message.stop_reason == "max_tokens"


def test_names_and_estimate_where_the_provider_tells_none() -> None:
    writer = StreamWriter(model="m", message_id="req1", input_tokens=7)
    message = accumulated(writer.write(chat.Opened("", "")))
    assert (message.id, message.model, message.usage.input_tokens) == ("msg_req1", "m", 7)


def test_thinking_blocks_and_signatures() -> None:
    assert content(
        write(
            chat.ReasoningDelta("a"),
            chat.ReasoningDelta("b"),
            chat.ThinkingSigned("s1"),
            chat.ReasoningDelta("c"),
            chat.ThinkingSigned("s2"),
            chat.ThinkingSigned("s3"),
            chat.ThinkingRedacted("xx"),
            chat.ThinkingRedacted("yy"),
            chat.ReasoningDelta("d"),
            chat.TextDelta("t"),
            STOP,
        )
    ) == [
        {"type": "thinking", "thinking": "ab", "signature": "s1"},
        {"type": "thinking", "thinking": "c", "signature": "s2"},
        {"type": "thinking", "thinking": "", "signature": "s3"},
        {"type": "redacted_thinking", "data": "xx"},
        {"type": "redacted_thinking", "data": "yy"},
        {"type": "thinking", "thinking": "d", "signature": ""},
        {"type": "text", "text": "t"},
    ]


def test_a_refusal_is_text_and_the_reason() -> None:
    data = write(chat.TextDelta("well"), chat.RefusalDelta("n"), chat.RefusalDelta("o"), STOP)
    assert content(data) == [{"type": "text", "text": "well"}, {"type": "text", "text": "no"}]
    assert accumulated(data).stop_reason == "refusal"


def calls(data: bytes) -> list[tuple[str, Any]]:
    return [(block["id"], block["input"]) for block in content(data) if block["type"] == "tool_use"]


def test_calls_without_arguments_and_without_ids() -> None:
    data = write(chat.ToolStarted(0, "", "f"), chat.ToolStarted(1, "b", "g"), chat.ToolDelta(1, ""), STOP)
    assert calls(data) == [("toolu_req1_0", {}), ("b", {})]
    assert accumulated(data).stop_reason == "tool_use"


def test_a_complete_call_is_closed_by_the_next_one() -> None:
    writer = StreamWriter(model="m", message_id="i")
    for event in (chat.ToolStarted(0, "a", "f"), chat.ToolDelta(0, '{"x": "}\\"'), chat.ToolDelta(0, '{"}')):
        writer.write(event)
    assert b"content_block_start" in writer.write(chat.ToolStarted(1, "b", "g"))
    assert writer.write(chat.ToolDelta(0, " ")) == b""
    assert writer.write(chat.ToolDelta(9, "{}")) == b""


def test_what_waits_comes_once_the_open_call_is_complete() -> None:
    writer = StreamWriter(model="m", message_id="i")
    start: list[chat.Event] = [chat.ToolStarted(0, "a", "f"), chat.ToolDelta(0, '{"x":'), chat.ToolStarted(1, "b", "g")]
    held: list[chat.Event] = [
        chat.ToolDelta(1, '{"y":2}'),
        chat.TextDelta("t"),
        chat.ToolStarted(2, "c", "h"),
        chat.ThinkingSigned("s"),
    ]
    written = [writer.write(event) for event in (*start, *held)]
    assert written[2:] == [b""] * 5
    more = writer.write(chat.ToolDelta(0, "1}"))
    assert more.count(b"event: content_block_start") == 3
    last: list[chat.Event] = [chat.ToolDelta(2, "{}"), chat.TextDelta("u"), STOP]
    data = b"".join([*written, more, *(writer.write(event) for event in last)])
    assert content(data) == [
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "b", "name": "g", "input": {"y": 2}},
        {"type": "text", "text": "t"},
        {"type": "tool_use", "id": "c", "name": "h", "input": {}},
        {"type": "thinking", "thinking": "", "signature": "s"},
        {"type": "text", "text": "u"},
    ]


objects = st.dictionaries(
    st.text(alphabet='a"\\{}[]é', max_size=3),
    st.none() | st.integers() | st.text(alphabet='b"\\{}[]\n', max_size=4) | st.lists(st.booleans(), max_size=2),
    max_size=3,
)


@settings(max_examples=80)
@given(st.lists(objects, min_size=1, max_size=4), st.data())
def test_parallel_calls_in_any_order_of_pieces(inputs: list[dict[str, Any]], data: st.DataObject) -> None:
    left: dict[int, str] = {index: json.dumps(value) for index, value in enumerate(inputs)}
    events: list[chat.Event] = []
    begun = 0
    while begun < len(inputs) or any(left.values()):
        able = [index for index in range(begun) if left[index]]
        choice = data.draw(st.sampled_from([*able, -1] if begun < len(inputs) else able))
        if choice < 0:
            events.append(chat.ToolStarted(begun, f"id{begun}", "f"))
            begun += 1
        else:
            size = data.draw(st.integers(1, 4))
            events.append(chat.ToolDelta(choice, left[choice][:size]))
            left[choice] = left[choice][size:]
    assert calls(write(*events, STOP)) == [(f"id{index}", value) for index, value in enumerate(inputs)]


event = st.one_of(
    st.builds(chat.TextDelta, st.text(max_size=3)),
    st.builds(chat.ReasoningDelta, st.text(max_size=3)),
    st.builds(chat.RefusalDelta, st.text(max_size=3)),
    st.builds(chat.ThinkingSigned, st.text(max_size=2)),
    st.builds(chat.ThinkingRedacted, st.text(max_size=2)),
    st.builds(chat.Opened, st.text(max_size=2), st.text(max_size=2)),
    st.builds(chat.ToolDelta, st.integers(0, 3), st.text(alphabet='{}"\\a\ud83d', max_size=3)),
)


@settings(max_examples=80)
@given(st.lists(event | st.just(None), max_size=14), st.sampled_from(chat.Finish))
def test_any_events_make_a_stream_that_obeys_the_grammar(given_: list[chat.Event | None], finish: chat.Finish) -> None:
    count = itertools.count()
    events = [chat.ToolStarted(next(count), "t", "f") if item is None else item for item in given_]
    called = any(isinstance(item, chat.ToolStarted) for item in events)
    finish = chat.Finish.STOP if finish is chat.Finish.TOOL_CALLS and not called else finish
    data = write(*events, chat.Closed(finish, None))
    check_events(data, tool_json=False)
    text = "".join(item.text for item in events if isinstance(item, chat.TextDelta | chat.RefusalDelta))
    lines = [json.loads(line[6:]) for line in data.decode().split("\n") if line.startswith("data: ")]
    deltas = [line["delta"] for line in lines if line["type"] == "content_block_delta"]
    assert "".join(d["text"] for d in deltas if d["type"] == "text_delta") == text


def test_nothing_follows_the_end_or_an_error() -> None:
    writer = StreamWriter(model="m", message_id="i")
    data = writer.write(chat.TextDelta("a")) + writer.fail("busy", "overloaded_error", "overloaded", "model")
    check_events(data, may_fail=True)
    assert data.endswith(
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n'
    )
    assert writer.write(chat.TextDelta("b")) == b""
    assert writer.write(STOP) == b""
    ended = StreamWriter(model="m", message_id="i")
    check_events(ended.write(chat.TextDelta("a")) + ended.write(STOP))
    assert ended.write(chat.TextDelta("b")) == b""


def test_lone_surrogates_are_escaped() -> None:
    assert b'"text":"\\ud83d"' in write(chat.TextDelta("a"), chat.TextDelta("\ud83d"))


def whole(data: bytes) -> list[chat.Block]:
    """The neutral blocks that a Messages stream amounts to."""
    blocks: list[chat.Block] = []
    for block in content(data):
        match block["type"]:
            case "text":
                blocks.append(chat.Text(block["text"]))
            case "thinking":
                blocks.append(chat.Thinking(block["thinking"], block["signature"] or None))
            case "redacted_thinking":
                blocks.append(chat.RedactedThinking(block["data"]))
            case "tool_use":
                blocks.append(chat.ToolCall(block["id"], block["name"], json.dumps(block["input"])))
    return blocks


def test_recorded_streams_read_and_written(anthropic_stream: dict[str, Any]) -> None:
    body = anthropic_stream["body"].encode()
    reader, writer = StreamReader(), StreamWriter(model="m", message_id="i")
    data = b"".join(writer.write(event) for event in reader.feed(body))
    if reader.failure is not None:
        check_events(data + writer.fail("x", "api_error", "x"), may_fail=True)
        return
    check_events(data)
    again = StreamReader()
    events = again.feed(data)
    closed = events[-1]
    assert isinstance(closed, chat.Closed)
    assert closed.usage == reader.usage
    if anthropic_stream["origin"].startswith("handmade"):
        return  # it breaks the grammar itself, so that the SDK cannot read it
    original = accumulated(body, strict=False)
    assert (again.done, accumulated(data).stop_reason) == (True, original.stop_reason)
    answer = chat.Answer(
        id=accumulated(data).id,
        model="m",
        created=0,
        finish=closed.finish,
        blocks=tuple(whole(data)),
    )
    assert json.loads(write_answer(answer))["content"] == content(data)
    sent = [block for block in original.content if block.type in ("text", "thinking", "tool_use")]
    assert "".join(b.text for b in sent if b.type == "text") == (answer.text or "")
    assert [(b.thinking, b.signature) for b in sent if b.type == "thinking"] == [
        (b.text, b.signature) for b in answer.blocks if isinstance(b, chat.Thinking)
    ]
    assert [(b.id, b.input) for b in sent if b.type == "tool_use"] == calls(data)


def test_reader_to_writer_split_at_every_byte(anthropic_stream: dict[str, Any]) -> None:
    body = anthropic_stream["body"].encode()
    reader, writer = StreamReader(), StreamWriter(model="m", message_id="i")
    expected = b"".join(writer.write(event) for event in reader.feed(body))
    reader, writer = StreamReader(), StreamWriter(model="m", message_id="i")
    pieces = (body[i : i + 1] for i in range(len(body)))
    assert b"".join(writer.write(event) for piece in pieces for event in reader.feed(piece)) == expected
    for cut in range(0, len(body), 211):
        reader, writer = StreamReader(), StreamWriter(model="m", message_id="i")
        halves = (body[:cut], body[cut:])
        assert b"".join(writer.write(event) for half in halves for event in reader.feed(half)) == expected


def test_the_reader_tells_signatures_and_stop_sequences(recorded: Any) -> None:
    events = StreamReader().feed(recorded("anthropic-27")["body"].encode())
    signed = [event for event in events if isinstance(event, chat.ThinkingSigned)]
    assert [len(event.signature) > 100 for event in signed] == [True]
    at = events.index(signed[0])
    assert isinstance(events[at - 1], chat.ReasoningDelta)
    assert isinstance(events[at + 1], chat.TextDelta)
    stream = (
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":"xx"}}\n\n'
        b'data: {"type":"content_block_start","index":1,"content_block":{"type":"thinking","signature":""}}\n\n'
        b'data: {"type":"content_block_delta","index":1,"delta":{"type":"signature_delta","signature":"a"}}\n\n'
        b'data: {"type":"content_block_delta","index":1,"delta":{"type":"signature_delta","signature":"b"}}\n\n'
        b'data: {"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"END"},"usage":{}}\n\n'
        b'data: {"type":"message_stop"}\n\n'
    )
    assert StreamReader().feed(stream)[1:] == [
        chat.ThinkingRedacted("xx"),
        chat.ThinkingSigned("ab"),
        chat.Closed(chat.Finish.STOP, None, "END"),
    ]


@pytest.mark.parametrize("finish", [chat.Finish.LENGTH, chat.Finish.CONTENT_FILTER])
def test_arguments_that_were_cut_short(finish: chat.Finish) -> None:
    data = write(chat.ToolStarted(0, "a", "f"), chat.ToolDelta(0, '{"x": [1'), chat.Closed(finish, None))
    assert calls(data) == [("a", {"x": [1]})]
