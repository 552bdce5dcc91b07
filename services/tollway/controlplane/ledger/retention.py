"""How long the rows of the ledger are kept: partitions of which every day is older are dropped whole. Roll-ups stay.

A drop waits for a lock only a moment at a time, so that writers never wait long behind it. From then on rows of the
dropped days are refused (quarantine): taken in again, they would count twice.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.ledger.partitions import PARTITION_LOCK, TABLES, Span, partition_name
from tollway.runtime import log
from tollway.runtime.clock import Clock

_log = log.get(__name__)
_sql = Statements(__package__ or "")
LOCK_WAIT = "200ms"
"""How long writers can wait behind a drop that itself waits."""
TRIES = 50
PAUSE_SECONDS = 0.3
LOOK_SECONDS = 3600.0
RETRY_SECONDS = 60.0


class _Locked(msgspec.Struct):
    locked: bool


class _Horizon(msgspec.Struct):
    horizon: date


class Retained(msgspec.Struct, frozen=True):
    """The partitions that were dropped, by name; the first day that can still have rows, None if nothing ever went."""

    partitions: list[str]
    horizon: date | None


async def horizon(db: Database) -> date | None:
    """The first day that can still have rows; None while nothing was ever dropped."""
    found = await _sql.one(db, "horizon", _Horizon)
    return found.horizon if found is not None else None


async def kept_from(db: Database) -> datetime:
    """The moment from which on every row is there: a day after the horizon, as requests and ids can differ by a day."""
    first = await horizon(db)
    if first is None:
        return datetime(1970, 1, 1, tzinfo=UTC)
    return datetime(first.year, first.month, first.day, tzinfo=UTC) + timedelta(days=1)


async def expired(db: Database, today: date, days: int) -> list[Span]:
    """The spans of the partitions of which every day is more than `days` days ago, oldest first."""
    first_kept = today - timedelta(days=days)
    spans: set[Span] = set()
    for table in TABLES:
        spans.update(await _sql.all(db, "partition_bounds", Span, table=table))
    return sorted(span for span in spans if span.end <= first_kept)


async def retain(db: Database, today: date, days: int, *, dry_run: bool = False) -> Retained:
    """Drops what is older; `db` must not be in a transaction. Raises psycopg.errors.LockNotAvailable when writers
    left no moment for it: what was dropped until then stays dropped, and the next try goes on.
    """
    gone = []
    for span in await expired(db, today, days):
        gone += [partition_name(table, span) for table in TABLES]
        if not dry_run:
            await _drop_patiently(db, span)
    return Retained(gone, await horizon(db))


async def _drop_patiently(db: Database, span: Span) -> None:
    for left in reversed(range(TRIES)):
        try:
            await _drop(db, span)
        except psycopg.errors.LockNotAvailable:
            if not left:
                raise
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            _log.info("ledger partitions dropped", first=span.first.isoformat(), end=span.end.isoformat())
            return


async def _drop(db: Database, span: Span) -> None:
    """One transaction: the horizon moves and the rows go, or neither."""
    async with db.transaction():
        await _sql.run(db, "limit_lock_wait", limit=LOCK_WAIT)
        await _sql.one(db, "partition_lock", _Locked, lock=PARTITION_LOCK)
        # In the order in which writers take them.
        await db.execute(
            sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(
                sql.SQL(", ").join(sql.SQL("ONLY {}").format(sql.Identifier(table)) for table in TABLES)
            )
        )
        await _sql.run(db, "set_horizon", horizon=span.end)
        for table in TABLES:
            part = sql.Identifier(partition_name(table, span))
            await db.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(part))
        await _sql.run(db, "forget_old_requests", horizon=span.end)
        await _sql.run(db, "forget_old_attempts", horizon=span.end)


async def keep_retention(pool: AsyncConnectionPool[Any], clock: Clock, days: int) -> None:
    """Background work: every hour, drops what is older than `days`."""
    while True:
        pause = LOOK_SECONDS
        try:
            async with pool.connection() as db:
                await retain(db, datetime.fromtimestamp(clock.now_ms() / 1000, UTC).date(), days)
        except psycopg.OperationalError as error:
            pause = RETRY_SECONDS
            _log.warning("old ledger partitions could not be dropped; tried again", reason=type(error).__name__)
        await asyncio.sleep(pause)
