"""Requests of every JSON endpoint: read in part, checked for URLs, read in full and written for each provider."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tollway.core.errors import TollwayError
from tollway.dataplane.endpoints.table import ENDPOINTS
from tollway.dataplane.http.errors import error_body
from tollway.testkit.fuzzing import HEADER, amplified
from tollway.testkit.stream_runs import CHAT, COMPLETIONS, MESSAGES, PROVIDERS, RESPONSES, asked_of

FIXTURES = Path(__file__).parents[2] / "fixtures" / "providers"
EDITS, SPEECH = "/v1/images/edits", "/v1/audio/speech"
PATHS = (
    CHAT,
    COMPLETIONS,
    RESPONSES,
    MESSAGES,
    "/v1/messages/count_tokens",
    "/v1/embeddings",
    "/v1/moderations",
    "/v1/images/generations",
    EDITS,
    SPEECH,
    "/v1/rerank",
)
FACTOR = 8


_IMAGE: dict[str, Any] = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
_AUDIO: dict[str, Any] = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
_SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
_BODIES: list[tuple[str, dict[str, Any]]] = [
    (
        CHAT,
        {
            "messages": [
                {"role": "system", "content": "s"},
                {
                    "role": "user",
                    "name": "u",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                        {
                            "type": "file",
                            "file": {"file_data": "data:application/pdf;base64,AA=="},
                        },
                    ],
                },
                {
                    "role": "assistant",
                    "reasoning_content": "hm",
                    "refusal": "no",
                    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "a", "content": "1"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": _SCHEMA, "strict": True}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": _SCHEMA}},
            "max_completion_tokens": 5,
            "stop": ["a"],
            "temperature": 0.5,
            "logit_bias": {"1": 2},
            "reasoning_effort": "low",
            "stream": True,
        },
    ),
    (CHAT, {"messages": [{"role": "user", "content": [_AUDIO]}], "modalities": ["text"], "n": 2}),
    (RESPONSES, {"input": [{"type": "item_reference", "id": "x"}], "previous_response_id": "resp_2"}),
    (MESSAGES, {"max_tokens": 9, "messages": [], "mcp_servers": [{"type": "url", "url": "https://example.com"}]}),
    ("/v1/embeddings", {"input": [[1, 2]], "dimensions": 3}),
    (COMPLETIONS, {"prompt": ["a"], "max_tokens": 3, "stop": "b", "best_of": 1, "logit_bias": {}}),
    (
        RESPONSES,
        {
            "instructions": "i",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
                {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "tw1.e30="},
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "a", "output": "1"},
            ],
            "tools": [{"type": "function", "name": "f", "parameters": _SCHEMA, "strict": False}],
            "text": {"format": {"type": "json_schema", "name": "n", "schema": _SCHEMA}, "verbosity": "low"},
            "reasoning": {"effort": "low", "summary": "auto"},
            "store": False,
        },
    ),
    (
        MESSAGES,
        {
            "max_tokens": 2000,
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": [_IMAGE, {"type": "text", "text": "a"}]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "x", "signature": "s"},
                        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [_IMAGE]}]},
            ],
            "tools": [{"name": "f", "input_schema": _SCHEMA}],
            "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "stop_sequences": ["x"],
        },
    ),
    ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": "a"}]}),
    ("/v1/embeddings", {"input": ["a", "b"], "encoding_format": "base64"}),
    ("/v1/moderations", {"input": [{"type": "image_url", "image_url": {"url": "https://example.com"}}]}),
    ("/v1/images/generations", {"prompt": "a", "n": 2, "image": ["https://example.com/a.png"]}),
    (EDITS, {"prompt": "a", "images": [{"image_url": "https://example.com/a.png"}]}),
    (SPEECH, {"input": "a", "voice": {"id": "v"}, "stream_format": "sse"}),
    ("/v1/rerank", {"query": "a", "documents": ["a", {"text": "b"}], "top_n": 1}),
]


def one(data: bytes) -> None:
    """A request is refused in words that name the client's field, or written as JSON for every provider."""
    if len(data) <= HEADER:
        return
    path, body = PATHS[data[0] % len(PATHS)], data[HEADER:]
    for provider in PROVIDERS:
        try:
            codec = asked_of(provider, path, body, "application/json")
            if codec is None:
                continue
            payload = codec.payload()
        except TollwayError as error:
            json.loads(error_body(error, ENDPOINTS[path].dialect, "id"))
            amplified(len(body), len(error.message), 2)
            continue
        json.loads(payload.body)
        assert len(set(payload.dropped)) == len(payload.dropped), f"named twice: {payload.dropped}"
        amplified(len(body), len(payload.body), FACTOR)


def seeds() -> list[bytes]:
    """Recorded requests, and one of everything."""
    bodies = list(_BODIES)
    for recorded in sorted(FIXTURES.glob("*.json")):
        exchange = json.loads(recorded.read_text())
        if exchange["request"] and len(json.dumps(exchange["request"])) < 5000:
            bodies.append((MESSAGES if exchange["provider"] == "anthropic" else CHAT, exchange["request"]))
    return [bytes((PATHS.index(path), 0)) + json.dumps({"model": "m", **body}).encode() for path, body in bodies]
