"""A large ledger: filled as data planes fill it, then asked, checked and cut down, with a time for each.

Owns the measurement alone; what must hold is said by the tests that call it.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.ledger import reports
from tollway.controlplane.ledger.ingest import ingest
from tollway.controlplane.ledger.model import QueryUsageRequest
from tollway.controlplane.ledger.partitions import ensure_partitions
from tollway.controlplane.ledger.retention import detach_expired, remove_detached
from tollway.controlplane.ledger.rollups import fold, keep_folded
from tollway.controlplane.ledger.verify import verify
from tollway.core.ledger import AttemptRow, RequestRow
from tollway.core.usage import Usage

BEGIN = datetime(2026, 9, 1, tzinfo=UTC)
DAYS = 30
BATCH = 5_000
FLUSHERS = 2
PROJECTS, KEYS, USERS, MODELS = 200, 1_000, 300, 10
"""Every key belongs to one project and one user and uses two models."""
COPIED = 100_000
WATCH_SECONDS = 2.0
DIMENSIONS = ("project", "key", "model", "day", "business_unit", "provider", "user")


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured; seconds, and rows (requests with one attempt each) a second.

    `backlog` is the most deltas that were seen waiting to be folded. `detach_seconds` is what it took until the month
    was out of the ledger and all locks were free, `remove_seconds` until its files were gone as well. `load_before` and
    `load_after` are load averages of the machine, which the measurement itself raises by about 3.
    """

    rows: int
    stored: int
    ingest_rows: float
    copy_rows: float
    fold_seconds: float
    report_p95: float
    project_p95: float
    verify_seconds: float
    verified_clean: bool
    detach_seconds: float
    remove_seconds: float
    reported: int
    backlog: int
    load_before: float
    load_after: float

    def line(self) -> str:
        """For docs/reference/performance.md."""
        return (
            f"{self.rows:,} ledger rows by {FLUSHERS} flushers: {self.ingest_rows:,.0f} a second"
            f" ({self.ingest_rows / self.copy_rows:.2f} of COPY into the same shape); usage by project of the month"
            f" p95 {self.project_p95:.3f} s, by any dimension {self.report_p95:.3f} s; one day verified in"
            f" {self.verify_seconds:.1f} s; the month's partitions detached in {self.detach_seconds:.3f} s, their"
            f" files gone {self.remove_seconds:.3f} s later; at most {self.backlog:,} deltas waited, what was left"
            f" to fold took {self.fold_seconds:.1f} s; load {self.load_before:.1f} before, {self.load_after:.1f} after,"
            f" on {os.cpu_count()} cores"
        )


