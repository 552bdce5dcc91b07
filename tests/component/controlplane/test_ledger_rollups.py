"""Roll-ups are always what the rows add up to: whatever comes in which order, how often, from how many at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.ledger import reports
from tollway.controlplane.ledger.checks import CheckResult, check
from tollway.controlplane.ledger.ingest import ingest
from tollway.controlplane.ledger.model import QueryUsageRequest, UsageRow
from tollway.controlplane.ledger.rollups import fold, keep_folded, summarize
from tollway.controlplane.ledger.service import Ledger
from tollway.core.ledger import Outcome, RequestRow
from tollway.core.usage import Usage
from tollway.testkit.ledger_pieces import pieces
from tollway.testkit.ledger_rows import NOON_MS, attempt_row, request_row, schema_database, uuid7
from tollway.testkit.servers import PostgresServer

HOUR_MS = 3_600_000
NOON = datetime.fromtimestamp(NOON_MS / 1000, UTC)
BEGIN, END = NOON - timedelta(days=2), NOON + timedelta(days=1)


@pytest.fixture
async def pool(postgres: PostgresServer) -> AsyncIterator[Pool]:
    async with create_pool(schema_database(postgres), 8) as opened:
        yield opened


class FixedClock:
    """A little after the newest row."""

    def now_ms(self) -> int:
        return NOON_MS + HOUR_MS

    def monotonic(self) -> float:
        return 0.0


async def fold_all(pool: Pool) -> None:
    async with pool.connection() as db:
        while await fold(db, 50):
            pass
        assert await (await db.execute("SELECT count(*) FROM ledger_deltas")).fetchone() == (0,)


async def usage(pool: Pool, by: str, begin: datetime = BEGIN, end: datetime = END, **more: Any) -> list[UsageRow]:
    async with pool.connection() as db:
        found = await reports.query_usage(db, QueryUsageRequest(by=by, from_=begin, to=end, **more), NOON)
    return [found.total, *found.rows]


def versions(seed: int) -> list[RequestRow]:
    """What planes may send of one request: the estimate of a dead process, the truth, parts of its attempts."""
    dice = random.Random(seed)
    at = NOON_MS + dice.randrange(-30, 20) * HOUR_MS // 4
    attempts = []
    for number in range(1, dice.randint(1, 3) + 1):
        failed = dice.random() < 0.4
        attempts.append(
            attempt_row(
                at + number * 700_000,  # the second may begin in another hour than its request
                number=number,
                provider=dice.choice(["p1", "p2"]),
                outcome=Outcome.ERROR if failed else Outcome.OK,
                cost_nano=0 if failed else dice.randrange(10**6),
                usage=Usage(input=dice.randrange(100), output=dice.randrange(100), images=dice.randrange(2)),
                price_version=dice.choice([None, "v1"]),
            )
        )
    true = request_row(
        at,
        project=str(UUID(int=dice.randrange(3))),
        user=dice.choice(["", "ann", "bob"]),
        model=dice.choice(["small", "large"]),
        outcome=attempts[-1].outcome,
        cache=dice.choice(["", "miss", "hit", "shared"]),
        attempts=tuple(attempts),
    )
    guesses = tuple(
        msgspec.structs.replace(a, estimated=True, outcome=Outcome.LOST, cost_nano=a.cost_nano + 77) for a in attempts
    )
    lost = msgspec.structs.replace(true, outcome=Outcome.LOST, attempts=guesses)
    cut = msgspec.structs.replace(lost, attempts=guesses[:1])
    last = msgspec.structs.replace(true, attempts=true.attempts[-1:])
    return [true, lost, cut, last]


@pytest.fixture(scope="module")
def property_url(postgres: PostgresServer) -> str:
    return schema_database(postgres)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_and_repetition_of_batches_comes_to_the_sum_of_the_rows(
    property_url: str, data: st.DataObject
) -> None:
    seeds = data.draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=6, unique=True))
    sent = [version for seed in seeds for version in versions(seed)]
    batches = data.draw(st.lists(st.lists(st.sampled_from(sent), min_size=1, max_size=8), min_size=1, max_size=6))
    folds = data.draw(st.lists(st.booleans(), min_size=len(batches), max_size=len(batches)))

    async def run() -> None:
        async with create_pool(property_url, 2) as pool:
            for batch, now in zip(batches, folds, strict=True):
                await ingest(pool, "dp", batch)
                if now:
                    await fold_all(pool)
            assert [p.differences for p in await pieces(pool, BEGIN, END) if p.different] == []
            with psycopg.connect(property_url) as db:
                db.execute("TRUNCATE ledger_requests, ledger_attempts, ledger_deltas, ledger_hours, ledger_days")

    asyncio.run(run())


async def test_a_replay_changes_nothing_and_two_attempts_are_one_request(pool: Pool) -> None:
    two = (attempt_row(outcome="error", provider="p1"), attempt_row(number=2, provider="p1"))
    rows = [request_row(attempts=two, user="ann"), request_row(outcome="error", attempts=(), user="bob")]
    for _ in range(3):
        await ingest(pool, "dp", rows)
        await fold_all(pool)
    total, *providers = await usage(pool, "provider")
    assert (total.requests, total.errors, total.input_tokens) == (2, 1, 200)
    assert [(row.group, row.requests, row.errors) for row in providers] == [("p1", 1, 0)]
    users = {row.group: row.requests for row in (await usage(pool, "user"))[1:]}
    assert users == {"ann": 1, "bob": 1}


@pytest.mark.parametrize("first", [0, 1])
async def test_attempts_that_come_one_by_one_are_one_request_at_their_provider(pool: Pool, first: int) -> None:
    both = (attempt_row(outcome="error", provider="p1"), attempt_row(number=2, provider="p1"))
    row = request_row(attempts=both)
    await ingest(pool, "dp", [msgspec.structs.replace(row, attempts=(both[first],))])
    await fold_all(pool)
    await ingest(pool, "dp", [row, request_row(attempts=(attempt_row(provider="p2"),))])
    shown = {found.group: (found.requests, found.errors) for found in (await usage(pool, "provider"))[1:]}
    assert shown == {"p1": (1, 0), "p2": (1, 0)}
    assert all(piece.clean for piece in await pieces(pool, BEGIN, END))


async def test_hours_are_those_of_the_request_whatever_is_folded(pool: Pool) -> None:
    late = attempt_row(NOON_MS + HOUR_MS)
    await ingest(pool, "dp", [request_row(attempts=(late,))])
    expected = [("", 1, 100), ("2026-09-21T14:00Z", 1, 100)]
    for _ in range(2):
        assert [(row.group, row.requests, row.input_tokens) for row in await usage(pool, "hour")] == expected
        assert [row.group for row in await usage(pool, "day")] == ["", "2026-09-21"]
        await fold_all(pool)


async def test_every_period_has_the_sums_of_its_rows(pool: Pool) -> None:
    dice = random.Random(7)
    rows = [request_row(NOON_MS + dice.randrange(-40 * HOUR_MS, 20 * HOUR_MS)) for _ in range(300)]
    for start in range(0, 300, 60):
        await ingest(pool, "dp", rows[start : start + 60])
        if start < 200:
            await fold_all(pool)
    for _ in range(25):
        begin, end = sorted(NOON_MS + dice.randrange(-41 * HOUR_MS, 21 * HOUR_MS) for _ in range(2))
        end = dice.choice([end, begin + dice.randrange(HOUR_MS)])
        span = [datetime.fromtimestamp(at / 1000, UTC) for at in (begin, end)]
        inside = sum(begin <= row.started_ms < end for row in rows)
        by = dice.choice(["project", "hour", "day"])
        total = (await usage(pool, by, *span))[0]
        assert (total.requests, total.output_tokens) == (inside, inside * 10)


async def test_whoever_is_taken_off_a_whole_day_again_is_not_shown(pool: Pool) -> None:
    midnight = NOON_MS - NOON_MS % (24 * HOUR_MS)
    early, late = str(UUID(int=7)), str(UUID(int=8))
    rows = [request_row(midnight + n * HOUR_MS, project=late if n > 3 else early) for n in range(-24, 24)]
    await ingest(pool, "dp", [row for row in rows if row.started_ms >= midnight])
    begin = datetime.fromtimestamp(midnight / 1000, UTC) + timedelta(hours=3, minutes=30)
    for _ in range(2):
        shown = await usage(pool, "project", begin, begin + timedelta(days=2))
        assert [(row.group, row.requests, row.input_tokens) for row in shown] == [("", 20, 2_000), (late, 20, 2_000)]
        await fold_all(pool)


async def test_pages_that_were_added_are_made_known_to_the_indexes_of_times(pool: Pool) -> None:
    await ingest(pool, "dp", [request_row(NOON_MS + n) for n in range(3_000)])
    index = "ledger_attempts_default_coalesce_idx"
    known: dict[str, int] = {}
    async with pool.connection() as db:
        for _ in range(2):
            await summarize(db, known)
        assert known[index] > 32
        left = await (await db.execute("SELECT brin_summarize_new_values(%s::regclass)", (index,))).fetchone()
    assert left == (0,)


async def test_four_ingesters_on_the_same_keys_and_a_folder_meet_no_deadlock(pool: Pool) -> None:
    rows = [version for seed in range(120) for version in versions(seed)]

    async def flush(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(6):
            await ingest(pool, f"dp-{seed}", dice.sample(rows, 150))
        await ingest(pool, f"dp-{seed}", dice.sample(rows, len(rows)))

    async def keep() -> None:
        async with pool.connection() as db:
            while True:
                await fold(db, 40)
                await asyncio.sleep(0.01)

    folder = asyncio.create_task(keep())
    await asyncio.gather(*(flush(seed) for seed in range(4)))
    folder.cancel()
    await asyncio.wait([folder])
    async with pool.connection() as db:
        deadlocks = await (
            await db.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        ).fetchone()
    assert deadlocks == (0,)
    assert all(piece.clean for piece in await pieces(pool, BEGIN, END))
    await fold_all(pool)
    assert all(piece.clean for piece in await pieces(pool, BEGIN, END))
    assert (await usage(pool, "project"))[0].requests == 120


@pytest.mark.parametrize(
    ("damage", "rollup", "figure"),
    [
        ("UPDATE ledger_hours SET cost_nano = cost_nano + 5 WHERE cost_nano IS NOT NULL", "hour", "cost_nano"),
        ("UPDATE ledger_days SET requests = 7 WHERE requests = 1 AND cost_nano IS NULL", "day", "requests"),
        ("UPDATE ledger_attempts SET output_tokens = 99", "hour", "output_tokens"),
        ("DELETE FROM ledger_requests", "hour", "requests"),
    ],
)
async def test_verify_finds_a_seeded_difference(pool: Pool, damage: str, rollup: str, figure: str) -> None:
    await ingest(pool, "dp", [request_row()])
    await fold_all(pool)
    assert all(piece.clean for piece in await pieces(pool, BEGIN, END))
    async with pool.connection() as db:
        await db.execute(damage.encode())
    found = await pieces(pool, BEGIN, END)
    differences = [difference for piece in found for difference in piece.differences if difference.rollup == rollup]
    assert next(shown.name for shown in differences[0].figures) == figure
    assert differences[0].project == str(UUID(int=1))
    assert not all(piece.clean for piece in found)


async def test_verify_names_what_belongs_to_nothing(pool: Pool) -> None:
    lost = attempt_row(estimated=True, cost_nano=50)
    row = request_row(attempts=(lost,))
    true = msgspec.structs.replace(row, attempts=(msgspec.structs.replace(lost, estimated=False),))
    answered = [request_row(attempts=(), cache=cache) for cache in ("hit", "shared")]
    await ingest(pool, "dp", [row, request_row(attempts=()), request_row(id="bad"), *answered])
    await ingest(pool, "dp", [true])
    orphan = uuid7()
    async with pool.connection() as db:
        await db.execute("DELETE FROM ledger_attempts WHERE kind = 'attempt'")
        await db.execute("UPDATE ledger_attempts SET request_id = %s", (orphan,))
    found = {f.check: (f.count, f.problem) for piece in await pieces(pool, BEGIN, END) for f in piece.findings}
    assert found == {
        "attempts_without_request": (1, True),
        "adjustments_without_original": (1, True),
        "requests_without_attempt": (2, False),
        "default_partition": (5, False),
        "quarantine": (1, False),
    }


async def test_the_check_counts_records_and_tells_a_difference_once_an_hour(pool: Pool) -> None:
    told: list[CheckResult] = []

    async def tell(result: CheckResult) -> None:
        told.append(result)

    await ingest(pool, "dp", [request_row()])
    async with pool.connection() as db:
        await db.execute("UPDATE ledger_attempts SET cost_nano = 3")
        ledger = Ledger(pool, FixedClock())
        ledger.on_difference = tell
        ledger.start()
        try:
            async with asyncio.timeout(10):
                while not told:
                    await asyncio.sleep(0.02)
        finally:
            await ledger.close()
        assert (ledger.counters.checks, ledger.counters.check_differences) == (1, 1)
        kept = await (await db.execute("SELECT found, differences->0->>'rollup' FROM ledger_checks")).fetchone()
        assert kept == (1, "hour")
        soon = datetime.fromtimestamp(FixedClock().now_ms() / 1000, UTC) + timedelta(minutes=30)
        assert await check(db, soon) is None
        again = await check(db, soon + timedelta(hours=1))
    assert again is not None
    assert again.found == 1


async def test_rows_of_the_release_before_count_too(pool: Pool) -> None:
    """It knows neither user nor organisation of an attempt, nor when its request began, nor sums of estimates."""
    lost = attempt_row(NOON_MS + 1, estimated=True, cost_nano=900)
    row = request_row(attempts=(lost,), user="ann")
    true = msgspec.structs.replace(row, attempts=(msgspec.structs.replace(lost, estimated=False, cost_nano=400),))
    await ingest(pool, "dp", [row])
    await ingest(pool, "dp", [true])
    async with pool.connection() as db:
        await db.execute(
            "CREATE TEMPORARY TABLE before AS SELECT * FROM ledger_attempts;"
            " UPDATE before SET organisation = NULL, request_started_at = NULL, estimated_nano = NULL;"
            " TRUNCATE ledger_attempts; DELETE FROM ledger_deltas WHERE provider IS NOT NULL;"
            " INSERT INTO ledger_attempts SELECT * FROM before ORDER BY kind DESC"
        )
    total = (await usage(pool, "project"))[0]
    assert (total.requests, total.cost, total.estimated_cost) == (1, "0.0000004", "0")
    assert all(piece.clean for piece in await pieces(pool, BEGIN, END))


def shown(rows: Sequence[UsageRow]) -> list[tuple[str, int]]:
    return [(row.group, row.requests) for row in rows]


async def test_groups_of_long_names_fold_too(pool: Pool) -> None:
    long = "".join(chr(0x4E00 + n) for n in range(1_999))
    await ingest(pool, "dp", [request_row(model=long, user=long, business_unit=long)])
    await fold_all(pool)
    assert shown(await usage(pool, "model")) == [("", 1), (long, 1)]


async def test_a_database_too_slow_for_a_large_fold_folds_in_parts(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway.controlplane.db.pool.STATEMENT_SECONDS", 0.5)
    monkeypatch.setattr("tollway.controlplane.ledger.rollups.FEWEST_ROWS", 20)
    monkeypatch.setattr("tollway.controlplane.ledger.rollups.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("tollway.controlplane.ledger.rollups.FOLD_ROWS", 2_000)
    async with create_pool(schema_database(postgres), 2) as pool:
        await ingest(pool, "dp-1", [request_row(NOON_MS, model=f"m{n}", attempts=()) for n in range(300)])
        async with pool.connection() as db:
            await db.execute(
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
                " $$BEGIN PERFORM pg_sleep(0.003); RETURN NEW; END$$;"
                "CREATE TRIGGER slow BEFORE INSERT ON ledger_hours FOR EACH ROW EXECUTE FUNCTION slow()"
            )
        folding = asyncio.create_task(keep_folded(pool))
        try:
            async with asyncio.timeout(20), pool.connection() as db:
                while await (await db.execute("SELECT 1 FROM ledger_deltas LIMIT 1")).fetchone():
                    await asyncio.sleep(0.02)
        finally:
            folding.cancel()
            await asyncio.wait([folding])
