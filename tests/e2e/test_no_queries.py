"""No request asks the database anything, whatever is counted and kept of it (by pg_stat_statements).

What the control plane runs in the background is bounded by time, not by requests: rows come in batches, at most one
every 0.1 s for each data plane, bodies at most one every 0.2 s (more often only beyond 500 rows, 200 bodies or 2 MiB of
them), the rest looks every so many seconds. So four times the requests in the same time must not need more calls.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import psycopg
import pytest

from tollway.testkit.load import Clients, paced
from tollway.testkit.servers import PostgresServer
from tollway.testkit.stack import SIMULATED, Stack, until

SECONDS = 4.0
SETTLE_SECONDS = 2.0
FEW = 100
"""Requests over SECONDS; then four times as many."""
BATCHES = int((SECONDS + SETTLE_SECONDS) / 0.1)
"""The most batches of rows that one data plane can send in the time."""
MORE_CALLS = 1.5
"""How many more calls of one statement, and of all, four times the requests may need: batches come closer together as
the pauses between requests grow shorter, up to the bound above."""
SLACK = 12
"""Calls of one statement by which two runs of the same length may differ: a look more or less of what looks now and
then, rounds of a batch that a busy machine delays."""


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose Postgres counts statements, with budgets at two levels, limits of each kind, and whole bodies."""
    folder = tmp_path_factory.mktemp("counted")
    stack = Stack(folder)
    stack.postgres = PostgresServer(folder / "counting", shared_preload_libraries="pg_stat_statements")
    try:
        stack.start()
        with psycopg.connect(stack.postgres.url, autocommit=True) as database:
            database.execute("CREATE EXTENSION pg_stat_statements")
        month = {"limit": "1000", "period": "month"}
        stack.api("PATCH", "budgets/organisation", {**month, "period": "year"})
        stack.api("PATCH", "budgets/project:demo", month)
        limits = [
            {"measure": "requests", "window": "minute", "amount": 1_000_000},
            {"measure": "tokens", "window": "minute", "amount": 1_000_000_000},
            {"measure": "concurrent", "amount": 500},
        ]
        stack.api("PUT", "limits/project:demo", {"limits": limits})
        yield stack
    finally:
        stack.stop()


async def load(stack: Stack, count: int, seconds: float) -> None:
    """Every second request is streamed; all must be answered."""
    async with Clients([stack.base_url()]) as clients:
        answers = await paced(
            count,
            seconds,
            lambda n: clients.chat(stack.key, model=SIMULATED, max_tokens=50, stream=bool(n % 2)),
        )
    assert {answer.outcome for answer in answers} == {"200"}


def calls(stack: Stack, count: int) -> dict[str, int]:
    """Statement -> how often clients of the database called it while `count` requests were served and shipped."""
    stack.sql("SELECT pg_stat_statements_reset()")
    began = time.monotonic()
    asyncio.run(load(stack, count, SECONDS))
    time.sleep(began + SECONDS + SETTLE_SECONDS - time.monotonic())
    rows = stack.sql(
        "SELECT query, sum(calls)::bigint FROM pg_stat_statements"
        " WHERE toplevel AND query NOT LIKE '%pg_stat_statements%' GROUP BY query"
    )
    return {str(query): int(number) for query, number in rows}


def stored(stack: Stack) -> tuple[int, int]:
    """Requests in the ledger, and in the request log."""
    found = stack.sql("SELECT (SELECT count(*) FROM ledger_requests), (SELECT count(*) FROM request_log)")
    return int(found[0][0]), int(found[0][1])


def test_no_statement_is_called_for_each_request(counted: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(load(counted, FEW, 2.0))
    until(lambda: stored(counted) == (FEW, FEW), 10, "the warm-up in the ledger and in the log")
    few = calls(counted, FEW)
    until(lambda: stored(counted) == (2 * FEW, 2 * FEW), 10, "all rows and bodies")
    many = calls(counted, 4 * FEW)
    assert stored(counted) == (6 * FEW, 6 * FEW), "they were shipped within the time that was counted"
    with capsys.disabled():
        print(f"\nstatements: {sum(few.values())} calls for {FEW} requests, {sum(many.values())} for {4 * FEW}")
        for query, number in sorted(many.items(), key=lambda item: -item[1])[:8]:
            print(f"{few.get(query, 0):6d} {number:6d}  {' '.join(query.split())[:90]}")
    assert any("ledger_requests" in query for query in many), "the ledger was written meanwhile"
    assert any("request_log" in query for query in many), "and the request log"
    single = {query: number for query, number in many.items() if query.upper() not in ("BEGIN", "COMMIT")}
    grown = {
        query: (few.get(query, 0), number)
        for query, number in single.items()
        if number > few.get(query, 0) * MORE_CALLS + SLACK or number > BATCHES
    }
    assert grown == {}, "calls of a statement for few requests, and for four times as many"
    assert sum(many.values()) <= sum(few.values()) * MORE_CALLS + SLACK
