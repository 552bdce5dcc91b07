"""Messages of the audit service, by field name."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One entry; `before` and `after` are JSON texts."""

    id: UUID
    at: datetime
    actor: str
    action: str
    resource: str
    reason: str
    source: str
    request_id: str
    before: str
    after: str


class ListAuditEventsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""
    resource: str = ""
    action: str = ""


class ListAuditEventsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    events: list[AuditEvent]
    next_page_token: str = ""
