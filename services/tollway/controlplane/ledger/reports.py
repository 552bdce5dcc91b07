"""What was used: the ledger added up by a dimension, from its roll-ups; and the rows themselves.

Every sum is exact: integers in, integers added, one decimal string out. Adjustments count where their attempt counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.access.reach import both
from tollway.controlplane.call import ApiCode, ApiError, Reach
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.ledger.filters import NAMED, names, selection, units
from tollway.controlplane.ledger.model import (
    LedgerAttempt,
    LedgerRequest,
    ListRequestsRequest,
    ListRequestsResponse,
    QueryUsageRequest,
    QueryUsageResponse,
    UsageRow,
)
from tollway.controlplane.ledger.periods import FIRST, by_weeks, clip, only_days, shorten, split, widen
from tollway.controlplane.ledger.retention import kept_from
from tollway.controlplane.ledger.rows import COLUMNS
from tollway.controlplane.resources import page_limit, page_start, page_token
from tollway.core.money import format_dollars

_sql = Statements(__package__ or "")
DIMENSIONS = ("project", "key", "model", "day", "business_unit", "provider", "user", "hour")
IN_TIME = ("day", "hour")
COARSE = frozenset({"model", "day", "business_unit", "provider"})
"""Dimensions for which the totals are enough, unless a filter names projects or keys."""
RANKED = {"project": "projects", "key": "keys", "user": "users"}
"""Dimensions with so many groups that the dearest are looked for first; the filter that then chooses them."""
DEFAULT_PERIOD = timedelta(days=30)
MOST_GROUPS = 1_000
"""Groups of a limit, at most."""
BY_REQUEST = ("requests", "errors", "cached_requests")
BY_ATTEMPT = ("unpriced", "cost_nano", "estimated_nano", *COLUMNS)
FIGURES = (*BY_REQUEST, *BY_ATTEMPT)
LISTING = "requests"
ATTEMPT_DAYS = timedelta(days=2)
"""How long after its request an attempt can begin, at most, in days of their ids."""


class _Sum(msgspec.Struct):
    """What requests (`spent` false) or attempts (true: then of a provider) of one group add up to; None: nothing.

    Without `id` it is of all groups. `groups` says how many groups there are.
    """

    id: str | None
    spent: bool
    public_id: str
    project: str
    groups: int
    requests: Decimal | None
    cached_requests: Decimal | None
    errors: Decimal | None
    unpriced: Decimal | None
    cost_nano: Decimal | None
    estimated_nano: Decimal | None
    input_tokens: Decimal | None
    cached_input_tokens: Decimal | None
    output_tokens: Decimal | None
    reasoning_tokens: Decimal | None
    cache_write_5m_tokens: Decimal | None
    cache_write_1h_tokens: Decimal | None
    audio_input_tokens: Decimal | None
    image_input_tokens: Decimal | None
    audio_output_tokens: Decimal | None
    image_output_tokens: Decimal | None
    prediction_accepted_tokens: Decimal | None
    prediction_rejected_tokens: Decimal | None
    images: Decimal | None
    audio_ms: Decimal | None
    characters: Decimal | None
    searches: Decimal | None


class _Ranked(msgspec.Struct):
    id: str
    groups: int


class _Request(msgspec.Struct):
    day: date
    id: UUID
    project: str
    key_id: str
    key_public_id: str
    endpoint: str
    model: str
    stream: bool
    outcome: str
    status: int
    error_code: str
    client_request_id: str
    tags: dict[str, str]
    started_at: datetime
    ended_at: datetime
    cache: str


class _Attempt(msgspec.Struct):
    id: UUID
    request_id: UUID
    kind: str
    number: int
    provider: str
    target_model: str
    outcome: str
    status: int
    error_code: str
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    audio_input_tokens: int
    image_input_tokens: int
    audio_output_tokens: int
    image_output_tokens: int
    prediction_accepted_tokens: int
    prediction_rejected_tokens: int
    images: int
    audio_ms: int
    characters: int
    searches: int
    cost_nano: int
    price_version: str
    estimated: bool
    started_at: datetime
    ended_at: datetime
    provider_request_id: str


async def query_usage(
    db: Database, asked: QueryUsageRequest, now: datetime, reach: Reach | None = None
) -> QueryUsageResponse:
    """Sums by a dimension, the most expensive group first (days and hours in their order), and the total, of what lies
    within a reach. With a limit, the dearest groups alone, and what the others add up to.

    An attempt counts when its request began. By provider, a request counts at each provider that it asked, and as an
    error at those that never answered it. Where retention has dropped the rows, a period is of whole hours.
    """
    if asked.by not in DIMENSIONS:
        raise ApiError(ApiCode.INVALID, f"must be one of {', '.join(DIMENSIONS)}", field="by")
    if asked.limit is not None and not 1 <= asked.limit <= MOST_GROUPS:
        raise ApiError(ApiCode.INVALID, f"must lie between 1 and {MOST_GROUPS}", field="limit")
    end = asked.to or now
    begin = asked.from_ or max(min(now, end), FIRST) - DEFAULT_PERIOD
    chosen = await selection(db, begin, end, asked.project, asked.key, asked.model, reach)
    span = widen(clip(chosen["begin"], chosen["end"]), await kept_from(db))
    short = shorten(split(span, days=asked.by != "hour"))
    days = short.parts.days
    filters = {name: chosen[name] for name in ("projects", "keys", "model")}
    filters["projects"] = both(filters["projects"], asked.projects or None)
    filters["units"] = await units(db, asked.business_unit)
    parameters = {
        **short.parameters(),
        **(only_days(days) if asked.by in IN_TIME else by_weeks(days, now)).parameters(),
        **filters,
    }
    everywhere = filters["projects"] is None and filters["keys"] is None
    await _sql.run(db, "report_memory")
    if asked.limit is not None and everywhere and asked.by in RANKED:
        sums, groups = await _dearest(db, asked, parameters)
    else:
        sums = await _sums(db, asked.by, top=asked.limit, coarse=everywhere and asked.by in COARSE, **parameters)
        groups = next((found.groups for found in sums if found.id is not None), 0)
    return await _answer(db, asked, sums, groups)


async def _sums(db: Database, by: str, **parameters: Any) -> list[_Sum]:
    return await _sql.all(db, "usage_sums", _Sum, **({"by": by, "users": None} | parameters))


async def _dearest(db: Database, asked: QueryUsageRequest, parameters: Mapping[str, Any]) -> tuple[list[_Sum], int]:
    """The sums of the dearest groups and of all together, and how many groups there are; nothing else is added up.

    What all come to is known by day. `db` is in one snapshot, so that the three questions are answered alike.
    """
    ranked = await _sql.all(db, "dearest", _Ranked, by=asked.by, top=asked.limit, **parameters)
    chosen = {RANKED[asked.by]: [found.id for found in ranked]}
    sums = await _sums(db, asked.by, **(dict(parameters) | {"top": None, "coarse": False} | chosen))
    whole = await _sums(db, "model", **(dict(parameters) | {"top": None, "coarse": True}))
    groups = ranked[0].groups if ranked else 0
    return [one for one in sums if one.id is not None] + [one for one in whole if one.id is None], groups


async def _answer(db: Database, asked: QueryUsageRequest, sums: list[_Sum], groups: int) -> QueryUsageResponse:
    by_provider = asked.by == "provider"
    whole = [found for found in sums if found.id is None]
    by_id: dict[str, list[_Sum]] = {}
    for found in sums:
        if found.id is not None:
            by_id.setdefault(found.id, []).append(found)
    figures = {group: _figures(by_id[group], by_provider) for group in by_id}
    labels = await _labels(db, asked.by, by_id)
    if asked.by in IN_TIME:
        order = sorted(by_id)
    else:
        order = sorted(by_id, key=lambda group: (-figures[group]["cost_nano"], labels[group]))
    others = None
    if asked.limit is not None:
        everything = _figures(whole, by_provider)
        others = _row("", {name: everything[name] - sum(f[name] for f in figures.values()) for name in FIGURES})
    return QueryUsageResponse(
        rows=[_row(labels[group], figures[group]) for group in order],
        total=_row("", _figures(whole)),
        others=others,
        groups=groups,
    )


def _figures(sums: list[_Sum], by_provider: bool = False) -> dict[str, int]:
    """What requests are counted by, and what their attempts are; by provider, attempts know both."""
    requests = [found for found in sums if found.spent == by_provider]
    attempts = [found for found in sums if found.spent]
    return {name: _whole(requests, name) for name in BY_REQUEST} | {name: _whole(attempts, name) for name in BY_ATTEMPT}


def _whole(sums: list[_Sum], name: str) -> int:
    return sum(int(getattr(found, name) or 0) for found in sums)


def _row(group: str, figures: dict[str, int]) -> UsageRow:
    return UsageRow(
        group=group,
        cost=format_dollars(figures["cost_nano"]),
        estimated_cost=format_dollars(figures["estimated_nano"]),
        unpriced_requests=figures["unpriced"],
        **{name: figures[name] for name in (*BY_REQUEST, *COLUMNS)},
    )


async def _labels(db: Database, by: str, sums: Mapping[str, list[_Sum]]) -> dict[str, str]:
    """What each group is called. A key that is gone is "<project>/<public id>"."""
    if by not in NAMED:
        return {identifier: identifier for identifier in sums}
    named = await names(db, by, sums)
    labels = {identifier: named.of(identifier) for identifier in sums}
    if by == "key":
        gone = {
            identifier: known
            for identifier, found in sums.items()
            if identifier not in named.by_id and (known := next((one for one in found if one.public_id), None))
        }
        projects = await names(db, "project", {known.project for known in gone.values()})
        labels |= {group: f"{projects.of(known.project)}/{known.public_id}" for group, known in gone.items()}
    return labels


async def list_requests(db: Database, asked: ListRequestsRequest, reach: Reach | None = None) -> ListRequestsResponse:
    """A page of requests with their attempts, newest first, within a reach.

    Raises ApiError for a page token that is not ours.
    """
    size = page_limit(asked.page_size)
    chosen = await selection(db, asked.from_, asked.to, asked.project, asked.key, asked.model, reach)
    before_day, before_id = _cursor(asked.page_token)
    rows = await _sql.all(
        db, "requests_page", _Request, before_day=before_day, before_id=before_id, limit=size + 1, **chosen
    )
    page, more = rows[:size], len(rows) > size
    attempts: dict[UUID, list[_Attempt]] = {}
    if page:
        ids = [row.id for row in page]
        last_day = page[0].day + ATTEMPT_DAYS
        found = await _sql.all(db, "attempts_of", _Attempt, ids=ids, first_day=page[-1].day, last_day=last_day)
        attempts = {key: list(group) for key, group in itertools.groupby(found, key=lambda a: a.request_id)}
    projects = await names(db, "project", {row.project for row in page})
    providers = await names(db, "provider", {a.provider for group in attempts.values() for a in group})
    following = page_token(LISTING, f"{page[-1].day.isoformat()}/{page[-1].id}") if more else ""
    shown = [_shown(row, projects.of(row.project), attempts.get(row.id, []), providers.by_id) for row in page]
    return ListRequestsResponse(requests=shown, next_page_token=following)


def _shown(row: _Request, project: str, attempts: list[_Attempt], providers: dict[str, str]) -> LedgerRequest:
    adjusted = {a.number for a in attempts if a.kind == "adjustment" and not a.estimated}
    kept: dict[str, Any] = {name: getattr(row, name) for name in LedgerRequest.__struct_fields__ if hasattr(row, name)}
    return LedgerRequest(
        **kept
        | {
            "id": str(row.id),
            "project": project,
            "cost": format_dollars(sum(a.cost_nano for a in attempts)),
            "estimated": any(a.estimated and a.number not in adjusted for a in attempts),
            "attempts": [_shown_attempt(a, providers.get(a.provider, a.provider)) for a in attempts],
        }
    )


def _shown_attempt(attempt: _Attempt, provider: str) -> LedgerAttempt:
    kept = {name: getattr(attempt, name) for name in LedgerAttempt.__struct_fields__ if hasattr(attempt, name)}
    return LedgerAttempt(
        **kept
        | {
            "id": str(attempt.id),
            "provider": provider,
            "outcome": "adjustment" if attempt.kind == "adjustment" else attempt.outcome,
            "cost": format_dollars(attempt.cost_nano),
        }
    )


def _cursor(token: str) -> tuple[date, UUID]:
    """The last row of the page before, in the order of the list; for the first page, beyond every row."""
    last = page_start(LISTING, token)
    if not last:
        return date.max, UUID(int=(1 << 128) - 1)
    try:
        day, _, identifier = last.partition("/")
        return date.fromisoformat(day), UUID(identifier)
    except ValueError:
        raise ApiError(ApiCode.INVALID, "page_token is not one of this listing", field="page_token") from None
