"""The ledger takes every row in exactly once, on a real Postgres."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest

from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.ledger.ingest import ingest
from tollway.controlplane.ledger.rows import COLUMNS, late_id
from tollway.core.ledger import Outcome, RequestRow
from tollway.core.usage import Usage
from tollway.testkit.ledger_rows import NOON_MS, attempt_row, request_row, schema_database
from tollway.testkit.servers import PostgresServer

MIDNIGHT_MS = 1_790_035_200_000
SUMS = "SELECT count(*), sum(input_tokens), sum(output_tokens), sum(cost_nano) FROM ledger_attempts"


@pytest.fixture
async def pool(postgres: PostgresServer) -> AsyncIterator[Pool]:
    async with create_pool(schema_database(postgres), 8) as opened:
        yield opened


def counted(first: int) -> Usage:
    """Usage with another count of every kind, from `first` on."""
    return msgspec.convert({name: first + n for n, name in enumerate(Usage.__struct_fields__)}, Usage)


async def ask(pool: Pool, statement: str) -> tuple[Any, ...]:
    async with pool.connection() as db:
        row = await (await db.execute(statement.encode())).fetchone()
        assert row is not None
        return tuple(row)


async def test_every_field_is_stored(pool: Pool) -> None:
    usage = counted(1)
    attempt = attempt_row(
        NOON_MS + 1,
        number=2,
        credential="cred",
        status=429,
        outcome="error",
        error_code="provider_rate_limited",
        usage=usage,
        cost_nano=2**62,
        estimated=True,
        provider_request_id="up-1",
    )
    row = request_row(
        NOON_MS,
        stream=True,
        status=502,
        outcome="error",
        error_code="provider_error",
        client_request_id="mine é 漢",
        tags={"a": "1", "b": "ü"},
        cache="miss",
        attempts=(attempt,),
    )
    assert (await ingest(pool, "dp-1", [row])).inserted == 1
    stored = await ask(
        pool,
        f"""SELECT day::text, organisation, business_unit, project, key_id, key_public_id, endpoint, model, stream,
        (extract(epoch FROM started_at) * 1000)::bigint, (extract(epoch FROM ended_at) * 1000)::bigint, status, outcome,
        error_code, client_request_id, tags, cache FROM ledger_requests WHERE id = '{row.id}'""",
    )
    assert stored == (
        "2026-09-21", row.organisation, row.business_unit, row.project, row.key_id, row.key_public_id, row.endpoint,
        row.model, True, row.started_ms, row.ended_ms, 502, "error", "provider_error", "mine é 漢", row.tags,
        "miss",
    )  # fmt: skip
    stored = await ask(
        pool,
        f"""SELECT request_id::text, kind, number, business_unit, project, key_id, model, provider, provider_kind,
        target_model, credential, (extract(epoch FROM started_at) * 1000)::bigint,
        (extract(epoch FROM ended_at) * 1000)::bigint, (extract(epoch FROM first_byte_at) * 1000)::bigint, status,
        outcome, error_code, {", ".join(COLUMNS)}, cost_nano, price_version, estimated, provider_request_id
        FROM ledger_attempts WHERE id = '{attempt.id}'""",
    )
    assert stored == (
        row.id, "attempt", 2, row.business_unit, row.project, row.key_id, row.model, "prov-1", "simulator", "sim-1",
        "cred", attempt.started_ms, attempt.ended_ms, attempt.first_byte_ms, 429, "error", "provider_rate_limited",
        *range(1, 17), 2**62, "2026-09-01", True, "up-1",
    )  # fmt: skip


async def test_every_kind_of_usage_has_a_column_that_is_adjusted(pool: Pool) -> None:
    lost, true = estimate_and_truth()
    guess = msgspec.structs.replace(lost.attempts[0], usage=counted(10))
    told = msgspec.structs.replace(true.attempts[0], usage=counted(107))
    await ingest(pool, "dp-1", [msgspec.structs.replace(lost, attempts=(guess,))])
    await ingest(pool, "dp-1", [msgspec.structs.replace(true, attempts=(told,))])
    columns = await ask(
        pool,
        "SELECT array_agg(column_name::text ORDER BY column_name) FROM information_schema.columns"
        " WHERE table_name = 'ledger_attempts' AND (column_name LIKE '%_tokens'"
        " OR column_name IN ('images', 'audio_ms', 'characters', 'searches'))",
    )
    assert columns == (sorted(COLUMNS),)
    adjustment = await ask(pool, f"SELECT {', '.join(COLUMNS)} FROM ledger_attempts WHERE kind = 'adjustment'")
    assert adjustment == (97,) * len(COLUMNS)


async def test_a_replayed_batch_changes_nothing(pool: Pool) -> None:
    rows = [request_row(NOON_MS + n) for n in range(200)]
    first = await ingest(pool, "dp-1", rows)
    before = await ask(pool, SUMS)
    again = await ingest(pool, "dp-2", random.sample(rows, len(rows)))
    twice = await ingest(pool, "dp-2", rows + rows)
    assert (first.inserted, again.inserted, twice.inserted) == (200, 0, 0)
    assert before == await ask(pool, SUMS) == (200, 20_000, 2_000, 200_000)


async def test_four_flushers_with_overlapping_rows_meet_no_deadlock_and_add_up(pool: Pool) -> None:
    rows = [
        request_row(NOON_MS + n, attempts=(attempt_row(NOON_MS + n), attempt_row(NOON_MS + n, number=2)))
        for n in range(400)
    ]

    async def flush(seed: int) -> int:
        order = random.Random(seed)
        inserted = 0
        for _ in range(8):
            batch = order.sample(rows, 150)
            inserted += (await ingest(pool, f"dp-{seed}", batch)).inserted
        return inserted + (await ingest(pool, f"dp-{seed}", order.sample(rows, len(rows)))).inserted

    inserted = await asyncio.gather(*(flush(seed) for seed in range(4)))
    assert sum(inserted) == 400
    assert await ask(pool, SUMS) == (800, 80_000, 8_000, 800_000)
    assert await ask(pool, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == (0,)


async def test_a_replay_after_midnight_meets_the_row_of_before(pool: Pool) -> None:
    late = request_row(MIDNIGHT_MS - 1)
    await ingest(pool, "dp-1", [late, request_row(MIDNIGHT_MS)])
    again = msgspec.structs.replace(late, ended_ms=MIDNIGHT_MS + 5)
    assert (await ingest(pool, "dp-1", [again])).inserted == 0
    assert await ask(pool, "SELECT array_agg(day::text ORDER BY id) FROM ledger_requests") == (
        ["2026-09-21", "2026-09-22"],
    )


BAD: dict[str, dict[str, Any]] = {
    "id is not a UUIDv7": {"id": "0b5f6a52-5d7c-4a57-8f38-4e2f0b0f9d11"},
    "organisation has a NUL character": {"organisation": "a\0b"},
    "model is not valid Unicode": {"model": "\ud800"},
    "status is negative or too large": {"status": 2**31},
    "started_ms lies beyond the calendar": {"started_ms": 2**62},
    "tags has a NUL character": {"tags": {"k\0": "v"}},
    "project is longer than 2000 characters": {"project": "p" * 2001},
    "id lies beyond the calendar": {"id": "ffffffff-ffff-7fff-bfff-ffffffffffff"},
    "attempt.id is not a UUIDv7": {"attempts": (attempt_row(id="nonsense"),)},
    "attempt.cost_nano is negative or too large": {"attempts": (attempt_row(cost_nano=-1),)},
    "attempt.usage.output is negative or too large": {"attempts": (attempt_row(usage=Usage(output=2**63)),)},
}


async def test_what_cannot_be_stored_goes_to_quarantine_and_holds_nothing_up(pool: Pool) -> None:
    bad = [request_row(**changed) for changed in BAD.values()]
    good = [request_row(NOON_MS + n, outcome="of a newer version") for n in range(20)]
    mixed = random.sample(bad + good, len(bad) + len(good))
    for _ in range(2):
        result = await ingest(pool, "dp-1", mixed)
        assert result.quarantined == len(BAD)
    assert await ask(pool, "SELECT count(*) FROM ledger_requests WHERE outcome = 'of a newer version'") == (20,)
    assert await ask(pool, "SELECT count(*) FROM ledger_quarantine") == (len(BAD),)
    assert set((await ask(pool, "SELECT array_agg(reason) FROM ledger_quarantine"))[0]) == set(BAD)
    kept = await ask(pool, "SELECT row->>'organisation' FROM ledger_quarantine WHERE reason LIKE 'organisation%'")
    assert kept == ("a␀b",)


async def test_what_only_the_database_refuses_is_found_among_the_others(pool: Pool) -> None:
    incompressible = "".join(chr(random.Random(n).randrange(0x4E00, 0x9FFF)) for n in range(2_000))
    culprit = request_row(NOON_MS + 7, project=incompressible)  # more than an index entry takes
    rows = [request_row(NOON_MS + n) for n in range(30)]
    result = await ingest(pool, "dp-1", [*rows[:9], culprit, *rows[9:]])
    assert (result.inserted, result.quarantined) == (30, 1)
    assert await ask(pool, "SELECT count(*) FROM ledger_requests") == (30,)
    assert (await ask(pool, "SELECT reason, row->>'id' FROM ledger_quarantine"))[1] == culprit.id


def estimate_and_truth() -> tuple[RequestRow, RequestRow]:
    guess = attempt_row(estimated=True, outcome=Outcome.LOST, cost_nano=5_000, usage=Usage(input=120, output=64))
    lost = request_row(outcome=Outcome.LOST, status=None, attempts=(guess,))
    actual = msgspec.structs.replace(
        guess, estimated=False, outcome=Outcome.OK, cost_nano=3_200, usage=Usage(input=110, output=70, reasoning=4)
    )
    return lost, msgspec.structs.replace(lost, outcome=Outcome.OK, status=200, attempts=(actual,))


async def test_a_true_row_after_an_estimate_is_an_adjustment_once(pool: Pool) -> None:
    lost, true = estimate_and_truth()
    await ingest(pool, "dp-1", [lost])
    for _ in range(3):
        assert (await ingest(pool, "dp-1", [true])).inserted == 0
    await ingest(pool, "dp-1", [lost])
    assert await ask(pool, SUMS) == (2, 110, 70, 3_200)
    adjustment = await ask(
        pool,
        "SELECT id::text, day::text, request_id::text, input_tokens, output_tokens, reasoning_tokens, cost_nano,"
        " estimated FROM ledger_attempts WHERE kind = 'adjustment'",
    )
    adjusted = UUID(bytes=late_id(UUID(lost.attempts[0].id).bytes))
    expected = (str(adjusted), "2026-09-21", lost.id, -10, 6, 4, -1_800, False)
    assert adjustment == expected
    assert await ask(pool, "SELECT outcome, status FROM ledger_requests") == ("lost", None)


async def test_an_estimate_after_a_true_row_is_ignored(pool: Pool) -> None:
    lost, true = estimate_and_truth()
    await ingest(pool, "dp-1", [true])
    assert (await ingest(pool, "dp-2", [lost])).inserted == 0
    assert await ask(pool, SUMS) == (1, 110, 70, 3_200)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_estimate_and_truth_in_one_batch_come_to_the_truth(pool: Pool, order: tuple[int, int]) -> None:
    pair = estimate_and_truth()
    await ingest(pool, "dp-1", [pair[n] for n in order])
    assert (await ask(pool, SUMS))[1:] == (110, 70, 3_200)


async def test_estimates_and_truths_of_concurrent_flushers_come_to_the_truth(pool: Pool) -> None:
    pairs = [estimate_and_truth() for _ in range(60)]

    async def flush(side: int, seed: int) -> None:
        rows = [pair[side] for pair in pairs]
        for _ in range(3):
            await ingest(pool, "dp", random.Random(seed).sample(rows, len(rows)))

    await asyncio.gather(flush(0, 1), flush(1, 2), flush(0, 3), flush(1, 4))
    assert (await ask(pool, SUMS))[1:] == (60 * 110, 60 * 70, 60 * 3_200)


async def test_a_connection_cut_in_mid_batch_loses_and_doubles_nothing(pool: Pool, postgres: PostgresServer) -> None:
    rows = [request_row(NOON_MS + n) for n in range(1_500)]
    cut = 0
    async with await psycopg.AsyncConnection.connect(str(pool.conninfo), autocommit=True) as killer:

        async def cut_when_writing() -> None:
            nonlocal cut
            deadline = asyncio.get_running_loop().time() + 10
            while not cut and asyncio.get_running_loop().time() < deadline:
                cursor = await killer.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND pid <> pg_backend_pid() AND state <> 'idle' AND query LIKE 'COPY ledger%'"
                )
                found = await cursor.fetchone()
                assert found is not None
                cut = found[0]

        failed, _ = await asyncio.gather(ingest(pool, "dp-1", rows), cut_when_writing(), return_exceptions=True)
    assert cut
    assert isinstance(failed, psycopg.OperationalError)
    assert await ask(pool, "SELECT count(*) FROM ledger_requests") == (0,)
    assert (await ingest(pool, "dp-1", rows)).inserted == 1_500
    assert await ask(pool, SUMS) == (1_500, 150_000, 15_000, 1_500_000)


async def test_an_empty_batch_is_fine(pool: Pool) -> None:
    result = await ingest(pool, "dp-1", [])
    assert (result.inserted, result.quarantined) == (0, 0)
