"""Streams of services that speak OpenAI's chat completions, to clients of all four dialects."""

from __future__ import annotations

import json
from pathlib import Path

from tollway.testkit.fuzzing import HEADER, amplified
from tollway.testkit.stream_runs import SERVED, check_stream, some_cuts

FIXTURES = Path(__file__).parents[2] / "fixtures" / "providers"
PATHS = SERVED["chat"]
FACTOR = 40


def one(data: bytes) -> None:
    """The invariants of a stream."""
    if len(data) <= HEADER:
        return
    stream = data[HEADER:]
    outcome = check_stream("chat", PATHS[data[0] % len(PATHS)], stream, some_cuts(stream, data[1]))
    amplified(len(stream), len(outcome.out), FACTOR)


def _chunks(*deltas: object, done: bool = True) -> bytes:
    body = b"".join(
        b"data: " + json.dumps({"id": "c", "model": "m", "choices": [{"index": 0, **choice}]}).encode() + b"\n\n"
        for choice in deltas
        if isinstance(choice, dict)
    )
    return body + b"data: [DONE]\n\n" * done


def _call(arguments: str, **fields: object) -> dict[str, object]:
    name = {key: fields.pop(key) for key in ("name",) if key in fields}
    return {"delta": {"tool_calls": [{"function": {"arguments": arguments, **name}, **fields}]}}


def seeds() -> list[bytes]:
    """Recorded streams, and the traps of many services."""
    bodies = [
        json.loads(path.read_text())["body"].encode()
        for path in sorted(FIXTURES.glob("*.json"))
        if not path.name.startswith("anthropic") and json.loads(path.read_text())["stream"]
    ]
    # Long ones say the same again and again: their beginning and end have it all.
    bodies = [body if len(body) < 5000 else body[:2000] + body[body.rfind(b"\n\n", 0, -1500) :] for body in bodies]
    bodies += [
        _chunks(
            {"delta": {"role": "assistant", "content": ""}},
            {"delta": {"reasoning_content": "hm", "reasoning": "hm"}},
            {"delta": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}, "b"]}},
            {"delta": {"refusal": "no"}},
            {"delta": {}, "finish_reason": "stop", "stop_reason": "END"},
        ),
        _chunks(
            _call("", index=0, id="a", name="f"),
            _call("", index=1, id="b", name="g"),
            _call('{"x":', index=0),
            _call("{", index=1),
            _call("1}", index=0),
            _call("}", index=1),
            {"delta": {}, "finish_reason": "tool_calls"},
        ),
        _chunks(_call("{}", id="a", name="f"), _call("{}", name="g"), {"delta": {"function_call": {"name": "h"}}}),
        b'data: {"error":{"message":"bad","code":429,"type":"tokens"}}\n\n',
        b'event: error\ndata: {"object":"error","message":"bad","code":400}\n\n',
        _chunks({"delta": {"content": "a"}}) + b": comment\n\nid: 1\nretry: 5\ndata:\n\n",
        b'{"choices":[],"usage":{"prompt_tokens":1}}',
    ]
    return [bytes((path, 7)) + body for body in bodies for path in range(len(PATHS))]
