"""No request asks the database anything, whatever is counted and kept of it (by pg_stat_statements).

What the control plane runs in the background is bounded by time, not by requests: rows come in batches, at most one
every 0.1 s for each data plane, bodies at most one every 0.2 s (more often only beyond 500 rows, 200 bodies or 2 MiB of
them), the rest looks every so many seconds. So four times the requests in the same time must not need more calls.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import NamedTuple

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


class Called(NamedTuple):
    """A statement and how often it was called."""

    text: str
    calls: int


def called(stack: Stack, count: int) -> dict[int, Called]:
    """The statements that clients of the database sent while `count` requests were served and shipped.

    By the statement's id: the text of one and the same may be kept with or without its constants.
    """
    stack.sql("SELECT pg_stat_statements_reset()")
    began = time.monotonic()
    asyncio.run(load(stack, count, SECONDS))
    time.sleep(began + SECONDS + SETTLE_SECONDS - time.monotonic())
    rows = stack.sql(
        "SELECT queryid, min(query), sum(calls)::bigint FROM pg_stat_statements"
        " WHERE toplevel AND query NOT LIKE '%pg_stat_statements%' GROUP BY queryid"
    )
    return {int(identifier): Called(str(text), int(calls)) for identifier, text, calls in rows}


def stored(stack: Stack) -> tuple[int, int]:
    """Requests in the ledger, and in the request log."""
    found = stack.sql("SELECT (SELECT count(*) FROM ledger_requests), (SELECT count(*) FROM request_log)")
    return int(found[0][0]), int(found[0][1])


def test_no_statement_is_called_for_each_request(counted: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(load(counted, FEW, 2.0))
    until(lambda: stored(counted) == (FEW, FEW), 10, "the warm-up in the ledger and in the log")
    few = called(counted, FEW)
    until(lambda: stored(counted) == (2 * FEW, 2 * FEW), 10, "all rows and bodies")
    many = called(counted, 4 * FEW)
    assert stored(counted) == (6 * FEW, 6 * FEW), "they were shipped within the time that was counted"
    both = {
        identifier: (few[identifier].calls if identifier in few else 0, found.calls, " ".join(found.text.split())[:90])
        for identifier, found in many.items()
    }
    total_few, total_many = (sum(found.calls for found in run.values()) for run in (few, many))
    with capsys.disabled():
        print(f"\nstatements: {total_few} calls for {FEW} requests, {total_many} for {4 * FEW}, in {SECONDS:.0f} s")
        for before, after, text in sorted(both.values(), key=lambda row: -row[1])[:6]:
            print(f"{before:6d} {after:6d}  {text}")
    assert any("ledger_requests" in found.text for found in many.values()), "the ledger was written meanwhile"
    assert any("request_log" in found.text for found in many.values()), "and the request log"
    shared = ("BEGIN", "COMMIT")  # of everything that runs
    grown = [
        (before, after, text)
        for before, after, text in both.values()
        if after > before * MORE_CALLS + SLACK or (after > BATCHES and text.upper() not in shared)
    ]
    assert grown == [], "calls of a statement for few requests, and for four times as many"
    assert total_many <= total_few * MORE_CALLS + SLACK
