"""Counts what the response cache answered before roll-ups knew of it: once after an upgrade, an hour at a time.

What an hour's rows have more of than its sums is appended as an ingest appends it, in one statement and so within one
snapshot: whatever comes in or is folded meanwhile, nothing counts twice, and an hour that is counted again stays as it
is. Nobody waits for it. What such a request would have cost is not counted: its row has neither usage nor price.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool

from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.ledger.periods import HOUR, LAST
from tollway.controlplane.ledger.verify import CLOCK_DAYS
from tollway.runtime import log
from tollway.runtime.clock import Clock

_log = log.get(__name__)
_sql = Statements(__package__ or "")
RECOUNT_LOCK = 0x6C656467_7265636F
"""Advisory lock of whoever counts."""
SETTLED = timedelta(minutes=5)
"""After an hour has ended: who wrote rows while the migration ran has finished."""
PAUSE_SECONDS = 0.05
"""Between two hours: reports and ingest go first."""
WAIT_SECONDS = 60.0


class Step(StrEnum):
    """What a call did: an hour; nothing yet, as it is not over or another process is at it; or all is counted."""

    COUNTED = "counted"
    WAITS = "waits"
    FINISHED = "finished"


class _Locked(msgspec.Struct):
    locked: bool


class _State(msgspec.Struct):
    done: datetime
    ends: datetime


class _Hour(msgspec.Struct):
    begins: datetime | None


async def recount(db: Database, now: datetime) -> Step:
    """Counts the next hour, if there is one. `db` must not be in a transaction."""
    async with db.transaction():
        await db.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        lock = await _sql.one(db, "try_partition_lock", _Locked, lock=RECOUNT_LOCK)
        if lock is None or not lock.locked:
            return Step.WAITS
        state = await _sql.one(db, "recount_from", _State)
        if state is None:
            return Step.FINISHED
        found = await _sql.one(db, "next_hour", _Hour, since=state.done)
        begins = found.begins if found is not None else None
        if begins is None or begins >= LAST:
            if now < state.ends + SETTLED:
                return Step.WAITS
            await _sql.run(db, "recounted", done=state.done, finished=True)
            return Step.FINISHED
        # Rows of hours that begin after the migration came after it, whatever a wrong clock says of them.
        if begins < state.ends and now < begins + HOUR + SETTLED:
            return Step.WAITS
        ends = begins + HOUR
        first_day, last_day = (begins - CLOCK_DAYS).date(), (ends + CLOCK_DAYS).date()
        await _sql.run(db, "recount_hour", begins=begins, ends=ends, first_day=first_day, last_day=last_day)
        await _sql.run(db, "recounted", done=ends, finished=False)
    return Step.COUNTED


async def keep_recounted(pool: AsyncConnectionPool[Any], clock: Clock) -> None:
    """Background work: counts until everything is, and ends."""
    while True:
        try:
            async with pool.connection() as db:
                step = await recount(db, datetime.fromtimestamp(clock.now_ms() / 1000, UTC))
        except psycopg.OperationalError as error:
            step = Step.WAITS
            _log.warning("cached requests could not be counted; tried again", reason=type(error).__name__)
        if step is Step.FINISHED:
            return
        await asyncio.sleep(PAUSE_SECONDS if step is Step.COUNTED else WAIT_SECONDS)
