"""The audit log: its entries, its head, and whether it is still what was written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tollway.sdk.codec import timestamp
from tollway.sdk.models import AuditEvent
from tollway.sdk.paging import pages, typed
from tollway.sdk.threads import aiterable, awaitable
from tollway.sdk.transport import Transport

_PATH = "/api/v1/audit"


@dataclass(frozen=True, kw_only=True)
class AuditHead:
    """The last entry. `head` is "SEQ:HASH": kept elsewhere, it proves later that nothing up to it is gone."""

    organisation: str = ""
    seq: int = 0
    hash: str = ""
    at: datetime | None = None
    head: str = ""


@dataclass(frozen=True, kw_only=True)
class AuditProblem:
    """What is wrong at the number `seq`; `kind` is one of those in docs/guide/audit.md, for example "changed"."""

    kind: str = ""
    seq: int = 0
    id: str = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class AuditPiece:
    """Entries that were recomputed, up to the number `seq`; `found` counts all problems, the list has the first 100."""

    verified: int = 0
    seq: int = 0
    hash: str = ""
    unproven: int = 0
    found: int = 0
    problems: list[AuditProblem] = field(default_factory=list)
    next_page_token: str = ""


class AuditLog:
    """`/api/v1/audit`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def entries(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        resource: str = "",
        action: str = "",
        actor: str = "",
        method: str = "",
        request_id: str = "",
        oldest_first: bool = False,
        after: int = 0,
        limit: int | None = None,
    ) -> Iterator[AuditEvent]:
        """Entries, newest first unless `oldest_first`; only those with a number above `after`. `end` is exclusive."""
        query: dict[str, Any] = {
            "from": timestamp(start) if start else None,
            "to": timestamp(end) if end else None,
            "resource": resource,
            "action": action,
            "actor": actor,
            "method": method,
            "request_id": request_id,
            "oldest_first": "true" if oldest_first else None,
            "after": str(after) if after else None,
        }
        return pages(self._transport, _PATH, "events", AuditEvent, query, limit)

    def head(self) -> AuditHead:
        """The end of the chain."""
        return typed(AuditHead, self._transport.call("GET", f"{_PATH}:head"))

    def verify(
        self, *, start: datetime | None = None, end: datetime | None = None, expect: str = ""
    ) -> Iterator[AuditPiece]:
        """Has the chain recomputed, piece by piece; `expect` is a head that was kept elsewhere, "SEQ:HASH"."""
        query: dict[str, Any] = {
            "from": timestamp(start) if start else None,
            "to": timestamp(end) if end else None,
            "expect": expect,
        }
        token = ""
        while True:
            answer = self._transport.call("GET", f"{_PATH}:verify", query={**query, "page_token": token})
            piece = typed(AuditPiece, answer)
            yield piece
            token = piece.next_page_token
            if not token:
                return


class AsyncAuditLog:
    """`AuditLog` as coroutines."""

    def __init__(self, sync: AuditLog) -> None:
        self.entries = aiterable(sync.entries)
        self.head = awaitable(sync.head)
        self.verify = aiterable(sync.verify)
