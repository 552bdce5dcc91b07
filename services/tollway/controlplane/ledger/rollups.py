"""Keeps the roll-ups folded: what ingest appended is added to the sums by hour and by day, by one process at a time.

Whether and when this happens changes no answer, only its cost: what is not folded yet is read too.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool

from tollway.controlplane.db.statements import Database, Statements
from tollway.runtime import log

_log = log.get(__name__)
_sql = Statements(__package__ or "")
FOLD_LOCK = 0x6C656467_666F6C64
"""Advisory lock of whoever folds."""
FOLD_ROWS = 100_000
"""Deltas in one transaction, at most: the more of one hour come together, the fewer sums are touched."""
FEWEST_ROWS = 500
"""In one transaction on a database that is too slow for more."""
REUSE_ROWS = 5_000
"""Folded deltas that are worth making their room free."""
LOOK_SECONDS = 1.0
SUMMARIZE_SECONDS = 3.0
SUMMARIZE_WAIT = "100ms"
"""Less than what makes a vacuum under way give up for whoever waits for it."""
RETRY_SECONDS = 10.0


class _Locked(msgspec.Struct):
    locked: bool


class _Count(msgspec.Struct):
    rows: int


class _Sparse(msgspec.Struct):
    name: str
    pages: int


async def fold(db: Database, limit: int = FOLD_ROWS) -> int | None:
    """Folds up to `limit` deltas; returns how many, or None while another process folds. Not in a transaction."""
    async with db.transaction():
        await db.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        lock = await _sql.one(db, "try_partition_lock", _Locked, lock=FOLD_LOCK)
        if lock is None or not lock.locked:
            return None
        await _sql.run(db, "fold_memory")
        done = await _sql.one(db, "fold", _Count, limit=limit)
    folded = done.rows if done is not None else 0
    if folded >= REUSE_ROWS:
        await _sql.run(db, "reuse_deltas")
    return folded


async def summarize(db: Database, known: dict[str, int]) -> None:
    """Lets the indexes of times know of pages that were added to the ledger, which a report of part of an hour would
    read in full otherwise. `known` keeps from call to call how many pages there were. Not in a transaction.
    """
    for index in await _sql.all(db, "sparse_indexes", _Sparse):
        if known.get(index.name) == index.pages:
            continue
        try:
            async with db.transaction():
                await _sql.run(db, "limit_lock_wait", limit=SUMMARIZE_WAIT)
                await _sql.run(db, "summarize", name=index.name)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.UndefinedTable) as error:
            _log.debug("an index is summarized later", index=index.name, reason=type(error).__name__)
        else:
            known[index.name] = index.pages


async def keep_folded(pool: AsyncConnectionPool[Any]) -> None:
    """Background work: folds what is there, and looks again."""
    known: dict[str, int] = {}
    summarized, limit = 0.0, FOLD_ROWS
    while True:
        pause = LOOK_SECONDS
        try:
            async with pool.connection() as db:
                more = True
                while more:
                    more = await fold(db, limit) == limit
                    limit = min(2 * limit, FOLD_ROWS)
                if time.monotonic() - summarized > SUMMARIZE_SECONDS:
                    await summarize(db, known)
                    summarized = time.monotonic()
        except psycopg.errors.QueryCanceled:
            # So many at once take longer than a statement may: of fewer, some get done.
            limit = max(limit // 8, FEWEST_ROWS)
            _log.warning("roll-ups are folded in smaller parts", deltas=limit)
        except psycopg.OperationalError as error:
            pause = RETRY_SECONDS
            _log.warning("roll-ups could not be folded", reason=type(error).__name__)
        await asyncio.sleep(pause)
