"""Searches of the request log open few partitions and read them by index, however many rows there are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any
from uuid import UUID

import pytest

from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.requestlog.rows import bound
from tollway.controlplane.requestlog.service import RequestLog
from tollway.testkit.fakes.clock import FakeClock
from tollway.testkit.ledger_rows import NOON_MS, schema_database
from tollway.testkit.servers import PostgresServer

NOW = datetime.fromtimestamp(NOON_MS / 1000, UTC)
DAYS, ROWS = 8, 700
"""Days with rows, and rows a day in each of two classes."""
FILL = """
INSERT INTO request_log (
    id, day, retention_days, organisation, business_unit, project, key_id, key_public_id, client_user, endpoint, model,
    provider, stream, status, outcome, error_code, client_request_id, tags, client_address, user_agent, started_at,
    duration_ms, masked, truncated, plain_bytes, stored_bytes, content
)
SELECT
    (lpad(to_hex(ms), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))::uuid, to_timestamp(ms / 1000.0)::date,
    class, 'default', 'u', 'p' || n %% 50, 'k' || n %% 200, 'K', '', 'chat', 'small', 'x', false, 200,
    CASE n %% 100 WHEN 0 THEN 'error' ELSE 'ok' END, '', 'c' || n, jsonb_build_object('n', (n %% 500)::text), '', '',
    to_timestamp(ms / 1000.0), 1, false, false, 1, 1, NULL
FROM (
    SELECT class, n, %(now)s - (n %% %(days)s) * 86400000::bigint - n * 7 AS ms
    FROM unnest(ARRAY[90, 365]) AS class (class), generate_series(1, %(total)s) AS n
) AS made
"""
EVERYTHING = dict.fromkeys(
    ("project", "projects", "key", "keys", "model", "status", "outcome", "error_code", "request_id",
     "client_request_id", "tags", "client_user", "endpoint")
)  # fmt: skip
SEARCHES: list[tuple[dict[str, Any], str]] = [
    ({}, "pkey"),
    ({"project": "p7"}, "project_id_idx|pkey"),
    ({"key": "k7"}, "key_id_id_idx"),
    ({"keys": ["k7", "k8"]}, "key_id_id_idx"),
    ({"client_request_id": "c77"}, "client_request_id_idx"),
    ({"request_id": bound(NOW)}, "pkey"),
    ({"tags": '{"n": "7"}'}, "tags_idx"),
    ({"client_user": "ana"}, "client_user_id_idx"),
    ({"outcome": "error"}, "id_idx"),
]


@pytest.fixture
async def pool(postgres: PostgresServer) -> AsyncIterator[Pool]:
    async with create_pool(schema_database(postgres), 2) as opened:
        async with opened.connection() as db:
            await db.execute(FILL.encode(), {"now": NOON_MS, "days": DAYS, "total": DAYS * ROWS})
        await RequestLog(opened, FakeClock(NOON_MS)).look()
        async with opened.connection() as db:
            await db.execute("ANALYZE request_log")
        yield opened


def scans(plan: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Kind, table and index of every scan below a node."""
    found = [scan for child in plan.get("Plans", ()) for scan in scans(child)]
    if "Scan" in plan["Node Type"]:
        found.append((plan["Node Type"], plan.get("Relation Name", ""), plan.get("Index Name", "")))
    return found


async def test_each_search_reads_by_index_and_prunes(pool: Pool) -> None:
    text = (resources.files("tollway.controlplane.requestlog") / "queries.sql").read_text()
    search = text.partition("-- name: search\n")[2].partition("-- name:")[0].strip().rstrip(";")
    begin = NOW - timedelta(days=3)
    period: dict[str, Any] = {
        "first_day": begin.date(), "last_day": NOW.date(), "first_id": bound(begin),
        "before_id": UUID(int=(1 << 128) - 1), "begin": begin, "end": NOW + timedelta(days=1), "limit": 101,
    }  # fmt: skip
    for filters, index in SEARCHES:
        async with pool.connection() as db, db.transaction():
            await db.execute("SET LOCAL plan_cache_mode = force_custom_plan")
            cursor = await db.execute(f"EXPLAIN (FORMAT JSON) {search}".encode(), EVERYTHING | period | filters)
            row = await cursor.fetchone()
        assert row is not None
        found = scans(row[0][0]["Plan"] if not isinstance(row[0], str) else json.loads(row[0])[0]["Plan"])
        tables = {table for _, table, _ in found if table}
        large = {table for table in tables if not table.endswith("_default")}
        assert len(large) <= 2 * 4, (filters, tables)
        by_row = [scan for scan in found if scan[0] == "Seq Scan" and scan[1] in large]
        assert by_row == [], filters
        whole = [
            f"_{NOW - timedelta(days=back):%Y%m%d}_" for back in (1, 2)
        ]  # of the edges other indexes may be cheaper
        used = {name for _, _, name in found if any(day in name for day in whole)}
        assert used, filters
        assert all(any(name.endswith(part) for part in index.split("|")) for name in used), (filters, used)
