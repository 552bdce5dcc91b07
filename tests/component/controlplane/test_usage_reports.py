"""Reports add the ledger up exactly, under the names that people know."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest

from tollway.controlplane.call import ApiCode, ApiError, Call, Principal
from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.ledger.api import METHODS
from tollway.controlplane.ledger.ingest import ingest
from tollway.controlplane.ledger.model import ListRequestsResponse, QueryUsageResponse, UsageRow
from tollway.controlplane.ledger.rows import COLUMNS
from tollway.core.ledger import Outcome, RequestRow
from tollway.core.usage import Usage
from tollway.testkit.ledger_rows import NOON_MS, attempt_row, request_row, schema_database, uuid7
from tollway.testkit.servers import PostgresServer

DAY_MS = 86_400_000
UNIT, RETAIL, OLD, GONE = (str(UUID(int=n)) for n in (10, 11, 12, 13))
KEY, REVOKED, LOST_KEY = (str(UUID(int=n)) for n in (20, 21, 22))
PROVIDER = str(UUID(int=30))
FIXTURE = f"""
INSERT INTO organisations (id, name) VALUES ('{UUID(int=1)}', 'default') ON CONFLICT DO NOTHING;
INSERT INTO business_units (id, organisation_id, name)
    SELECT '{UNIT}', id, 'shops' FROM organisations WHERE name = 'default';
INSERT INTO projects (id, business_unit_id, name, archived_at) VALUES
    ('{RETAIL}', '{UNIT}', 'retail', NULL), ('{OLD}', '{UNIT}', 'retail', now());
INSERT INTO keys (id, project_id, lookup, public_id, name, revoked_at) VALUES
    ('{KEY}', '{RETAIL}', 'PubKey01', 'PubKey01', 'web', NULL),
    ('{REVOKED}', '{RETAIL}', 'PubKey02', 'PubKey02', 'web', now());
