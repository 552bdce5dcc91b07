"""What fires: budgets, anomalies, the ledger's own state, notices; each once, whoever looks and however often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tollway.controlplane.alerts import service
from tollway.controlplane.alerts.service import Alerts
from tollway.controlplane.app import ControlPlane
from tollway.controlplane.ledger.ingest import ingest
from tollway.controlplane.ledger.partitions import ensure_partitions
from tollway.core.notices import Notice, NoticeKind
from tollway.testkit.alerting import alerts_of
from tollway.testkit.fakes.clock import FakeClock
from tollway.testkit.ledger_rows import attempt_row, request_row
from tollway.wire.notices_client import NoticeIngestClient

NOW = datetime(2026, 9, 21, 14, 30, tzinfo=UTC)
DOLLAR = 1_000_000_000
INSERT_BUDGET = """
INSERT INTO budgets (id, rule_id, scope, subject, limit_nano, period, timezone, fiscal_start, mode, carry_over, alerts,
                     created_at, updated_at)
VALUES (gen_random_uuid(), %s, %s, %s, %s, 'month', 'UTC', '01-01', 'hard', false, '{0.5,0.9}', '2026-01-01', now())
"""


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


@pytest.fixture
async def plane(database: str, make_settings: Any) -> AsyncIterator[ControlPlane]:
    """A control plane whose own alerts rest: tests look with a clock of their own."""
    made = ControlPlane(make_settings(database))
    await made.start()
    await made.alerts._tasks.close()
    yield made
    await made.stop()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(milliseconds(NOW))


@pytest.fixture
async def alerts(api: Any, clock: FakeClock) -> AsyncIterator[Alerts]:
    async with alerts_of(api.database_url, clock) as made:
        yield made


@pytest.fixture
async def project(api: Any, alerts: Alerts) -> str:
    """The id of the project `demo`, with partitions for its spend."""
    async with alerts._pool.connection() as db:
        await ensure_partitions(db, NOW.date(), days_ahead=20)
        await ensure_partitions(db, (NOW - timedelta(days=20)).date(), days_ahead=5)
    made = await api.call("POST", "projects", {"name": "demo"})
    return str(made.body["id"])


async def spend(alerts: Alerts, project: str, dollars: float, at: datetime = NOW, **more: Any) -> None:
    """One request of the project."""
    at_ms = milliseconds(at)
    attempts = (attempt_row(at_ms, cost_nano=int(dollars * DOLLAR)),)
    row = request_row(at_ms, project=project, business_unit="default", attempts=attempts, **more)
    result = await ingest(alerts._pool, "dp", [row])
    assert result.quarantined == 0


async def fired(api: Any, *kinds: str) -> list[dict[str, Any]]:
    """The alerts of these kinds, newest first."""
    found = (await api.call("GET", "alerts")).body["alerts"]
    return [one for one in found if not kinds or one["kind"] in kinds]


async def test_thresholds_of_a_budget_fire_once(api: Any, alerts: Alerts, project: str, clock: FakeClock) -> None:
    await api.sql(INSERT_BUDGET, "rule-1", "project", project, 10 * DOLLAR)
    unit = (await api.call("GET", "business-units/default")).body["id"]
    await api.sql(INSERT_BUDGET, "rule-2", "business_unit", unit, 20 * DOLLAR)
    await spend(alerts, project, 4.99)
    assert await alerts.evaluate() == 1  # the hour's spend itself is unusual
    await spend(alerts, project, 0.01)
    assert await alerts.evaluate() == 1
    async with alerts_of(api.database_url, clock) as restarted:
        assert await restarted.evaluate() == 0
    await spend(alerts, project, 5)
    assert await alerts.evaluate() == 3
    assert await alerts.evaluate() == 0
    found = await fired(api, "budget_threshold", "budget_exhausted")
    assert {(one["scope"], one["subject"], one["kind"], one["details"].get("threshold")) for one in found} == {
        ("project", "demo", "budget_threshold", "0.5"),
        ("project", "demo", "budget_threshold", "0.9"),
        ("project", "demo", "budget_exhausted", None),
        ("business_unit", "default", "budget_threshold", "0.5"),
    }
    assert {(one["project"], one["business_unit"]) for one in found} == {("demo", "default"), ("", "default")}
    clock.advance(31 * 86_400)  # the next month begins at nothing
    assert await alerts.evaluate() == 0


async def test_two_evaluators_at_once_fire_once(api: Any, project: str, alerts: Alerts, clock: FakeClock) -> None:
    await api.sql(INSERT_BUDGET, "rule-1", "project", project, 10 * DOLLAR)
    await spend(alerts, project, 6)
    async with alerts_of(api.database_url, clock) as other:
        counts = await asyncio.gather(*(one.evaluate() for one in (alerts, other) * 4))
        assert alerts.counters.fired + other.counters.fired == sum(counts) == 2
    assert len(await fired(api)) == 2


async def test_an_unusual_hour(api: Any, alerts: Alerts, project: str) -> None:
    for day in range(1, 15):
        await spend(alerts, project, 2, NOW - timedelta(days=day))
        await spend(alerts, project, 50, NOW - timedelta(days=day, hours=2))  # another hour is another measure
    await spend(alerts, project, 8)
    assert await alerts.evaluate() == 0
    await spend(alerts, project, 0.5)
    assert await alerts.evaluate() == 1
    await spend(alerts, project, 50)
    assert await alerts.evaluate() == 0
    (one,) = await fired(api)
    assert (one["kind"], one["project"], one["details"]["spent"], one["details"]["usual"]) == (
        "spend_anomaly", "demo", "8.5", "2"
    )  # fmt: skip


async def test_the_ledgers_own_state(api: Any, alerts: Alerts, project: str, clock: FakeClock) -> None:
    await ingest(alerts._pool, "dp", [request_row(id="not-an-id")])
    await api.sql("UPDATE ledger_quarantine SET received_at = %s", NOW)
    await api.sql("INSERT INTO ledger_checks (checked_at, begins, ends, found) VALUES (%s, %s, %s, 3)", NOW, NOW, NOW)
    await api.sql("INSERT INTO request_log_losses (replica, hour, dropped) VALUES ('dp', %s, 5)", NOW)
    assert await alerts.evaluate() == 3
    assert await alerts.evaluate() == 0
    assert {one["kind"] for one in await fired(api)} == {"quarantined_rows", "ledger_difference", "bodies_dropped"}
    clock.advance(86_400)
    await api.sql("UPDATE ledger_quarantine SET received_at = %s", NOW + timedelta(days=1))
    assert await alerts.evaluate() == 1  # another day, other rows


async def test_a_source_that_fails_keeps_no_other_silent(api: Any, alerts: Alerts, project: str) -> None:
    await api.sql("ALTER TABLE budgets RENAME TO budgets_away")
    await spend(alerts, project, 6)
    assert await alerts.evaluate() == 1
    assert alerts.counters.failures == 1


async def test_notices_over_the_wire(api: Any, plane: ControlPlane, project: str) -> None:
    client = NoticeIngestClient(api.channel, plane.settings.join_token)
    at_ms = plane.clock.now_ms()
    told = [
        Notice(kind=NoticeKind.CREDENTIAL_FAILED, at_ms=at_ms, provider="openai", credential="main", count=7),
        Notice(kind=NoticeKind.UNATTRIBUTED, at_ms=at_ms, scope="project", subject=project, amount_nano=DOLLAR),
        Notice(kind="of a later version", at_ms=at_ms),
        Notice(kind=NoticeKind.BOUND_EXCEEDED, at_ms=at_ms, scope="project", subject="demo\0\n", detail="x" * 5000),
    ]
    await client.report("dp", told, 0)
    await client.report("dp", told[:1], 4)
    found = {one["kind"]: one for one in await fired(api)}
    assert set(found) == {"credential_failed", "unattributed", "bound_exceeded", "notices_lost"}
    assert found["credential_failed"]["summary"] == "the provider openai refuses our credential main"
    assert found["credential_failed"]["occurrences"] == "14"
    assert (found["unattributed"]["project"], found["unattributed"]["details"]["amount"]) == ("demo", "1")
    with pytest.raises(ConnectionError, match="UNAUTHENTICATED"):
        await NoticeIngestClient(api.channel, "a-token-that-is-wrong").report("dp", told, 0)


async def test_a_refusal_and_the_ledger_are_one_exhaustion(api: Any, alerts: Alerts, project: str) -> None:
    await api.sql(INSERT_BUDGET, "rule-1", "project", project, DOLLAR)
    refused = Notice(kind=NoticeKind.BUDGET_REFUSED, at_ms=milliseconds(NOW), scope="project", subject="demo")
    await alerts.report("dp-1", [refused], 0)
    await alerts.report("dp-2", [refused], 0)
    await spend(alerts, project, 1)
    await alerts.evaluate()
    (one,) = await fired(api, "budget_exhausted")
    assert (one["severity"], one["occurrences"]) == ("critical", "2")


async def test_budgets_of_keys_organisations_and_users(api: Any, alerts: Alerts, project: str) -> None:
    key = (await api.call("POST", "keys", {"project": "demo", "name": "web"})).body["key"]
    await api.sql(INSERT_BUDGET, "rule-1", "key", key["id"], DOLLAR)
    await api.sql(INSERT_BUDGET, "rule-2", "organisation", "default", 2 * DOLLAR)
    await api.sql(INSERT_BUDGET, "rule-3", "user", "ana@example.com", DOLLAR)
    refused = Notice(kind=NoticeKind.BUDGET_REFUSED, at_ms=milliseconds(NOW), scope="key", subject="demo/web")
    await alerts.report("dp", [refused], 0)
    await spend(alerts, project, 0.6, key_id=key["id"], user="ana@example.com")
    await spend(alerts, project, 0.5)
    await alerts.evaluate()
    found = {(one["kind"], one["scope"], one["subject"], one["project"]) for one in await fired(api)}
    assert found == {
        ("budget_exhausted", "key", "demo/web", "demo"),
        ("budget_threshold", "key", "demo/web", "demo"),
        ("budget_threshold", "organisation", "default", ""),
        ("budget_threshold", "user", "ana@example.com", ""),
        ("spend_anomaly", "project", "demo", "demo"),
    }


async def test_a_storm_is_cut_off_and_says_so(
    api: Any, alerts: Alerts, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    monkeypatch.setattr(service, "MAX_AN_HOUR", 5)
    clock.jump(datetime.now(UTC).timestamp() - NOW.timestamp())  # ids of alerts have the time of the machine
    notices = [
        Notice(kind=NoticeKind.CREDENTIAL_FAILED, at_ms=clock.now_ms(), provider=f"p{number}") for number in range(9)
    ]
    await alerts.report("dp", notices, 0)
    await alerts.report("dp", notices, 0)
    kinds = [one["kind"] for one in await fired(api)]
    assert kinds.count("credential_failed") == 5
    assert kinds.count("alerts_suppressed") == 1
    assert alerts.counters.suppressed == 8


async def test_somebody_has_seen_it(api: Any, alerts: Alerts) -> None:
    notice = Notice(kind=NoticeKind.COUNTERS_REBUILT, at_ms=milliseconds(NOW), scope="organisation", subject="default")
    await alerts.report("dp", [notice], 0)
    (one,) = (await api.call("GET", "alerts?open=true")).body["alerts"]
    seen = await api.call("POST", f"alerts/{one['id']}:acknowledge", {"note": "on it"})
    assert (seen.body["acknowledged_by"], seen.body["note"]) == ("administrator", "on it")
    again = await api.call("POST", f"alerts/{one['id']}:acknowledge", {"note": "me too"})
    assert again.body == seen.body
    assert (await api.call("GET", "alerts?open=true")).body["alerts"] == []
    assert (await api.call("GET", "alerts?kind=counters_rebuilt")).body["alerts"] == [seen.body]
    missing = await api.call("POST", f"alerts/{UUID(int=1)}:acknowledge", {})
    assert missing.status == 404
