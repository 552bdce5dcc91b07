"""Rates a period again, a part at a time, and writes the differences as adjustments. Rows are only ever added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.catalog import postgres
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.ledger.filters import names, selection
from tollway.controlplane.ledger.ingest import RERATE_LOCK
from tollway.controlplane.prices import store
from tollway.controlplane.prices.book import asked_keys
from tollway.controlplane.prices.model import RerateRequest, RerateResponse, RerateSum
from tollway.controlplane.prices.rating import (
    Adjustment,
    Attempt,
    ByValidity,
    ByVersion,
    Tariff,
    adjustment,
    target_of,
)
from tollway.controlplane.prices.store import Publication
from tollway.controlplane.resources import not_found
from tollway.core.money import format_dollars
from tollway.core.pricing import Price, cost

_SQL = Statements(__package__ or "")
PART_ATTEMPTS = 5_000
MAX_DAYS = 3_700
_NONE = UUID(int=0)


async def rerate(call: Call, request: RerateRequest) -> RerateResponse:
    """One part of a re-rating: at most one day of ids and `PART_ATTEMPTS` attempts."""
    begin, end = _period(request)
    first, last = begin.date() - timedelta(days=1), (end - timedelta(microseconds=1)).date() + timedelta(days=1)
    day, after = _cursor(request.cursor, first, last)
    filters = await _filters(call.db, request, begin, end)
    if not request.dry_run:
        await _SQL.run(call.db, "lock_rerating", lock=RERATE_LOCK)
    attempts = await _SQL.all(
        call.db,
        "attempts_to_rate",
        Attempt,
        day=day,
        after=after,
        begin=begin,
        end=end,
        limit=PART_ATTEMPTS,
        **filters,
    )
    tariff = await _tariff(call.db, request.version, attempts)
    rated = [(attempt, tariff.price(attempt)) for attempt in attempts]
    found = [made for attempt, price in rated if price is not None and (made := adjustment(attempt, price))]
    if found and not request.dry_run:
        written = await _write(call.db, found)
        after_sums = {"adjusted": written, "difference": format_dollars(sum(one.cost_nano for one in found))}
        call.audit(f"rerating:{day.isoformat()}", None, after_sums | _asked(request))
    complete = len(attempts) < PART_ATTEMPTS
    following = "" if complete else f"{day.isoformat()}/{attempts[-1].id}"
    if complete and day < last:
        following = f"{(day + timedelta(days=1)).isoformat()}/{_NONE}"
    reached = datetime.combine(day + timedelta(days=int(complete)), time(), UTC)
    return RerateResponse(
        attempts=len(attempts),
        adjusted=len(found),
        unpriced=sum(price is None for _, price in rated),
        sums=await _sums(call.db, rated),
        next_cursor=following,
        reached=min(max(reached, begin), end) if following else end,
    )


def _period(request: RerateRequest) -> tuple[datetime, datetime]:
    begin, end = request.from_, request.to
    if begin is None or end is None or end <= begin:
        raise ApiError(ApiCode.INVALID, "to must lie after from", field="to")
    if end - begin > timedelta(days=MAX_DAYS):
        raise ApiError(ApiCode.INVALID, f"the period is longer than {MAX_DAYS} days", field="to")
    if begin.year < 1971 or end.year > 9000:
        raise ApiError(ApiCode.INVALID, "the period lies beyond the calendar", field="from")
    return begin, end


def _cursor(text: str, first: date, last: date) -> tuple[date, UUID]:
    if not text:
        return first, _NONE
    try:
        day, _, identifier = text.partition("/")
        found = date.fromisoformat(day), UUID(identifier)
    except ValueError:
        found = None
    if found is None or not first <= found[0] <= last:
        raise ApiError(ApiCode.INVALID, "cursor is not one of this period", field="cursor")
    return found


async def _filters(db: Database, request: RerateRequest, begin: datetime, end: datetime) -> dict[str, Any]:
    chosen = await selection(db, begin, end, request.project, "", request.model)
    providers = None
    if request.provider:
        known = await postgres.provider(db, request.provider)
        providers = [request.provider] + ([str(known.id)] if known is not None else [])
    return {"projects": chosen["projects"], "model": chosen["model"], "providers": providers}


async def _tariff(db: Database, version: str, attempts: Sequence[Attempt]) -> Tariff:
    urls = {str(row.id): row.base_url for row in await postgres.providers(db)}
    publications: dict[str, list[Publication]] = {}
    for found in await store.publications_of(db, sorted({attempt.model for attempt in attempts})):
        publications.setdefault(found.model, []).append(found)
    targets = {target_of(attempt, urls) for attempt in attempts}
    if not version:
        targets |= {target for told in publications.values() for found in told for target in found.targets}
        return ByValidity(await store.load(db, targets), publications, urls)
    if not await store.version_is_known(db, version):
        raise not_found("price", version, "version")
    keys = sorted({key for target in targets for key in asked_keys(target)})
    named = {model: found for model, told in publications.items() for found in told if found.version == version}
    return ByVersion(await store.versions_named(db, version, keys), named, urls)


async def _write(db: Database, found: Iterable[Adjustment]) -> int:
    packed = msgspec.json.encode(sorted(found, key=lambda one: one.id)).decode()
    return await _SQL.run(db, "insert_rerated", rows=packed)


def _asked(request: RerateRequest) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(request)
    return {name: plain[name] for name in ("from", "to", "project", "model", "provider", "version")}


async def _sums(db: Database, rated: Sequence[tuple[Attempt, Price | None]]) -> list[RerateSum]:
    groups: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for attempt, price in rated:
        after = attempt.cost_nano if price is None else cost(attempt.usage, price)
        groups.setdefault((attempt.project, attempt.model), []).append((attempt.cost_nano, after))
    projects = await names(db, "project", {project for project, _ in groups})
    return [
        RerateSum(
            project=projects.of(project),
            model=model,
            attempts=len(amounts),
            changed=sum(before != after for before, after in amounts),
            before=format_dollars(sum(before for before, _ in amounts)),
            after=format_dollars(sum(after for _, after in amounts)),
            difference=format_dollars(sum(after - before for before, after in amounts)),
        )
        for (project, model), amounts in sorted(groups.items())
    ]
