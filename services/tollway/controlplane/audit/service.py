"""Writing audit entries. What is written comes from the features and holds no secrets; a last check makes sure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import uuid_utils.compat
from psycopg.types.json import Jsonb

from tollway.controlplane.call import Call
from tollway.controlplane.db.statements import Statements
from tollway.runtime.log import scrub_text

_sql = Statements(__package__ or "")


async def write(call: Call) -> None:
    """Writes the entries that the handler recorded, in the order in which it did."""
    for record in call.audits:
        await _sql.run(
            call.db,
            "insert_event",
            id=uuid_utils.compat.uuid7(),
            actor=call.principal.name,
            action=call.permission,
            resource=record.resource,
            reason=call.reason,
            source=call.source,
            request_id=call.request_id,
            before=_json(record.before),
            after=_json(record.after),
        )


def _json(value: Mapping[str, Any] | None) -> Jsonb | None:
    if value is None:
        return None
    return Jsonb(_scrubbed(msgspec.to_builtins(dict(value))))


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return scrub_text(value)
    if isinstance(value, dict):
        return {name: _scrubbed(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(item) for item in value]
    return value