INSERT INTO providers (id, name, kind, base_url) VALUES ('{PROVIDER}', 'openai', 'openai', 'https://example.org');
"""


class FixedClock:
    """A little after the newest row."""

    def now_ms(self) -> int:
        return NOON_MS + 3_600_000

    def monotonic(self) -> float:
        return 0.0


def ledger() -> list[RequestRow]:
    """Six requests over three days, two projects and a purged one, two providers, one estimate, one without a price."""
    retail: dict[str, Any] = {"business_unit": UNIT, "project": RETAIL, "key_id": KEY, "key_public_id": "PubKey01"}
    old: dict[str, Any] = {"business_unit": UNIT, "project": OLD, "key_id": REVOKED, "key_public_id": "PubKey02"}
    gone: dict[str, Any] = {"business_unit": "bygone", "project": GONE, "key_id": LOST_KEY, "key_public_id": "PubKey03"}
    yesterday, before = NOON_MS - DAY_MS, NOON_MS - 2 * DAY_MS
    failed = attempt_row(status=500, outcome="error", cost_nano=0, usage=Usage(), provider="bygone-provider")
    return [
        request_row(**retail, attempts=(attempt_row(provider=PROVIDER, cost_nano=1_500_000_000),)),
        request_row(**retail, attempts=(failed, attempt_row(number=2, provider=PROVIDER, cost_nano=1))),
        request_row(yesterday, **retail, outcome="error", status=502, model="large", attempts=(
            attempt_row(yesterday, provider=PROVIDER, outcome="error", cost_nano=0, usage=Usage()),)),
        request_row(yesterday, **old, attempts=(
            attempt_row(yesterday, provider=PROVIDER, estimated=True, cost_nano=700),)),
        request_row(before, **gone, attempts=(
            attempt_row(before, provider="bygone-provider", price_version=None, cost_nano=0),)),
        request_row(before, **gone, outcome="client_closed", attempts=()),
    ]  # fmt: skip


@pytest.fixture
async def pool(postgres: PostgresServer) -> AsyncIterator[Pool]:
    url = schema_database(postgres)
    with psycopg.connect(url) as db:
        db.execute(FIXTURE.encode())
    async with create_pool(url, 4) as opened:
        await ingest(opened, "dp-1", ledger())
        yield opened


async def invoke(pool: Pool, name: str, **fields: Any) -> Any:
    method = METHODS[f"tollway.control.v1.UsageService/{name}"]
    async with pool.connection() as db:
        call = Call(principal=Principal(name="test"), db=db, clock=FixedClock())
        return await method.handler(call, msgspec.convert(fields, method.request))


async def usage(pool: Pool, by: str, **fields: Any) -> QueryUsageResponse:
    found = await invoke(pool, "QueryUsage", by=by, **fields)
    assert isinstance(found, QueryUsageResponse)
    return found


async def listed(pool: Pool, **fields: Any) -> ListRequestsResponse:
    found = await invoke(pool, "ListRequests", **fields)
    assert isinstance(found, ListRequestsResponse)
    return found


def row(
    group: str, requests: int, errors: int, calls: int, cost: str, estimated: str = "0", unpriced: int = 0
) -> UsageRow:
    """A group in which `calls` calls used the tokens of `attempt_row`."""
    return UsageRow(
        group=group,
        requests=requests,
        errors=errors,
        input_tokens=100 * calls,
        cached_input_tokens=40 * calls,
        output_tokens=10 * calls,
        reasoning_tokens=3 * calls,
        cost=cost,
        estimated_cost=estimated,
        unpriced_requests=unpriced,
    )


TOTAL = row("", 6, 1, 4, "1.500000701", "0.0000007", 1)
EXPECTED = {
    "project": [
        row("retail", 3, 1, 2, "1.500000001"),
        row(f"retail ({OLD})", 1, 0, 1, "0.0000007", "0.0000007"),
        row(GONE, 2, 0, 1, "0", "0", 1),
    ],
    "key": [
        row("retail/web", 3, 1, 2, "1.500000001"),
        row("retail/web (PubKey02)", 1, 0, 1, "0.0000007", "0.0000007"),
        row(f"{GONE}/PubKey03", 2, 0, 1, "0", "0", 1),
    ],
    "model": [row("small", 5, 0, 4, "1.500000701", "0.0000007", 1), row("large", 1, 1, 0, "0")],
    "day": [
        row("2026-09-19", 2, 0, 1, "0", "0", 1),
        row("2026-09-20", 2, 1, 1, "0.0000007", "0.0000007"),
        row("2026-09-21", 2, 0, 2, "1.500000001"),
    ],
    "business_unit": [
        row("shops", 4, 1, 3, "1.500000701", "0.0000007"),
        row("bygone", 2, 0, 1, "0", "0", 1),
    ],
    "provider": [
        row("openai", 4, 1, 3, "1.500000701", "0.0000007"),
        row("bygone-provider", 2, 1, 1, "0", "0", 1),
    ],
}


@pytest.mark.parametrize("by", EXPECTED)
async def test_groups_and_total_are_exact(pool: Pool, by: str) -> None:
    found = await usage(pool, by)
    assert found.rows == EXPECTED[by]
    assert found.total == TOTAL


async def test_a_limit_takes_the_dearest_and_sums_the_others(pool: Pool) -> None:
    ties = [request_row(model=f"m{n}", attempts=(attempt_row(cost_nano=n // 2 * 10**9 + 1),)) for n in range(8)]
    await ingest(pool, "dp-1", [*ties, request_row(model="kept", cache="hit", attempts=())])
    for by in (*EXPECTED, "user", "hour"):
        everything = await usage(pool, by)
        assert (everything.groups, everything.others) == (len(everything.rows), None), by
        for limit in (1, 2, 5, 1_000):
            found = await usage(pool, by, limit=limit)
            assert found.others is not None
            assert (found.total, found.groups) == (everything.total, everything.groups), by
            assert len(found.rows) == min(limit, found.groups), by
            assert all(shown in everything.rows for shown in found.rows), by
            assert added([*found.rows, found.others]) == added(everything.rows), by
            assert len(found.rows) < found.groups or found.others == UsageRow(group="")
            costs = sorted((Decimal(shown.cost) for shown in everything.rows), reverse=True)
            assert sorted((Decimal(shown.cost) for shown in found.rows), reverse=True) == costs[:limit], by
    names = [shown.group for shown in (await usage(pool, "model", limit=4)).rows]
    assert names == ["m6", "m7", "m4", "m5"]
    assert [shown.group for shown in (await usage(pool, "model", limit=3)).rows] == ["m6", "m7", "m4"]
    days = (await usage(pool, "day", limit=2)).rows
    assert [shown.group for shown in days] == ["2026-09-20", "2026-09-21"]


@pytest.mark.parametrize("filters", [{"model": "small"}, {"business_unit": "shops"}, {"project": RETAIL}])
async def test_a_limit_counts_what_filters_let_through(pool: Pool, filters: dict[str, str]) -> None:
    for by in ("project", "key", "user", "model"):
        everything = await usage(pool, by, **filters)
        found = await usage(pool, by, limit=1, **filters)
        assert (found.total, found.groups, found.rows) == (everything.total, len(everything.rows), everything.rows[:1])


async def test_projects_by_id_are_a_filter_among_others(pool: Pool) -> None:
    found = await usage(pool, "project", projects=[OLD, GONE])
    assert [(shown.group, shown.requests) for shown in found.rows] == [("retail", 1), (GONE, 2)]
    assert found.total.requests == 3
    found = await usage(pool, "project", projects=[OLD, GONE], business_unit="bygone")
    assert [(shown.group, shown.requests) for shown in found.rows] == [(GONE, 2)]
    assert (await usage(pool, "project", projects=[OLD], project=GONE)).rows == []
    assert (await usage(pool, "key", projects=[OLD, GONE], limit=1)).groups == 2


def added(rows: list[UsageRow]) -> dict[str, Decimal]:
    """Every sum over some rows; costs to the nano-dollar."""
    names = [name for name in UsageRow.__struct_fields__ if name != "group"]
    return {name: sum((Decimal(getattr(shown, name)) for shown in rows), Decimal(0)) for name in names}


@pytest.mark.parametrize(
    ("filters", "requests", "cost"),
    [
        ({"project": "retail"}, 3, "1.500000001"),
        ({"project": OLD}, 1, "0.0000007"),
        ({"project": GONE}, 2, "0"),
        ({"project": "no-such"}, 0, "0"),
        ({"key": KEY}, 3, "1.500000001"),
        ({"key": "PubKey02"}, 1, "0.0000007"),
        ({"key": "PubKey03"}, 2, "0"),
        ({"key": "retail/web"}, 4, "1.500000701"),
        ({"model": "large"}, 1, "0"),
        ({"project": "retail", "model": "small"}, 2, "1.500000001"),
        ({"from": datetime(2026, 9, 20, tzinfo=UTC)}, 4, "1.500000701"),
        ({"to": datetime(2026, 9, 20, tzinfo=UTC)}, 2, "0"),
        ({"from": datetime(2026, 9, 20, tzinfo=UTC), "to": datetime(2026, 9, 21, tzinfo=UTC)}, 2, "0.0000007"),
    ],
)
async def test_filters(pool: Pool, filters: dict[str, Any], requests: int, cost: str) -> None:
    total = (await usage(pool, "model", **filters)).total
    assert (total.requests, total.cost) == (requests, cost)
    assert len((await listed(pool, **filters)).requests) == requests


async def test_the_period_includes_its_beginning_and_not_its_end(pool: Pool) -> None:
    moment = datetime.fromtimestamp(NOON_MS / 1000, UTC)
    assert (await usage(pool, "day", **{"from": moment})).total.requests == 2
    assert (await usage(pool, "day", to=moment)).total.requests == 4


async def test_an_adjusted_estimate_is_no_estimate_any_more(pool: Pool) -> None:
    guess = attempt_row(provider=PROVIDER, estimated=True, outcome=Outcome.LOST, cost_nano=5_000)
    lost = request_row(attempts=(guess,))
    actual = msgspec.structs.replace(guess, estimated=False, cost_nano=3_000, usage=Usage(input=90, output=7))
    await ingest(pool, "dp-1", [lost])
    await ingest(pool, "dp-1", [msgspec.structs.replace(lost, attempts=(actual,))])
    found = (await usage(pool, "provider")).rows[0]
    assert (found.requests, found.cost, found.estimated_cost) == (5, "1.500003701", "0.0000007")
    assert (found.input_tokens, found.output_tokens) == (390, 37)
    shown = next(request for request in (await listed(pool)).requests if request.id == lost.id)
    assert (shown.cost, shown.estimated) == ("0.000003", False)
    amounts = [(a.outcome, a.number, a.input_tokens, a.output_tokens, a.cost) for a in shown.attempts]
    assert amounts == [("lost", 1, 100, 10, "0.000005"), ("adjustment", 1, -10, -3, "-0.000002")]


async def test_every_kind_of_usage_is_shown(pool: Pool) -> None:
    counts = {name: number for number, name in enumerate(Usage.__struct_fields__, 1)}
    used = attempt_row(usage=msgspec.convert(counts, Usage))
    request = request_row(model="all-kinds", attempts=(used, msgspec.structs.replace(used, id=uuid7(), number=2)))
    await ingest(pool, "dp-1", [request])
    total = (await usage(pool, "model", model="all-kinds")).total
    assert [getattr(total, column) for column in COLUMNS] == [2 * count for count in counts.values()]
    (shown,) = (await listed(pool, model="all-kinds")).requests
    assert [getattr(shown.attempts[1], column) for column in COLUMNS] == list(counts.values())


async def test_sums_beyond_64_bits_do_not_fail(pool: Pool) -> None:
    huge = [request_row(attempts=(attempt_row(cost_nano=2**63 - 1),)) for _ in range(3)]
    await ingest(pool, "dp-1", huge)
    assert (await usage(pool, "model", project=str(UUID(int=1)))).total.cost == "27670116110.564327421"


async def test_the_ledger_is_listed_newest_first_page_by_page(pool: Pool) -> None:
    expected = sorted((request.id for request in (await listed(pool)).requests), reverse=True)
    pages: list[str] = []
    token = ""
    while True:
        page = await listed(pool, page_size=4, page_token=token)
        pages += [request.id for request in page.requests]
        token = page.next_page_token
        if not token:
            break
        assert len(page.requests) == 4
    assert pages == expected
    assert len(pages) == 6


async def test_a_request_is_shown_with_its_attempts(pool: Pool) -> None:
    found = (await listed(pool, project="retail", model="small")).requests
    shown = next(request for request in found if len(request.attempts) == 2)
    assert (shown.project, shown.key_public_id, shown.outcome, shown.status) == ("retail", "PubKey01", "ok", 200)
    assert (shown.cost, shown.estimated, shown.tags) == ("0.000000001", False, {"team": "web"})
    assert shown.started_at == datetime.fromtimestamp(NOON_MS / 1000, UTC)
    assert shown.ended_at - shown.started_at == timedelta(milliseconds=300)
    assert [(a.number, a.provider, a.outcome, a.status, a.cost) for a in shown.attempts] == [
        (1, "bygone-provider", "error", 500, "0"),
        (2, "openai", "ok", 200, "0.000000001"),
    ]


async def test_a_request_that_the_cache_answered_counts_and_costs_nothing(pool: Pool) -> None:
    before = (await usage(pool, "model")).total
    rows = [request_row(model="kept", cache=cache, attempts=()) for cache in ("hit", "shared")]
    await ingest(pool, "dp-1", rows)
    await ingest(pool, "dp-1", rows)
    after = (await usage(pool, "model")).total
    assert (after.requests, after.cost, after.errors) == (before.requests + 2, before.cost, before.errors)
    assert (before.cached_requests, after.cached_requests) == (0, 2)
    shown = {request.id: request for request in (await listed(pool, model="kept")).requests}
    assert {name: (request.cache, request.cost, request.attempts) for name, request in shown.items()} == {
        row.id: (row.cache, "0", []) for row in rows
    }
    assert {request.cache for request in (await listed(pool, model="small")).requests} == {""}


@pytest.mark.parametrize(
    ("method", "fields", "field"),
    [
        ("QueryUsage", {"by": "colour"}, "by"),
        ("QueryUsage", {"by": "day", "from": datetime(2027, 1, 1, tzinfo=UTC)}, "to"),
        ("QueryUsage", {"by": "day", "to": datetime(1, 1, 1, tzinfo=UTC)}, "to"),
        ("QueryUsage", {"by": "day", "model": "\0"}, "model"),
        ("QueryUsage", {"by": "day", "limit": 0}, "limit"),
        ("QueryUsage", {"by": "day", "limit": 1001}, "limit"),
        ("ListRequests", {"page_token": "nonsense"}, "page_token"),
    ],
)
async def test_what_cannot_be_meant_is_refused(pool: Pool, method: str, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ApiError) as caught:
        await invoke(pool, method, **fields)
    assert (caught.value.code, caught.value.field) == (ApiCode.INVALID, field)
