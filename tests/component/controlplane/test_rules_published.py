"""Budgets and limits on a frozen clock, against the ledger, and as the data planes get them; who may manage them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tollway.controlplane.api.dispatcher import CallContext, Dispatcher
from tollway.controlplane.api.telemetry import Telemetry
from tollway.controlplane.call import ApiCode, ApiError, Principal
from tollway.controlplane.catalog.snapshot import all_entries, build_catalog
from tollway.controlplane.credentials.vault import Vault, ensure_peppers
from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.db.versions import ensure_installation
from tollway.controlplane.identity import api as identity
from tollway.controlplane.identity.service import ensure_defaults
from tollway.controlplane.keys import api as keys
from tollway.controlplane.ledger.ingest import ingest
from tollway.controlplane.rules import api as rules
from tollway.core.catalog import Catalog, DirectoryEntry, decode_catalog, decode_entry, encode
from tollway.core.ids import parse_native
from tollway.core.rules import Budget, Limit, Measure, Outage, Period
from tollway.testkit.fakes.clock import FakeClock
from tollway.testkit.ledger_rows import attempt_row, request_row
from tollway.wire.contract import METHODS

ADMIN = Principal(name="admin")
JUNE = datetime(2026, 6, 15, 12, tzinfo=UTC)
Invoke = Callable[..., Awaitable[Any]]


def at(text: str) -> int:
    """Unix milliseconds of a time in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def vault() -> Vault:
    return Vault([b"k" * 32])


@pytest.fixture
async def pool(database: str, vault: Vault) -> AsyncIterator[Pool]:
    async with create_pool(database, 8) as opened:
        async with opened.connection() as db, db.transaction():
            await ensure_installation(db, ensure_defaults)
            await ensure_peppers(db, vault)
        yield opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now_ms=round(JUNE.timestamp() * 1000))


@pytest.fixture
def invoke(pool: Pool, vault: Vault, clock: FakeClock) -> Invoke:
    """Calls a method of identity, keys or rules."""
    methods = {**identity.METHODS, **keys.METHODS, **rules.METHODS}
    dispatcher = Dispatcher(pool, methods, clock, vault, Telemetry())

    async def call(method: str, *, principal: Principal = ADMIN, until: str = "", **fields: Any) -> Any:
        contract = METHODS[f"tollway.control.v1.{method}"]
        request: Any = contract.request(**fields)
        if until:
            request.ends_at.FromJsonString(until)
        return await dispatcher.invoke(principal, contract, request, CallContext(request_id="r"))

    return call


@pytest.fixture
def published(pool: Pool, vault: Vault) -> Callable[[], Awaitable[tuple[Catalog, dict[str, DirectoryEntry]]]]:
    """Catalog and entries by key name, as a data plane decodes them."""

    async def read() -> tuple[Catalog, dict[str, DirectoryEntry]]:
        async with pool.connection() as db:
            catalog = decode_catalog(encode(await build_catalog(db, vault)))
            entries = [decode_entry(encode(entry)) for entry in await all_entries(db, None, 100)]
        return catalog, {entry.name: entry for entry in entries}

    return read


async def spend(pool: Pool, at_ms: int, nano: int, **row: Any) -> None:
    """A request in the ledger that cost `nano`."""
    await ingest(pool, "r1", [request_row(at_ms, attempts=(attempt_row(at_ms, cost_nano=nano),), **row)])


async def test_what_is_used_comes_from_the_ledger_and_starts_anew(invoke: Invoke, pool: Pool, clock: FakeClock) -> None:
    project = (await invoke("ProjectService/CreateProject", name="demo")).id
    made = await invoke("KeyService/CreateKey", project="demo", name="web", user="ana@example.com")
    key = made.key.id
    subjects = ["organisation", "business_unit:default", "project:demo", "key:demo/web", "user:ana@example.com"]
    for subject in subjects:
        await invoke("BudgetService/SetBudget", subject=subject, limit="2.00")
    row = {"business_unit": "default", "project": project, "key_id": key, "user": "ana@example.com"}
    await spend(pool, at("2026-05-31T23:59:59.999"), 1_000_000_000, **row)
    await spend(pool, at("2026-06-01T00:00:00"), 400_000_000, **row)
    await spend(pool, at("2026-06-15T11:59:00"), 100_000_001, **row)
    await spend(
        pool, at("2026-06-15T11:59:00"), 5, **{**row, "project": str(UUID(int=9)), "key_id": "other", "user": ""}
    )
    listed = {budget.subject: budget for budget in (await invoke("BudgetService/ListBudgets")).budgets}
    assert {subject: listed[subject].used for subject in subjects} == {
        "organisation": "0.500000006",
        "business_unit:default": "0.500000006",
        "project:demo": "0.500000001",
        "key:demo/web": "0.500000001",
        "user:ana@example.com": "0.500000001",
    }
    assert listed["project:demo"].remaining == "1.499999999"
    assert listed["project:demo"].window_end.ToJsonString() == "2026-07-01T00:00:00Z"
    clock.jump((datetime(2026, 7, 1, tzinfo=UTC) - JUNE).total_seconds())
    july = await invoke("BudgetService/GetBudget", subject="project:demo")
    assert (july.used, july.remaining, july.window_start.ToJsonString()) == ("0", "2", "2026-07-01T00:00:00Z")


