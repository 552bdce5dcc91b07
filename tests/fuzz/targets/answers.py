"""Whole answers of every endpoint, and errors of every shape. The input is `retry-after`, a line end, and the body."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tollway.dataplane.endpoints.table import ENDPOINTS
from tollway.dataplane.http.errors import error_body, error_headers
from tollway.dataplane.providers.faults import fault_of
from tollway.dataplane.providers.port import ProviderFault
from tollway.testkit.fuzzing import HEADER, amplified
from tollway.testkit.stream_runs import BODIES, CHAT, COMPLETIONS, MESSAGES, RESPONSES, asked_of

FIXTURES = Path(__file__).parents[2] / "fixtures" / "providers"
EMBEDDINGS, MODERATIONS, RERANK = "/v1/embeddings", "/v1/moderations", "/v1/rerank"
IMAGES = "/v1/images/generations"
WAYS = (
    *(("chat", path) for path in (CHAT, COMPLETIONS, RESPONSES, MESSAGES)),
    *(("messages", path) for path in (CHAT, COMPLETIONS, RESPONSES, MESSAGES)),
    *(("openai", path) for path in (RESPONSES, COMPLETIONS, EMBEDDINGS, MODERATIONS, IMAGES)),
    ("chat", EMBEDDINGS),
    ("compatible", RERANK),
)
STATUSES = (400, 401, 404, 413, 422, 429, 500, 503, 529, 302)
FACTOR = 12
_MORE: dict[str, dict[str, Any]] = {
    EMBEDDINGS: {"input": "hi", "encoding_format": "base64"},
    MODERATIONS: {"input": "hi"},
    RERANK: {"query": "a", "documents": ["a"]},
}


def one(data: bytes) -> None:
    """An answer is a fault of the provider or JSON for the client; an error is always a fault that can be told."""
    if len(data) <= HEADER:
        return
    provider, path = WAYS[data[0] % len(WAYS)]
    line, _, body = data[HEADER:].partition(b"\n")
    retry = line.decode("latin-1")
    headers = {"content-type": "application/json", "retry-after": retry, "date": retry}
    asked = json.dumps({"model": "m", **BODIES.get(path, {}), **_MORE.get(path, {}), "stream": False}).encode()
    codec = asked_of(provider, path, asked, "application/json")
    assert codec is not None
    dialect = ENDPOINTS[path].dialect
    try:
        finished = codec.finish(headers, body)
    except ProviderFault as error:
        json.loads(error_body(error, dialect, "id"))
    else:
        amplified(len(body), len(finished.body), FACTOR)
        if provider != "openai" and finished.body is not body:  # what passes through may have the provider's slips
            json.loads(finished.body)
    fault = fault_of(STATUSES[data[1] % len(STATUSES)], headers, body, now=0.0 if data[1] % 2 else None)
    json.loads(error_body(fault, dialect, "id"))
    assert all("\n" not in value for value in error_headers(fault, "id").values())
    amplified(0, len(fault.message) + len(fault.operator_note or ""), 1, 4096)


def seeds() -> list[bytes]:
    """Recorded answers and errors at each endpoint that could get them, and those of other calls."""
    found: list[tuple[str, str, bytes]] = []
    for recorded in sorted(FIXTURES.glob("*.json")):
        exchange = json.loads(recorded.read_text())
        if not exchange["stream"] and len(exchange["body"]) < 5000:
            provider = "messages" if exchange["provider"] == "anthropic" else "chat"
            found += [(provider, path, exchange["body"].encode()) for path in (CHAT, MESSAGES, RESPONSES)]
    response = {
        "id": "resp_9",
        "object": "response",
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "a"}]}],
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    vectors = {"data": [{"embedding": [0.5, 1]}], "usage": {"prompt_tokens": 1}}
    found += [
        ("openai", RESPONSES, json.dumps(response).encode()),
        ("openai", COMPLETIONS, b'{"choices":[{"text":"a"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}'),
        ("openai", EMBEDDINGS, json.dumps(vectors).encode()),
        ("openai", MODERATIONS, b'{"results":[{"flagged":true}]}'),
        ("openai", IMAGES, b'{"data":[{"b64_json":"AA=="}],"usage":{"input_tokens":1,"output_tokens":2}}'),
        ("chat", EMBEDDINGS, b"[[0.5,1.0]]"),
        ("compatible", RERANK, b'{"results":[{"index":0,"relevance_score":0.5}],"usage":{"total_tokens":3}}'),
        ("chat", CHAT, b'{"detail":[{"loc":["body","x"],"msg":"bad"}],"statusCode":429}'),
        ("chat", CHAT, b'{"error":["a","b"],"estimated_time":20.5,"error_type":"x"}'),
        ("chat", CHAT, b'{"error":{"innererror":{"content_filter_result":{"hate":{"filtered":true}}},"code":"400"}}'),
        ("chat", CHAT, b"<html><title>502</title></html>"),
    ]
    times = (b"3", b"Wed, 21 Oct 2015 07:28:00 GMT")
    return [
        bytes((WAYS.index((provider, path)), index % 256)) + times[index % 2] + b"\n" + body
        for index, (provider, path, body) in enumerate(found)
    ]
