"""Takes bodies in, each once: a batch can be sent again at any time and changes nothing.

A body that cannot be stored is counted, told in the log and left out; it never holds up the others. What was erased,
and what is older than it may be kept, is not stored either. The ledger is never touched here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from tollway.controlplane.db.pool import Pool
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.requestlog.partitions import Slot
from tollway.controlplane.requestlog.rows import FlatBody, Unstorable, clean, flatten
from tollway.controlplane.requestlog.store import ContentRef, ContentStore
from tollway.core.requestlog import LoggedBody
from tollway.runtime import log

_log = log.get(__name__)
_sql = Statements(__package__ or "")
CHUNK_BYTES = 8 << 20
CHUNK_BODIES = 500
"""One statement takes no more than this, so that a large batch holds neither a connection nor memory for long."""
MAX_COUNT = 1 << 40
"""No replica drops more bodies than this between two calls: more is taken for a defect and cut."""
ERASURE_GATE = 0x7265716C_65726173
"""Advisory lock: shared by whoever stores, alone for whoever erases, so that nothing slips in between."""
_REFUSED = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)


class StoreResult(msgspec.Struct, frozen=True):
    """What became of a batch: new, refused for what they are, and too old to be kept.

    `packed_bytes` were new; `slots` are where the rows belong.
    """

    stored: int
    refused: int
    expired: int
    packed_bytes: int
    slots: frozenset[Slot]


class Loss(msgspec.Struct, frozen=True):
    """Bodies that were lost of one replica: dropped by itself, refused here. `last_hour` is when last."""

    replica: str
    dropped: int
    refused: int
    last_hour: datetime


class _Absent(msgspec.Struct, frozen=True):
    id: UUID


async def ingest(
    pool: Pool, store: ContentStore, replica: str, bodies: Sequence[LoggedBody], dropped: int, now: datetime
) -> StoreResult:
    """Stores a batch; when it returns, what can be stored is committed, and what was lost is counted.

    Raises psycopg.OperationalError or StoreUnavailable when it could not be done: the batch can then be sent again.
    """
    good, refused, expired = _sorted_out(bodies, now)
    stored = packed = 0
    for chunk in _chunks(good):
        count, size, bad = await _store(pool, store, chunk)
        stored += count
        packed += size
        refused += bad
    if refused:
        _log.error("bodies refused by the request log", replica=replica, bodies=len(refused), reason=refused[0])
    if expired:
        _log.warning("bodies came after their retention", replica=replica, bodies=expired)
    dropped = min(max(dropped, 0), MAX_COUNT)
    if dropped:
        _log.warning("a data plane dropped bodies: its spool was full or broken", replica=replica, bodies=dropped)
    if dropped or refused:
        async with pool.connection() as db:
            name = clean(replica) or "unknown"
            await _sql.run(db, "add_losses", replica=name, at=now, dropped=dropped, refused=len(refused))
    slots = frozenset(Slot(flat.retention_days, flat.day) for flat in good)
    return StoreResult(stored, len(refused), expired, packed, slots)


def _sorted_out(bodies: Sequence[LoggedBody], now: datetime) -> tuple[list[FlatBody], list[str], int]:
    """The bodies to store, why others are refused, and how many are too old."""
    good: list[FlatBody] = []
    refused: list[str] = []
    expired = 0
    for body in bodies:
        try:
            flat = flatten(body)
        except Unstorable as error:
            refused.append(str(error))
            continue
        if flat.day + timedelta(days=flat.retention_days) < now.date():
            expired += 1
        else:
            good.append(flat)
    return good, refused, expired


def _chunks(bodies: list[FlatBody]) -> list[list[FlatBody]]:
    chunks: list[list[FlatBody]] = []
    size = CHUNK_BYTES
    for body in bodies:
        if size + len(body.content) > CHUNK_BYTES or len(chunks[-1]) >= CHUNK_BODIES:
            chunks.append([])
            size = 0
        chunks[-1].append(body)
        size += len(body.content)
    return chunks


async def _store(pool: Pool, store: ContentStore, bodies: list[FlatBody]) -> tuple[int, int, list[str]]:
    """New rows, their packed bytes, and why others were refused. The contents go first: a row never lacks its own."""
    kept = await store.put(bodies)
    try:
        stored, erased = await _insert(pool, bodies, kept)
    except _REFUSED as error:
        if len(bodies) == 1:
            return 0, 0, [f"{error.sqlstate}: {error.diag.message_primary}"]
        half = len(bodies) // 2
        first = await _store(pool, store, bodies[:half])
        second = await _store(pool, store, bodies[half:])
        return first[0] + second[0], first[1] + second[1], first[2] + second[2]
    if erased:
        await store.delete([ContentRef(body.retention_days, body.day, body.id) for body in erased])
    total = sum(len(body.content) for body in bodies)
    return stored, total * stored // len(bodies), []


async def _insert(pool: Pool, bodies: list[FlatBody], kept: list[bytes | None]) -> tuple[int, list[FlatBody]]:
    """New rows; and the bodies that were erased before they came, whose contents lie outside of the rows."""
    columns: list[dict[str, Any]] = [body.columns for body in bodies]
    rows = (await asyncio.to_thread(msgspec.json.encode, columns)).decode()
    async with pool.connection() as db, db.transaction():
        await db.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")  # sees what was erased while it waited
        await _sql.run(db, "erasure_gate_shared", lock=ERASURE_GATE)
        stored = await _sql.run(db, "insert_bodies", rows=rows, contents=kept)
        outside = [body for body, content in zip(bodies, kept, strict=True) if content is None]
        if stored == len(bodies) or not outside:
            return stored, []
        ids, days = [body.id for body in outside], [body.day for body in outside]
        absent = {found.id for found in await _sql.all(db, "without_row", _Absent, ids=ids, days=days)}
    return stored, [body for body in outside if body.id in absent]


async def losses(db: Database, since: datetime) -> list[Loss]:
    """Bodies lost since a time, by replica: for alerts and for the status page. Whole hours count."""
    return await _sql.all(db, "losses", Loss, since=since)
