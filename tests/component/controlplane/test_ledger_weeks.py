"""`ledger verify` compares the sums by week and the totals by day with the sums by day that they follow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.ledger.checks import check
from tollway.controlplane.ledger.ingest import ingest
from tollway.controlplane.ledger.rollups import fold
from tollway.controlplane.ledger.verify import Difference
from tollway.testkit.ledger_pieces import pieces
from tollway.testkit.ledger_rows import NOON_MS, request_row, schema_database
from tollway.testkit.servers import PostgresServer

DAY_MS = 86_400_000
MONDAY = datetime(2026, 9, 21, tzinfo=UTC)
"""Of the week in which `NOON_MS` lies: it is that very day."""
BEFORE = MONDAY - timedelta(days=7)


@pytest.fixture
async def pool(postgres: PostgresServer) -> AsyncIterator[Pool]:
    async with create_pool(schema_database(postgres), 4) as opened:
        yield opened


async def fill(pool: Pool) -> None:
    """A request on each of ten days until Monday, all of them folded."""
    await ingest(pool, "dp", [request_row(NOON_MS - days * DAY_MS, user="ann") for days in range(10)])
    async with pool.connection() as db:
        while await fold(db, 50):
            pass


async def differences(pool: Pool, begin: datetime, end: datetime) -> list[Difference]:
    return [one for piece in await pieces(pool, begin, end) for one in piece.differences]


async def run(pool: Pool, statement: str) -> None:
    async with pool.connection() as db:
        assert (await db.execute(statement.encode())).rowcount == 1


async def test_nothing_and_what_agrees_is_clean(pool: Pool) -> None:
    idle = await pieces(pool, BEFORE, MONDAY + timedelta(days=1))
    assert [(piece.clean, piece.compared) for piece in idle] == [(True, 0)] * 8
    await fill(pool)
    found = await pieces(pool, BEFORE, MONDAY + timedelta(days=1))
    assert all(piece.clean for piece in found)
    # A day has two sums by hour and two by day; a week that ends, or the last one, two of its own and two for each day.
    assert [piece.compared for piece in found] == [4] * 6 + [4 + 2 + 7 * 2, 4 + 2 + 2]


@pytest.mark.parametrize(
    ("damage", "rollup", "begins", "project", "kept", "counted"),
    [
        (
            "UPDATE ledger_weeks SET cost_nano = cost_nano + 1 WHERE begins = '2026-09-14Z' AND cost_nano IS NOT NULL",
            "week", BEFORE, str(UUID(int=1)), "7001", "7000",
        ),
        (
            "DELETE FROM ledger_weeks WHERE begins = '2026-09-21Z' AND cost_nano IS NOT NULL",
            "week", MONDAY, str(UUID(int=1)), "0", "1000",
        ),
        (
            "UPDATE ledger_totals SET cost_nano = 7 WHERE begins = '2026-09-16Z' AND cost_nano IS NOT NULL",
            "total", BEFORE + timedelta(days=2), "", "7", "1000",
        ),
        (
            "UPDATE ledger_totals SET begins = '2026-09-22Z' WHERE begins = '2026-09-21Z' AND cost_nano IS NOT NULL",
            "total", MONDAY, "", "0", "1000",
        ),
    ],
)  # fmt: skip
async def test_a_row_that_was_tampered_with_is_found_once(
    pool: Pool, damage: str, rollup: str, begins: datetime, project: str, kept: str, counted: str
) -> None:
    await fill(pool)
    await run(pool, damage)
    found = await differences(pool, BEFORE, MONDAY + timedelta(days=1))
    assert [one.rollup for one in found] == [rollup] * len(found)
    assert (found[0].begins, found[0].project, found[0].provider) == (begins, project, "prov-1")
    figures = {figure.name: (figure.kept, figure.counted) for figure in found[0].figures}
    assert figures["cost_nano"] == (kept, counted)
    assert len(found) == (2 if "SET begins" in damage else 1)
    # A week is compared whole, whichever of its days is asked for, and no other week is.
    day = begins + timedelta(days=0 if begins >= MONDAY else 3)
    assert len(await differences(pool, day, day + timedelta(hours=2))) == len(found)
    other = BEFORE if begins >= MONDAY else MONDAY
    assert await differences(pool, other, other + timedelta(hours=2)) == []


async def test_rows_of_groups_that_nobody_knows_are_found(pool: Pool) -> None:
    await fill(pool)
    lost = f"UPDATE ledger_weeks SET group_id = '{UUID(int=5)}' WHERE begins = '2026-09-21Z' AND cost_nano IS NOT NULL"
    await run(pool, lost)
    found = await differences(pool, MONDAY, MONDAY + timedelta(hours=2))
    assert sorted((one.rollup, one.user) for one in found) == [("week", ""), ("week", "ann")]


async def test_the_check_that_runs_by_itself_finds_it(pool: Pool) -> None:
    await fill(pool)
    await run(pool, "DELETE FROM ledger_totals WHERE begins = '2026-09-16Z' AND cost_nano IS NOT NULL")
    async with pool.connection() as db:
        await db.set_autocommit(True)
        found = await check(db, MONDAY + timedelta(hours=15))
    assert found is not None
    assert (found.found, [one.rollup for one in found.differences]) == (1, ["total"])
