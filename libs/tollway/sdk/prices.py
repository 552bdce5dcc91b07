"""The price book, rating a period again, and bills of providers beside the ledger.

Amounts are decimal strings of US dollars; times are aware datetimes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from tollway.sdk.codec import timestamp
from tollway.sdk.identity import present, segment
from tollway.sdk.models import Price
from tollway.sdk.paging import pages, typed
from tollway.sdk.transport import Transport


@dataclass(frozen=True, kw_only=True)
class PriceVersion:
    """Some rates, what they are for, and when they hold (`valid_until` is exclusive)."""

    version: str = ""
    source: str = ""
    model: str = ""
    provider: str = ""
    target_model: str = ""
    price: Price | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    note: str = ""
    created_by: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class PricePublication:
    """The price that a model had from a moment on; no `price`: it was not known."""

    model: str = ""
    version: str = ""
    source: str = ""
    price: Price | None = None
    published_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class PriceHistory:
    """What a version says, and which models had it from when."""

    version: str = ""
    versions: list[PriceVersion] = field(default_factory=list)
    publications: list[PricePublication] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class PriceChange:
    """What an import says of one model of the book; `kind` is new, changed or gone."""

    kind: str = ""
    provider: str = ""
    target_model: str = ""
    before: Price | None = None
    after: Price | None = None
    in_use: bool = False


@dataclass(frozen=True, kw_only=True)
class PriceImport:
    """The report of an import; `changes` are the first of them, those in use before the others."""

    id: str = ""
    package: str = ""
    new: int = 0
    changed: int = 0
    gone: int = 0
    unchanged: int = 0
    changes: list[PriceChange] = field(default_factory=list)
    applied: bool = False
    created_by: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class RerateSum:
    """What rating again comes to for one model of a project."""

    project: str = ""
    model: str = ""
    attempts: int = 0
    changed: int = 0
    before: str = "0"
    after: str = "0"
    difference: str = "0"


@dataclass(frozen=True, kw_only=True)
class Rerated:
    """A part of a period that was rated again; it is done when `next_cursor` is empty."""

    attempts: int = 0
    adjusted: int = 0
    unpriced: int = 0
    sums: list[RerateSum] = field(default_factory=list)
    next_cursor: str = ""
    reached: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class LedgerPart:
    """Attempts of one sort: `first`, `retry` or `estimated`."""

    part: str = ""
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: str = "0"


@dataclass(frozen=True, kw_only=True)
class ReconciliationLine:
    """One UTC day and model: what was billed, what the ledger has, and what that is made of."""

    day: str = ""
    model: str = ""
    billed: str = ""
    ledger: str = ""
    difference: str = ""
    ratio: str = ""
    status: str = ""
    parts: list[LedgerPart] = field(default_factory=list)
    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """A provider's bill beside the ledger; in lists without parts, details and remarks."""

    id: str = ""
    provider: str = ""
    format: str = ""
    first_day: str = ""
    last_day: str = ""
    lines: int = 0
    tolerance: str = ""
    note: str = ""
    created_by: str = ""
    created_at: datetime | None = None
    billed: str = ""
    ledger: str = ""
    difference: str = ""
    status: str = ""
    parts: list[LedgerPart] = field(default_factory=list)
    details: list[ReconciliationLine] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


class Prices:
    """`/api/v1/prices` and `/api/v1/price-imports`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        source: str = "",
        model: str = "",
        provider: str = "",
        target_model: str = "",
        at: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[PriceVersion]:
        """Versions in the price book, newest first; with `at`, those that are valid then."""
        query = {
            "source": source,
            "model": model,
            "provider": provider,
            "target_model": target_model,
            "at": timestamp(at) if at else None,
        }
        return pages(self._transport, "/api/v1/prices", "prices", PriceVersion, query, limit)

    def get(self, version: str, *, model: str = "") -> PriceHistory:
        """The rates of a version as a ledger row names it."""
        answer = self._transport.call("GET", f"/api/v1/prices/{segment(version)}", query={"model": model})
        return typed(PriceHistory, answer)

    def set(
        self,
        price: Price,
        *,
        model: str = "",
        provider: str = "",
        target_model: str = "",
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
        note: str = "",
    ) -> PriceVersion:
        """An override of a model, or of a provider's models (a pattern with *), from now or a date on."""
        body = present(
            price=price,
            model=model,
            provider=provider,
            target_model=target_model,
            valid_from=valid_from,
            valid_until=valid_until,
            note=note,
        )
        return typed(PriceVersion, self._transport.call("POST", "/api/v1/prices", body=body))

    def end(self, version: str, *, valid_until: datetime | None = None) -> PriceVersion:
        """Ends an override, now or at a time."""
        body = present(valid_until=valid_until)
        return typed(PriceVersion, self._transport.call("POST", f"/api/v1/prices/{segment(version)}:end", body=body))

    def take_over(self, *, dry_run: bool = False) -> PriceImport:
        """Imports the prices of the installed price book."""
        body = {"dry_run": dry_run}
        return typed(PriceImport, self._transport.call("POST", "/api/v1/price-imports", body=body))

    def rerate(
        self,
        start: datetime,
        end: datetime,
        *,
        project: str = "",
        model: str = "",
        provider: str = "",
        version: str = "",
        dry_run: bool = False,
    ) -> Iterator[Rerated]:
        """Rates [start, end) again, part by part as it is consumed. The same once more changes nothing."""
        body = {
            "from": timestamp(start),
            "to": timestamp(end),
            "project": project,
            "model": model,
            "provider": provider,
            "version": version,
            "dry_run": dry_run,
        }
        cursor = ""
        while True:
            sent = {**body, "cursor": cursor}
            part = typed(Rerated, self._transport.call("POST", "/api/v1/prices:rerate", body=sent))
            yield part
            cursor = part.next_cursor
            if not cursor:
                return


class Reconciliations:
    """`/api/v1/reconciliations`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(
        self, provider: str, content: str, *, form: str = "", tolerance: str = "", note: str = ""
    ) -> Reconciliation:
        """Stores a provider's bill (csv, jsonl, openai or anthropic; empty: as it looks) and compares it."""
        body = {"provider": provider, "content": content, "format": form, "tolerance": tolerance, "note": note}
        return typed(Reconciliation, self._transport.call("POST", "/api/v1/reconciliations", body=body))

    def get(self, reconciliation: str) -> Reconciliation:
        """A stored bill beside what the ledger says now."""
        return typed(Reconciliation, self._transport.call("GET", f"/api/v1/reconciliations/{segment(reconciliation)}"))

    def list(self, *, provider: str = "", limit: int | None = None) -> Iterator[Reconciliation]:
        """Stored bills, newest first, as they were at their upload."""
        query = {"provider": provider}
        return pages(self._transport, "/api/v1/reconciliations", "reconciliations", Reconciliation, query, limit)
