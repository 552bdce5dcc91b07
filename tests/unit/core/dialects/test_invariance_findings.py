"""What fuzzing has found: one test for each bug, with its story."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tollway.core import chat
from tollway.core.dialects import anthropic_messages, openai_chat, openai_completions, openai_responses
from tollway.core.dialects.anthropic_schema import enforceable
from tollway.core.dialects.openai_received import read_received
from tollway.core.errors import Code, TollwayError
from tollway.dataplane.http.errors import error_body
from tollway.dataplane.providers.faults import fault_of
from tollway.dataplane.providers.told import read_told
from tollway.testkit.responses_grammar import check_response_events
from tollway.testkit.stream_runs import CHAT, COMPLETIONS, MESSAGES, RESPONSES, SERVED, asked_of, relay_of, run

HALF = "\\ud800"
"""Half of a surrogate pair, as JSON can say it and UTF-8 cannot."""
TOOL = (
    b'data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":%b}}'
    b'\n\ndata: {"type":"content_block_stop","index":0}\n\ndata: {"type":"message_stop"}\n\n'
)


def test_half_a_surrogate_pair_in_the_input_of_a_tool() -> None:
    """The tolerant reader lets it in, and writing the arguments raised UnicodeEncodeError out of the reader."""
    given = b'{"a":"%b"}' % HALF.encode()
    outcome = run(relay_of("messages", CHAT), [TOOL % given])
    assert outcome.done
    body = b'{"type":"message","content":[{"type":"tool_use","id":"t","name":"f","input":%b}]}' % given
    answer = anthropic_messages.read_answer(body)
    assert json.loads(answer.tool_calls[0].arguments) == {"a": "\ud800"}


@pytest.mark.parametrize("provider", ["chat", "messages"])
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, RESPONSES, MESSAGES])
def test_half_a_surrogate_pair_in_an_error(provider: str, path: str) -> None:
    """No body could be made of such an error: the client got our 500 in place of what the provider said."""
    body = b'{"type":"error","error":{"message":"a%b","param":"%b"}}' % (HALF.encode(), HALF.encode())
    fault = fault_of(400, {}, body)
    for dialect in ("openai", "anthropic"):
        assert json.loads(error_body(fault, dialect, "id"))["error"]["message"].startswith("a?")
    told = relay_of(provider, path).fail("a\ud800", "api_error", "c", "\ud800").partition(b"data: ")[2]
    assert json.loads(told)["error"]["message"].startswith("a")


def test_half_a_surrogate_pair_in_the_place_that_an_error_names() -> None:
    body = b'{"detail":[{"loc":["body","%b"],"msg":"bad"}]}' % HALF.encode()
    assert read_told(body).param == "?"


def test_a_response_with_half_a_surrogate_pair_can_be_gone_on_from() -> None:
    """It was kept as it came, and the next request of the conversation was refused as broken JSON of the client's."""
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a\ud800"}]}
    whole = json.dumps({"id": "r", "status": "completed", "output": [item]}).encode()
    passed = openai_responses.answer_for_client(whole, response_id="r", previous_response_id=None, store=True)
    view = openai_responses.ResponsesView(response_id="r", previous_response_id=None, store=True)
    view.feed(b'data: {"type":"response.output_item.done","output_index":0,"item":%b}\n\n' % json.dumps(item).encode())
    view.feed(b'data: {"type":"response.completed","response":{"id":"r"}}\n\n')
    head = openai_responses.read_head(b'{"model":"m","input":"go on","previous_response_id":"r"}')
    for earlier in (passed.output, view.output):
        assert "a\ufffd" in openai_responses.outgoing(head, "m", earlier=earlier).decode()


def test_an_error_event_of_which_only_a_part_can_be_read() -> None:
    """A key that is no UTF-8 is skipped by the reader of events; reading the whole error raised ValueError."""
    for path in SERVED["openai"]:
        if path not in (RESPONSES, COMPLETIONS):
            outcome = run(relay_of("openai", path), [b'event: error\ndata: {"m\xeassage":"x"}\n\n'])
            assert outcome.fault is not None
            assert outcome.fault.code == "provider_error"


def test_a_response_that_cannot_be_passed_on_has_not_ended() -> None:
    """The view said that the response was done before it found that its last event could not be rewritten."""
    response = b'{"id":"r","status":"completed","output":[]}'
    event = b'data: {"type":"response.completed","\xff":1,"response":%b}\n\n' % response
    outcome = run(relay_of("openai", RESPONSES), [event])
    assert outcome.fault is not None
    assert not outcome.done


def test_a_stream_cut_inside_its_last_event_leaves_no_gap() -> None:
    """The unterminated event was written, then thrown away with the fault, and its number was missing afterwards."""
    delta = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}\n\n'
    relay = relay_of("messages", RESPONSES)
    outcome = run(relay, [delta % b"a", (delta % b"b").rstrip()])
    assert outcome.fault is not None
    assert outcome.chars == 1
    check_response_events(outcome.out + relay.fail(outcome.fault.message, "server_error", "c"), may_fail=True)


def test_a_last_event_without_its_blank_line_is_still_the_end() -> None:
    outcome = run(relay_of("messages", CHAT), [b'data: {"type":"message_stop"}'])
    assert (outcome.done, outcome.fault) == (True, None)


def test_nothing_is_read_after_the_end() -> None:
    """What followed `message_stop` was still buffered, up to 16 MiB, and then called a fault of a finished stream."""
    relay = relay_of("messages", CHAT)
    relay.feed(b'data: {"type":"message_stop"}\n\n')
    for _ in range(17):
        assert relay.feed(b"x" * (1 << 20)) == b""
    assert relay.end() == b""
    assert (relay.done, relay.fault) == (True, None)


