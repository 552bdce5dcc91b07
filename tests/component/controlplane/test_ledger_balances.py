"""Balances are what the rows add up to, for every kind of question, to the millisecond, up to a cut."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest

from tollway.controlplane.app import ControlPlane
from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.ledger.balances import MAX_BIGINT, UnknownQuery, balances, present_cut
from tollway.controlplane.ledger.ingest import INGEST_LOCK, ingest
from tollway.controlplane.ledger.rollups import fold
from tollway.core.catalog import glob_match
from tollway.core.ledger import RequestRow
from tollway.core.usage import Usage
from tollway.testkit.ledger_rows import NOON_MS, attempt_row, request_row, schema_database
from tollway.testkit.servers import PostgresServer
from tollway.wire.balances_client import BalancesClient
from tollway.wire.balances_codec import BalanceQuery
from tollway.wire.client import connect

HOUR_MS = 3_600_000


@pytest.fixture
async def pool(postgres: PostgresServer) -> AsyncIterator[Pool]:
    async with create_pool(schema_database(postgres), 4) as opened:
        yield opened


def some_rows(count: int, seed: int = 1) -> list[RequestRow]:
    dice = random.Random(seed)
    rows = []
    for _ in range(count):
        at = NOON_MS + dice.randrange(-60 * HOUR_MS, 30 * HOUR_MS)
        attempts = tuple(
            attempt_row(
                at + n * HOUR_MS,
                number=n + 1,
                cost_nano=dice.randrange(10**9),
                usage=Usage(input=dice.randrange(1_000), output=dice.randrange(100)),
            )
            for n in range(dice.randint(0, 2))
        )
        rows.append(
            request_row(
                at,
                organisation=dice.choice(["default", "other"]),
                business_unit=f"unit-{dice.randrange(2)}",
                project=str(UUID(int=dice.randrange(4))),
                key_id=f"key-{dice.randrange(5)}",
                user=dice.choice(["", "ann", "50%_off"]),
                model=dice.choice(["gpt-a", "gpt-b", "gpt%", "claude"]),
                attempts=attempts,
            )
        )
    return rows


FIELDS = {
    "organisation": "organisation",
    "business_unit": "business_unit",
    "project": "project",
    "key": "key_id",
    "user": "user",
    "model": "model",
}


def counted(rows: list[RequestRow], query: BalanceQuery, organisation: str = "") -> int:
    """The same count, done with the rows themselves."""
    end_ms = 2**62 if query.end_ms is None else query.end_ms
    used = 0
    for row in rows:
        if organisation not in ("", row.organisation) or not query.start_ms <= row.started_ms < end_ms:
            continue
        if getattr(row, FIELDS[query.scope]) != query.subject or not glob_match(query.model, row.model):
            continue
        if query.measure == "requests":
            used += 1
        for attempt in row.attempts:
            if query.measure == "cost":
                used += attempt.cost_nano
            if query.measure == "tokens":
                used += attempt.usage.input + attempt.usage.output
    return used


def some_queries(rows: list[RequestRow], count: int) -> list[BalanceQuery]:
    dice = random.Random(2)
    found = []
    for _ in range(count):
        scope = dice.choice(sorted(FIELDS))
        subject = getattr(dice.choice(rows), FIELDS[scope])
        start = dice.choice([0, NOON_MS - dice.randrange(60 * HOUR_MS), rows[0].started_ms])
        end = dice.choice([None, start + dice.randrange(1, 40 * HOUR_MS), rows[1].started_ms])
        model = dice.choice(["*", "*", "gpt-*", "gpt%", "*-b", "claude"])
        found.append(BalanceQuery(dice.choice(["cost", "requests", "tokens"]), scope, subject, model, start, end))
    return found


async def read(pool: Pool, queries: list[BalanceQuery], **more: Any) -> list[int]:
    async with pool.connection() as db:
        return await balances(db, queries, **more)


async def test_every_question_has_the_answer_of_the_rows(pool: Pool) -> None:
    rows = some_rows(240)
    queries = some_queries(rows, 60)
    for start in range(0, 240, 60):
        await ingest(pool, "dp", rows[start : start + 60])
        async with pool.connection() as db:
            if start < 180:
                await fold(db)
    assert await read(pool, queries) == [counted(rows, query) for query in queries]
    assert await read(pool, queries, organisation="other") == [counted(rows, query, "other") for query in queries]
    assert sum(await read(pool, queries)) > 0


async def test_adjustments_count_where_their_request_began(pool: Pool) -> None:
    lost = attempt_row(NOON_MS + HOUR_MS, estimated=True, cost_nano=900)
    row = request_row(attempts=(lost,))
    true = msgspec.structs.replace(row, attempts=(msgspec.structs.replace(lost, estimated=False, cost_nano=400),))
    hour = NOON_MS - NOON_MS % HOUR_MS
    asked = [
        BalanceQuery("cost", "project", row.project, "*", row.started_ms, row.started_ms + 1),
        BalanceQuery("cost", "project", row.project, "*", hour, hour + HOUR_MS),
        BalanceQuery("cost", "project", row.project, "*", hour + HOUR_MS, None),
    ]
    await ingest(pool, "dp", [row])
    assert await read(pool, asked) == [900, 900, 0]
    await ingest(pool, "dp", [true])
    assert await read(pool, asked) == [400, 400, 0]


async def test_a_cut_counts_what_had_come_by_then_and_nothing_later(pool: Pool) -> None:
    rows = some_rows(200, seed=3)
    queries = some_queries(rows, 30)
    await ingest(pool, "dp", rows[:100])
    cut = await present_cut(pool)
    lost = request_row(attempts=(attempt_row(estimated=True, cost_nano=900),))
    await asyncio.gather(ingest(pool, "dp", rows[100:]), ingest(pool, "dp", [lost]))
    async with pool.connection() as db:
        await fold(db)
    assert await read(pool, queries, cut_us=cut) == [counted(rows[:100], query) for query in queries]
    assert await read(pool, queries) == [counted([*rows, lost], query) for query in queries]


async def test_no_row_slips_in_before_a_cut_that_was_told(pool: Pool) -> None:
    asked = [BalanceQuery("requests", "organisation", "default", "*", 0)]
    stop = False

    async def pour(seed: int) -> None:
        while not stop:
            await ingest(pool, "dp", [request_row(NOON_MS + seed * n) for n in range(40)])

    pouring = [asyncio.create_task(pour(seed)) for seed in range(2)]
    told = []
    for _ in range(8):
        cut = await present_cut(pool)
        told.append((cut, await read(pool, asked, cut_us=cut)))
    stop = True
    await asyncio.gather(*pouring)
    assert [await read(pool, asked, cut_us=cut) for cut, _ in told] == [used for _, used in told]
    assert told[-1][1] > told[0][1]


async def test_a_batch_that_hangs_does_not_keep_others_from_the_ledger(pool: Pool) -> None:
    async with pool.connection() as hung, hung.transaction():
        await hung.execute("SELECT pg_advisory_xact_lock_shared(%s)", [INGEST_LOCK])
        cutting = asyncio.create_task(present_cut(pool))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(8):
            assert (await ingest(pool, "dp", [request_row()])).inserted == 1
            with pytest.raises(psycopg.errors.LockNotAvailable):
                await cutting
    assert await present_cut(pool) > 0


async def test_what_is_not_known_is_refused_and_what_is_too_large_is_the_largest(pool: Pool) -> None:
    with pytest.raises(UnknownQuery, match="no such count: colour by project"):
        await read(pool, [BalanceQuery("colour", "project", "x", "*", 0)])
    huge = [request_row(attempts=(attempt_row(cost_nano=MAX_BIGINT),)) for _ in range(2)]
    await ingest(pool, "dp", huge)
    assert await read(pool, [BalanceQuery("cost", "organisation", "default", "*", 0, 2**62)]) == [MAX_BIGINT]


async def test_many_questions_of_one_period_are_one_statement(pool: Pool) -> None:
    rows = some_rows(100)
    await ingest(pool, "dp", rows)
    asked = [BalanceQuery("cost", "key", f"key-{n % 5}", "*", NOON_MS - n % 2 * HOUR_MS) for n in range(3_000)]
    began = datetime.now(UTC)
    assert await read(pool, asked) == [counted(rows, query) for query in asked[:10]] * 300
    assert (datetime.now(UTC) - began).total_seconds() < 2


async def test_a_data_plane_asks_over_grpc(plane: ControlPlane) -> None:
    await plane.ledger.ingest("dp", [request_row(), request_row()])
    channel = connect(f"127.0.0.1:{plane.ports['grpc']}")
    try:
        client = BalancesClient(channel, plane.settings.join_token)
        asked = [BalanceQuery("cost", "project", str(UUID(int=1)), "*", 0)]
        found = await client.read("dp-1", "default", "e1", asked)
        assert (found.used, found.replicas) == ((2_000,), ())
        await plane.ledger.ingest("dp", [request_row()])
        again = await client.read("dp-1", "default", "e1", asked, cut_us=found.cut_us)
        assert (again.used, again.cut_us) == ((2_000,), found.cut_us)
        with pytest.raises(ConnectionError, match="UNAVAILABLE"):
            await client.read("dp-1", "default", "e1", [BalanceQuery("colour", "key", "k", "*", 0)])
        with pytest.raises(ConnectionError, match="UNAUTHENTICATED"):
            await BalancesClient(channel, "another token, not valid").read("dp-1", "default", "e1", asked)
    finally:
        await channel.close()


async def test_a_key_counts_with_those_that_it_replaced(api: Any) -> None:
    """The counters are rebuilt with what the budget of the API shows, whichever of the keys is asked for."""

    async def ok(verb: str, path: str, body: Any) -> Any:
        answer = await api.call(verb, path, body)
        assert answer.status == 200, answer.body
        return answer.body

    await ok("POST", "projects", {"name": "shop"})
    body = {"project": "shop", "name": "web", "value": "an-imported-value-of-72-bits-8f3a1c9e7b"}
    old = (await ok("POST", "keys", body))["key"]["id"]
    new = (await ok("POST", f"keys/{old}:rotate", {"grace_seconds": "3600"}))["key"]["id"]
    await ok("PATCH", "budgets/key:shop%2Fweb", {"limit": "1", "period": "none"})
    other = str(UUID(int=9))
    await api.plane.ledger.ingest("dp", [request_row(key_id=key) for key in (old, old, new, other)])
    asked = [BalanceQuery("cost", "key", key, "*", 0) for key in (old, new, other, "no id")]
    assert (await api.plane.ledger.balances("default", asked))[0] == [3_000, 3_000, 1_000, 0]
    counted = [BalanceQuery("requests", "key", old, "*", 0), BalanceQuery("cost", "project", new, "*", 0)]
    assert (await api.plane.ledger.balances("default", counted))[0] == [3, 0]
    assert (await ok("GET", "budgets/key:shop%2Fweb", None))["used"] == "0.000003"
