"""Half a million requests, and by `make soak` ten million: taken in without loss, reported at once, dropped at once."""

from __future__ import annotations

import pytest

from tollway.testkit.ledger_rows import schema_database
from tollway.testkit.ledger_scale import measure
from tollway.testkit.servers import PostgresServer

REPORT_SECONDS = 1.0
"""The 95th percentile of usage by project of a month (REQ 6)."""
DROP_SECONDS = 1.0
"""Until a month is out of the ledger and every lock is free; its files go afterwards, when nobody waits."""
MAX_BACKLOG = 1_500_000
"""Deltas that wait to be folded: the folder must keep up, or reports would have ever more to read."""
INGEST_ROWS = 20_000
BUSY_INGEST_ROWS = 8_000
"""On a machine that does other things too."""


@pytest.mark.parametrize(
    ("rows", "ingest_rows"),
    [
        pytest.param(500_000, BUSY_INGEST_ROWS, marks=[pytest.mark.chaos, pytest.mark.timeout(300)]),
        pytest.param(10_000_000, INGEST_ROWS, marks=[pytest.mark.soak, pytest.mark.timeout(7_200)]),
    ],
)
async def test_a_large_ledger(
    postgres: PostgresServer, capsys: pytest.CaptureFixture[str], rows: int, ingest_rows: int
) -> None:
    found = await measure(schema_database(postgres), rows)
    with capsys.disabled():
        print(f"\n{found.line()}")
    assert found.stored == rows
    assert found.verified_clean
    assert rows * 0.99 < found.reported < rows  # the ends of the period lie amid hours
    assert found.project_p95 < REPORT_SECONDS
    assert found.detach_seconds < DROP_SECONDS
    assert found.backlog < MAX_BACKLOG
    assert found.ingest_rows >= ingest_rows
