"""Every page answers at once with 1,000 projects and ten million ledger rows, for whoever looks at it, cold and warm.

The short form has few rows and looks at what statements read; `make soak RUN=portal` has all of them and a clock.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection

from tollway.controlplane.app import ControlPlane
from tollway.controlplane.db.migrate import migrate
from tollway.controlplane.ledger.balances import balances
from tollway.controlplane.ledger.model import QueryUsageRequest
from tollway.controlplane.ledger.periods import DAY
from tollway.controlplane.ledger.reports import query_usage
from tollway.controlplane.ledger.verify import verify
from tollway.testkit import page_times, portal_scale
from tollway.testkit.portal import signed_in
from tollway.testkit.servers import PostgresServer
from tollway.wire.balances_codec import BalanceQuery

MS = 200.0
"""Of a page, at the 95th percentile."""
COLD_MS = 500.0
"""Of the first page after a restart of a database that has nothing of its files in memory: the disk's time is in it."""
ROWS = int(os.environ.get("TOLLWAY_PORTAL_ROWS", "10000000"))
REPORTS = "tollway.controlplane.portal.reports.FRESH_SECONDS"
DERIVED = """
SELECT count(*) FROM (
    SELECT begins, group_id, requests, cost_nano, output_tokens FROM ledger_weeks
    EXCEPT
    SELECT date_trunc('week', begins, 'UTC'), group_id, sum(requests), sum(cost_nano), sum(output_tokens)
    FROM ledger_days GROUP BY 1, 2
) weeks
UNION ALL
SELECT count(*) FROM (
    SELECT begins, organisation, business_unit, model, provider, requests, cost_nano, output_tokens FROM ledger_totals
    EXCEPT
    SELECT begins, organisation, business_unit, model, provider, sum(requests), sum(cost_nano), sum(output_tokens)
    FROM ledger_days JOIN ledger_groups ON ledger_groups.id = group_id GROUP BY 1, 2, 3, 4, 5
) totals
"""


async def furnished(
    url: str, rows: int, make_settings: Callable[..., Any], make_api: Callable[..., Any]
) -> ControlPlane:
    """A running control plane of the large company."""
    await migrate(url)
    plane = ControlPlane(make_settings(url, gateway_url="http://127.0.0.1:9"))
    await plane.start()
    api = make_api(plane, url)
    done = await api.call("POST", "configuration:apply", {"configuration": portal_scale.DOCUMENT})
    assert done.status == 200, done.body
    await portal_scale.company(url)
    for role in portal_scale.ROLES:
        assert (await api.call("POST", "roles", role)).status == 200
    terms = {"subject": "project:large-0001", "amount": "5"}
    asked = await api.call("POST", "approvals", {"kind": "credit", "terms": terms, "reason": "more"})
    assert asked.status == 200, asked.body
    await portal_scale.requests_of_people(url)
    await api.close()
    stored = await portal_scale.ledger(url, rows, datetime.now(UTC))
    assert stored > rows * 0.98
    return plane


async def rows_of(url: str, query: str) -> list[tuple[Any, ...]]:
    async with await AsyncConnection.connect(url, autocommit=True) as db:
        await db.execute("SET TimeZone = 'UTC'")
        return list(await (await db.execute(query.encode())).fetchall())


async def check_ledger(url: str) -> None:
    """The roll-ups are what the product itself would have made of the rows; so are those that follow them."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    async with await AsyncConnection.connect(url, autocommit=True) as db:
        await db.execute("SET TimeZone = 'UTC'")
        for back in (portal_scale.DAYS - 1, 20, 1):
            begin = today - timedelta(days=back)
            piece = await verify(db, begin, begin + timedelta(days=1))
            assert piece.clean
            assert piece.compared > 100
    assert await rows_of(url, DERIVED) == [(0,), (0,)]


async def pages_of(plane: ControlPlane, postgres: PostgresServer | None) -> list[page_times.PageTime]:
    """Every page of an administrator, a unit's manager and a developer; without a server to restart, warm alone."""
    found = []
    for role, email in (
        ("administrator", ""), ("unit manager", portal_scale.MANAGER), ("developer", portal_scale.DEVELOPER),
    ):  # fmt: skip
        async with signed_in(plane, email) as person:
            paths = await page_times.seen_by(person)
            if postgres is not None:
                found += await page_times.measure(postgres, person, role, paths)
            else:
                found += [page_times.PageTime(role, path, 0.0, [0.0]) for path in paths]
    return found