async def test_what_was_left_is_carried_over_but_not_from_before_the_budget(
    invoke: Invoke, pool: Pool, clock: FakeClock
) -> None:
    project = (await invoke("ProjectService/CreateProject", name="demo")).id
    first = await invoke("BudgetService/SetBudget", subject="project:demo", limit="2", carry_over=True)
    assert (first.carried, first.limit_now) == ("0", "2")
    await invoke("BudgetService/IncreaseBudget", subject="project:demo", amount="1", until="2026-07-02T00:00:00Z")
    await spend(pool, at("2026-06-20T00:00:00"), 1_500_000_000, project=project)
    clock.jump((datetime(2026, 7, 1, tzinfo=UTC) - JUNE).total_seconds())
    july = await invoke("BudgetService/GetBudget", subject="project:demo")
    assert (july.carried, july.limit_now, july.remaining) == ("0.5", "3.5", "3.5")
    clock.advance(86_400)
    assert (await invoke("BudgetService/GetBudget", subject="project:demo")).limit_now == "2.5"
    clock.advance(31 * 86_400)
    august = await invoke("BudgetService/GetBudget", subject="project:demo")
    assert (august.carried, august.limit_now) == ("2", "4")
    assert list(august.increases) == []


async def test_rules_reach_catalog_and_entries(invoke: Invoke, published: Any, clock: FakeClock) -> None:
    project = (await invoke("ProjectService/CreateProject", name="demo")).id
    await invoke("KeyService/CreateKey", project="demo", name="web", user="ana")
    await invoke("KeyService/CreateKey", project="demo", name="plain")
    zone = {"timezone": "Europe/Berlin", "period": "week", "alerts": [0.5, 1.0], "fiscal_start": "04-01"}
    set_ = await invoke("BudgetService/SetBudget", subject="project:demo", limit="25", carry_over=True, **zone)
    await invoke("BudgetService/IncreaseBudget", subject="project:demo", amount="10", until="2199-01-01T00:00:00Z")
    for subject in ("organisation", "business_unit:default", "user:ana", "key:demo/web"):
        await invoke("BudgetService/SetBudget", subject=subject, limit="1", mode="soft")
    limit = {"measure": "tokens", "window": "hour", "amount": 5, "model": "gpt*", "on_outage": "closed"}
    held = await invoke("LimitService/SetLimits", subject="project:demo", limits=[limit])
    await invoke("LimitService/SetLimits", subject="key:demo/web", limits=[{"measure": "concurrent", "amount": 0}])
    catalog, entries = await published()
    assert set(catalog.rules) == {"organisation", "business_unit:default", "user:ana", f"project:{project}"}
    found = catalog.rules[f"project:{project}"]
    assert isinstance(found.budget, Budget)
    assert (found.budget.id, found.budget.scope, found.budget.subject) == (set_.id, "project", "demo")
    assert (found.budget.limit_nano, found.budget.period, found.budget.carry_over) == (
        25_000_000_000,
        Period.WEEK,
        True,
    )
    assert (found.budget.timezone, found.budget.fiscal_start) == ("Europe/Berlin", "04-01")
    assert found.budget.alerts == (0.5, 1.0)
    assert found.budget.since_ms == clock.now_ms()
    assert [(one.amount_nano, one.from_ms, one.until_ms) for one in found.budget.increases] == [
        (10_000_000_000, clock.now_ms(), at("2199-01-01T00:00:00"))
    ]
    assert found.limits == (
        Limit(
            id=held.limits[0].id,
            scope="project",
            subject="demo",
            measure=Measure.TOKENS,
            amount=5,
            window_seconds=3600,
            model="gpt*",
            on_outage=Outage.CLOSED,
        ),
    )
    web = entries["web"]
    assert (web.user, entries["plain"].user, entries["plain"].rules) == ("ana", "", None)
    assert web.rules is not None
    assert web.rules.budget is not None
    assert (web.rules.budget.scope, web.rules.budget.subject) == ("key", "demo/web")
    assert [(one.measure, one.amount, one.window_seconds) for one in web.rules.limits] == [(Measure.CONCURRENT, 0, 0)]
    await invoke("BudgetService/RemoveBudget", subject="project:demo")
    await invoke("LimitService/SetLimits", subject="project:demo", limits=[])
    await invoke("BudgetService/RemoveBudget", subject="key:demo/web")
    catalog, entries = await published()
    assert f"project:{project}" not in catalog.rules
    assert entries["web"].rules is not None
    assert entries["web"].rules.budget is None


