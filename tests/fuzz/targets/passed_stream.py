"""Streams that pass through: responses, legacy completions, images, transcriptions and speech."""

from __future__ import annotations

import json

from tollway.testkit.fuzzing import HEADER, amplified
from tollway.testkit.stream_runs import RESPONSES, SERVED, check_stream, relay_of, run, some_cuts

PATHS = SERVED["openai"]
# The response object is told three times, and repeats ids that are the gateway's.
FACTOR = 8


def one(data: bytes) -> None:
    """The invariants of a stream."""
    if len(data) <= HEADER:
        return
    stream = data[HEADER:]
    path = PATHS[data[0] % len(PATHS)]
    outcome = check_stream("openai", path, stream, some_cuts(stream, data[1]))
    amplified(len(stream), len(outcome.out), FACTOR)


def _events(*events: dict[str, object]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (str(e["type"]).encode(), json.dumps(e).encode()) for e in events)


def _written() -> bytes:
    """A stream of responses as the product writes it."""
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    deltas = ({"reasoning_content": "hm"}, {"content": "yes"}, {"tool_calls": [call]})
    body = b"".join(b'data: {"choices":[{"delta":%b}]}\n\n' % json.dumps(delta).encode() for delta in deltas)
    return run(relay_of("chat", RESPONSES), [body + b"data: [DONE]\n\n"]).out


def seeds() -> list[bytes]:
    """A whole stream of each, some with errors."""
    usage = {"input_tokens": 3, "output_tokens": 4, "input_tokens_details": {"text_tokens": 3, "image_tokens": 0}}
    audio = {"type": "tokens", "input_tokens": 3, "output_tokens": 4, "input_token_details": {"audio_tokens": 2}}
    bodies = [
        (0, _written()),
        (0, _events({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "x"}}})),
        (0, _events({"type": "error", "sequence_number": 4, "code": "c", "message": "m", "param": None})),
        (1, b'data: {"choices":[{"text":"a","finish_reason":"stop"}],"usage":{"prompt_tokens":1}}\n\ndata: [DONE]\n\n'),
        (
            2,
            _events(
                {"type": "image_generation.partial_image", "b64_json": "AA=="},
                {"type": "image_generation.completed", "b64_json": "AA==", "usage": usage},
            ),
        ),
        (
            3,
            _events(
                {"type": "transcript.text.segment", "text": "a", "start": 0.0},
                {"type": "transcript.text.delta", "delta": "a"},
                {"type": "transcript.text.done", "text": "a", "usage": audio},
            ),
        ),
        (3, b'data: {"choices":[{"delta":{"content":"a"}}],"usage":{"seconds":1.5}}\n\ndata: [DONE]\n\n'),
        (4, _events({"type": "speech.audio.delta", "audio": "AA=="}, {"type": "speech.audio.done", "usage": usage})),
        (4, b'event: error\ndata: {"message":"x"}\n\n'),
    ]
    return [bytes((path, 7)) + body for path, body in bodies]
