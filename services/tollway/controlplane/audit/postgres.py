"""Reads and adds audit entries. They are never changed or removed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from tollway.controlplane.call import Call
from tollway.controlplane.db.statements import Database, Statements

_SQL = Statements(__package__ or "")


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `audit_events`."""

    id: UUID
    at: datetime
    actor: str
    action: str
    resource: str
    reason: str
    source: str
    request_id: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


def _json(value: Mapping[str, Any] | None) -> Jsonb | None:
    return None if value is None else Jsonb(value)


async def insert(call: Call, resource: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
    """One entry, in the call's own transaction."""
    await _SQL.run(
        call.db,
        "insert_event",
        id=uuid7(),
        actor=call.principal.name,
        action=call.permission,
        resource=resource,
        reason=call.reason,
        source=call.source,
        request_id=call.request_id,
        before=_json(before),
        after=_json(after),
    )


async def events(db: Database, before: UUID | None, resource: str, action: str, limit: int) -> list[EventRow]:
    """Entries older than `before`, newest first."""
    return await _SQL.all(db, "events", EventRow, before=before, resource=resource, action=action, limit=limit)
