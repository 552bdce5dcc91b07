"""Ledger rows and databases for tests of the control plane."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

import psycopg

from tollway.controlplane.db.migrate import shipped
from tollway.core.ledger import AttemptRow, RequestRow
from tollway.core.usage import Usage
from tollway.testkit.servers import PostgresServer

NOON_MS = 1_790_000_000_000
"""21 September 2026, 14:13:20 UTC."""


_templates: dict[str, str] = {}
"""Of each server that was used, the database that is copied."""


def schema_database(postgres: PostgresServer) -> str:
    """The URL of a new database with every migration in it, and an installation at version 0 of epoch `e1`."""
    if postgres.url not in _templates:
        _templates[postgres.url] = _migrated(postgres)
    return postgres.create_database(_templates[postgres.url])


def _migrated(postgres: PostgresServer) -> str:
    url = postgres.create_database()
    with psycopg.connect(url, autocommit=True) as db:
        for migration in shipped():
            db.execute(migration.sql)
        db.execute("INSERT INTO installation (epoch) VALUES ('e1') ON CONFLICT DO NOTHING")
        db.execute("UPDATE installation SET epoch = 'e1', version = 0")
    return url


def uuid7(at_ms: int = NOON_MS) -> str:
    """A UUIDv7 made at a Unix time in milliseconds."""
    random = int.from_bytes(os.urandom(10))
    marked = (at_ms << 80 | random) & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62  # RFC 9562, 5.7
    return str(UUID(int=marked))


def attempt_row(at_ms: int = NOON_MS, **changed: Any) -> AttemptRow:
    """A successful call of 100 tokens in, 10 out, for 1,000 nano-dollars."""
    known: dict[str, Any] = {
        "id": uuid7(at_ms),
        "number": 1,
        "provider": "prov-1",
        "provider_kind": "simulator",
        "target_model": "sim-1",
        "started_ms": at_ms,
        "ended_ms": at_ms + 250,
        "first_byte_ms": at_ms + 50,
        "status": 200,
        "usage": Usage(input=100, cached_input=40, output=10, reasoning=3),
        "cost_nano": 1_000,
        "price_version": "2026-09-01",
    }
    return AttemptRow(**known | changed)


def request_row(at_ms: int = NOON_MS, **changed: Any) -> RequestRow:
    """A successful request with one attempt, unless `attempts` says otherwise."""
    known: dict[str, Any] = {
        "id": uuid7(at_ms),
        "organisation": "default",
        "business_unit": "unit-1",
        "project": str(UUID(int=1)),
        "key_id": str(UUID(int=2)),
        "key_public_id": "AbCd1234",
        "endpoint": "chat.completions",
        "model": "small",
        "started_ms": at_ms,
        "ended_ms": at_ms + 300,
        "status": 200,
        "tags": {"team": "web"},
    }
    if "attempts" not in changed:
        changed["attempts"] = (attempt_row(at_ms),)
    return RequestRow(**known | changed)