@pytest.mark.soak
@pytest.mark.timeout(3_600)
async def test_every_page_answers_at_once(
    tmp_path: Path,
    make_settings: Callable[..., Any],
    make_api: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(REPORTS, -1.0)  # nobody has asked for the same a moment ago
    postgres = PostgresServer(tmp_path / "postgres", max_wal_size="1GB").start()
    try:
        url = postgres.create_database()
        plane = await furnished(url, ROWS, make_settings, make_api)
        await check_ledger(url)
        found = await pages_of(plane, postgres)
        await plane.stop()
    finally:
        await asyncio.to_thread(postgres.stop)
    with capsys.disabled():
        print("\n| page | role | cold ms | warm p95 ms |\n|---|---|---|---|")
        print("\n".join(one.line() for one in found))
    assert {one.line() for one in found if one.cold > COLD_MS or one.p95 > MS} == set()


async def days_read(url: str, by: str, days: int, **filters: Any) -> int:
    """How many rows of the sums by day a report of the last days reads."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    asked = QueryUsageRequest(by=by, from_=midnight - timedelta(days=days - 1), to=midnight + DAY, **filters)
    async with await AsyncConnection.connect(url, autocommit=True) as db, db.transaction():
        await query_usage(db, asked, datetime.now(UTC))
        return await read_so_far(db)


async def budget_days_read(url: str, scope: str, subject: str) -> int:
    """The same for a budget of the last 50 days."""
    begin = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=50)
    asked = BalanceQuery("cost", scope, subject, "*", int(begin.timestamp() * 1000))
    async with await AsyncConnection.connect(url, autocommit=True) as db, db.transaction():
        assert (await balances(db, [asked]))[0] > 0
        return await read_so_far(db)


async def read_so_far(db: AsyncConnection[Any]) -> int:
    query = (
        "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables"
        " WHERE relname = 'ledger_days'"
    )
    found = await (await db.execute(query.encode())).fetchone()
    return int(found[0]) if found else 0


@pytest.mark.soak
async def test_pages_read_what_they_show(
    database: str, make_settings: Callable[..., Any], make_api: Callable[..., Any]
) -> None:
    """With few rows: everybody sees their pages; what is asked of one project or by day reads little of all sums."""
    url = database
    plane = await furnished(url, 20_000, make_settings, make_api)
    try:
        found = await pages_of(plane, None)
    finally:
        await plane.stop()
    await check_ledger(url)
    seen = {role: {one.path for one in found if one.role == role} for role in ("administrator", "developer")}
    assert {"/usage/project?days=90", "/audit", "/budgets", "/units/unit-01/costs"} <= seen["administrator"]
    assert "/projects/large-0001" in seen["developer"]
    assert "/audit" not in seen["developer"]
    whole = (await rows_of(url, "SELECT count(*) FROM ledger_days"))[0][0]
    assert whole > 5_000
    for by in ("day", "model", "business_unit", "provider"):
        assert await days_read(url, by, 55) == 0, by  # totals
    assert await days_read(url, "model", 55, project="large-0001") < whole / 20
    assert await days_read(url, "day", 55, key=page_times.KEY) < whole / 20
    for by in ("project", "key", "user"):
        assert await days_read(url, by, 55) < whole / 8, by  # half a week at most
    project = (await rows_of(url, "SELECT id::text FROM projects WHERE name = 'large-0001'"))[0][0]
    assert await budget_days_read(url, "project", project) < whole / 20
    assert await budget_days_read(url, "organisation", "default") == 0
