"""Partitions are made ahead of need, by one process at a time, and take over what the default partition held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from psycopg.sql import SQL, Identifier

from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.ledger.ingest import ingest
from tollway.controlplane.ledger.partitions import TABLES, Width, default_rows, ensure_partitions
from tollway.controlplane.ledger.service import Ledger
from tollway.testkit.ledger_rows import NOON_MS, request_row, schema_database
from tollway.testkit.servers import PostgresServer
from tollway.testkit.table_locks import until_locked

TODAY = datetime.fromtimestamp(NOON_MS / 1000, UTC).date()


class FixedClock:
    """Always noon of the same day; monotonic time stands still."""

    def now_ms(self) -> int:
        return NOON_MS

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
async def pool(postgres: PostgresServer) -> AsyncIterator[Pool]:
    async with create_pool(schema_database(postgres), 8) as opened:
        yield opened


async def partitions(pool: Pool, table: str) -> list[str]:
    async with pool.connection() as db:
        cursor = await db.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass ORDER BY 1", (table,)
        )
        return [name for (name,) in await cursor.fetchall() if not name.endswith("_default")]


async def ensure(pool: Pool, today: date = TODAY, **options: Any) -> int | None:
    async with pool.connection() as db:
        return await ensure_partitions(db, today, **options)


async def test_months_from_yesterday_on_are_made_once(pool: Pool) -> None:
    assert await ensure(pool) == 2 * len(TABLES)
    assert await ensure(pool) == 0
    for table in TABLES:
        assert await partitions(pool, table) == [f"{table}_20260901_20261001", f"{table}_20261001_20261101"]


async def test_rows_go_where_they_belong_and_those_of_no_partition_into_the_default(pool: Pool) -> None:
    await ensure(pool)
    year = 365 * 86_400_000
    await ingest(pool, "dp", [request_row(NOON_MS), request_row(NOON_MS + year)])
    async with pool.connection() as db:
        assert await default_rows(db) == 2
        counted = await (await db.execute("SELECT count(*) FROM ledger_requests_20260901_20261001")).fetchone()
    assert counted == (1,)


async def test_a_partition_made_late_takes_over_the_rows_of_its_days(pool: Pool) -> None:
    rows = [request_row(NOON_MS + n) for n in range(50)]
    await ingest(pool, "dp", rows)
    assert await ensure(pool, wait=False) == 4
    async with pool.connection() as db:
        assert await default_rows(db) == 0
        counted = await (await db.execute("SELECT count(*) FROM ledger_attempts_20260901_20261001")).fetchone()
    assert counted == (50,)
    assert (await ingest(pool, "dp", rows)).inserted == 0


@pytest.mark.parametrize("table", TABLES)
async def test_who_reads_while_rows_move_sees_every_one(pool: Pool, table: str) -> None:
    await ingest(pool, "dp", [request_row(NOON_MS + n) for n in range(5)])

    async def read() -> Any:
        async with pool.connection() as db:
            query = SQL("SELECT count(*) FROM {} WHERE day > %s").format(Identifier(table))
            return await (await db.execute(query, [date(2026, 1, 1)])).fetchone()

    async with pool.connection() as slow, slow.transaction():
        await slow.execute(SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(Identifier(f"{table}_default")))
        making = asyncio.create_task(ensure(pool))
        await until_locked(pool, 1)
        reading = asyncio.create_task(read())
        await until_locked(pool, 2)
    assert await reading == (5,)
    await making


async def test_days_can_follow_months(pool: Pool) -> None:
    await ensure(pool, days_ahead=0)
    await ensure(pool, days_ahead=11, width=Width.DAY)
    assert await partitions(pool, "ledger_requests") == [
        "ledger_requests_20260901_20261001",
        "ledger_requests_20261001_20261002",
        "ledger_requests_20261002_20261003",
    ]


async def test_processes_that_start_together_and_writers_do_not_disturb_each_other(pool: Pool) -> None:
    rows = [request_row(NOON_MS + n) for n in range(300)]
    batches = [rows[n : n + 50] for n in range(0, 300, 50)]
    done = await asyncio.gather(*(ensure(pool) for _ in range(4)), *(ingest(pool, "dp", batch) for batch in batches))
    assert sum(made for made in done[:4] if isinstance(made, int)) == 4
    async with pool.connection() as db:
        counted = await (await db.execute("SELECT count(*) FROM ledger_requests")).fetchone()
    assert counted == (300,)


async def test_the_background_work_makes_them_and_counts_rows(pool: Pool) -> None:
    ledger = Ledger(pool, FixedClock())
    ledger.start()
    try:
        async with asyncio.timeout(10):
            while len(await partitions(pool, "ledger_attempts")) < 2:
                await asyncio.sleep(0.05)
    finally:
        await ledger.close()
    await ledger.ingest("dp", [request_row(), request_row(id="bad")])
    assert (ledger.counters.rows_received, ledger.counters.rows_inserted, ledger.counters.rows_quarantined) == (2, 1, 1)
    assert await ledger.quarantined_rows() == 1
