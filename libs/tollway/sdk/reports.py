"""Declarative configuration, usage, ledger, audit and status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from tollway.sdk.codec import timestamp
from tollway.sdk.models import ApplyResult, AuditEvent, LedgerRequest, Status, Usage
from tollway.sdk.paging import pages, typed
from tollway.sdk.transport import Transport


class Reports:
    """The methods of the client that are not about one kind of object."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def apply(
        self,
        configuration: Mapping[str, Any],
        *,
        set_name: str = "",
        prune: bool = False,
        dry_run: bool = False,
        force: bool = False,
    ) -> ApplyResult:
        """Brings the platform to the state of `configuration` (the JSON of tollway.control.v1.Configuration)."""
        body = {"set": set_name, "configuration": configuration, "prune": prune, "dry_run": dry_run, "force": force}
        return typed(ApplyResult, self._transport.call("POST", "/api/v1/configuration:apply", body=body))

    def usage(
        self,
        by: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        project: str = "",
        key: str = "",
        model: str = "",
    ) -> Usage:
        """Usage grouped by project, key, model, day, hour, business_unit, provider or user; `end` is exclusive."""
        query = {"by": by, **_period(start, end), "project": project, "key": key, "model": model}
        return typed(Usage, self._transport.call("GET", "/api/v1/usage", query=query))

    def requests(
        self,
        *,
        project: str = "",
        key: str = "",
        model: str = "",
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[LedgerRequest]:
        """The ledger, newest first."""
        query = {"project": project, "key": key, "model": model, **_period(start, end)}
        return pages(self._transport, "/api/v1/requests", "requests", LedgerRequest, query, limit)

    def audit(self, *, resource: str = "", action: str = "", limit: int | None = None) -> Iterator[AuditEvent]:
        """Who changed what, newest first."""
        query = {"resource": resource, "action": action}
        return pages(self._transport, "/api/v1/audit", "events", AuditEvent, query, limit)

    def status(self) -> Status:
        """The state of the platform."""
        return typed(Status, self._transport.call("GET", "/api/v1/status"))


def _period(start: datetime | None, end: datetime | None) -> dict[str, str | None]:
    return {"from": timestamp(start) if start else None, "to": timestamp(end) if end else None}
