"""Half a million requests: taken in without loss, and a usage report still comes at once."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from tollway.controlplane.db.pool import create_pool
from tollway.controlplane.ledger import reports
from tollway.controlplane.ledger.ingest import ingest
from tollway.controlplane.ledger.model import QueryUsageRequest
from tollway.testkit.ledger_rows import NOON_MS, request_row, schema_database
from tollway.testkit.servers import PostgresServer

ROWS = 500_000
BATCH = 5_000
FLUSHERS = 2
REPORT_SECONDS = 3.0
"""The 95th percentile that a report has to keep on a busy machine; it is counted from the rows themselves."""


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_half_a_million_rows(postgres: PostgresServer, capsys: pytest.CaptureFixture[str]) -> None:
    url = schema_database(postgres)
    noon = datetime.fromtimestamp(NOON_MS / 1000, UTC)
    async with create_pool(url, 4) as pool:

        async def flush(share: int) -> int:
            stored = 0
            for start in range(0, share, BATCH):
                rows = [request_row(NOON_MS + start + n) for n in range(BATCH)]
                result = await ingest(pool, "dp", rows)
                assert result.quarantined == 0
                stored += result.inserted
            return stored

        began = time.monotonic()
        stored = sum(await asyncio.gather(*(flush(ROWS // FLUSHERS) for _ in range(FLUSHERS))))
        took = time.monotonic() - began
        assert stored == ROWS
        seconds = []
        async with pool.connection() as db:
            await db.execute("ANALYZE")
            for by in ("project", "key", "model", "day") * 5:
                since = time.monotonic()
                request = QueryUsageRequest(by=by, from_=noon - timedelta(days=1), to=noon + timedelta(days=1))
                found = await reports.query_usage(db, request, noon)
                seconds.append(time.monotonic() - since)
                assert found.total.requests == ROWS
                assert found.total.input_tokens == ROWS * 100
                assert found.total.cost == "0.5"  # 1,000 nano-dollars each
    seconds.sort()
    with capsys.disabled():
        print(f"\n{ROWS} requests stored, {ROWS / took:.0f} a second; report p95 {seconds[-2]:.2f} s")
    assert seconds[-2] < REPORT_SECONDS
