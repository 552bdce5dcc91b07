"""The stream of a response: its grammar, the official client's own reading of it, and the whole answer at its end."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tollway.core import chat
from tollway.core.dialects.openai_responses import StreamWriter, read_head, write_answer
from tollway.core.usage import Usage

SCHEMAS = Path(__file__).parents[3] / "fixtures" / "openai" / "openai_schemas.json"
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
HEAD = read_head(b'{"model":"m","input":"hi","stream":true,"tools":[{"type":"function","name":"f"}]}')
USAGE = Usage(input=3, output=2)
DELTAS = {
    "response.output_text": "text",
    "response.refusal": "refusal",
    "response.reasoning_text": "text",
    "response.function_call_arguments": "arguments",
}


@cache
def described() -> Any:
    schemas = json.loads(SCHEMAS.read_text())
    return jsonschema.Draft202012Validator({**schemas, "$ref": "#/components/schemas/ResponseStreamEvent"})


def writer() -> StreamWriter:
    return StreamWriter(response_id="resp_abc", created=17, model="m", fields=HEAD.fields)


def parsed(data: bytes) -> list[dict[str, Any]]:
    """The events, each in the exact spelling of the service."""
    events = []
    for block in data.split(b"\n\n")[:-1]:
        name, payload = block.split(b"\n")
        event = json.loads(payload.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        events.append(event)
    return events


def watch(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Check the grammar of a stream that ended well; its items as the events told them."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    items: dict[int, dict[str, Any]] = {}
    open_items: set[int] = set()
    open_parts: dict[tuple[int, int], str] = {}
    for event in events[2:-1]:
        kind, index = event["type"], event["output_index"]
        place = (index, event.get("content_index", -1))
        if kind == "response.output_item.added":
            assert index == len(items)
            items[index] = event["item"]
            open_items.add(index)
            continue
        assert index in open_items
        assert event.get("item_id", items[index]["id"]) == items[index]["id"]
        if kind == "response.content_part.added":
            assert place not in open_parts
            open_parts[place] = ""
        elif kind == "response.content_part.done":
            part = event["part"]
            assert part.get("text", part.get("refusal")) == open_parts.pop(place)
        elif kind == "response.output_item.done":
            assert not [place for place in open_parts if place[0] == index and place[1] >= 0]
            items[index] = event["item"]
            open_items.remove(index)
        elif kind.endswith(".delta"):
            open_parts[place] = open_parts.get(place, "") + event["delta"]
        else:
            assert event[DELTAS[kind.removesuffix(".done")]] == open_parts[place]
    assert not open_items
    assert events[-1]["type"] in ("response.completed", "response.incomplete")
    assert events[-1]["response"]["status"] == events[-1]["type"].removeprefix("response.")
    return [items[index] for index in sorted(items)]


def official(events: list[dict[str, Any]]) -> Any:
    """The response that the official client's stream helper gathers."""
    state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
    for event in events:
        assert state.handle_event(EVENTS.validate_python(event))
    return state._completed_response


def spread(blocks: list[chat.Block], late: bool) -> list[chat.Event]:
    """The events that tell of the blocks; `late`: arguments come by turns at the end."""
    events: list[chat.Event] = []
    arguments: list[list[chat.Event]] = []
    for block in blocks:
        match block:
            case chat.Text(text):
                events += [chat.TextDelta(text[:3]), chat.TextDelta(text[3:])]
            case chat.Refusal(text):
                events += [chat.RefusalDelta(text[:3]), chat.RefusalDelta(text[3:])]
            case chat.Thinking(text, signature):
                events += [chat.ReasoningDelta(text[:3]), chat.ReasoningDelta(text[3:])]
                events += [chat.ThinkingSigned(signature)] if signature else []
            case chat.RedactedThinking(data):
                events.append(chat.ThinkingRedacted(data))
            case chat.ToolCall(call_id, name, text):
                index = len(arguments)
                events.append(chat.ToolStarted(index, call_id, name))
                arguments.append([chat.ToolDelta(index, text[:3]), chat.ToolDelta(index, text[3:])])
                events += [] if late else arguments[-1]
    if late:
        events += [event for turn in zip(*arguments, strict=True) for event in turn]
    return events


def streamed(blocks: list[chat.Block], finish: chat.Finish, *, late: bool = False) -> tuple[StreamWriter, bytes]:
    out = writer()
    events = [chat.Opened("x", "claude"), *spread(blocks, late), chat.Closed(finish, USAGE)]
    return out, b"".join(map(out.write, events))


def whole_of(blocks: list[chat.Block], finish: chat.Finish) -> dict[str, Any]:
    answer = chat.Answer(id="x", model="claude", created=0, finish=finish, blocks=tuple(blocks), usage=USAGE)
    body: dict[str, Any] = json.loads(write_answer(answer, HEAD.fields, response_id="resp_abc", created=17))
    return body


