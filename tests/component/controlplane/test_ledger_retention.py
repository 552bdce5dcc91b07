"""Old rows go a partition at a time, sums stay, and what went never counts again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.ledger import reports
from tollway.controlplane.ledger.ingest import TOO_OLD, ingest
from tollway.controlplane.ledger.model import QueryUsageRequest
from tollway.controlplane.ledger.partitions import ensure_partitions
from tollway.controlplane.ledger.retention import Retained, detach_expired, horizon, retain
from tollway.controlplane.ledger.rollups import fold
from tollway.controlplane.ledger.service import Ledger
from tollway.testkit.ledger_pieces import pieces
from tollway.testkit.ledger_rows import NOON_MS, attempt_row, request_row, schema_database
from tollway.testkit.servers import PostgresServer

DAY_MS = 86_400_000
TODAY = datetime.fromtimestamp(NOON_MS / 1000, UTC).date()
JULY = NOON_MS - 70 * DAY_MS


class FixedClock:
    """Noon of `TODAY`."""

    def now_ms(self) -> int:
        return NOON_MS

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
async def pool(postgres: PostgresServer) -> AsyncIterator[Pool]:
    async with create_pool(schema_database(postgres), 8) as opened:
        async with opened.connection() as db:
            for day in (date(2026, 7, 10), date(2026, 8, 10), TODAY):
                await ensure_partitions(db, day, days_ahead=0)
        yield opened


async def drop(pool: Pool, days: int = 45, **options: Any) -> Retained:
    async with pool.connection() as db:
        return await retain(db, TODAY, days, **options)


async def ask(pool: Pool, statement: str) -> Any:
    async with pool.connection() as db:
        row = await (await db.execute(statement.encode())).fetchone()
    assert row is not None
    return row[0]


async def requests(pool: Pool, begin: datetime, end: datetime) -> int:
    async with pool.connection() as db:
        found = await reports.query_usage(db, QueryUsageRequest(by="project", from_=begin, to=end), end)
    return found.total.requests


async def test_whole_partitions_go_and_their_sums_stay(pool: Pool) -> None:
    await ingest(pool, "dp", [request_row(JULY + n) for n in range(30)] + [request_row()])
    dropped = ["ledger_requests_20260701_20260801", "ledger_attempts_20260701_20260801"]
    assert await drop(pool, dry_run=True) == Retained(dropped, None)
    assert await ask(pool, "SELECT count(*) FROM ledger_requests") == 31
    assert await drop(pool, days=1000) == Retained([], None)
    assert await drop(pool) == Retained(dropped, date(2026, 8, 1))
    assert await drop(pool) == Retained([], date(2026, 8, 1))
    assert await ask(pool, "SELECT count(*) FROM ledger_requests") == 1
    assert await ask(pool, "SELECT count(*) FROM ledger_attempts") == 1
    july = datetime(2026, 7, 1, tzinfo=UTC)
    assert await requests(pool, july, july + timedelta(days=31)) == 30
    at = datetime.fromtimestamp(JULY / 1000, UTC) + timedelta(minutes=1)
    assert await requests(pool, at, at + timedelta(minutes=1)) == 30  # of its whole hour
    found = await pieces(pool, july, datetime(2026, 9, 30, tzinfo=UTC))
    assert all(piece.clean for piece in found)
    assert sum(piece.compared for piece in found) > 0


@pytest.mark.parametrize(
    ("spoil", "rollups"),
    [
        ("UPDATE ledger_hours SET requests = requests + 1 WHERE requests > 0", {"day"}),
        ("UPDATE ledger_weeks SET requests = requests + 1 WHERE requests > 0", {"week"}),
        ("DELETE FROM ledger_totals", {"total"}),
    ],
)
async def test_where_no_rows_are_left_sums_are_compared_with_each_other(
    pool: Pool, spoil: str, rollups: set[str]
) -> None:
    await ingest(pool, "dp", [request_row(JULY + n) for n in range(30)])
    async with pool.connection() as db:
        while await fold(db):
            pass
    await drop(pool)
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    clean = await pieces(pool, begin, datetime.fromtimestamp(NOON_MS / 1000, UTC))
    assert all(piece.clean for piece in clean)
    assert clean[0].compared > 2
    assert len(clean) < 100
    async with pool.connection() as db:
        await db.execute(spoil.encode())
    spoilt = await pieces(pool, begin, datetime.fromtimestamp(NOON_MS / 1000, UTC))
    assert {found.rollup for piece in spoilt for found in piece.differences} == rollups


async def test_files_that_a_process_left_behind_go_with_the_next_drop(pool: Pool) -> None:
    await ingest(pool, "dp", [request_row(JULY)])
    left = "SELECT count(*) FROM pg_class WHERE relname ~ '^ledger_.*_detached$'"
    async with pool.connection() as db:
        await detach_expired(db, TODAY, 45)  # and it ended here
    assert await ask(pool, "SELECT count(*) FROM ledger_requests") == 0
    assert await ask(pool, left) == 2
    assert await drop(pool, dry_run=True) == Retained([], date(2026, 8, 1))
    assert await ask(pool, left) == 2
    assert await drop(pool) == Retained([], date(2026, 8, 1))
    assert await ask(pool, left) == 0


async def test_a_replay_of_what_went_is_put_aside_and_counts_no_second_time(pool: Pool) -> None:
    lost = attempt_row(JULY, estimated=True)
    old = [request_row(JULY, attempts=(lost,)), *(request_row(JULY + n) for n in range(20))]
    await ingest(pool, "dp", old)
    await drop(pool)
    true = msgspec.structs.replace(old[0], attempts=(msgspec.structs.replace(lost, estimated=False),))
    new = [request_row(NOON_MS + n) for n in range(20)]
    for _ in range(2):
        result = await ingest(pool, "dp", [*old, true, *new])
        assert result.quarantined == 22
    assert await ask(pool, "SELECT count(*) FROM ledger_requests") == 20
    assert await ask(pool, "SELECT array_agg(DISTINCT reason) FROM ledger_quarantine") == [TOO_OLD]
    july = datetime(2026, 7, 1, tzinfo=UTC)
    assert await requests(pool, july, july + timedelta(days=31)) == 21


async def test_an_attempt_that_is_too_old_takes_only_its_own_request_aside(pool: Pool) -> None:
    await drop(pool)
    mixed = request_row(attempts=(attempt_row(JULY),))
    result = await ingest(pool, "dp", [request_row(), mixed, request_row()])
    assert (result.inserted, result.quarantined) == (2, 1)


async def test_a_drop_amid_writers_takes_under_a_second_and_holds_nobody_up(pool: Pool) -> None:
    await ingest(pool, "dp", [request_row(JULY + n) for n in range(3_000)])
    slowest, stored, stop = 0.0, 0, False

    async def write() -> None:
        nonlocal slowest, stored
        while not stop:
            began = time.monotonic()
            result = await ingest(pool, "dp", [request_row(NOON_MS + n) for n in range(100)])
            stored += result.inserted
            slowest = max(slowest, time.monotonic() - began)

    writers = [asyncio.create_task(write()) for _ in range(3)]
    await asyncio.sleep(0.2)
    began = time.monotonic()
    await drop(pool)
    took = time.monotonic() - began
    await asyncio.sleep(0.1)
    stop = True
    await asyncio.gather(*writers)
    assert await ask(pool, "SELECT count(*) FROM ledger_requests") == stored > 0
    assert took < 1
    assert slowest < 1
    async with pool.connection() as db:
        while await fold(db):
            pass
    assert await ask(pool, "SELECT sum(requests) FROM ledger_days JOIN ledger_groups g ON g.id = group_id"
                           " WHERE provider IS NULL") == stored + 3_000  # fmt: skip


async def test_a_transaction_that_stays_open_delays_the_drop_and_not_the_writers(pool: Pool) -> None:
    await ingest(pool, "dp", [request_row(JULY)])
    async with pool.connection() as reader:
        await reader.execute("BEGIN; SELECT count(*) FROM ledger_requests")
        dropping = asyncio.create_task(drop(pool))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await ingest(pool, "dp", [request_row()])
        assert time.monotonic() - began < 1
        assert not dropping.done()
        await reader.execute("COMMIT")
    assert (await dropping).horizon == date(2026, 8, 1)


async def test_an_autovacuum_of_the_old_partition_gives_way(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("vacuumed") / "data"
    server = PostgresServer(folder, in_memory=True, autovacuum_naptime="1s").start()
    # Of that table alone: at the catalog's, all workers would be busy for as long.
    slow = "autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1"
    try:
        async with create_pool(schema_database(server), 8) as pool:
            async with pool.connection() as db:
                await ensure_partitions(db, date(2026, 7, 10), days_ahead=0)
                await db.execute(f"ALTER TABLE ledger_requests_20260701_20260801 SET ({slow})".encode())
            await ingest(pool, "dp", [request_row(JULY + n) for n in range(5_000)])
            vacuums = "SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid::regclass::text ~ '_20260701_'"
            async with asyncio.timeout(30):
                while not await ask(pool, vacuums):  # it would take minutes
                    await asyncio.sleep(0.05)
            async with asyncio.timeout(10):
                assert (await drop(pool)).horizon == date(2026, 8, 1)
    finally:
        server.stop()


async def test_it_happens_by_itself_when_days_are_set(pool: Pool) -> None:
    await ingest(pool, "dp", [request_row(JULY)])
    ledger = Ledger(pool, FixedClock(), retention_days=45)
    ledger.start()
    try:
        async with asyncio.timeout(10), pool.connection() as db:
            while await horizon(db) != date(2026, 8, 1):
                await asyncio.sleep(0.02)
    finally:
        await ledger.close()
