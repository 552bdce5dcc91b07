"""Streams of every kind through their relays: recorded ones exactly, at any split; ends that are none are faults."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core.catalog import ProviderKind
from tollway.core.errors import Code
from tollway.core.usage import Usage
from tollway.dataplane.endpoints.port import StreamRelay
from tollway.dataplane.providers.port import ProviderFault
from tollway.testkit.codecs import codec

USAGE = {
    "openai-15": None,
    "openai-17": Usage(input=17, output=19),
    "openai-23": Usage(input=14, output=8),
    "azure-07": None,
    "huggingface-09": Usage(input=10, output=955),
    "anthropic-25": Usage(input=542, output=62),
    "anthropic-31": Usage(input=1042, cached_input=1031, output=100),
    "anthropic-33": Usage(input=11665, output=186, searches=1),
    "anthropic-35": Usage(input=55377, cached_input=55096, output=91),
}
DONE = b"data: [DONE]\n\n"
ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
HELLO = b'data: {"choices":[{"index":0,"delta":{"content":"hello"},"finish_reason":null}]}\n\n'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
COUNTS = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}\n\n'
ERROR = b'data: {"error":{"message":"The engine is overloaded","type":"overloaded_error","code":null}}\n\n'


def relay_of(kind: ProviderKind = ProviderKind.OPENAI, *, usage: bool = False) -> StreamRelay:
    return codec(kind, stream=True, stream_options={"include_usage": usage}).relay({})


def failed(exchange: dict[str, Any]) -> bool:
    return "event: error" in exchange["body"]


def content(chunks: list[Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def test_recorded_streams(streamed: dict[str, Any], kind_of: Any, chunks_of: Any) -> None:
    body = streamed["body"].encode()
    relay = codec(kind_of(streamed), stream=True, stream_options={"include_usage": True}).relay({})
    if failed(streamed):
        assert json.loads(relay.feed(body).split(b"data: ")[2])["choices"][0]["delta"]["content"] == "Partial answer"
        with pytest.raises(ProviderFault) as caught:
            relay.end()
        assert (caught.value.code, relay.started, relay.done) == (Code.PROVIDER_UNAVAILABLE, True, False)
        return
    out = relay.feed(body) + relay.end()
    chunks = chunks_of(out)
    assert (relay.started, relay.done, relay.fault) == (True, True, None)
    if streamed["provider"] != "anthropic":
        assert out == body
        assert relay.output_chars >= len(content(chunks))
    if streamed["stem"] in USAGE:
        assert relay.usage == USAGE[streamed["stem"]]
    told = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    assert [counts["completion_tokens"] for counts in told] == ([relay.usage.output] if relay.usage else [])


def test_recorded_streams_at_every_split(streamed: dict[str, Any], kind_of: Any) -> None:
    body = streamed["body"].encode()
    whole = codec(kind_of(streamed), stream=True).relay({})
    expected = whole.feed(body)
    for size in (1, 5, 1000):
        relay = codec(kind_of(streamed), stream=True).relay({})
        out = b"".join(relay.feed(body[at : at + size]) for at in range(0, len(body) - size * failed(streamed), size))
        if failed(streamed):
            # The last piece completes the error event, which is raised with nothing before it in the same bytes.
            with contextlib.suppress(ProviderFault):
                out += relay.feed(body[-size:])
        assert out == expected
        assert (relay.usage, relay.output_chars, relay.done) == (whole.usage, whole.output_chars, whole.done)


def test_recorded_streams_cut_anywhere_are_faults(streamed: dict[str, Any], kind_of: Any) -> None:
    body = streamed["body"].encode()
    for cut in range(0, len(body) - 40, max(1, len(body) // 50)):
        relay = codec(kind_of(streamed), stream=True).relay({})
        relay.feed(body[:cut])
        with pytest.raises(ProviderFault) as caught:
            relay.end()
        assert caught.value.code is Code.PROVIDER_UNAVAILABLE
        assert caught.value.retryable


def test_the_usage_chunk_is_shown_to_those_who_asked() -> None:
    stream = ROLE + HELLO + LAST + COUNTS + DONE
    for usage in (True, False):
        relay = relay_of(usage=usage)
        assert relay.feed(stream) == (stream if usage else ROLE + HELLO + LAST + DONE)
        assert relay.usage == Usage(input=3, output=4)
        piecewise = relay_of(usage=usage)
        out = b"".join(piecewise.feed(event + b"\n\n") for event in stream.split(b"\n\n")[:-1])
        assert out == (stream if usage else ROLE + HELLO + LAST + DONE)


def test_a_usage_chunk_without_counts_is_hidden_too_and_tells_nothing() -> None:
    relay = relay_of()
    assert relay.feed(HELLO) == HELLO
    assert relay.feed(b'data: {"choices":[],"usage":{"prompt_tokens":null}}\n\n') == b""
    assert relay.usage is None


def test_the_commit_point_is_the_first_content() -> None:
    relay = relay_of()
    prompt = b'data: {"choices":[],"id":"","model":"","prompt_filter_results":[{"prompt_index":0}]}\n\n'
    assert relay.feed(prompt) == prompt
    assert relay.feed(b": keep-alive\n\n") == b": keep-alive\n\n"
    assert relay.feed(ROLE) == ROLE
    assert not relay.started
    assert relay.feed(HELLO[:50]) == b""
    assert not relay.started
    assert relay.feed(HELLO[50:]) == HELLO
    assert (relay.started, relay.output_chars) == (True, 5)


@pytest.mark.parametrize(
    "delta",
    [
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]},
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"refusal": "no"},
        {"function_call": {"name": "f"}},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
    ],
)
def test_other_things_are_content_too(delta: dict[str, Any]) -> None:
    relay = relay_of()
    relay.feed(b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n")
    assert relay.started


def test_characters_of_all_kinds_are_counted() -> None:
    relay = relay_of()
    calls = [{"index": 0, "function": {"name": "weather", "arguments": '{"a":1}'}}, {"custom": {"input": "4 + 4"}}]
    for delta in (
        {"content": "abc"},
        {"reasoning_content": "de", "reasoning": "de"},
        {"tool_calls": calls},
        {"refusal": "x"},
    ):
        relay.feed(b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n")
    assert relay.output_chars == 3 + 2 + 7 + 5 + 1


def test_an_error_event_before_content_is_an_ordinary_failure() -> None:
    relay = relay_of()
    with pytest.raises(ProviderFault) as caught:
        relay.feed(ROLE + ERROR)
    assert (caught.value.code, caught.value.retryable, relay.started) == (Code.PROVIDER_UNAVAILABLE, True, False)


def test_content_before_an_error_event_is_delivered_first() -> None:
    relay = relay_of()
    assert relay.feed(ROLE + HELLO + ERROR) == ROLE + HELLO
    assert relay.fault is not None
    calls: list[Callable[[], bytes]] = [lambda: relay.feed(b""), relay.end]
    for call in calls:
        with pytest.raises(ProviderFault) as caught:
            call()
        assert "The engine is overloaded" in caught.value.message


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (b'data: {"error":"Model too busy","error_type":"overloaded_error"}\n\n', Code.PROVIDER_UNAVAILABLE),
        (b'data: {"error":{"message":"x","code":400,"type":"BadRequestError"}}\n\n', Code.INVALID_REQUEST),
        (b'data: {"error":{"message":"x","type":"server_error"}}\n\n', Code.PROVIDER_ERROR),
        (b'data: {"object":"error","message":"x","code":500}\n\n', Code.PROVIDER_ERROR),
        (b'event: error\ndata: {"message":"x","code":429}\n\n', Code.PROVIDER_RATE_LIMITED),
        (b'data: {"error":{"message":"x","code":"insufficient_quota"}}\n\n', Code.PROVIDER_ERROR),
        (b"data: {broken\n\n", Code.PROVIDER_ERROR),
        (b'data: {"choices":7}\n\n', Code.PROVIDER_ERROR),
        (b"<html>\n<body>Bad Gateway</body>\n\n", Code.PROVIDER_ERROR),
        (b'{"error":{"message":"x","type":"rate_limit_error"}}\n\n', Code.PROVIDER_RATE_LIMITED),
    ],
)
def test_errors_and_garbage_in_a_stream(event: bytes, code: Code) -> None:
    for start in (b"", HELLO):
        relay = relay_of()
        relay.feed(start)
        with pytest.raises(ProviderFault) as caught:
            relay.feed(event)
        assert caught.value.code is code
        assert "<" not in caught.value.message
        assert not relay.done


def test_a_stream_that_is_one_json_error_is_read_at_its_end() -> None:
    relay = relay_of()
    relay.feed(b'{"error":{"message":"overloaded","type":"overloaded_error"}}')
    with pytest.raises(ProviderFault) as caught:
        relay.end()
    assert "overloaded" in caught.value.message


def test_done_without_its_blank_line_and_bytes_after_done() -> None:
    relay = relay_of()
    assert relay.feed(HELLO + b"data: [DONE]") + relay.end() == HELLO + DONE
    relay = relay_of()
    assert relay.feed(HELLO + DONE + HELLO) == HELLO + DONE
    assert relay.feed(b"anything") == b""
    assert relay.end() == b""


def test_an_endless_event_is_refused() -> None:
    relay = relay_of()
    for _ in range(15):
        assert relay.feed(b"data: " + b"x" * 2**20) == b""
    with pytest.raises(ProviderFault) as caught:
        relay.feed(b"x" * 2**20)
    assert caught.value.code is Code.PROVIDER_ERROR


def test_anthropic_chunks(recorded: Any, chunks_of: Any) -> None:
    relay = relay_of(ProviderKind.ANTHROPIC, usage=True)
    chunks = chunks_of(relay.feed(recorded("anthropic-25")["body"].encode()))
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert {(chunk["id"], chunk["model"], chunk["created"]) for chunk in chunks} == {
        ("msg_01V2noLbAb2NgKnjaNw6Cn3w", "claude-haiku-4-5-20251001", 9)
    }
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    calls = [call for chunk in chunks[1:-2] for call in chunk["choices"][0]["delta"]["tool_calls"]]
    assert [call["index"] for call in calls] == [0, 0, 1, 1]
    assert [call["function"]["arguments"] for call in calls] == ["", "{}", "", "{}"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 604)
    assert relay.output_chars == 4
    quiet = relay_of(ProviderKind.ANTHROPIC)
    assert b"usage" not in quiet.feed(recorded("anthropic-25")["body"].encode())


def test_anthropic_input_is_known_before_the_end(recorded: Any) -> None:
    relay = relay_of(ProviderKind.ANTHROPIC)
    relay.feed(recorded("anthropic-31")["body"].encode()[:900])
    assert (relay.done, relay.usage) == (False, Usage(input=1042, cached_input=1031, output=1))


PIECES = [
    ROLE,
    HELLO,
    LAST,
    COUNTS,
    ERROR,
    DONE,
    b": c\n\n",
    b"data: {\n\n",
    b"event: x\n",
    b"\r\n",
    b"\n",
    b"data: ",
    b"\xff",
]
PIECES += [b'event: message_start\ndata: {"type":"message_start"}\n\n', b'data: {"type":"message_stop"}\n\n']


@settings(max_examples=150)
@given(
    st.lists(st.sampled_from(PIECES) | st.binary(max_size=5), max_size=8),
    st.lists(st.integers(0, 400), max_size=6),
    st.sampled_from([ProviderKind.OPENAI, ProviderKind.ANTHROPIC]),
)
def test_any_bytes_at_any_split_give_the_same_or_a_fault(
    pieces: list[bytes], cuts: list[int], kind: ProviderKind
) -> None:
    data = b"".join(pieces)

    def run(edges: list[int]) -> tuple[bytes, bool, bool, str]:
        relay, out, ending = relay_of(kind), b"", "closed"
        try:
            for start, end in itertools.pairwise(edges):
                out += relay.feed(data[start:end])
            out += relay.end()
        except ProviderFault as fault:
            ending = fault.code.value
        return (out if relay.started else b""), relay.started, relay.done, ending

    whole = run([0, len(data)])
    assert run([0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]) == whole