def deep(depth: int) -> bytes:
    return b'{"content":' * depth + b'"x"' + b"}" * depth


@pytest.mark.parametrize("depth", [300, 850, 900, 940, 980])
def test_deep_nesting_in_a_chunk_that_passes_through(depth: int) -> None:
    """Characters were counted with two calls a level: half of what the JSON reader takes raised RecursionError."""
    chunk = b'{"choices":[{"delta":{"content":%b}}]}' % deep(depth)
    outcome = run(relay_of("openai", COMPLETIONS), [b"data: " + chunk + b"\n\n"])
    assert outcome.fault is not None
    assert read_received(b'{"choices":[{"delta":{"content":%b}}]}' % deep(10)).chars() == 1


def test_an_error_within_errors_has_an_end() -> None:
    """Messages were looked for in `detail` within `detail` by recursion, as deep as the provider liked."""
    assert read_told(b'{"detail":' * 3 + b'"x"' + b"}" * 3).message == "x"
    assert read_told(b'{"detail":' * 300 + b'"x"' + b"}" * 300).message == ""


@pytest.mark.parametrize(
    "schema",
    [
        {"type": {"type": "string"}},
        {"type": "string", "format": {}},
        {"type": "string", "format": ["date"]},
        {"type": "array", "items": {"type": "string"}, "minItems": []},
    ],
)
def test_a_schema_whose_words_are_no_words(schema: dict[str, Any]) -> None:
    """A type that is an object was looked up in a set: TypeError, and a 500 for the client."""
    body = {
        "messages": [{"role": "user", "content": "a"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
    }
    codec = asked_of("messages", CHAT, json.dumps({"model": "m"} | body).encode(), "application/json")
    assert codec is not None
    assert json.loads(codec.payload().body)["messages"]
    assert (enforceable(schema) is not None) is isinstance(schema["type"], str)


@pytest.mark.parametrize("kind", [b"{}", b"[]", b"3", b"null"])
def test_a_block_whose_type_is_no_word(kind: bytes) -> None:
    """Looked up in a set as well, as it passed through."""
    event = b'data: {"type":"content_block_start","index":0,"content_block":{"type":%b}}\n\n' % kind
    outcome = run(relay_of("messages", MESSAGES), [event + b'data: {"type":"message_stop"}\n\n'])
    assert (outcome.started, outcome.done) == (True, True)


def test_a_completion_with_text_and_a_refusal() -> None:
    """The stream told both and the whole answer the text alone."""
    blocks = (chat.Text("a"), chat.Refusal("b"))
    answer = chat.Answer(id="i", model="m", created=1, finish=chat.Finish.STOP, blocks=blocks)
    assert json.loads(openai_completions.write_answer(answer))["choices"][0]["text"] == "ab"


@pytest.mark.parametrize("path", [COMPLETIONS, CHAT, MESSAGES])
def test_a_name_as_long_as_the_answer_is_not_told_with_every_chunk(path: str) -> None:
    """Each chunk repeats id and model: a provider with an id of a megabyte made a gigabyte of a thousand deltas."""
    long = "x" * 100_000
    chat_chunk = {"id": long, "model": long, "choices": [{"delta": {"content": "a"}}]}
    stream = b"data: " + json.dumps(chat_chunk).encode() + b"\n\n"
    stream += b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n' * 100 + b"data: [DONE]\n\n"
    if path != CHAT:  # to which it passes through
        assert len(run(relay_of("chat", path), [stream]).out) < 200_000
    start = {"type": "message_start", "message": {"id": long, "model": long}}
    delta = b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}\n\n'
    stream = b"data: " + json.dumps(start).encode() + b"\n\n" + delta * 100 + b'data: {"type":"message_stop"}\n\n'
    if path != MESSAGES:
        assert len(run(relay_of("messages", path), [stream]).out) < 200_000
    whole = openai_chat.read_answer(json.dumps(chat_chunk).encode())
    assert (len(whole.id), len(whole.model)) == (256, 256)


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_usage_is_not_copied_with_every_event(path: str) -> None:
    """Each event copied all fields that the usage had ever had: a wide one made a stream cost its square."""
    usage = {f"k{index}": index for index in range(100_000)} | {"input_tokens": 3}
    start = json.dumps({"type": "message_start", "message": {"usage": usage}}).encode()
    events = b'data: {"type":"message_delta","usage":{"output_tokens":4}}\n\n' * 3000
    began = time.process_time()
    outcome = run(relay_of("messages", path), [b"data: " + start + b"\n\n" + events])
    assert time.process_time() - began < 1.5
    assert outcome.usage is not None
    assert (outcome.usage.input, outcome.usage.output) == (3, 4)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/images/generations", lambda value: {"prompt": "a", "image": value}),
        (CHAT, lambda value: {"messages": [{"role": "user", "content": [value]}]}),
    ],
)
def test_urls_below_long_keys(path: str, fields: Callable[[Any], dict[str, Any]]) -> None:
    """The path of every value was made before its URL was looked at: keys times values, gigabytes of a 300 KB body."""
    value = {"k" * 50_000: [[{"image_url": "https://example.com"}] * 20_000, {"image_url": "http://10.0.0.1/"}]}
    body = json.dumps({"model": "m"} | fields(value)).encode()
    with pytest.raises(TollwayError, match="the URL") as refused:
        asked_of("openai", path, body, "application/json")
    assert refused.value.code is Code.INVALID_REQUEST
    assert refused.value.param is not None
    assert refused.value.param.endswith("kkk[1].image_url")
