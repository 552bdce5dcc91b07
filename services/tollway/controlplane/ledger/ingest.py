"""Takes ledger rows in, exactly once: a batch can be sent again at any time, by anyone, and changes nothing.

Rows are only ever added. A row that cannot be stored goes to quarantine with the reason and never holds up the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool

from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.ledger.packing import copy_data
from tollway.controlplane.ledger.rows import FlatAttempt, FlatRow, Unstorable, flatten, late_row, quarantined
from tollway.core.ledger import RequestRow
from tollway.runtime import log
from tollway.wire.usage_codec import IngestResult

_log = log.get(__name__)
_sql = Statements(__package__ or "")
Pool = AsyncConnectionPool[Any]
_REFUSED = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
"""The database refused a value. All else (it went away, it is full, it shuts down) is for the sender to retry."""
INGEST_LOCK = 0x6C656467_696E6773
"""Advisory lock that those who take rows in share: whoever holds it alone knows that no row is under way."""
RERATE_LOCK = 0x70726963_65730002
"""Advisory lock that whoever rates again holds alone, and true rows that end estimates share: each starts from the sums
that the other has left.
"""
TOO_OLD = "the row is older than what the ledger keeps"


class _Horizon(msgspec.Struct):
    horizon: date


class _Id(msgspec.Struct):
    id: str


async def ingest(pool: Pool, replica: str, rows: Sequence[RequestRow]) -> IngestResult:
    """Stores a batch in one transaction; when it returns, every row is committed or in quarantine.

    `inserted` counts requests that were new. Raises psycopg.OperationalError (also for a full pool) when the database
    could not do it: then nothing is lost by sending the same rows again.
    """
    good: list[FlatRow] = []
    bad: list[dict[str, Any]] = []
    for row in rows:
        try:
            good.append(flatten(row))
        except Unstorable as error:
            bad.append(quarantined(row, str(error)))
    good.sort(key=_by_id)
    try:
        inserted = await _store(pool, replica, good, bad)
    except _REFUSED:
        kept, old = await _by_age(pool, good)
        bad += old
        inserted = await _store(pool, replica, [], bad)
        stored, refused = await _isolate(pool, replica, kept)
        inserted += stored
        bad += refused
    if bad:
        _log.error("ledger rows in quarantine", replica=replica, rows=len(bad), reason=bad[0]["reason"])
    return IngestResult(inserted, len(bad))


def _by_id(flat: FlatRow) -> str:
    return flat.id


def _key(attempt: FlatAttempt) -> bytes:
    return attempt.key


async def _by_age(pool: Pool, rows: list[FlatRow]) -> tuple[list[FlatRow], list[dict[str, Any]]]:
    """Rows of days that retention has dropped, apart: taken in again they would count twice in the roll-ups."""
    async with pool.connection() as db:
        found = await _sql.one(db, "horizon", _Horizon)
    if found is None:
        return rows, []
    first = (found.horizon - date(1970, 1, 1)).days
    old = [quarantined(flat.row, TOO_OLD) for flat in rows if flat.day < first]
    return [flat for flat in rows if flat.day >= first], old


async def _isolate(pool: Pool, replica: str, rows: list[FlatRow]) -> tuple[int, list[dict[str, Any]]]:
    """Stores what can be stored of a batch that was refused as a whole, halving it until the culprit is alone.

    Each part is a transaction of its own: parts of one transaction would lock rows out of order.
    """
    try:
        return await _store(pool, replica, rows, []), []
    except _REFUSED as error:
        if len(rows) == 1:
            reason = f"{error.sqlstate}: {error.diag.message_primary}"
            refused = [quarantined(rows[0].row, reason)]
            await _store(pool, replica, [], refused)
            return 0, refused
    half = len(rows) // 2
    first, refused_first = await _isolate(pool, replica, rows[:half])
    second, refused_second = await _isolate(pool, replica, rows[half:])
    return first + second, refused_first + refused_second


async def _store(pool: Pool, replica: str, rows: list[FlatRow], bad: list[dict[str, Any]]) -> int:
    """One transaction, or two where the first one finds that something of the batch is in the ledger already."""
    if not rows and not bad:
        return 0
    try:
        return await _store_new(pool, replica, rows, bad)
    except psycopg.errors.UniqueViolation:
        return await _store_rest(pool, replica, rows, bad)


async def _store_new(pool: Pool, replica: str, rows: list[FlatRow], bad: list[dict[str, Any]]) -> int:
    """What nearly every batch is: rows that the ledger does not have. Raises UniqueViolation, and nothing was stored,
    when it has one of them, or the batch one of them twice.

    They go in in the order of their ids too: of two writers with the same rows one waits for the other at the first.
    """
    async with pool.connection() as db, db.transaction():
        await _begin(db)
        if rows:
            await _sql.copy(db, "copy_requests", copy_data(flat.packed for flat in rows))
            attempts = [attempt for flat in rows for attempt in flat.attempts]
            if attempts:
                attempts.sort(key=_key)
                await _sql.run(db, "say_whether_fresh", fresh="on")
                await _sql.copy(db, "copy_attempts", copy_data(attempt.packed for attempt in attempts))
        await _put_aside(db, replica, bad)
    return len(rows)


async def _store_rest(pool: Pool, replica: str, rows: list[FlatRow], bad: list[dict[str, Any]]) -> int:
    """What the ledger has not of a batch. Every statement sees what others committed before it: that is how a true row
    finds the estimate that another writer booked a moment ago, after it has waited for it.
    """
    async with pool.connection() as db, db.transaction():
        await _begin(db)
        await _sql.run(db, "make_sent_requests")
        await _sql.copy(db, "copy_sent_requests", copy_data(flat.packed for flat in rows))
        inserted = await _sql.run(db, "insert_requests")
        fresh = {found.id for found in await _sql.all(db, "fresh_requests", _Id)}
        await _store_attempts(db, [flat for flat in rows if flat.id in fresh], "on")
        await _store_attempts(db, [flat for flat in rows if flat.id not in fresh], "off")
        await _put_aside(db, replica, bad)
    return inserted


async def _begin(db: Database) -> None:
    await db.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    await _sql.run(db, "share_lock", lock=INGEST_LOCK)


async def _put_aside(db: Database, replica: str, bad: list[dict[str, Any]]) -> None:
    if bad:
        await _sql.run(db, "insert_quarantine", rows=msgspec.json.encode(bad).decode(), replica=replica)


async def _store_attempts(db: Database, rows: list[FlatRow], fresh: str) -> None:
    """The attempts of requests that are all new in the ledger (`fresh` "on"), or all known ("off")."""
    attempts = [late_row(attempt) for flat in rows for attempt in flat.attempts]
    if not attempts:
        return
    await _sql.run(db, "say_whether_fresh", fresh=fresh)
    await _sql.run(db, "make_sent_attempts")
    await _sql.copy(db, "copy_sent_attempts", copy_data(attempts))
    if await _sql.run(db, "insert_attempts") < len(attempts):
        await _sql.run(db, "share_lock", lock=RERATE_LOCK)
        await _sql.run(db, "insert_adjustments")
    await _sql.run(db, "forget_attempts")
