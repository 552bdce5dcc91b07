"""Bodies are stored once, apart from the ledger, and end with their retention class."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.requestlog.ingest import Loss, losses
from tollway.controlplane.requestlog.partitions import DAYS_AHEAD, PARTITION_LOCK
from tollway.controlplane.requestlog.service import RequestLog
from tollway.core.requestlog import RETENTION_CLASSES
from tollway.testkit.fakes.clock import FakeClock
from tollway.testkit.ledger_rows import NOON_MS, schema_database
from tollway.testkit.logged_bodies import logged_body, packed
from tollway.testkit.servers import PostgresServer
from tollway.testkit.table_locks import until_locked

DAY_MS = 86_400_000
TODAY = datetime.fromtimestamp(NOON_MS / 1000, UTC).date()


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return schema_database(postgres)


@pytest.fixture
async def pool(url: str) -> AsyncIterator[Pool]:
    async with create_pool(url, 4) as opened:
        yield opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON_MS)


@pytest.fixture
def log(pool: Pool, clock: FakeClock) -> RequestLog:
    return RequestLog(pool, clock)


async def sql(pool: Pool, query: str, *values: Any) -> list[tuple[Any, ...]]:
    async with pool.connection() as db:
        cursor = await db.execute(query.encode(), values)
        return list(await cursor.fetchall()) if cursor.description else []


async def stored(pool: Pool) -> int:
    count: int = (await sql(pool, "SELECT count(*) FROM request_log"))[0][0]
    return count


async def partitions(pool: Pool) -> set[str]:
    found = await sql(pool, r"SELECT relname FROM pg_class WHERE relname ~ '^request_log_\d+_\d{8}$' AND relkind = 'r'")
    return {name for (name,) in found}


async def test_a_batch_sent_again_changes_nothing(log: RequestLog, pool: Pool) -> None:
    bodies = [logged_body(NOON_MS - number) for number in range(20)]
    assert await log.store("dp-1", bodies, 0) == 20
    before = await sql(pool, "SELECT * FROM request_log ORDER BY id")
    assert await log.store("dp-2", [*bodies[5:], logged_body(NOON_MS)], 0) == 1
    assert [row for row in await sql(pool, "SELECT * FROM request_log ORDER BY id") if row in before] == before
    assert await stored(pool) == 21


async def test_batches_in_any_order_at_once_never_wait_for_good(log: RequestLog, pool: Pool) -> None:
    bodies = [logged_body(NOON_MS - number) for number in range(300)]
    counts = await asyncio.gather(
        log.store("dp-1", bodies, 0), log.store("dp-2", bodies[::-1], 0), log.store("dp-3", bodies[100:200], 0)
    )
    assert sum(counts) == await stored(pool) == 300


async def test_rows_are_written_in_one_order_whatever_the_plan(log: RequestLog, pool: Pool) -> None:
    bodies = [logged_body(NOON_MS + number) for number in range(300)]
    random.Random(4).shuffle(bodies)
    await log.store("dp-1", bodies, 0)
    written = [row[0] for row in await sql(pool, "SELECT id FROM request_log ORDER BY tableoid, ctid")]
    assert written == sorted(written), "else two batches that share rows can wait for each other for good"


async def test_what_came_is_what_is_kept(log: RequestLog, pool: Pool) -> None:
    content = packed("hello", {"base64": "AAEC"}, streamed=True)
    body = logged_body(
        NOON_MS,
        content=content,
        user="ana@example.org",
        tags={"team": "web", "ümlaut": "\u2028"},
        stream=True,
        masked=True,
        truncated=True,
        error_code="overloaded",
        client_request_id="mine-1",
        retention_days=7,
    )
    assert await log.store("dp-1", [body], 0) == 1
    (row,) = await sql(
        pool,
        "SELECT id::text, retention_days, client_user, tags, stream, masked, truncated, error_code, client_request_id,"
        " content, stored_bytes, started_at, duration_ms FROM request_log",
    )
    at = datetime.fromtimestamp(NOON_MS / 1000, UTC)
    assert row == (
        body.request_id, 7, "ana@example.org", {"team": "web", "ümlaut": "\u2028"}, True, True, True, "overloaded",
        "mine-1", content, len(content), at, 300,
    )  # fmt: skip


async def test_contents_are_not_compressed_again(log: RequestLog, pool: Pool) -> None:
    await log.look()
    await log.store("dp-1", [logged_body(NOON_MS)], 0)
    found = await sql(
        pool,
        "SELECT DISTINCT attstorage FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE relname LIKE 'request\\_log%%' AND attname = 'content'",
    )
    assert found == [("e",)]


BAD: list[dict[str, Any]] = [
    {"request_id": "x"},
    {"request_id": "00000000-0000-4000-8000-000000000000"},
    {"request_id": "ffffffff-ffff-7fff-bfff-ffffffffffff"},
    {"retention_days": 31},
    {"retention_days": -1},
    {"content": b"plain text"},
    {"content": b""},
]


async def test_bad_bodies_are_counted_and_hold_up_nothing(log: RequestLog, pool: Pool) -> None:
    batch = [logged_body(NOON_MS, **fields) for fields in BAD]
    batch.insert(3, logged_body(NOON_MS))
    assert await log.store("dp-1", batch, 0) == 1
    assert (log.counters.bodies_refused, log.counters.bodies_stored) == (len(BAD), 1)
    async with pool.connection() as db:
        (loss,) = await losses(db, datetime.fromtimestamp(NOON_MS / 1000, UTC))
    assert (loss.replica, loss.dropped, loss.refused) == ("dp-1", 0, len(BAD))


async def test_words_that_do_not_fit_are_cut_not_lost(log: RequestLog, pool: Pool) -> None:
    body = logged_body(
        NOON_MS,
        user_agent="ä" * 5000,
        client_request_id="a\0b",
        status=-5,
        duration_ms=-1,
        plain_bytes=1 << 63,
        started_ms=1,
        tags={f"t{number}": "v" * 3000 for number in range(200)},
    )
    assert await log.store("dp-1", [body], 0) == 1
    (row,) = await sql(
        pool, "SELECT length(user_agent), client_request_id, status, duration_ms, started_at FROM request_log"
    )
    assert row == (1000, "a\u2400b", 0, 0, datetime.fromtimestamp(NOON_MS / 1000, UTC))


async def test_dropped_bodies_are_counted_by_replica(log: RequestLog, pool: Pool, clock: FakeClock) -> None:
    await log.store("dp-1", [], 3)
    await log.store("dp-1", [], 4)
    await log.store("dp-2", [], 1)
    clock.advance(7200)
    await log.store("dp-1", [], 5)
    hour = datetime.fromtimestamp(NOON_MS / 1000, UTC).replace(minute=0, second=0, microsecond=0)
    later = hour + timedelta(hours=2)
    async with pool.connection() as db:
        assert await losses(db, hour) == [Loss("dp-1", 12, 0, later), Loss("dp-2", 1, 0, hour)]
        assert await losses(db, later) == [Loss("dp-1", 5, 0, later)]
    assert log.counters.bodies_dropped_by_replicas == 13


async def test_partitions_are_made_ahead_for_classes_in_use(log: RequestLog, pool: Pool, clock: FakeClock) -> None:
    await log.look()
    assert await partitions(pool) == set()
    bodies = [logged_body(NOON_MS - day * DAY_MS, retention_days=7) for day in (0, 3)]
    assert await log.store("dp-1", bodies, 0) == 2
    assert (await sql(pool, "SELECT count(*) FROM request_log_7_default"))[0][0] == 2
    await log.look()
    days = {TODAY + timedelta(days=ahead) for ahead in (-3, -1, 0, *range(1, DAYS_AHEAD + 1))}
    assert await partitions(pool) == {f"request_log_7_{day:%Y%m%d}" for day in days}
    assert (await sql(pool, "SELECT count(*) FROM request_log_7_default"))[0][0] == 0
    assert await log.store("dp-1", bodies, 0) == 0


@pytest.mark.parametrize("retention_days", RETENTION_CLASSES)
async def test_a_day_is_dropped_when_all_of_it_is_over(
    log: RequestLog, pool: Pool, clock: FakeClock, retention_days: int
) -> None:
    last_ms = (NOON_MS // DAY_MS + 1) * DAY_MS - 1
    await log.store("dp-1", [logged_body(last_ms, retention_days=retention_days)], 0)
    await log.look()
    name = f"request_log_{retention_days}_{TODAY:%Y%m%d}"
    assert name in await partitions(pool)
    clock.advance((last_ms - NOON_MS) / 1000 + retention_days * 86_400)
    await log.look()
    assert (name in await partitions(pool), await stored(pool)) == (True, 1)  # its last row is just that old
    clock.advance(0.001)
    started = time.perf_counter()
    await log.look()
    assert time.perf_counter() - started < 1
    assert (name in await partitions(pool), await stored(pool)) == (False, 0)
    assert await log.store("dp-1", [logged_body(last_ms, retention_days=retention_days)], 0) == 0
    assert log.counters.bodies_expired == 1


async def test_a_row_of_a_wrong_clock_ends_too(log: RequestLog, pool: Pool, clock: FakeClock) -> None:
    far = logged_body(NOON_MS + 900 * DAY_MS, retention_days=1)
    assert await log.store("dp-1", [far], 0) == 1
    await log.look()
    assert f"request_log_1_{TODAY + timedelta(days=900):%Y%m%d}" not in await partitions(pool)
    assert await stored(pool) == 1
    await sql(pool, "UPDATE request_log SET received_at = %s", datetime.fromtimestamp(NOON_MS / 1000, UTC))
    clock.advance(2 * 86_400)
    await log.look()
    assert await stored(pool) == 0


async def test_one_process_looks_at_a_time(log: RequestLog, pool: Pool, url: str) -> None:
    await log.store("dp-1", [logged_body(NOON_MS)], 0)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as other:
        await other.execute("SELECT pg_advisory_lock(%s)", (PARTITION_LOCK,))
        await log.look()
        assert await partitions(pool) == set()
        # Not by closing the connection: the server may notice that only after the next look.
        await other.execute("SELECT pg_advisory_unlock(%s)", (PARTITION_LOCK,))
    await log.look()
    assert len(await partitions(pool)) == DAYS_AHEAD + 2


async def test_a_reader_does_not_keep_others_waiting_for_good(
    log: RequestLog, pool: Pool, clock: FakeClock, url: str
) -> None:
    await log.store("dp-1", [logged_body(NOON_MS, retention_days=1)], 0)
    await log.look()
    clock.advance(3 * 86_400)
    async with await psycopg.AsyncConnection.connect(url) as reader:
        await reader.execute("SELECT count(*) FROM request_log_1")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await log.look()
    await log.look()
    assert await stored(pool) == 0


async def test_who_reads_while_rows_move_sees_every_one(log: RequestLog, pool: Pool) -> None:
    await log.store("dp-1", [logged_body(NOON_MS - DAY_MS - n, retention_days=7) for n in range(5)], 0)
    async with pool.connection() as slow, slow.transaction():
        await slow.execute("LOCK TABLE request_log_7_default IN ACCESS SHARE MODE")
        making = asyncio.create_task(log.look())
        await until_locked(pool, 1)
        reading = asyncio.create_task(stored(pool))
        await until_locked(pool, 2)
    assert await reading == 5
    await making


async def test_bodies_larger_than_a_chunk_all_arrive(log: RequestLog, pool: Pool) -> None:
    big = packed()[:4] + bytes(3 << 20)
    assert await log.store("dp-1", [logged_body(NOON_MS, content=big) for _ in range(6)], 0) == 6
    assert (await sql(pool, "SELECT DISTINCT stored_bytes FROM request_log")) == [(len(big),)]
    assert log.counters.stored_bytes == 6 * len(big)


async def test_while_a_drop_waits_for_upkeep_of_its_partition_nobody_waits_for_the_drop(
    log: RequestLog, pool: Pool, clock: FakeClock, url: str
) -> None:
    await log.store("dp-1", [logged_body(NOON_MS, retention_days=1)], 0)
    await log.look()
    clock.advance(3 * 86_400)
    part = f"request_log_1_{TODAY:%Y%m%d}"
    async with await psycopg.AsyncConnection.connect(url) as upkeep:  # holds what a vacuum holds, and does not give way
        await upkeep.execute(f"LOCK TABLE {part} IN SHARE UPDATE EXCLUSIVE MODE".encode())
        dropping = asyncio.create_task(log.look())
        await until_locked(pool, 1)
        held = "SELECT 1 FROM pg_locks WHERE relation = 'request_log_1'::regclass AND mode = 'AccessExclusiveLock'"
        assert await sql(pool, held) == []
        await upkeep.rollback()
    await dropping
    assert part not in await partitions(pool)