async def test_a_replaced_key_and_its_successor_share_one_budget(invoke: Invoke, pool: Pool, published: Any) -> None:
    await invoke("ProjectService/CreateProject", name="demo")
    value = "Zq7xW2mB9tRk4LpVc8NhYs3DfGj5AeUo"
    assert parse_native(value) is None
    old = (await invoke("KeyService/CreateKey", project="demo", name="old", value=value, user="ana")).key.id
    made = await invoke("BudgetService/SetBudget", subject="key:demo/old", limit="1")
    await invoke("LimitService/SetLimits", subject="key:demo/old", limits=[{"measure": "concurrent", "amount": 3}])
    now_ms = round(JUNE.timestamp() * 1000)
    await spend(pool, now_ms - 1000, 300_000_000, key_id=old)
    new = (await invoke("KeyService/RotateKey", key=old, grace_seconds=3600)).key
    assert new.user == "ana"
    await spend(pool, now_ms - 500, 200_000_000, key_id=new.id)
    found = await invoke("BudgetService/GetBudget", subject="key:demo/old")
    assert (found.id, found.used) == (made.id, "0.5")
    assert (await invoke("BudgetService/GetBudget", subject=f"key:{old}")).id == made.id
    _, entries = await published()
    assert len(entries) == 2
    held = {entry.rules.budget.id for entry in entries.values() if entry.rules and entry.rules.budget}
    assert held == {made.id}
    assert all(entry.rules == entries["old"].rules for entry in entries.values())
    await invoke("BudgetService/SetBudget", subject="key:demo/old", limit="7")
    query = b"SELECT key_id::text FROM change_log WHERE version = (SELECT max(version) FROM change_log)"
    async with pool.connection() as db:
        rows = await (await db.execute(query)).fetchall()
    assert {row[0] for row in rows} == {old, new.id}


async def test_every_method_needs_its_permission(invoke: Invoke) -> None:
    await invoke("ProjectService/CreateProject", name="demo")
    await invoke("BudgetService/SetBudget", subject="project:demo", limit="1")
    reader = Principal(name="reader", permissions=frozenset({"budgets.read", "limits.read"}))
    subject = {"subject": "project:demo"}
    for method in ("BudgetService/GetBudget", "LimitService/GetLimits"):
        await invoke(method, principal=reader, **subject)
    for method in ("BudgetService/ListBudgets", "LimitService/ListLimits"):
        await invoke(method, principal=reader)
    forbidden = {
        "BudgetService/SetBudget": "budgets.update",
        "BudgetService/RemoveBudget": "budgets.remove",
        "BudgetService/IncreaseBudget": "budgets.increase",
        "BudgetService/RevokeIncrease": "budgets.increase",
        "LimitService/SetLimits": "limits.update",
    }
    for method, permission in forbidden.items():
        with pytest.raises(ApiError, match=permission) as refused:
            await invoke(method, principal=reader, **subject)
        assert refused.value.code is ApiCode.PERMISSION_DENIED
        assert METHODS[f"tollway.control.v1.{method}"].scope_field == "subject"
    nobody = Principal(name="nobody", permissions=frozenset({"projects.read"}))
    for method in ("BudgetService/GetBudget", "LimitService/GetLimits"):
        with pytest.raises(ApiError, match="read"):
            await invoke(method, principal=nobody, **subject)
