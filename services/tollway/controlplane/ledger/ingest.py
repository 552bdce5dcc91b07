"""Takes ledger rows in, exactly once: a batch can be sent again at any time, by anyone, and changes nothing.

Rows are only ever added. A row that cannot be stored goes to quarantine with the reason and never holds up the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool

from tollway.controlplane.db.statements import Statements
from tollway.controlplane.ledger.rows import FlatRow, Unstorable, flatten, quarantined
from tollway.core.ledger import RequestRow
from tollway.runtime import log
from tollway.wire.usage_codec import IngestResult

_log = log.get(__name__)
_sql = Statements(__package__ or "")
Pool = AsyncConnectionPool[Any]
_REFUSED = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
"""The database refused a value. All else (it went away, it is full, it shuts down) is for the sender to retry."""


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
    good.sort(key=lambda flat: str(flat.request["id"]))
    try:
        inserted = await _store(pool, replica, good, bad)
    except _REFUSED:
        inserted = await _store(pool, replica, [], bad)
        stored, refused = await _isolate(pool, replica, good)
        inserted += stored
        bad += refused
    if bad:
        _log.error("ledger rows in quarantine", replica=replica, rows=len(bad), reason=bad[0]["reason"])
    return IngestResult(inserted, len(bad))


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
    """One transaction. Every statement sees what others committed before it (READ COMMITTED): that is how a true row
    finds the estimate that another writer booked a moment ago, after it has waited for it.
    """
    if not rows and not bad:
        return 0
    attempts = [attempt for flat in rows for attempt in flat.attempts]
    async with pool.connection() as db, db.transaction():
        await db.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        inserted = 0
        if rows:
            inserted = await _sql.run(db, "insert_requests", rows=_json([flat.request for flat in rows]))
        if attempts:
            packed = _json(attempts)
            if await _sql.run(db, "insert_attempts", rows=packed) < len(attempts):
                await _sql.run(db, "insert_adjustments", rows=packed)
        if bad:
            await _sql.run(db, "insert_quarantine", rows=_json(bad), replica=replica)
    return inserted


def _json(rows: list[dict[str, Any]]) -> str:
    return msgspec.json.encode(rows).decode()
