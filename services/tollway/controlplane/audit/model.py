"""What the audit method takes and gives: the messages of `AuditService`, by field name."""

from __future__ import annotations

from datetime import datetime

import msgspec


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One change. `before` and `after` are JSON objects as text, empty where there is none."""

    id: str
    at: datetime
    actor: str
    action: str
    resource: str
    reason: str
    source: str
    before: str
    after: str
    request_id: str


class ListAuditEventsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A page of events, newest first, of one resource or action when given."""

    page_size: int = 0
    page_token: str = ""
    resource: str = ""
    action: str = ""


class ListAuditEventsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """`next_page_token` is empty on the last page."""

    events: list[AuditEvent]
    next_page_token: str = ""