def batches(rows: int, share: int) -> Iterator[list[RequestRow]]:
    """One flusher's batches of a month of `rows` requests, in the order of time."""
    begin_ms, span_ms = int(BEGIN.timestamp() * 1000), DAYS * 86_400_000
    for start in range(share * BATCH, rows, FLUSHERS * BATCH):
        yield [_row(begin_ms + n * span_ms // rows, n) for n in range(start, min(start + BATCH, rows))]


PROJECT_IDS = [str(UUID(int=number)) for number in range(PROJECTS)]
KEY_IDS = [str(UUID(int=1_000 + number)) for number in range(KEYS)]
TAGS = {"team": "web"}


def _row(at_ms: int, number: int) -> RequestRow:
    """Made with little work: it is made on the machine that is measured."""
    key = number * 7_919 % KEYS
    model = f"model-{(key + number // KEYS % 2) % MODELS}"
    attempt = AttemptRow(
        id=_uuid7(at_ms),
        number=1,
        provider=f"provider-{key % 3}",
        provider_kind="simulator",
        target_model=model,
        started_ms=at_ms,
        ended_ms=at_ms + 250,
        first_byte_ms=at_ms + 50,
        status=200,
        usage=Usage(input=100, cached_input=40, output=10, reasoning=3),
        cost_nano=1_000,
        price_version="2026-09-01",
    )
    return RequestRow(
        id=_uuid7(at_ms),
        organisation="default",
        business_unit=f"unit-{key % 20}",
        project=PROJECT_IDS[key % PROJECTS],
        key_id=KEY_IDS[key],
        key_public_id="AbCd1234",
        endpoint="chat.completions",
        user=f"user-{key % USERS}",
        model=model,
        started_ms=at_ms,
        ended_ms=at_ms + 300,
        status=200,
        tags=TAGS,
        attempts=(attempt,),
    )


def _uuid7(at_ms: int) -> str:
    """RFC 9562, 5.7: milliseconds, version, 12 random bits, variant, 62 random bits; here 60, after an 8."""
    digits = f"{at_ms:012x}{random.getrandbits(72):018x}"
    return f"{digits[:8]}-{digits[8:12]}-7{digits[12:15]}-8{digits[15:18]}-{digits[18:30]}"


async def measure(url: str, rows: int) -> Scale:
    """Fills the empty ledger at `url` with `rows` requests over a month, and measures; the month is gone afterwards."""
    async with create_pool(url, FLUSHERS + 3) as pool:
        async with pool.connection() as db:
            await ensure_partitions(db, BEGIN.date() + timedelta(days=1), days_ahead=DAYS)
        load_before = os.getloadavg()[0]
        began = time.monotonic()
        folding = asyncio.create_task(keep_folded(pool))
        watching = asyncio.create_task(_watch(pool, backlog := [0]))
        stored = sum(await asyncio.gather(*(_fill(pool, rows, share) for share in range(FLUSHERS))))
        took = time.monotonic() - began
        load_after = os.getloadavg()[0]
        folding.cancel()
        watching.cancel()
        await asyncio.wait([folding, watching])
        async with pool.connection() as db:
            await db.execute("SET statement_timeout = 0")
            fold_seconds = await _timed(_fold_all(db))
            await db.execute("ANALYZE")
            copy_rows = await _copy(pool, min(rows, COPIED))
            project, reported = await _reports(db, ("project",) * 20)
            every, _ = await _reports(db, DIMENSIONS * 3)
            day = BEGIN + timedelta(days=DAYS // 2)
            since = time.monotonic()
            piece = await verify(db, day, day + timedelta(days=1))
            verified = time.monotonic() - since
            await _no_vacuum(db)
            detached = await _timed(detach_expired(db, BEGIN.date() + timedelta(days=100), 40))
            removed = await _timed(remove_detached(db))
    return Scale(
        rows=rows,
        stored=stored,
        ingest_rows=rows / took,
        copy_rows=copy_rows,
        fold_seconds=fold_seconds,
        report_p95=_p95(every),
        project_p95=_p95(project),
        verify_seconds=verified,
        verified_clean=piece.clean,
        detach_seconds=detached,
        remove_seconds=removed,
        reported=reported,
        backlog=max(backlog),
        load_before=load_before,
        load_after=load_after,
    )


async def _fill(pool: Pool, rows: int, share: int) -> int:
    stored = 0
    for batch in batches(rows, share):
        result = await ingest(pool, f"dp-{share}", batch)
        stored += result.inserted
    return stored


async def _watch(pool: Pool, backlog: list[int]) -> None:
    """Notes how many deltas wait to be folded, time and again."""
    async with pool.connection() as db:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            counted = await (await db.execute("SELECT count(*) FROM ledger_deltas")).fetchone()
            backlog.append(counted[0] if counted else 0)


async def _fold_all(db: Any) -> None:
    while await fold(db):
        pass


async def _timed(work: Any) -> float:
    began = time.monotonic()
    await work
    return time.monotonic() - began


async def _reports(db: Any, dimensions: tuple[str, ...]) -> tuple[list[float], int]:
    """The seconds of a month's reports whose ends lie amid hours, and what the last one counted in all."""
    begin, end = BEGIN + timedelta(minutes=13), BEGIN + timedelta(days=DAYS, minutes=-17)
    seconds, requests = [], 0
    for by in dimensions:
        since = time.monotonic()
        found = await reports.query_usage(db, QueryUsageRequest(by=by, from_=begin, to=end), end)
        seconds.append(time.monotonic() - since)
        requests = found.total.requests
    return seconds, requests


async def _no_vacuum(db: Any) -> None:
    """Waits until autovacuum is done with what was filled: a drop ends it, which takes the server a second."""
    busy = "SELECT (SELECT count(*) FROM pg_stat_progress_vacuum) + (SELECT count(*) FROM pg_stat_progress_analyze)"
    while (counted := await (await db.execute(busy.encode())).fetchone()) and counted[0]:
        await asyncio.sleep(0.1)


def _p95(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.95) - 1]


async def _copy(pool: Pool, rows: int) -> float:
    """Rows a second of COPY into tables with the same columns and indexes, on as many connections as there were."""
    parts: list[dict[str, bytes]] = []
    async with pool.connection() as db:
        for table in ("requests", "attempts"):
            await db.execute(f"CREATE TABLE copied_{table} (LIKE ledger_{table} INCLUDING ALL)".encode())
        for share in range(FLUSHERS):
            part = {}
            for table in ("requests", "attempts"):
                source = f"SELECT * FROM ledger_{table} ORDER BY day, id LIMIT {rows}"
                source = f"SELECT * FROM ({source}) s WHERE ascii(right(id::text, 1)) % {FLUSHERS} = {share}"
                async with (
                    db.cursor() as cursor,
                    cursor.copy(f"COPY ({source}) TO STDOUT (FORMAT binary)".encode()) as out,
                ):
                    part[table] = b"".join([bytes(chunk) async for chunk in out])
            parts.append(part)

    async def load(part: dict[str, bytes]) -> None:
        async with pool.connection() as db, db.transaction():
            for table, data in part.items():
                async with (
                    db.cursor() as cursor,
                    cursor.copy(f"COPY copied_{table} FROM STDIN (FORMAT binary)".encode()) as target,
                ):
                    await target.write(data)

    took = await _timed(asyncio.gather(*(load(part) for part in parts)))
    return rows / took
