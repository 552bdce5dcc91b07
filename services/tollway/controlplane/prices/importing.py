"""Takes the prices of the installed book over, as a dated batch with a report. Nothing is fetched.

What the book newly knows holds for all times. Where it says another price than before, the new one holds from the day
that the book names, else from the import on. What it no longer knows keeps its last price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from tollway.controlplane.call import Call
from tollway.controlplane.catalog import postgres
from tollway.controlplane.catalog.model import shown_price
from tollway.controlplane.catalog.pricebook import BOOK_VERSION, dearest
from tollway.controlplane.prices import published, store
from tollway.controlplane.prices.book import SHIPPED, asked_keys, stored
from tollway.controlplane.prices.model import (
    ImportPricesRequest,
    ListPriceImportsRequest,
    ListPriceImportsResponse,
    PriceChange,
    PriceImport,
)
from tollway.controlplane.prices.shipped import Key, Segment, shipped_book
from tollway.controlplane.prices.store import OpenImport
from tollway.controlplane.resources import from_ms, page_limit

SHOWN_CHANGES = 500
SHOWN_IMPORTS = 100


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an import does: `rows` are the columns of new versions, `closed` the ids of those that they replace."""

    rows: list[dict[str, Any]]
    closed: list[UUID]
    changes: list[PriceChange]
    unchanged: int


def plan(
    book: Mapping[Key, Sequence[Segment]],
    known: Sequence[OpenImport],
    in_use: frozenset[Key],
    at: datetime,
    package: str = BOOK_VERSION,
) -> Plan:
    """Compares the book with what was imported so far. Pure."""
    had: dict[Key, list[OpenImport]] = {}
    for row in known:
        had.setdefault((row.provider, row.target_model), []).append(row)
    rows: list[dict[str, Any]] = []
    closed: list[UUID] = []
    changes: list[PriceChange] = []
    for key in sorted(book):
        before = had.get(key, [])
        fresh, replaced = _compare(book[key], before, at)
        for segment, valid_from in fresh:
            rows.append(_row(key, segment, valid_from, package))
        closed += [row.id for row in replaced]
        if fresh or replaced:
            kind = "changed" if before else "new"
            changes.append(_change(kind, key, before, book[key], key in in_use))
    changes += [_change("gone", key, had[key], (), key in in_use) for key in sorted(had.keys() - book.keys())]
    changes.sort(key=lambda change: not change.in_use)
    touched = sum(change.kind != "gone" for change in changes)
    return Plan(rows=rows, closed=closed, changes=changes, unchanged=len(book) - touched)


def _compare(
    segments: Sequence[Segment], before: Sequence[OpenImport], at: datetime
) -> tuple[list[tuple[Segment, datetime | None]], list[OpenImport]]:
    """The segments that are not stored yet, each with when it begins, and the rows that are no longer so."""
    stored_already = {(row.book_start, row.rates) for row in before}
    present = {(segment.start, stored(segment.price)) for segment in segments}
    replaced = [row for row in before if (row.book_start, row.rates) not in present]
    begun = [segment for segment in segments if segment.valid_from is None or segment.valid_from <= at]
    fresh = []
    for segment in segments:
        if (segment.start, stored(segment.price)) in stored_already:
            continue
        dated = segment.valid_from
        # Without a day of its own, another price than before is one from now on, if it is the one that holds now.
        if dated is None and before and begun and segment is begun[-1]:
            dated = at
        fresh.append((segment, dated))
    return fresh, replaced


def _row(key: Key, segment: Segment, valid_from: datetime | None, package: str) -> dict[str, Any]:
    return {
        "version": package,
        "source": SHIPPED,
        "model": "",
        "provider": key[0],
        "target_model": key[1],
        "rates": stored(segment.price),
        "valid_from": valid_from,
        "valid_until": None,
        "book_start": segment.start,
        "note": "",
    }


def _change(kind: str, key: Key, before: Sequence[OpenImport], after: Sequence[Segment], in_use: bool) -> PriceChange:
    old = dearest([row.rates.at("") for row in before])
    new = dearest([segment.price for segment in after])
    return PriceChange(
        kind=kind,
        provider=key[0],
        target_model=key[1],
        before=shown_price(old) if old is not None else None,
        after=shown_price(new) if new is not None else None,
        in_use=in_use,
    )


async def import_prices(call: Call, request: ImportPricesRequest) -> PriceImport:
    """Imports the installed book; the same book again changes nothing and is not recorded."""
    await store.lock(call.db)
    at = from_ms(call.clock.now_ms())
    found = plan(shipped_book(), await store.open_imports(call.db), await _in_use(call), at)
    kinds = [change.kind for change in found.changes]
    applies = not request.dry_run and bool(found.rows or found.closed)
    report = PriceImport(
        id=str(uuid7()) if applies else "",
        package=BOOK_VERSION,
        new=kinds.count("new"),
        changed=kinds.count("changed"),
        gone=kinds.count("gone"),
        unchanged=found.unchanged,
        changes=found.changes[:SHOWN_CHANGES],
        applied=applies,
        created_by=call.principal.name,
        created_at=at,
    )
    if not applies:
        return report
    import_id = UUID(report.id)
    first = await store.next_number(call.db)
    numbered = [{"number": first + index, **row} for index, row in enumerate(found.rows)]
    await store.close_versions(call.db, found.closed, at)
    await store.insert_versions(call.db, numbered, import_id=import_id, by=call.principal.name, at=at)
    kept: dict[str, Any] = msgspec.to_builtins(report)
    await store.insert_import(call.db, import_id, report.package, kept, call.principal.name, at)
    counts = {name: kept[name] for name in ("package", "new", "changed", "gone", "unchanged")}
    call.audit(f"price_import:{report.id}", None, counts)
    call.catalog_change()
    return report


async def _in_use(call: Call) -> frozenset[Key]:
    """What the book calls the targets of our models."""
    providers = {row.id: row for row in await postgres.providers(call.db)}
    models = await postgres.models(call.db)
    return frozenset(
        key for row in models for target in published.targets_of(row, providers) for key in asked_keys(target)
    )


async def list_imports(call: Call, request: ListPriceImportsRequest) -> ListPriceImportsResponse:
    """The imports so far, newest first."""
    rows = await store.imports(call.db, min(page_limit(request.page_size), SHOWN_IMPORTS))
    return ListPriceImportsResponse(imports=[msgspec.convert(row.report, PriceImport) for row in rows])
