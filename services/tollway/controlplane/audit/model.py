"""What the audit methods take and give: the messages of `AuditService`, by field name; and who does something where.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from tollway.controlplane.audit.chain import Problem


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Who does what, why and from where. `agent` is a user agent's class, see `origin.agent_class`."""

    actor: str
    actor_kind: str = "system"
    actor_id: str = ""
    method: str = ""
    action: str
    reason: str = ""
    source: str = ""
    agent: str = ""
    transport: str = "system"
    request_id: str = ""


class Change(msgspec.Struct, frozen=True):
    """What changed on `resource`; JSON-ready. Whatever stands under a secret field's name is replaced when written."""

    resource: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One entry. `before` and `after` are JSON objects as text, empty where there is none."""

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
    seq: int
    organisation: str
    actor_kind: str
    actor_id: str
    method: str
    agent: str
    transport: str
    hash: str
    unproven: bool


class ListAuditEventsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A page of entries; what is empty does not filter. `to` is exclusive, `after` a number."""

    page_size: int = 0
    page_token: str = ""
    resource: str = ""
    action: str = ""
    actor: str = ""
    method: str = ""
    request_id: str = ""
    from_: datetime | None = msgspec.field(default=None, name="from")
    to: datetime | None = None
    oldest_first: bool = False
    after: int = 0


class ListAuditEventsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """`next_page_token` is empty on the last page."""

    events: list[AuditEvent]
    next_page_token: str = ""


class GetAuditHeadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""


class AuditHead(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the chain; `head` is "SEQ:HASH"."""

    organisation: str
    seq: int
    hash: str
    at: datetime
    head: str


class VerifyAuditRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The period, a head that was kept elsewhere, and where the piece before stopped."""

    from_: datetime | None = msgspec.field(default=None, name="from")
    to: datetime | None = None
    expect: str = ""
    page_token: str = ""


class VerifyAuditResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What one call recomputed and found; `next_page_token` is empty after the last piece."""

    verified: int
    seq: int
    hash: str
    unproven: int
    found: int
    problems: list[Problem]
    next_page_token: str = ""
