"""Streams of Anthropic's Messages API, to clients of all four dialects."""

from __future__ import annotations

import json
from pathlib import Path

from tollway.testkit.fuzzing import HEADER, amplified
from tollway.testkit.stream_runs import SERVED, check_stream, some_cuts

FIXTURES = Path(__file__).parents[2] / "fixtures" / "providers"
PATHS = SERVED["messages"]
FACTOR = 40


def one(data: bytes) -> None:
    """The invariants of a stream."""
    if len(data) <= HEADER:
        return
    stream = data[HEADER:]
    outcome = check_stream("messages", PATHS[data[0] % len(PATHS)], stream, some_cuts(stream, data[1]))
    amplified(len(stream), len(outcome.out), FACTOR)


def _events(*events: dict[str, object]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (str(e["type"]).encode(), json.dumps(e).encode()) for e in events)


def seeds() -> list[bytes]:
    """Recorded streams, and two of many blocks that come by turns."""
    bodies = [
        json.loads(path.read_text())["body"].encode()
        for path in sorted(FIXTURES.glob("anthropic-*.json"))
        if json.loads(path.read_text())["stream"]
    ]
    bodies = [body if len(body) < 5000 else body[:2000] + body[body.rfind(b"\n\n", 0, -1500) :] for body in bodies]
    start: dict[str, object] = {"type": "message_start", "message": {"id": "i", "usage": {"input_tokens": 1}}}
    calls: list[dict[str, object]] = []
    for index in (0, 1):
        block = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
        calls.append({"type": "content_block_start", "index": index, "content_block": block})
    for text in ('{"a":', "1}"):
        for index in (0, 1):
            delta = {"type": "input_json_delta", "partial_json": text}
            calls.append({"type": "content_block_delta", "index": index, "delta": delta})
    blocks: list[dict[str, object]] = [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "redacted_thinking", "data": "x"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "thinking", "signature": "s"}},
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_delta", "index": 3, "delta": {"type": "signature_delta", "signature": "s"}},
        {"type": "novel", "delta": [1]},
        {"type": "ping"},
    ]
    end: tuple[dict[str, object], ...] = (
        {
            "type": "message_delta",
            "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"},
            "usage": {"output_tokens": 3, "iterations": [{"input_tokens": 2}], "cache_creation": {}},
        },
        {"type": "message_stop"},
    )
    bodies += [
        _events(start, *calls, *end),
        _events(start, *blocks, *end),
        _events(start, {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
    ]
    return [bytes((path, 7)) + body for body in bodies for path in range(len(PATHS))]
