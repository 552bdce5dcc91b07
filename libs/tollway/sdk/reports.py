"""Declarative configuration, usage, ledger, audit and status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tollway.sdk.codec import timestamp
from tollway.sdk.models import ApplyResult, AuditEvent, LedgerRequest, Status
from tollway.sdk.paging import pages, typed
from tollway.sdk.transport import Transport


@dataclass(frozen=True, kw_only=True)
class UsageRow:
    """Usage of one group. Costs are US dollars; `estimated_cost` rests on estimates, `cached_requests` cost nothing."""

    group: str = ""
    requests: int = 0
    errors: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: str = "0"
    estimated_cost: str = "0"
    unpriced_requests: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_input_tokens: int = 0
    image_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_output_tokens: int = 0
    prediction_accepted_tokens: int = 0
    prediction_rejected_tokens: int = 0
    images: int = 0
    audio_ms: int = 0
    characters: int = 0
    searches: int = 0
    cached_requests: int = 0


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Rows of a usage query and their total; with a limit, `others` is what it leaves out of all `groups`."""

    rows: list[UsageRow] = field(default_factory=list)
    total: UsageRow = field(default_factory=UsageRow)
    others: UsageRow | None = None
    groups: int = 0


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
        verify: bool = False,
    ) -> ApplyResult:
        """Brings the platform to the state of `configuration` (the JSON of tollway.control.v1.Configuration).

        With `verify`, the providers are asked about new and changed keys; `checks` has what they said, which keeps
        nothing from being applied.
        """
        options = {"prune": prune, "dry_run": dry_run, "force": force, "verify": verify}
        body = {"set": set_name, "configuration": configuration, **options}
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
        business_unit: str = "",
        limit: int | None = None,
    ) -> Usage:
        """Usage grouped by project, key, model, day, hour, business_unit, provider or user; `end` is exclusive.

        With `limit` (1 to 1000), only so many groups, the dearest.
        """
        only = {"project": project, "key": key, "model": model, "business_unit": business_unit}
        query = {"by": by, **_period(start, end), **only, "limit": limit}
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
