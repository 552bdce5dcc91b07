"""How long the rows of the ledger are kept: partitions of which every day is older are dropped whole. Roll-ups stay.

A drop waits for a lock only a moment at a time, so that writers never wait long behind it, and holds it for as long as
it takes to detach the partitions: their files, which may be large, go afterwards, while everybody works on. From then
on rows of the dropped days are refused (quarantine): taken in again, they would count twice.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from tollway.controlplane.db.locks import end_vacuum
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
DETACHED = "_detached"
"""Ends the name of a partition whose rows are no longer in the ledger."""
LOOK_SECONDS = 3600.0
RETRY_SECONDS = 60.0


class _Locked(msgspec.Struct):
    locked: bool


class _Detached(msgspec.Struct):
    name: str


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
    if dry_run:
        return Retained([name for _, names in await _leaving(db, today, days) for name in names], await horizon(db))
    gone = await detach_expired(db, today, days)
    await remove_detached(db)
    return gone


async def detach_expired(db: Database, today: date, days: int) -> Retained:
    """Takes what is older out of the ledger, for readers and writers alike; its files stay until `remove_detached`. As
    `retain` else.
    """
    gone: list[str] = []
    for span, names in await _leaving(db, today, days):
        await _drop_patiently(db, span)
        gone += names
    return Retained(gone, await horizon(db))


async def _leaving(db: Database, today: date, days: int) -> list[tuple[Span, list[str]]]:
    spans = await expired(db, today, days)
    return [(span, [partition_name(table, span) for table in TABLES]) for span in spans]


async def remove_detached(db: Database) -> None:
    """Gives back the room of partitions that are no longer part of the ledger, one at a time; also of those that a
    process left behind that ended amid it. Nobody waits for this. `db` must not be in a transaction.
    """
    for table in await _sql.all(db, "detached_partitions", _Detached, suffix=DETACHED):
        await db.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(table.name)))


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
    """One transaction: the horizon moves and the rows go, or neither.

    A span may have a partition in one table alone.
    """
    async with db.transaction():
        await _sql.run(db, "limit_lock_wait", limit=LOCK_WAIT)
        await _sql.one(db, "partition_lock", _Locked, lock=PARTITION_LOCK)
        parts = [table for table in TABLES if span in await _sql.all(db, "partition_bounds", Span, table=table)]
        await end_vacuum(db, [partition_name(table, span) for table in parts])
        await _sql.run(db, "limit_lock_wait", limit=LOCK_WAIT)
        # In the order in which writers take them.
        await db.execute(
            sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(
                sql.SQL(", ").join(sql.SQL("ONLY {}").format(sql.Identifier(table)) for table in TABLES)
            )
        )
        await _sql.run(db, "set_horizon", horizon=span.end)
        for table in parts:
            await _detach(db, table, span)
        await _sql.run(db, "forget_old_requests", horizon=span.end)
        await _sql.run(db, "forget_old_attempts", horizon=span.end)


async def _detach(db: Database, table: str, span: Span) -> None:
    """Takes a partition out of its table and names it so."""
    part = partition_name(table, span)
    names = {
        "table": sql.Identifier(table),
        "part": sql.Identifier(part),
        "detached": sql.Identifier(part + DETACHED),
    }
    for statement in (
        "ALTER TABLE {table} DETACH PARTITION {part}",
        "ALTER TABLE {part} RENAME TO {detached}",
    ):
        await db.execute(sql.SQL(statement).format(**names))


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
