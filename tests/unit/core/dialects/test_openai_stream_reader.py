"""Streams of OpenAI-shaped services: every recorded one at every split, the traps of many services, errors and cuts."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core import chat
from tollway.core.dialects.openai_chat import StreamReader, read_usage
from tollway.core.dialects.ports import ErrorEvent
from tollway.core.usage import Usage

FIXTURES = Path(__file__).parents[3] / "fixtures" / "providers"
STREAMS = {
    path.stem: exchange["body"].encode()
    for kind in ("openai", "azure", "huggingface")
    for path in sorted(FIXTURES.glob(f"{kind}-*.json"))
    if (exchange := json.loads(path.read_text()))["stream"]
}
DONE = b"data: [DONE]\n\n"


def events_of(data: bytes, size: int = 0) -> tuple[list[chat.Event], StreamReader]:
    reader = StreamReader()
    events: list[chat.Event] = []
    step = size or len(data) or 1
    for start in range(0, len(data), step):
        events += reader.feed(data[start : start + step])
    return events + reader.end(), reader


def gather(events: list[chat.Event]) -> dict[str, Any]:
    """The whole answer that a stream of neutral events amounts to; checks that the events are in order."""
    text = reasoning = refusal = ""
    calls: list[list[str]] = []
    closed = None
    assert not events or isinstance(events[0], chat.Opened)
    for place, event in enumerate(events):
        assert closed is None
        match event:
            case chat.Opened():
                assert place == 0
            case chat.TextDelta(more):
                text += more
            case chat.ReasoningDelta(more):
                reasoning += more
            case chat.RefusalDelta(more):
                refusal += more
            case chat.ToolStarted(index, call_id, name):
                assert index == len(calls)
                calls.append([call_id, name, ""])
            case chat.ToolDelta(index, arguments):
                calls[index][2] += arguments
            case chat.Closed():
                closed = event
    return {"text": text, "reasoning": reasoning, "refusal": refusal, "calls": calls, "closed": closed}


def stream(*deltas: Any, finish: Any = "stop", usage: Any = None, done: bool = True) -> bytes:
    """A stream of these deltas. `finish` None: no chunk tells why it ended."""
    bodies: list[Any] = [{"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0, "delta": d}]} for d in deltas]
    if finish is not None:
        bodies.append({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage is not None:
        bodies.append({"id": "chatcmpl-1", "choices": [], "usage": usage})
    return b"".join(b"data: %b\n\n" % json.dumps(body).encode() for body in bodies) + DONE * done


def reference(body: bytes) -> dict[str, Any]:
    """A second, plain reading of a recorded stream."""
    chunks = [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: {")]
    choices = [choice for chunk in chunks for choice in chunk["choices"][:1]]
    deltas = [choice["delta"] for choice in choices]
    calls: dict[int, list[str]] = {}
    for delta in deltas:
        for call in delta.get("tool_calls") or ():
            if call.get("id"):
                calls[call["index"]] = [call["id"], call["function"]["name"], ""]
            calls[call["index"]][2] += call["function"]["arguments"]
    usages = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    return {
        "text": "".join(delta.get("content") or "" for delta in deltas),
        "calls": list(calls.values()),
        "finish": next(choice["finish_reason"] for choice in choices if choice.get("finish_reason")),
        "usage": read_usage(usages[-1]) if usages else None,
        "opened": chat.Opened(*next((chunk["id"], chunk["model"]) for chunk in chunks if chunk["id"])),
    }


def test_there_are_recorded_streams() -> None:
    assert len(STREAMS) >= 5


@pytest.mark.parametrize("stem", STREAMS)
def test_recorded_streams(stem: str) -> None:
    events, reader = events_of(STREAMS[stem])
    expected, got = reference(STREAMS[stem]), gather(events)
    assert reader.done
    assert reader.failure is None
    assert (got["text"], got["calls"], events[0]) == (expected["text"], expected["calls"], expected["opened"])
    assert (got["closed"].finish.value, got["closed"].usage) == (expected["finish"], expected["usage"])
    assert reader.usage == expected["usage"]


@pytest.mark.parametrize("stem", STREAMS)
def test_recorded_streams_split_at_every_byte(stem: str) -> None:
    body = STREAMS[stem]
    whole, _ = events_of(body)
    assert events_of(body, 1)[0] == whole
    assert events_of(body.replace(b"\n", b"\r\n"), 7)[0] == whole
    for cut in range(0, len(body), max(1, len(body) // 400)):
        reader = StreamReader()
        assert reader.feed(body[:cut]) + reader.feed(body[cut:]) == whole


@pytest.mark.parametrize("stem", STREAMS)
def test_recorded_streams_cut_short_never_close(stem: str) -> None:
    body = STREAMS[stem]
    for cut in range(0, len(body) - len(DONE), 97):
        events, reader = events_of(body[:cut])
        assert not any(isinstance(event, chat.Closed) for event in events)
        assert (reader.done, reader.failure) == (False, None)


@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(0, 10**5), max_size=6))
def test_any_split_gives_the_same_events(stem: str, cuts: list[int]) -> None:
    body = STREAMS[stem][-3000:]
    whole, _ = events_of(body)
    reader = StreamReader()
    events: list[chat.Event] = []
    places = [0, *sorted(cut % len(body) for cut in cuts), len(body)]
    for start, stop in itertools.pairwise(places):
        events += reader.feed(body[start:stop])
    assert events + reader.end() == whole


def piece(arguments: Any = None, **fields: Any) -> dict[str, Any]:
    function = {name: fields.pop(name) for name in ("name",) if name in fields}
    return fields | {"function": function | ({} if arguments is None else {"arguments": arguments})}


F1, G1 = ["c1", "f", '{"x":1}'], ["c2", "g", '{"y":2}']
MADE_UP = [["call_chatcmpl-1_0", "f", '{"x":1}'], ["call_chatcmpl-1_1", "g", '{"y":2}']]


@pytest.mark.parametrize(
    ("deltas", "calls"),
    [
        # As OpenAI does it; then interleaved.
        ([[piece("", index=0, id="c1", name="f")], [piece('{"x"', index=0)], [piece(":1}", index=0)]], [F1]),
        (
            [
                [piece("", index=0, id="c1", name="f"), piece("", index=1, id="c2", name="g")],
                [piece('{"x"', index=0), piece('{"y":', index=1)],
                [piece("2}", index=1), piece(":1}", index=0)],
            ],
            [F1, G1],
        ),
        # Ids empty, absent or told again in later chunks.
        ([[piece('{"x"', index=0, id="c1", name="f")], [piece(":1}", index=0, id="", name=None)]], [F1]),
        ([[piece('{"x"', index=0, id="c1", name="f")], [piece(":1}", index=0, id="c1", name="f")]], [F1]),
        ([[piece('{"x"', index=0, id="c1", name="f")], [piece(":1}", index=0, id="other")]], [F1]),
        # Every call whole, all with index 0, with ids and without.
        (
            [[piece('{"x":1}', index=0, id="c1", name="f")], [piece('{"y":2}', index=0, id="c2", name="g")]],
            [F1, G1],
        ),
        ([[piece('{"x":1}', index=0, name="f")], [piece('{"y":2}', index=0, name="g")]], MADE_UP),
        ([[piece('{"x":1}', name="f"), piece('{"y":2}', name="g")]], MADE_UP),
        (
            [[piece('{"x":1}', name="f")], [piece('{"x":2}', name="f")]],
            [MADE_UP[0], ["call_chatcmpl-1_1", "f", '{"x":2}']],
        ),
        # No index at all; an index that is told only later; one that begins at 1.
        ([[piece('{"x"', id="c1", name="f")], [piece(":1}")], [piece('{"y":2}', id="c2", name="g")]], [F1, G1]),
        ([[piece('{"x"', id="c1", name="f")], [piece(":1}", id="c1")]], [F1]),
        ([[piece('{"x"', id="c1", name="f")], [piece(":1}", index=0)]], [F1]),
        ([[piece('{"x":1}', index=1, id="c1", name="f")], [piece('{"y":2}', index=2, id="c2", name="g")]], [F1, G1]),
        # Arguments as an object, none, or white space; a name that comes late.
        ([[piece({"x": 1}, index=0, id="c1", name="f")]], [F1]),
        ([[piece(None, index=0, id="c1", name="f")]], [["c1", "f", "{}"]]),
        ([[piece(None, index=0, id="c1")], [piece('{"x":1}', index=0)], [piece("", index=0, name="f")]], [F1]),
        ([[piece("{", index=0)], "junk", [7, {"index": 0}]], []),
        # Custom tools, which are never asked for.
        (
            [[{"index": 0, "id": "c1", "type": "custom", "custom": {"name": "f", "input": "a"}}]],
            [["c1", "f", '{"input":"a"}']],
        ),
    ],
)
def test_tool_calls(deltas: list[Any], calls: list[Any]) -> None:
    events, _ = events_of(stream(*({"tool_calls": delta} for delta in deltas)))
    got = gather(events)
    assert got["calls"] == calls
    assert got["closed"].finish.value == ("tool_calls" if calls else "stop")


def test_many_calls_cost_no_more_each() -> None:
    calls = [piece("{}", id=f"c{number}", name="f") for number in range(3000)]
    got = gather(events_of(stream({"tool_calls": calls}))[0])
    assert [call[0] for call in got["calls"]] == [f"c{number}" for number in range(3000)]


def test_legacy_function_calls() -> None:
    deltas = [{"function_call": {"name": "f", "arguments": '{"x"'}}, {"function_call": {"arguments": ":1}"}}]
    got = gather(events_of(stream(*deltas, finish="function_call"))[0])
    assert got["calls"] == [["call_chatcmpl-1_0", "f", '{"x":1}']]


def test_reasoning_in_its_many_places() -> None:
    got = gather(
        events_of(
            stream(
                {"reasoning_content": "a", "reasoning": "a"},
                {"reasoning": "b", "content": ""},
                {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "c"}]}]},
                {"reasoning_content": None, "content": [{"type": "text", "text": "x"}]},
                {"content": "<think>y", "refusal": None},
                {"refusal": "no"},
            )
        )[0]
    )
    assert (got["reasoning"], got["text"], got["refusal"]) == ("abc", "x<think>y", "no")


def test_usage_wherever_it_comes() -> None:
    def usage(n: int) -> dict[str, int]:
        return {"prompt_tokens": n, "completion_tokens": n}

    assert gather(events_of(stream({"content": "x"}, usage=usage(3)))[0])["closed"].usage == Usage(input=3, output=3)
    every = b"".join(
        b"data: %b\n\n" % json.dumps({"choices": [{"delta": {"content": "x"}}], "usage": usage(n)}).encode()
        for n in (1, 2, 3)
    )
    assert gather(events_of(every + b'data: {"choices":[],"usage":{}}\n\n' + DONE)[0])["closed"].usage == Usage(
        input=3, output=3
    )
    assert gather(events_of(stream({"content": "x"}))[0])["closed"].usage is None


def test_the_stop_sequence_and_other_choices() -> None:
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "END"}]}
    other = {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}]}
    body = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in (end, other)) + DONE
    got = gather(events_of(body)[0])
    assert (got["text"], got["closed"].finish.value, got["closed"].stop_sequence) == ("", "stop", "END")


def test_an_end_without_a_reason_and_without_content() -> None:
    events, reader = events_of(DONE)
    assert events == [chat.Opened("", ""), chat.Closed(chat.Finish.STOP)]
    assert reader.done
    assert reader.feed(stream({"content": "more"})) == reader.end() == []
    assert events_of(stream({"content": "x"}) + stream({"content": "y"}))[0] == events_of(stream({"content": "x"}))[0]


def test_a_last_done_without_its_blank_line() -> None:
    assert events_of(stream({"content": "x"}, done=False) + b"data: [DONE]")[1].done
    assert not events_of(stream({"content": "x"}, done=False))[1].done


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        (b'data: {"error":{"message":"boom"}}\n\n', {"message": "boom"}),
        (b'event: error\ndata: {"message":"boom"}\n\n', {"message": "boom"}),
        (b'data: {"object":"error","message":"boom"}\n\n', {"object": "error", "message": "boom"}),
        (b'data: {"choices":[{"delta":{},"finish_reason":"error","error":{"code":502}}]}\n\n', {"code": 502}),
        (b'{"error":{"message":"boom"}}\n\n', {"message": "boom"}),
        (b'{"error":{"message":"boom"}}', {"message": "boom"}),
        (b'data: {"error":"boom"}', "boom"),
    ],
)
def test_errors_after_content(tail: bytes, error: Any) -> None:
    body = stream({"content": "x"}, done=False, finish=None) + tail
    for size in (0, 1):
        events, reader = events_of(body, size)
        assert gather(events)["text"] == "x"
        assert isinstance(reader.failure, ErrorEvent)
        assert reader.failure.error == error
        assert not reader.done
        assert reader.feed(DONE) == reader.end() == []


@pytest.mark.parametrize(
    "tail", [b"data: <html>\n\n", b"<html>oops</html>\n\n", b"data: 7\n\n", b'data: {"choices":[7]}\n\n']
)
def test_garbage(tail: bytes) -> None:
    events, reader = events_of(stream({"content": "x"}, done=False) + tail + DONE)
    assert gather(events)["text"] == "x"
    assert reader.failure is not None
    assert not isinstance(reader.failure, ErrorEvent)
    assert not reader.done


def test_what_is_no_chunk_is_passed_over() -> None:
    noise = b": ping\n\nid: 4\nretry: 100\n\ndata:\n\ndata: {}\n\n"
    assert events_of(noise + stream({"content": "x"}))[0] == events_of(stream({"content": "x"}))[0]


pieces = st.sampled_from(
    [
        b'data: {"id":"a","choices":[{"delta":',
        b'{"content":"x"}',
        b'{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{"}}]}',
        b'{"tool_calls":[{"function":{"arguments":[[1]]}}]}',
        b"}]}",
        b"\n\n",
        b"\r",
        b"data: [DONE]\n\n",
        b'event: error\ndata: {"error":3}\n\n',
        b"\xff",
        b'"\\ud83d"',
    ]
)


@given(st.lists(pieces | st.binary(max_size=4), max_size=12), st.integers(1, 9))
def test_no_bytes_make_it_raise(blocks: list[bytes], size: int) -> None:
    body = b"".join(blocks)
    whole, reader = events_of(body)
    split, again = events_of(body, size)
    assert (split, again.done) == (whole, reader.done)
    assert (reader.failure is None) is (again.failure is None)
    assert reader.done is any(isinstance(event, chat.Closed) for event in whole)
