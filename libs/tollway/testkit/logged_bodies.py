"""Bodies for tests of the request log."""

from __future__ import annotations

import json
from typing import Any

import zstandard

from tollway.core.requestlog import LoggedBody
from tollway.testkit.ledger_rows import uuid7


def packed(request: Any = "{}", response: Any = "{}", **answer: Any) -> bytes:
    """Content in its stored form: bodies are text, or {"base64": ...}; `answer` changes the answer's members."""
    plain = {
        "request": {"headers": {"content-type": "application/json"}, "body": request},
        "response": {
            "status": 200,
            "headers": {"content-type": "application/json"},
            "body": response,
            "streamed": False,
            **answer,
        },
    }
    return zstandard.ZstdCompressor().compress(json.dumps(plain).encode())


def logged_body(at_ms: int, **changed: Any) -> LoggedBody:
    """A request of 300 ms that was answered well, kept for 30 days."""
    known: dict[str, Any] = {
        "request_id": uuid7(at_ms),
        "started_ms": at_ms,
        "organisation": "default",
        "business_unit": "unit-1",
        "project": "project-1",
        "key_id": "key-1",
        "key_public_id": "AbCd1234",
        "endpoint": "chat.completions",
        "model": "small",
        "provider": "prov-1",
        "status": 200,
        "outcome": "ok",
        "client_address": "10.0.0.9",
        "user_agent": "test/1",
        "plain_bytes": 100,
        "duration_ms": 300,
    }
    if "content" not in changed:
        changed["content"] = packed('{"messages": []}', '{"choices": []}')
    return LoggedBody(**known | changed)
