"""Use cases of the audit log: write what a call recorded, list what was written."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.controlplane.audit import postgres
from tollway.controlplane.audit.model import AuditEvent, ListAuditEventsRequest, ListAuditEventsResponse
from tollway.controlplane.audit.postgres import EventRow
from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.resources import as_uuid, page_limit, page_start, page_token
from tollway.wire.contract import redact

LISTING = "audit"


async def write(call: Call) -> None:
    """Writes what the call recorded, in its transaction; whatever stands under a secret field's name is replaced."""
    for record in call.audits:
        await postgres.insert(call, record.resource, redact(record.before), redact(record.after))


async def list_events(call: Call, request: ListAuditEventsRequest) -> ListAuditEventsResponse:
    """Entries, newest first, a page at a time."""
    start = page_start(LISTING, request.page_token)
    before = as_uuid(start) if start else None
    if start and before is None:
        raise ApiError(ApiCode.INVALID, "page_token is not one of this listing", field="page_token")
    limit = page_limit(request.page_size)
    rows = await postgres.events(call.db, before, request.resource, request.action, limit + 1)
    following = page_token(LISTING, str(rows[limit - 1].id)) if len(rows) > limit else ""
    return ListAuditEventsResponse(events=[_shown(row) for row in rows[:limit]], next_page_token=following)


def _shown(row: EventRow) -> AuditEvent:
    return AuditEvent(
        id=str(row.id),
        at=row.at,
        actor=row.actor,
        action=row.action,
        resource=row.resource,
        reason=row.reason,
        source=row.source,
        before=_text(row.before),
        after=_text(row.after),
        request_id=row.request_id,
    )


def _text(value: dict[str, Any] | None) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()