ALL: list[chat.Block] = [
    chat.Thinking("thinking", "sig"),
    chat.RedactedThinking("opaque"),
    chat.Text("some text"),
    chat.Refusal("not this"),
    chat.ToolCall("call_1", "f", '{"x":1}'),
    chat.ToolCall("call_2", "f", ""),
    chat.Text("after all"),
    chat.Thinking("and more"),
]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("finish", list(chat.Finish))
def test_a_stream_of_everything(finish: chat.Finish, late: bool) -> None:
    out, data = streamed(ALL, finish, late=late)
    events = parsed(data)
    assert watch(events) == events[-1]["response"]["output"]
    assert events[-1]["response"] == whole_of(ALL, finish)
    assert [error.message for event in events for error in described().iter_errors(event)] == []
    assert out.response is not None
    assert json.loads(out.response) == events[-1]["response"]
    assert [json.loads(bytes(item)) for item in out.output] == events[-1]["response"]["output"]


def test_the_official_client_gathers_it() -> None:
    response = official(parsed(streamed(ALL, chat.Finish.TOOL_CALLS)[1]))
    assert (response.id, response.output_text) == ("resp_abc", "some textafter all")
    calls = [item for item in response.output if item.type == "function_call"]
    assert [(call.call_id, call.arguments) for call in calls] == [("call_1", '{"x":1}'), ("call_2", "{}")]
    assert response.usage.total_tokens == 5


def test_the_events_of_a_short_text() -> None:
    events = parsed(streamed([chat.Text("Hello")], chat.Finish.STOP)[1])
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event["delta"] for event in events[4:6]] == ["Hel", "lo"]
    assert events[0]["response"]["output"] == []
    assert events[0]["response"]["status"] == "in_progress"


_TEXT = st.text(max_size=8)
_BLOCKS = st.lists(
    st.one_of(
        st.builds(chat.Text, _TEXT),
        st.builds(chat.Refusal, _TEXT),
        st.builds(chat.Thinking, _TEXT, st.none() | _TEXT),
        st.builds(chat.RedactedThinking, _TEXT),
        st.builds(chat.ToolCall, st.sampled_from(["", "c"]), _TEXT, _TEXT),
    ),
    max_size=7,
)


@settings(max_examples=100, deadline=None)
@given(_BLOCKS, st.sampled_from(list(chat.Finish)), st.booleans())
def test_any_answer_is_the_same_streamed_and_whole(blocks: list[chat.Block], finish: chat.Finish, late: bool) -> None:
    events = parsed(streamed(blocks, finish, late=late)[1])
    assert watch(events) == events[-1]["response"]["output"]
    assert events[-1]["response"] == whole_of(blocks, finish)
    for event in events:
        assert EVENTS.validate_python(event).type == event["type"]


_EVENTS = st.lists(
    st.one_of(
        st.builds(chat.Opened, _TEXT, _TEXT),
        st.builds(chat.TextDelta, _TEXT),
        st.builds(chat.RefusalDelta, _TEXT),
        st.builds(chat.ReasoningDelta, _TEXT),
        st.builds(chat.ThinkingSigned, _TEXT),
        st.builds(chat.ThinkingRedacted, _TEXT),
        st.builds(chat.ToolStarted, st.integers(0, 2), _TEXT, _TEXT),
        st.builds(chat.ToolDelta, st.integers(0, 2), _TEXT),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(_EVENTS)
def test_any_order_of_events_keeps_the_grammar(events: list[chat.Event]) -> None:
    out = writer()
    told = parsed(b"".join(map(out.write, [*events, chat.Closed(chat.Finish.STOP)])))
    assert watch(told) == told[-1]["response"]["output"]
    assert out.write(chat.TextDelta("late")) == b""


def test_an_error_ends_the_stream() -> None:
    out = writer()
    begun = parsed(out.write(chat.TextDelta("so far")))
    last = parsed(out.fail("It broke.", "server_error", "provider_error", "input"))
    assert last == [
        {
            "type": "error",
            "sequence_number": len(begun),
            "code": "provider_error",
            "message": "It broke.",
            "param": "input",
            "error": {"message": "It broke.", "type": "server_error", "code": "provider_error", "param": "input"},
        }
    ]
    assert [error.message for error in described().iter_errors(last[0])] == []
    assert (out.write(chat.Closed(chat.Finish.STOP)), out.response, out.output) == (b"", None, ())


def test_an_error_before_anything() -> None:
    (event,) = parsed(writer().fail("No.", "server_error", "overloaded"))
    assert (event["sequence_number"], event["param"]) == (0, None)


def test_halves_of_surrogate_pairs_do_no_harm() -> None:
    out = writer()
    data = out.write(chat.TextDelta("a\ud83d")) + out.write(chat.TextDelta("\ud83db"))
    events = parsed(data + out.write(chat.Closed(chat.Finish.STOP)))
    assert watch(events)[0]["content"][0]["text"] == "a��b"
