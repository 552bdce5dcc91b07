"""What a hostile stream or request costs: memory is a small multiple of what was sent, and time grows in line with it.

The multiples are what tracemalloc counts at the peak, output included, for each byte of input that came in one piece.
An object for one or two bytes of input (an empty event, an empty list) costs 30 to 70; most of all costs a call of a
tool in 38 bytes, for which the Responses API demands an item and four events.
"""

from __future__ import annotations

import contextlib
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tollway.core.errors import TollwayError
from tollway.testkit.stream_runs import CHAT, MESSAGES, RESPONSES, SERVED, asked_of, pieces_of, relay_of, run

SIZE = 16_000
FIXED = 60_000
FACTOR = 72
FACTOR_CALLS = 128
FACTOR_REQUEST = 64
DONE = b"data: [DONE]\n\n"
STOP = b'data: {"type":"message_stop"}\n\n'


def event(body: Any) -> bytes:
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def delta(**fields: Any) -> bytes:
    return event({"choices": [{"delta": fields}]})


def call(index: int, arguments: str = "", **fields: Any) -> dict[str, Any]:
    name = {"name": fields.pop("name")} if "name" in fields else {}
    return {"index": index, "function": {**name, "arguments": arguments}} | fields


def fill(unit: bytes, size: int = SIZE) -> bytes:
    return unit * (size // len(unit))


ANY = {
    "a line without end": b"data: " + b"x" * SIZE,
    "many data lines": fill(b"data: \n"),
    "many events": fill(b"data:\n\n"),
    "comments": fill(b":\n\n"),
    "blank lines": fill(b"\n\n"),
    "carriage returns": fill(b"\r"),
    "deep nesting": b'data: {"choices":' + b"[" * SIZE + b"\n\n",
    "a huge number": b'data: {"usage":' + b"9" * SIZE + b"}\n\n",
    "many lists": b'data: {"type":"message_delta","usage":[' + fill(b"[],") + b"1]}\n\n",
    "many objects": b'data: {"type":"message_delta","usage":[' + fill(b"{},") + b"1]}\n\n",
    "escapes": b'data: {"type":"' + fill(b"\\u00e9") + b'"}\n\n',
    "half pairs": b'data: {"type":"' + fill(b"\\ud800") + b'"}\n\n',
}
CHATS = {
    "tiny deltas": fill(delta(content="a")) + DONE,
    "a long name": event({"id": "x" * SIZE, "model": "y" * SIZE, "choices": []}) + fill(delta(content="a")) + DONE,
    "calls in one event": delta(tool_calls=[call(i, name="f") for i in range(SIZE // 38)]) + DONE,
    "many indexes": b"".join(delta(tool_calls=[call(i, name="f")]) for i in range(SIZE // 80)) + DONE,
    "interleaved calls": b"".join(
        delta(tool_calls=[call(i % 50, "{" if i < 50 else "1", **({"name": "f"} if i < 50 else {}))])
        for i in range(SIZE // 80)
    )
    + DONE,
    "a call without a name": fill(delta(tool_calls=[call(0, "1", id="a")])),
    "calls that wait": delta(tool_calls=[call(i, name="f") for i in range(SIZE // 38)])
    + delta(tool_calls=[call(i, "{}") for i in reversed(range(SIZE // 38))])
    + DONE,
}
BLOCK = {"type": "tool_use", "id": "a", "name": "f"}
SIGNED = {"type": "signature_delta", "signature": "a"}
ANTHROPICS = {
    "tiny deltas": fill(event({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}})) + STOP,
    "many blocks": b"".join(
        event({"type": "content_block_start", "index": i, "content_block": BLOCK}) for i in range(SIZE // 100)
    )
    + STOP,
    "many signatures": b"".join(
        event({"type": "content_block_delta", "index": i, "delta": SIGNED}) for i in range(SIZE // 100)
    )
    + STOP,
    "a long signature": fill(event({"type": "content_block_delta", "delta": SIGNED})) + STOP,
    "redacted": fill(event({"type": "content_block_start", "content_block": {"type": "redacted_thinking"}})) + STOP,
    "wide usage": event({"type": "message_start", "message": {"usage": dict.fromkeys(map(str, range(SIZE // 12)), 1)}})
    + fill(event({"type": "message_delta", "usage": {"output_tokens": 1}}))
    + STOP,
}
HOSTILE = {"chat": ANY | CHATS, "messages": ANY | ANTHROPICS, "openai": ANY | CHATS}
WAYS = [(provider, path, name) for provider in SERVED for path in SERVED[provider] for name in HOSTILE[provider]]


def peak(make: Callable[[], object]) -> int:
    """The most bytes that were allocated at once."""
    tracemalloc.start()
    try:
        make()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("provider", "path", "name"), WAYS)
def test_memory_is_a_small_multiple_of_the_stream(provider: str, path: str, name: str) -> None:
    stream = HOSTILE[provider][name]
    factor = FACTOR_CALLS if (path, name.split()[0]) in ((RESPONSES, "calls"), (RESPONSES, "many")) else FACTOR
    for pieces in ([stream], list(pieces_of(stream, 1024))):
        used = peak(lambda pieces=pieces: run(relay_of(provider, path), pieces))  # type: ignore[misc]
        assert used < factor * len(stream) + FIXED, f"{used / len(stream):.1f} bytes for each"


def test_the_measure_can_fail() -> None:
    assert peak(lambda: [bytes(1) + bytes(1) for _ in range(1000)]) > 30_000


def seconds(make: Callable[[], object]) -> float:
    """Processor time, the least of three runs: others use this machine too."""
    times = []
    for _ in range(3):
        start = time.process_time()
        make()
        times.append(time.process_time() - start)
    return min(times)


def grows_in_line(make: Callable[[int], Callable[[], object]], size: int) -> None:
    """Eight times as much takes less than twenty times as long: it would be 64 times if each byte cost all before."""
    small, large = seconds(make(size)), seconds(make(8 * size))
    assert large < 20 * small + 0.05, f"{small:.3f} s, then {large:.3f} s"


def long_streams(provider: str, size: int) -> Iterator[bytes]:
    deltas = (CHATS if provider != "messages" else ANTHROPICS)["tiny deltas"].split(b"\n\n", 1)[0] + b"\n\n"
    yield fill(deltas, size)
    yield b"data: " + b"x" * size
    yield fill(b"data: \n", size)


@pytest.mark.parametrize("feed", [1, 10, 1024])
@pytest.mark.parametrize(("provider", "path"), [("chat", CHAT), ("chat", MESSAGES), ("messages", CHAT)])
def test_time_grows_with_the_stream_and_not_its_square(provider: str, path: str, feed: int) -> None:
    size = 4_000 * min(feed, 10)

    def make(size: int) -> Callable[[], object]:
        streams = [list(pieces_of(stream, feed)) for stream in long_streams(provider, size)]
        return lambda: [run(relay_of(provider, path), pieces) for pieces in streams]

    grows_in_line(make, size)


def test_small_pieces_of_a_megabyte_cost_a_bounded_multiple_of_one() -> None:
    stream = fill(delta(content="a" * 400), 1 << 20)
    whole = seconds(lambda: run(relay_of("chat", RESPONSES), [stream]))
    for size, factor in ((1, 400), (10, 80), (1024, 20)):
        start = time.process_time()
        run(relay_of("chat", RESPONSES), pieces_of(stream, size))
        assert time.process_time() - start < factor * whole + 0.3


def test_many_calls_that_wait_for_one_are_told_in_time() -> None:
    def make(count: int) -> Callable[[], object]:
        calls = delta(tool_calls=[call(i, name="f") for i in range(count)])
        ends = delta(tool_calls=[call(i, "{}") for i in reversed(range(count))])
        return lambda: run(relay_of("chat", MESSAGES), [calls + ends + DONE])

    grows_in_line(make, 1000)


def request(path: str, **fields: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 9, "prompt": "a"} | fields).encode()


def nested(depth: int, text: str) -> Any:
    content: Any = text
    for _ in range(depth):
        content = [{"type": "tool_result", "tool_use_id": "a", "content": content}]
    return [{"role": "user", "content": content}]


KEY = "k" * 20_000
REQUESTS = {
    "long keys": ("/v1/images/generations", request("", image={KEY: {KEY: [0] * 20_000}})),
    "long keys in parts": (CHAT, request("", messages=[{"role": "user", "content": [{KEY: [{}] * 20_000}]}])),
    "empty lists": ("/v1/images/generations", request("", image=[[]] * 20_000)),
    "empty objects": (MESSAGES, request("", messages=[{"role": "user", "content": [{}] * 20_000}])),
    "results in results": (MESSAGES, request("", messages=nested(200, "x" * 20_000))),
    "many tools": (CHAT, request("", messages=[{"role": "user", "content": "a"}], tools=[{"type": "x"}] * 5000)),
}


@pytest.mark.parametrize("provider", ["messages", "openai"])
@pytest.mark.parametrize("name", REQUESTS)
def test_memory_is_a_small_multiple_of_the_request(name: str, provider: str) -> None:
    path, body = REQUESTS[name]

    def read() -> None:
        with contextlib.suppress(TollwayError):
            codec = asked_of(provider, path, body, "application/json")
            if codec is not None:
                codec.payload()

    used = peak(read)
    assert used < FACTOR_REQUEST * len(body) + FIXED, f"{used / len(body):.1f} bytes for each"


def test_results_within_results_are_read_once() -> None:
    def make(depth: int) -> Callable[[], object]:
        body = request("", messages=nested(depth, "x" * 4_000_000))
        return lambda: asked_of("messages", MESSAGES, body, "application/json")

    shallow, deep = seconds(make(3)), seconds(make(240))
    assert deep < 4 * shallow + 0.02, f"{shallow:.3f} s, then {deep:.3f} s"


def test_urls_in_deep_results_are_still_refused() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "http://10.0.0.1/"}}
    messages = nested(5, "x")
    holder = messages[0]["content"]
    while isinstance(holder[0]["content"], list):
        holder = holder[0]["content"]
    holder[0]["content"] = [image]
    with pytest.raises(TollwayError, match="the URL") as refused:
        asked_of("messages", MESSAGES, request("", messages=messages), "application/json")
    assert refused.value.param is not None
    assert refused.value.param.endswith(".content[0].source.url")
