"""The pieces in which a stream arrives change nothing: what the client gets, what is counted, how it ends."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core.dialects import sse
from tollway.testkit.stream_runs import (
    CHAT,
    COMPLETIONS,
    MESSAGES,
    RESPONSES,
    SERVED,
    Outcome,
    check_stream,
    cuts,
    pieces_of,
    relay_of,
    run,
)

FIXTURES = Path(__file__).parents[3] / "fixtures" / "providers"
CONVERSATIONS = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)
STREAMS = {
    path.stem: exchange["body"].encode()
    for path in sorted(FIXTURES.glob("*.json"))
    if (exchange := json.loads(path.read_text()))["stream"]
}
SIZES = (1, 2, 3, 7, 64, 1000)


def speaks(name: str) -> str:
    return "messages" if name.startswith("anthropic") else "chat"


def shape(value: Any) -> Any:
    """The keys of an event, without what they say."""
    if isinstance(value, dict):
        kind = (value.get("type"), value.get("finish_reason"))
        return (kind, *((key, shape(value[key])) for key in sorted(value)))
    return tuple(map(shape, value)) if isinstance(value, list) else type(value).__name__


def condensed(stream: bytes) -> bytes:
    """The stream with one event of each shape: long answers say the same again and again, and have long signatures."""
    kept: dict[Any, bytes] = {}
    for block in sse.Framer().feed(stream):
        data = sse.read_event(block).data or b""
        kept.setdefault(shape(json.loads(data)) if data.startswith(b"{") else data, block)
    return re.sub(rb"([\w+/=]{20})[\w+/=]{100,}", rb"\1", b"".join(kept.values()))


def whole_and_split(provider: str, path: str, stream: bytes, pieces: list[bytes]) -> tuple[Outcome, Outcome]:
    return run(relay_of(provider, path), [stream]), run(relay_of(provider, path), pieces)


@pytest.mark.parametrize("path", CONVERSATIONS)
@pytest.mark.parametrize("name", STREAMS)
def test_recorded_streams_in_pieces_of_any_size(name: str, path: str) -> None:
    stream = STREAMS[name]
    for size in SIZES:
        outcome = check_stream(speaks(name), path, stream, pieces_of(stream, size))
        assert outcome.started
        assert outcome.done is (name != "anthropic-qmid")  # which ends with an error
    dice = random.Random(name)
    for _ in range(20):
        check_stream(speaks(name), path, stream, cuts(stream, (dice.randrange(len(stream)) for _ in range(5))))


@pytest.mark.parametrize("path", CONVERSATIONS)
@pytest.mark.parametrize("name", STREAMS)
def test_recorded_events_at_every_split_in_two(name: str, path: str) -> None:
    stream, provider = condensed(STREAMS[name]), speaks(name)
    whole = run(relay_of(provider, path), [stream])
    assert whole.started
    for place in range(len(stream)):
        assert run(relay_of(provider, path), [stream[:place], stream[place:]]) == whole, f"split at {place}"


@pytest.mark.parametrize("path", SERVED["openai"])
def test_streams_that_pass_through_at_every_split_in_two(path: str, passed: dict[str, bytes]) -> None:
    stream = passed[path]
    whole = run(relay_of("openai", path), [stream])
    assert (whole.done, whole.fault) == (True, None)
    assert whole.usage is not None
    for place in range(len(stream)):
        assert run(relay_of("openai", path), [stream[:place], stream[place:]]) == whole, f"split at {place}"


@pytest.fixture
def passed() -> dict[str, bytes]:
    """A whole stream for each path that passes through."""

    def events(*bodies: dict[str, Any]) -> bytes:
        return b"".join(b"event: %b\ndata: %b\n\n" % (b["type"].encode(), json.dumps(b).encode()) for b in bodies)

    usage = {"input_tokens": 3, "output_tokens": 4}
    response = {"id": "resp_9", "status": "completed", "output": [], "usage": usage}
    return {
        RESPONSES: events(
            {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_9"}},
            {"type": "response.output_text.delta", "sequence_number": 1, "delta": "é"},
            {"type": "response.output_item.done", "output_index": 0, "item": {"type": "message"}},
            {"type": "response.completed", "sequence_number": 3, "response": response},
        ),
        COMPLETIONS: b'data: {"choices":[{"text":"a"}]}\r\n\r\n: ping\n\n'
        b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\ndata: [DONE]\r\r\n',
        "/v1/images/generations": events(
            {"type": "image_generation.partial_image", "b64_json": "AA=="},
            {"type": "image_generation.completed", "b64_json": "AA==", "usage": usage},
        ),
        "/v1/audio/transcriptions": events(
            {"type": "transcript.text.delta", "delta": "a"},
            {"type": "transcript.text.done", "text": "a", "usage": {"type": "tokens"} | usage},
        ),
        "/v1/audio/speech": events(
            {"type": "speech.audio.delta", "audio": "AA=="}, {"type": "speech.audio.done", "usage": usage}
        ),
    }


DELTAS = st.one_of(
    st.builds(lambda text: {"content": text}, st.text(max_size=5)),
    st.builds(lambda text: {"reasoning_content": text}, st.sampled_from(["a", "\u2028", "\ud800"])),
    st.builds(
        lambda index, call, name, arguments: {
            "tool_calls": [{"index": index, "id": call, "function": {"name": name, "arguments": arguments}}]
        },
        st.sampled_from([0, 1, None]),
        st.sampled_from(["a", "b", ""]),
        st.sampled_from(["f", "g", None]),
        st.sampled_from(["", "{", "}", "{}", '"']),
    ),
)
CHUNKS = st.one_of(
    DELTAS.map(lambda delta: json.dumps({"id": "c", "choices": [{"index": 0, "delta": delta}]}).encode()),
    st.sampled_from([b"", b"{}", b'{"choices":[{"finish_reason":"stop"}]}', b'{"usage":{"prompt_tokens":3}}', b"["]),
)
BLOCKS = st.sampled_from(["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"]).flatmap(
    lambda kind: st.fixed_dictionaries(
        {
            "type": st.just("content_block_start"),
            "index": st.integers(0, 2),
            "content_block": st.just({"type": kind, "id": "t", "name": "f", "data": "x", "input": {}, "text": "a"}),
        }
    )
)
PARTS = st.fixed_dictionaries(
    {
        "type": st.just("content_block_delta"),
        "index": st.integers(0, 2),
        "delta": st.sampled_from(
            [
                {"type": "text_delta", "text": "é\U0001f600"},
                {"type": "thinking_delta", "thinking": "hm"},
                {"type": "signature_delta", "signature": "s"},
                {"type": "input_json_delta", "partial_json": '{"a":'},
                {"type": "input_json_delta", "partial_json": "1}"},
            ]
        ),
    }
)
EVENTS = st.one_of(
    BLOCKS,
    PARTS,
    st.fixed_dictionaries({"type": st.just("content_block_stop"), "index": st.integers(0, 2)}),
    st.sampled_from([{"type": "ping"}, {"type": "message_start", "message": {"id": "i"}}, {"type": "error"}, {}]),
    st.just({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}}),
).map(lambda event: json.dumps(event).encode())
ENDS = st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\n", b"\n\n\n"])


def streams(events: st.SearchStrategy[bytes], last: bytes) -> st.SearchStrategy[bytes]:
    """Events with any ends of lines; most streams end as they ought to."""
    block = st.builds(lambda data, end: b"data: " + data + end, events, ENDS)
    end = st.sampled_from([b"data: " + last + b"\n\n", b"data: " + last, b""])
    return st.builds(lambda blocks, tail: b"".join(blocks) + tail, st.lists(block, max_size=8), end)


PROVIDERS = {
    "chat": streams(CHUNKS, b"[DONE]"),
    "messages": streams(EVENTS, b'{"type":"message_stop"}'),
}


@pytest.mark.parametrize("path", CONVERSATIONS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_any_stream_at_any_splits(provider: str, path: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(PROVIDERS[provider], st.lists(st.integers(1, 1000), max_size=4))
    def check(stream: bytes, at: list[int]) -> None:
        check_stream(provider, path, stream, cuts(stream, at))
        check_stream(provider, path, stream, pieces_of(stream, 1))

    check()


def test_the_check_can_fail() -> None:
    stream = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n'
    with pytest.raises(AssertionError, match="the pieces matter"):
        check_stream("chat", MESSAGES, stream, [stream.replace(b'"a"', b'"b"')])
    with pytest.raises(AssertionError, match="the pieces matter"):
        check_stream("chat", CHAT, stream, [stream[:-14]])
