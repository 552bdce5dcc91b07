"""Answers of a provider of the same dialect: what the client is told otherwise, and what the gateway has seen."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tollway.core import chat
from tollway.core.dialects import sse
from tollway.core.dialects.openai_responses import Passed, ResponsesView, StreamWriter, answer_for_client, read_head
from tollway.core.dialects.ports import ErrorEvent
from tollway.core.errors import Code, TollwayError
from tollway.core.usage import Usage

OURS: dict[str, Any] = {"response_id": "resp_ours", "previous_response_id": "resp_before", "store": True}
TOLD = {"id": "resp_ours", "previous_response_id": "resp_before", "store": True}
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 16,
}
OUTPUT = [
    {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "why"}], "encrypted_content": "g"},
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Hello"}, {"type": "refusal", "refusal": "no"}],
    },
    {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "f", "arguments": '{"x":1}'},
]
RESPONSE: dict[str, Any] = {
    "id": "resp_theirs",
    "object": "response",
    "status": "completed",
    "error": None,
    "output": OUTPUT,
    "previous_response_id": None,
    "store": False,
    "usage": USAGE,
    "x-new": {"kept": 1e3},
}


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | fields)}\n\n".encode()


def started(kind: str, sequence: int) -> bytes:
    return event(kind, sequence_number=sequence, response=RESPONSE | {"status": "in_progress", "output": []})


STREAM = [
    started("response.created", 0),
    started("response.in_progress", 1),
    event("response.output_item.added", sequence_number=2, output_index=0, item={"type": "reasoning"}),
    event("response.reasoning_summary_text.delta", sequence_number=3, delta="why", obfuscation="xx"),
    event("response.output_item.done", sequence_number=4, output_index=0, item=OUTPUT[0]),
    event("response.output_text.delta", sequence_number=5, output_index=1, delta="Hel", logprobs=[]),
    event("response.output_text.delta", sequence_number=6, output_index=1, delta="lo", logprobs=[]),
    event("response.brand.new", sequence_number=7, delta=None),
    event("response.output_item.done", sequence_number=8, output_index=1, item=OUTPUT[1]),
    event("response.output_item.added", sequence_number=9, output_index=2, item=OUTPUT[2]),
    event("response.function_call_arguments.delta", sequence_number=10, output_index=2, delta='{"x":1}'),
    event("response.output_item.done", sequence_number=11, output_index=2, item=OUTPUT[2]),
    event("response.completed", sequence_number=12, response=RESPONSE),
]


def data_of(block: bytes) -> dict[str, Any]:
    data = sse.read_event(block).data
    assert data is not None
    told: dict[str, Any] = json.loads(data)
    return told


def view() -> ResponsesView:
    return ResponsesView(**OURS)


def test_a_whole_answer() -> None:
    body = json.dumps(RESPONSE, indent=1).encode()
    passed = answer_for_client(body, **OURS)
    assert json.loads(passed.body) == RESPONSE | TOLD
    assert b'"x-new":{\n  "kept": 1000.0\n }' in passed.body
    assert passed.usage == Usage(input=9, cached_input=4, output=7, reasoning=5)
    assert passed.chars == len("why" + "Hello" + "no" + '{"x":1}')
    assert [json.loads(bytes(item)) for item in passed.output] == OUTPUT


def test_a_whole_answer_with_harmless_slips() -> None:
    body = b'{"id":"r","output":[],"text":"\\ud83d","usage":null}'
    passed = answer_for_client(body, **OURS)
    assert isinstance(passed, Passed)
    assert json.loads(passed.body) == {"output": [], "text": "\ud83d", "usage": None} | TOLD
    assert (passed.usage, passed.chars, passed.output) == (None, 0, ())


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"id":"x"}', b"[" * 100_000, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"]
)
def test_a_body_that_is_no_response(body: bytes) -> None:
    with pytest.raises(TollwayError) as caught:
        answer_for_client(body, **OURS)
    assert caught.value.code is Code.PROVIDER_ERROR


@pytest.mark.parametrize(
    "fields", [{"error": {"code": "server_error", "message": "m"}}, {"status": "failed", "error": None}]
)
def test_a_whole_answer_that_failed(fields: dict[str, Any]) -> None:
    with pytest.raises(ErrorEvent) as caught:
        answer_for_client(json.dumps(RESPONSE | fields).encode(), **OURS)
    assert caught.value.error == fields["error"]


def test_a_stream() -> None:
    seen, starts, dones, blocks = view(), [], [], []
    for block in STREAM:
        blocks.append(seen.feed(block))
        starts.append(seen.started)
        dones.append(seen.done)
    assert seen.failure is None
    assert blocks[2:-1] == STREAM[2:-1]
    assert [data_of(blocks[i])["response"] for i in (0, 1)] == [data_of(STREAM[i])["response"] | TOLD for i in (0, 1)]
    assert data_of(blocks[-1]) == data_of(STREAM[-1]) | {"response": RESPONSE | TOLD}
    assert blocks[-1].startswith(b"event: response.completed\ndata: ")
    assert starts.index(True) == 3
    assert dones == [False] * 12 + [True]
    assert seen.usage == Usage(input=9, cached_input=4, output=7, reasoning=5)
    assert (seen.output_chars, seen.output_events) == (len('whyHello{"x":1}'), 4)
    assert [json.loads(bytes(item)) for item in seen.output] == OUTPUT
    assert json.loads(seen.response or b"") == RESPONSE | TOLD
    assert seen.feed(STREAM[5]) == b""


def test_the_call_of_a_tool_is_content() -> None:
    seen = view()
    seen.feed(STREAM[9])
    assert seen.started


def test_an_end_without_content_is_a_start() -> None:
    seen = view()
    seen.feed(STREAM[0])
    assert not seen.started
    seen.feed(event("response.incomplete", response=RESPONSE | {"output": []}))
    assert (seen.started, seen.done, seen.output) == (True, True, ())


def test_items_are_gathered_where_the_end_repeats_none() -> None:
    seen = view()
    for block in [*STREAM[:-1], event("response.incomplete", response=RESPONSE | {"output": []})]:
        seen.feed(block)
    assert seen.done
    assert [json.loads(bytes(item))["id"] for item in seen.output] == ["rs_1", "msg_1", "fc_1"]


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (event("error", error={"code": "c", "message": "m"}, sequence_number=3), {"code": "c", "message": "m"}),
        (event("error", code="c", message="m", param=None), {"code": "c", "message": "m", "param": None}),
        (b'data: {"error":{"message":"m"}}\n\n', {"message": "m"}),
        (event("response.failed", response=RESPONSE | {"error": {"code": "c"}}), {"code": "c"}),
    ],
)
def test_errors_of_the_provider(block: bytes, error: Any) -> None:
    seen = view()
    seen.feed(STREAM[5])
    assert seen.feed(block) == b""
    assert isinstance(seen.failure, ErrorEvent)
    assert (seen.failure.error, seen.done) == (error, False)
    assert seen.feed(STREAM[-1]) == b""
    told = data_of(seen.fail("It broke.", "server_error", "provider_error"))
    assert (told["type"], told["sequence_number"], told["message"]) == ("error", 6, "It broke.")


def test_a_failure_still_tells_its_usage() -> None:
    seen = view()
    seen.feed(event("response.failed", response=RESPONSE | {"error": {"code": "c"}}))
    assert seen.usage == Usage(input=9, cached_input=4, output=7, reasoning=5)


@pytest.mark.parametrize(
    "block",
    [
        b"<html>\n\n",
        b"data: 3\n\n",
        b"data: {\n\n",
        event("response.completed", response=3),
        b"data: " + b"[" * 100_000 + b"\n\n",
    ],
)
def test_garbage(block: bytes) -> None:
    seen = view()
    assert seen.feed(block) == b""
    assert seen.failure is not None
    assert seen.failure.code is Code.PROVIDER_ERROR
    assert not seen.done


def test_other_spellings_of_events() -> None:
    comment, spaced = b": ping\n\n", b'data:{"type":"response.output_text.delta",\r\ndata:"delta":"a"}\r\n\r\n'
    half = event("response.output_text.delta", delta="\ud83d")
    seen = view()
    assert [seen.feed(block) for block in (comment, spaced, half)] == [comment, spaced, half]
    assert (seen.output_chars, seen.started) == (2, True)
    assert (seen.feed(b"data: [DONE]\n\n"), seen.done, seen.failure) == (b"", False, None)


def test_sound_is_not_counted_as_text() -> None:
    seen = view()
    seen.feed(event("response.audio.delta", delta="AAAA"))
    assert (seen.started, seen.output_chars) == (True, 0)


def test_what_the_gateway_writes_it_can_read() -> None:
    fields = read_head(b'{"model":"m","input":"hi"}').fields
    out = StreamWriter(response_id="resp_1", created=1, model="m", fields=fields)
    events: list[chat.Event] = [
        chat.TextDelta("Hel"),
        chat.TextDelta("lo"),
        chat.Closed(chat.Finish.STOP, Usage(input=1, output=2)),
    ]
    seen = view()
    for block in sse.Framer().feed(b"".join(map(out.write, events))):
        seen.feed(block)
    assert (seen.done, seen.output_chars, seen.usage) == (True, 5, Usage(input=1, output=2))
    assert seen.output == out.output


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, sum(map(len, STREAM))), max_size=12))
def test_any_split_of_the_bytes(cuts: list[int]) -> None:
    data = b"".join(STREAM)
    framer, seen, told = sse.Framer(), view(), []
    edges = [0, *sorted(cuts), len(data)]
    for start, end in pairwise(edges):
        told += [seen.feed(block) for block in framer.feed(data[start:end])]
    whole = view()
    assert b"".join(told) == b"".join(map(whole.feed, STREAM))
    assert (seen.done, seen.usage, seen.output) == (True, whole.usage, whole.output)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
_KINDS = st.sampled_from([data_of(block)["type"] for block in STREAM] + ["error", "response.failed"])
_FIELDS = st.sampled_from(["delta", "item", "response", "output_index", "sequence_number", "error", "code", "usage"])


@settings(max_examples=200, deadline=None)
@given(_KINDS, st.dictionaries(_FIELDS, _JSON, max_size=5), st.binary(max_size=12))
@example("response.output_text.delta", {"sequence_number": 2**64 - 1}, b"")
@example("response.completed", {"response": {"usage": {"input_tokens": 2**200}}}, b"")
def test_no_event_raises(kind: str, fields: dict[str, Any], noise: bytes) -> None:
    seen = view()
    seen.feed(event(kind, **fields))
    seen.feed(noise + b"\n\n")
    assert b"event: error" in seen.fail("m", "t", "c")


def test_web_searches_are_counted_whole_and_streamed() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "web_search_call"}]}
    opened = {"type": "web_search_call", "id": "ws_2", "action": {"type": "open_page", "url": "https://e.org"}}
    told: dict[str, Any] = {"id": "resp_p", "status": "completed", "output": [search, said, opened, search]}
    told |= {"usage": {"input_tokens": 1, "output_tokens": 1}}
    ours: dict[str, Any] = {"response_id": "resp_a", "previous_response_id": None, "store": True}
    passed = answer_for_client(json.dumps(told).encode(), **ours)
    view = ResponsesView(**ours)
    view.feed(b"data: " + json.dumps({"type": "response.completed", "response": told}).encode() + b"\n\n")
    assert passed.usage is not None
    assert (passed.usage.searches, view.usage) == (2, passed.usage)
