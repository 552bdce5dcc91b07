"""The check of the roll-ups that runs by itself: every hour over the last two days, by one process of all.

What it finds is logged as an error, counted, kept in `ledger_checks`, and told to whoever asked to be told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool

from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.ledger.verify import Difference, verify
from tollway.runtime import log
from tollway.runtime.clock import Clock

_log = log.get(__name__)
_sql = Statements(__package__ or "")
CHECK_LOCK = 0x6C656467_63686563
"""Advisory lock of whoever checks."""
BACK = timedelta(days=2)
EVERY = timedelta(hours=1)
KEEP = timedelta(days=90)
"""How long the results are kept."""
KEPT_DIFFERENCES = 20
LOOK_SECONDS = 300.0


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One run over [`begins`, `ends`): how many differences and problems there are, and the first differences."""

    begins: datetime
    ends: datetime
    found: int
    differences: list[Difference]


OnDifference = Callable[[CheckResult], Awaitable[None]]


class _Locked(msgspec.Struct):
    locked: bool


class _Last(msgspec.Struct):
    checked_at: datetime


async def check(db: Database, now: datetime) -> CheckResult | None:
    """Compares the last two days and records the result; None when another process does, or did within the hour.

    `db` must not be in a transaction. Each piece has a snapshot of its own.
    """
    async with db.transaction():
        lock = await _sql.one(db, "try_partition_lock", _Locked, lock=CHECK_LOCK)
        if lock is None or not lock.locked:
            return None
        if await _sql.one(db, "last_check", _Last, since=now - EVERY + timedelta(minutes=1)) is not None:
            return None
        found = await _all_pieces(db, now - BACK, now)
        await _sql.run(
            db,
            "record_check",
            checked_at=now,
            begins=found.begins,
            ends=found.ends,
            found=found.found,
            differences=msgspec.json.encode(found.differences).decode(),
        )
        await _sql.run(db, "forget_checks", before=now - KEEP)
    return found


async def _all_pieces(db: Database, begin: datetime, end: datetime) -> CheckResult:
    """Every statement compares within one snapshot of its own, so that rows that come in between do no harm."""
    found, differences, reached = 0, list[Difference](), begin
    while reached < end:
        piece = await verify(db, reached, end)
        found += piece.different + sum(f.count for f in piece.findings if f.problem)
        differences += piece.differences[: KEPT_DIFFERENCES - len(differences)]
        reached = piece.ends
    return CheckResult(begins=begin, ends=end, found=found, differences=differences)


async def keep_checked(
    pool: AsyncConnectionPool[Any], clock: Clock, on_result: Callable[[CheckResult], Awaitable[None]]
) -> None:
    """Background work: checks when an hour has passed since anybody did, and hands every result to `on_result`."""
    while True:
        try:
            async with pool.connection() as db:
                result = await check(db, datetime.fromtimestamp(clock.now_ms() / 1000, UTC))
            if result is not None:
                if result.found:
                    _log.error(
                        "the ledger's roll-ups differ from its rows; see: tollway ledger verify",
                        differences=result.found,
                        begins=result.begins.isoformat(),
                        ends=result.ends.isoformat(),
                    )
                await on_result(result)
        except psycopg.OperationalError as error:
            _log.warning("the ledger could not be checked; tried again", reason=type(error).__name__)
        await asyncio.sleep(LOOK_SECONDS)
