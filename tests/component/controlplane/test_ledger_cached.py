"""What the response cache answered is counted as everything else is; also what came before the roll-ups knew of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tollway.controlplane.db.migrate import migrate, shipped
from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.ledger import reports
from tollway.controlplane.ledger.ingest import ingest
from tollway.controlplane.ledger.model import QueryUsageRequest, UsageRow
from tollway.controlplane.ledger.recount import SETTLED, Step, recount
from tollway.controlplane.ledger.rollups import fold
from tollway.controlplane.ledger.service import Ledger
from tollway.controlplane.ledger.verify import Difference, verify
from tollway.core.ledger import RequestRow
from tollway.testkit.ledger_rows import NOON_MS, request_row, schema_database
from tollway.testkit.servers import PostgresServer

HOUR_MS = 3_600_000
NOON = datetime.fromtimestamp(NOON_MS / 1000, UTC)
BEGIN, END = NOON - timedelta(hours=20), NOON + timedelta(minutes=1)
LATER = timedelta(days=20_000)


class LateClock:
    """So late that every hour is over."""

    def now_ms(self) -> int:
        return NOON_MS + int(LATER.total_seconds() * 1000)

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
async def pool(postgres: PostgresServer) -> AsyncIterator[Pool]:
    async with create_pool(schema_database(postgres), 4) as opened:
        yield opened


@pytest.fixture
def before(postgres: PostgresServer) -> str:
    """A database of the release before."""
    url = postgres.create_database()
    asyncio.run(migrate(url, migrations=[known for known in shipped() if known.number < 24]))
    return url


def rows(*hours: int) -> list[RequestRow]:
    """In each hour, counted back from noon: two that the cache answered, and two that it did not."""
    return [
        request_row(NOON_MS - hour * HOUR_MS, cache=cache, **{"attempts": ()} if cache in ("hit", "shared") else {})
        for hour in hours
        for cache in ("hit", "shared", "miss", "")
    ]


async def usage(pool: Pool, by: str, begin: datetime = BEGIN) -> list[UsageRow]:
    async with pool.connection() as db:
        found = await reports.query_usage(db, QueryUsageRequest(by=by, from_=begin, to=END), NOON)
    return [found.total, *found.rows]


async def differences(pool: Pool) -> list[Difference]:
    found, begin = list[Difference](), BEGIN
    async with pool.connection() as db:
        while begin < END:
            piece = await verify(db, begin, END)
            found, begin = found + piece.differences, piece.ends
    return found


async def fold_all(pool: Pool) -> None:
    async with pool.connection() as db:
        while await fold(db):
            pass


async def step(pool: Pool, now: datetime = NOON + LATER) -> Step:
    async with pool.connection() as db:
        return await recount(db, now)


def cached(found: list[UsageRow]) -> list[tuple[str, int, int]]:
    return [(row.group, row.requests, row.cached_requests) for row in found]


@pytest.mark.parametrize("folded", [False, True])
async def test_they_are_counted_in_every_report(pool: Pool, folded: bool) -> None:
    await ingest(pool, "dp", rows(0, 1, 15))
    await ingest(pool, "dp", rows(0)[2:])
    if folded:
        await fold_all(pool)
    assert cached(await usage(pool, "model")) == [("", 14, 6), ("small", 14, 6)]
    assert cached(await usage(pool, "day"))[1:] == [("2026-09-20", 4, 2), ("2026-09-21", 10, 4)]
    assert [count for _, _, count in cached(await usage(pool, "hour"))] == [6, 2, 2, 2]
    # A part of an hour is counted from the rows.
    assert cached(await usage(pool, "model", NOON - timedelta(minutes=1))) == [("", 6, 2), ("small", 6, 2)]
    # No provider was asked: the total alone knows of them.
    assert cached(await usage(pool, "provider")) == [("", 14, 6), ("prov-1", 8, 0)]
    assert await differences(pool) == []


@pytest.mark.parametrize("rollup", ["hour", "day"])
async def test_verify_finds_a_difference(pool: Pool, rollup: str) -> None:
    await ingest(pool, "dp", rows(0))
    await fold_all(pool)
    async with pool.connection() as db:
        await db.execute(f"UPDATE ledger_{rollup}s SET cached_requests = 5 WHERE cached_requests = 2".encode())
    found = await differences(pool)
    assert [(d.rollup, [(f.name, f.kept, f.counted) for f in d.figures]) for d in found if d.rollup == rollup] == [
        (rollup, [("cached_requests", "5", "2")])
    ]


async def test_after_an_upgrade_what_the_ledger_has_is_counted_hour_by_hour(before: str) -> None:
    async with create_pool(before, 4) as pool:
        await ingest(pool, "dp", rows(1, 3))
        await migrate(before)
        await ingest(pool, "dp", rows(1))
        assert (await usage(pool, "model"))[0].cached_requests == 2, "of the rows that came since"
        assert await differences(pool) == [], "what is not counted yet is no difference"
        await fold_all(pool)
        assert [await step(pool), (await usage(pool, "model"))[0].cached_requests] == [Step.COUNTED, 4]
        assert [await step(pool), (await usage(pool, "model"))[0].cached_requests] == [Step.COUNTED, 6]
        assert await step(pool, datetime.now(UTC)) is Step.WAITS, "for who wrote while the migration ran"
        assert [await step(pool), await step(pool)] == [Step.FINISHED, Step.FINISHED]
        assert await differences(pool) == []
        await fold_all(pool)
        async with pool.connection() as db:
            await db.execute("UPDATE ledger_recount SET done = '1970-01-01T00:00Z', finished = false")
        ledger = Ledger(pool, LateClock())
        ledger.start()
        try:
            async with asyncio.timeout(10):
                while await step(pool) is not Step.FINISHED:
                    await asyncio.sleep(0.02)
        finally:
            await ledger.close()
        assert cached(await usage(pool, "model")) == [("", 12, 6), ("small", 12, 6)], "a second time changes nothing"
        assert await differences(pool) == []


async def test_an_hour_is_counted_when_it_is_over(before: str) -> None:
    async with create_pool(before, 4) as pool:
        at_ms = round(datetime.now(UTC).timestamp() * 1000)
        await ingest(pool, "dp", [request_row(at_ms, cache="hit", attempts=())])
        await migrate(before)
        hour = datetime.fromtimestamp(at_ms // HOUR_MS * HOUR_MS / 1000, UTC)
        over = hour + timedelta(hours=1) + SETTLED
        assert await step(pool, over - timedelta(seconds=1)) is Step.WAITS
        assert await step(pool, over) is Step.COUNTED


async def test_rows_that_retention_has_dropped_keep_their_count(pool: Pool) -> None:
    await ingest(pool, "dp", rows(1))
    await fold_all(pool)
    async with pool.connection() as db:
        await db.execute("DELETE FROM ledger_requests")
        await db.execute("UPDATE ledger_recount SET finished = false")
    assert [await step(pool), await step(pool)] == [Step.COUNTED, Step.FINISHED]
    assert (await usage(pool, "model"))[0].cached_requests == 2


async def test_the_release_before_folds_and_loses_nothing(before: str) -> None:
    """It takes a delta without knowing of the new column: what it leaves out stays, until one folds that knows."""

    async def sums(db: Any) -> Any:
        return await (await db.execute("SELECT sum(requests), sum(cached_requests) FROM ledger_deltas")).fetchone()

    async with create_pool(before, 4) as pool:
        await migrate(before)
        await ingest(pool, "dp", rows(0, 1))
        async with pool.connection() as db:
            for _ in range(2):
                await db.execute("DELETE FROM ledger_deltas WHERE provider IS NULL")
                assert await sums(db) == (4, 4)
        await fold_all(pool)
        async with pool.connection() as db:
            assert await sums(db) == (None, None)
        assert (await usage(pool, "model"))[0].cached_requests == 4
        await ingest(pool, "dp", rows(2))
        await fold_all(pool)
        assert (await usage(pool, "model"))[0].cached_requests == 6
