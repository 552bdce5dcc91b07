"""What budgets and limits have used, counted from the ledger: the ground on which lost counters are built anew.

Exact to the row: whole days and hours from the roll-ups, the ends from the rows, adjustments included. A cut makes
several answers belong together: it counts what had been taken in by one moment of the database's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec
from psycopg_pool import AsyncConnectionPool

from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.ledger.ingest import INGEST_LOCK
from tollway.controlplane.ledger.periods import FIRST, LAST, by_weeks, clip, split, widen
from tollway.controlplane.ledger.retention import kept_from
from tollway.controlplane.resources import as_uuid

_sql = Statements(__package__ or "")
MAX_BIGINT = (1 << 63) - 1
MEASURES = ("cost", "requests", "tokens")
SCOPES = ("organisation", "business_unit", "project", "key", "user", "model")
WIDE = frozenset({"organisation", "business_unit", "model"})
"""Scopes that the totals answer; of all others, the days of their own groups are read."""
CUT_WAIT = "3s"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Query(Protocol):
    """One count, as `tollway.wire.balances_codec.BalanceQuery` has it. Times are Unix milliseconds."""

    @property
    def measure(self) -> str:
        """ "cost" (nano-dollars), "requests" or "tokens" (input and output)."""

    @property
    def scope(self) -> str:
        """One of `SCOPES`."""

    @property
    def subject(self) -> str:
        """As the rows have it."""

    @property
    def model(self) -> str:
        """A glob in which `*` stands for any characters."""

    @property
    def start_ms(self) -> int:
        """The first moment in which a request that counts began."""

    @property
    def end_ms(self) -> int | None:
        """The first moment after; None: no end."""


class UnknownQuery(ValueError):
    """A query names a measure or a scope that does not exist; the message says which."""


class _Used(msgspec.Struct):
    number: int
    requests: str
    cost: str
    tokens: str


class _Cut(msgspec.Struct):
    cut: int


class _Locked(msgspec.Struct):
    locked: bool


class _Family(msgspec.Struct):
    key: str
    family: list[str]


async def present_cut(pool: AsyncConnectionPool[Any]) -> int:
    """A moment (Unix microseconds) so that every row that has come by then is committed, and none comes later.

    Waits for the batches that are being taken in, and holds others up for that long, `CUT_WAIT` at most: behind one
    that hangs, nobody could add a row any more. Raises psycopg.errors.LockNotAvailable then.
    """
    async with pool.connection() as db, db.transaction():
        await _sql.run(db, "limit_lock_wait", limit=CUT_WAIT)
        await _sql.one(db, "ledger_now", _Locked, lock=INGEST_LOCK)
        found = await _sql.one(db, "cut_now", _Cut)
    assert found is not None
    return found.cut


async def key_families(db: Database, keys: Iterable[str]) -> dict[str, list[str]]:
    """By key the keys that share its budget and limits, itself included: the one that took its place, and all that this
    one replaced. What is no key is left out.
    """
    ids = [found for key in set(keys) if (found := as_uuid(key)) is not None]
    if not ids:
        return {}
    return {found.key: found.family for found in await _sql.all(db, "key_families", _Family, keys=ids)}


async def balances(
    db: Database,
    queries: Sequence[Query],
    *,
    organisation: str = "",
    cut_us: int | None = None,
    families: Mapping[str, Sequence[str]] | None = None,
) -> list[int]:
    """One amount for each query, in their order: what requests of `organisation` (empty: of any) that began in
    [`start_ms`, `end_ms`) add up to, of the rows that came until `cut_us` (None: of all). At most 2**63 - 1 each. A key
    counts with its family, where `families` (see `key_families`) has it.

    Raises UnknownQuery. One statement for each period that is asked for, however many queries share it.
    """
    for query in queries:
        if query.measure not in MEASURES or query.scope not in SCOPES:
            raise UnknownQuery(f"no such count: {query.measure[:40]} by {query.scope[:40]}")
    periods: dict[tuple[int, int | None], list[int]] = {}
    for number, query in enumerate(queries):
        periods.setdefault((query.start_ms, query.end_ms), []).append(number)
    used = [0] * len(queries)
    await _sql.run(db, "report_memory")
    rows_from = await kept_from(db)
    cut = LAST if cut_us is None else _EPOCH + timedelta(microseconds=cut_us)
    for (start_ms, end_ms), numbers in periods.items():
        asked = [(number, subject) for number in numbers for subject in _subjects(queries[number], families or {})]
        span = clip(_moment(start_ms), LAST if end_ms is None else _moment(end_ms))
        parts = split(widen(span, rows_from))
        found = await _sql.all(
            db,
            "balances",
            _Used,
            organisation=organisation,
            cut=cut,
            since=span.begin,
            until=span.end,
            numbers=[number for number, _ in asked],
            scopes=[queries[number].scope for number, _ in asked],
            subjects=[subject for _, subject in asked],
            models=[_like(queries[number].model) for number, _ in asked],
            wide=any(queries[number].scope in WIDE for number, _ in asked),
            cuts=cut_us is not None,
            **{
                name: [subject for number, subject in asked if queries[number].scope == scope]
                for name, scope in (("projects", "project"), ("keys", "key"), ("users", "user"))
            },
            **parts.parameters(),
            **by_weeks(parts.days, parts.days.end).parameters(),
        )
        for row in found:
            used[row.number] = min(int(getattr(row, queries[row.number].measure)), MAX_BIGINT)
    return used


def _subjects(query: Query, families: Mapping[str, Sequence[str]]) -> Sequence[str]:
    return families.get(query.subject, (query.subject,)) if query.scope == "key" else (query.subject,)


def _moment(unix_ms: int) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=unix_ms)
    except OverflowError:
        return LAST if unix_ms > 0 else FIRST


def _like(glob: str) -> str:
    """The pattern of LIKE that matches what the glob does."""
    escaped = glob.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")
