"""Keeps the roll-ups folded: what ingest appended is added to the sums by hour and by day, by one process at a time.

Whether and when this happens changes no answer, only its cost: what is not folded yet is read too.
"""

from __future__ import annotations

import asyncio
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
FOLD_ROWS = 20_000
"""Deltas in one transaction, at most."""
LOOK_SECONDS = 2.0
RETRY_SECONDS = 10.0


class _Locked(msgspec.Struct):
    locked: bool


class _Count(msgspec.Struct):
    rows: int


async def fold(db: Database, limit: int = FOLD_ROWS) -> int | None:
    """Folds up to `limit` deltas; returns how many, or None while another process folds. Not in a transaction."""
    async with db.transaction():
        await db.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        lock = await _sql.one(db, "try_partition_lock", _Locked, lock=FOLD_LOCK)
        if lock is None or not lock.locked:
            return None
        done = await _sql.one(db, "fold", _Count, limit=limit)
    return done.rows if done is not None else 0


async def keep_folded(pool: AsyncConnectionPool[Any]) -> None:
    """Background work: folds what is there, and looks again."""
    while True:
        pause = LOOK_SECONDS
        try:
            async with pool.connection() as db:
                more = True
                while more:
                    more = await fold(db) == FOLD_ROWS
        except psycopg.OperationalError as error:
            pause = RETRY_SECONDS
            _log.warning("roll-ups could not be folded", reason=type(error).__name__)
        await asyncio.sleep(pause)
