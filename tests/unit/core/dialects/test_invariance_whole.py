"""A stream says what the whole answer says, in every dialect of clients; and the checks of their grammars can fail."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core import chat
from tollway.core.usage import Usage
from tollway.testkit.chunks_grammar import check_chunks
from tollway.testkit.responses_grammar import check_response_events
from tollway.testkit.stream_runs import CHAT, MESSAGES, RESPONSES
from tollway.testkit.written_events import WRITERS, check_whole, events_of, write_stream

TEXTS = st.text(max_size=8) | st.sampled_from(["\ud800", "\r\n\n", "data: x\n\n", '{"a":', "é\U0001f600\u2028"])
ARGUMENTS = st.dictionaries(st.text(max_size=2), st.integers() | st.text(max_size=3), max_size=2).map(json.dumps)
BLOCKS = st.lists(
    st.one_of(
        st.builds(chat.Text, TEXTS),
        st.builds(chat.Thinking, TEXTS, st.none() | st.sampled_from(["s", "t"])),
        st.builds(chat.Refusal, TEXTS.filter(bool)),
        st.builds(chat.RedactedThinking, TEXTS),
        st.builds(chat.ToolCall, st.sampled_from(["", "a", "b"]), st.just("f"), ARGUMENTS),
    ),
    max_size=6,
).map(tuple)
USAGE = Usage(input=5, cached_input=2, output=4, reasoning=1)


@pytest.mark.parametrize("path", WRITERS)
def test_a_stream_says_what_the_whole_answer_says(path: str) -> None:
    @settings(max_examples=150, deadline=None)
    @given(BLOCKS, st.sampled_from(chat.Finish))
    def check(blocks: tuple[chat.Block, ...], finish: chat.Finish) -> None:
        if path != CHAT:
            check_whole(path, blocks, finish, USAGE)
            return
        # In this dialect a call without an id has none: the readers make one.
        named = (
            chat.ToolCall(block.id or "c", block.name, block.arguments) if isinstance(block, chat.ToolCall) else block
            for block in blocks
        )
        check_whole(path, tuple(named), finish, USAGE)

    check()


EVENTS = st.lists(
    st.one_of(
        st.builds(chat.TextDelta, TEXTS),
        st.builds(chat.ReasoningDelta, TEXTS),
        st.builds(chat.RefusalDelta, TEXTS),
        st.builds(chat.ThinkingSigned, TEXTS),
        st.builds(chat.ThinkingRedacted, TEXTS),
        st.builds(chat.ToolStarted, st.just(0), st.sampled_from(["", "a"]), st.just("f")),
        st.builds(chat.ToolDelta, st.integers(0, 3), st.sampled_from(["", "{", "}", '"', "\\", "{}"])),
    ),
    max_size=12,
)


@pytest.mark.parametrize("path", WRITERS)
def test_events_in_any_order_keep_to_the_grammar(path: str) -> None:
    @settings(max_examples=150, deadline=None)
    @given(EVENTS, st.sampled_from(chat.Finish))
    def check(events: list[chat.Event], finish: chat.Finish) -> None:
        started = 0
        ordered: list[chat.Event] = [chat.Opened("i", "m")]
        for event in events:
            if isinstance(event, chat.ToolStarted):
                ordered.append(chat.ToolStarted(started, event.id, event.name))
                started += 1
            elif not isinstance(event, chat.ToolDelta) or event.index < started:
                ordered.append(event)
        write_stream(path, [*ordered, chat.Closed(finish, USAGE, "END")])

    check()


@pytest.fixture
def response() -> list[dict[str, Any]]:
    """The events of a response with reasoning, text and a call."""
    blocks = (chat.Thinking("a", "s"), chat.Text("b"), chat.ToolCall("c", "f", "{}"))
    stream = write_stream(RESPONSES, [chat.Opened("i", "m"), *events_of(blocks), chat.Closed(chat.Finish.STOP)])
    return [json.loads(block.partition(b"data: ")[2]) for block in stream.split(b"\n\n")[:-1]]


def stream_of(events: list[dict[str, Any]], *, renumber: bool = True) -> bytes:
    numbered = [event | ({"sequence_number": at} if renumber else {}) for at, event in enumerate(events)]
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in numbered)


def test_no_event_of_a_response_can_be_left_out_or_told_twice(response: list[dict[str, Any]]) -> None:
    check_response_events(stream_of(response))
    for at in range(len(response)):
        for changed in (response[:at] + response[at + 1 :], response[: at + 1] + response[at:]):
            with pytest.raises(AssertionError):
                check_response_events(stream_of(changed))
        if at and response[at].get("output_index") == response[at - 1].get("output_index"):  # items may come by turns
            swapped = [*response[: at - 1], response[at], response[at - 1], *response[at + 1 :]]
            with pytest.raises(AssertionError):
                check_response_events(stream_of(swapped))


def test_numbers_and_ends_of_a_response_are_checked(response: list[dict[str, Any]]) -> None:
    with pytest.raises(AssertionError, match="is not"):
        check_response_events(stream_of([response[1], *response[1:]], renumber=False))
    error = {"type": "error", "message": "m"}
    check_response_events(stream_of([*response[:4], error]), may_fail=True)
    with pytest.raises(AssertionError, match="with an error"):
        check_response_events(stream_of([*response[:4], error]))
    with pytest.raises(AssertionError, match="after the error"):
        check_response_events(stream_of([*response[:4], error, response[4]]), may_fail=True)


CHUNK: dict[str, Any] = {"id": "i", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
DONE = b"data: [DONE]\n\n"


def chunk(delta: dict[str, Any] | None, finish: str | None = None, **fields: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps(CHUNK | {"choices": choices} | fields).encode() + b"\n\n"


FIRST, END = chunk({"role": "assistant"}), chunk({}, "stop")
CALL = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
COUNTED = chunk(None, usage={"total_tokens": 1})


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (b"", "no finish_reason"),
        (FIRST + END, "no .DONE."),
        (FIRST + DONE, "no finish_reason"),
        (END + DONE, "the role"),
        (FIRST + FIRST + END + DONE, "the role"),
        (FIRST + END + END + DONE, "after its finish"),
        (FIRST + END + DONE + END, "after .DONE."),
        (FIRST + chunk({}, "bored") + DONE, "unknown finish_reason"),
        (FIRST + COUNTED + END + DONE, "precedes"),
        (FIRST + END + COUNTED + COUNTED + DONE, "after the usage"),
        (FIRST + chunk({}, "stop", model="other") + DONE, "frame changes"),
        (FIRST + chunk({"content": None}) + END + DONE, "no text"),
        (FIRST + chunk({"tool_calls": [CALL | {"index": 1}]}) + END + DONE, "where 0 is due"),
        (FIRST + chunk({"tool_calls": [CALL]}) * 2 + END + DONE, "begins twice"),
        (FIRST + b'data: {"error":{"message":"m"}}\n\n', "with an error"),
        (FIRST + b"junk\n\n" + END + DONE, "no event stream"),
        (FIRST + END + b"data: [DONE]", "not terminated"),
    ],
)
def test_streams_of_chunks_that_are_none(stream: bytes, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_chunks(stream)


def test_streams_of_chunks() -> None:
    check_chunks(FIRST + chunk({"tool_calls": [CALL]}) + chunk({"content": "a"}) + END + COUNTED + DONE)
    check_chunks(FIRST + b'data: {"error":{"message":"m"}}\n\n', may_fail=True)
    text: dict[str, Any] = {
        "object": "text_completion",
        "choices": [{"index": 0, "text": "a", "finish_reason": "stop"}],
    }
    check_chunks(chunk(None, **text) + DONE)
    with pytest.raises(AssertionError, match="without text"):
        check_chunks(chunk(None, **text | {"choices": [{"index": 0, "text": None}]}) + DONE)


def test_the_comparison_can_fail() -> None:
    """A refusal of no words, which no reader makes: a whole answer has it and a stream has not."""
    with pytest.raises(AssertionError, match="the stream says"):
        check_whole(MESSAGES, (chat.Refusal(""),), chat.Finish.STOP)
