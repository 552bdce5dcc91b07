"""Policies as data: versions, conditions that fail, trials on past requests; and what time does to requests."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tollway.controlplane.access.permissions import Role
from tollway.controlplane.alerts.messages import payload
from tollway.controlplane.alerts.postgres import alert
from tollway.controlplane.call import ApiCode, ApiError
from tollway.controlplane.workflows.cel import engine
from tollway.controlplane.workflows.conditions import ConditionInvalid
from tollway.controlplane.workflows.keeper import Keeper
from tollway.core.approvals.policy import ConditionFailed
from tollway.testkit.approvals import ADMINISTRATOR, Office, furnished
from tollway.testkit.approvals import office as opened
from tollway.testkit.servers import PostgresServer

SMALL = {"name": "small", "when": "amount <= 10 && granted.month + amount <= 12.0", "effect": "approve"}
HUGE = {"name": "huge", "when": "amount > 1000", "effect": "reject", "reason": "ask your unit's manager first"}


@pytest.fixture(scope="module")
def template(postgres: PostgresServer, migrated: str) -> str:
    """A furnished database that every test copies."""
    return furnished(postgres, migrated)


@pytest.fixture
async def office(postgres: PostgresServer, template: str) -> AsyncIterator[Office]:
    """An organisation on a database of its own."""
    async with opened(postgres, template) as made:
        yield made


async def refused(awaited: Any) -> ApiError:
    """The error of a call that must fail."""
    with pytest.raises(ApiError) as caught:
        await awaited
    return caught.value


async def test_rules_decide_in_order_and_requests_remember_the_version(office: Office) -> None:
    dev = await office.person("dev@x", Role.DEVELOPER)
    first = await office.request(dev)
    assert (first["policy_version"], first["state"]) == ("0", "pending")
    assert first["steps"] == [{"approvers": {"people": [], "role": "platform_admin"}, "quorum": 1}]
    assert (await office.policy(rules=[HUGE, SMALL]))["version"] == "1"
    assert (await office.policy(rules=[HUGE, SMALL]))["version"] == "1", "nothing changed"
    given = await office.request(dev, amount="10")
    assert (given["state"], given["rule"], given["policy_version"]) == ("approved", "small", "1")
    assert await office.limit() == "35"
    assert (await office.request(dev, amount="3"))["state"] == "pending", "together they are over what is small"
    none = await office.request(dev, amount="1001")
    assert (none["state"], none["outcome_reason"]) == ("rejected", HUGE["reason"])
    assert (await office.policy(rules=[]))["version"] == "2"
    old = await office.ask(ADMINISTRATOR, "PolicyService/GetPolicy", kind="credit", version=1)
    assert [rule["name"] for rule in old["rules"]] == ["huge", "small"]
    stale = office.policy(rules=[SMALL], version=1)
    assert (await refused(stale)).code is ApiCode.ETAG_MISMATCH


async def test_a_condition_that_cannot_be_evaluated_never_approves(office: Office) -> None:
    dev = await office.person("dev@x", Role.DEVELOPER)
    broken = {"name": "broken", "when": "100.0 / (amount - amount) > 1.0 && 1 / 0 == 1", "effect": "approve"}
    after = {"name": "all", "effect": "approve"}
    await office.policy(rules=[broken, after], steps=[{"approvers": {"people": ["boss@x"]}}])
    asked = await office.request(dev)
    assert (asked["state"], asked["outcome"], asked["rule"]) == ("pending", "require", "broken")
    assert "could not be evaluated: divide by zero" in asked["outcome_reason"]


async def test_what_is_no_policy_is_refused_with_its_place(office: Office) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"rules": [{"name": "a", "when": "amont > 1", "effect": "approve"}]}, "rules[0].when"),
        ({"rules": [SMALL, HUGE, HUGE]}, "rules[2].name"),
        ({"rules": [{"name": "a", "when": "subject", "effect": "approve"}]}, "rules[0].when"),
        ({"rules": [{"name": "a", "effect": "reject"}]}, "rules[0].reason"),
        ({"steps": [{"approvers": {"people": ["a"]}, "quorum": 2}]}, "steps[0].quorum"),
        ({"steps": [{"approvers": {"role": "king"}}]}, "steps[0].approvers.role"),
        ({"timing": {"escalate_seconds": "60"}}, "timing.escalate_to"),
    ]
    for fields, where in wrong:
        error = await refused(office.policy(**fields))
        assert (error.code, error.field) == (ApiCode.INVALID, where)


async def test_a_dry_run_says_what_would_change_and_changes_nothing(office: Office) -> None:
    dev = await office.person("dev@x", Role.DEVELOPER)
    for amount in ("1", "5", "2000"):
        await office.request(dev, amount=amount)
    tried = await office.ask(ADMINISTRATOR, "PolicyService/DryRunPolicy", kind="credit", rules=[HUGE, SMALL])
    assert [(row["outcome_then"], row["outcome"], row["rule"]) for row in tried["trials"]] == [
        ("require", "reject", "huge"),
        ("require", "approve", "small"),
        ("require", "approve", "small"),
    ]
    counts = {name: tried[name] for name in ("approved", "required", "rejected", "changed", "incomplete")}
    assert counts == {"approved": "2", "required": "0", "rejected": "1", "changed": "3", "incomplete": False}
    assert await office.limit() == "25"


async def test_time_reminds_escalates_and_expires_and_tells_the_channels(office: Office) -> None:
    await office.sql(
        "INSERT INTO alert_channels (id, name, kind, scope, alerts) VALUES"
        " (gen_random_uuid(), 'tool', 'webhook', 'all', '{approval_waiting,approval_ended}')"
    )
    timing = {"remind_seconds": 100, "escalate_seconds": 200, "expire_seconds": 300}
    escalate = {"escalate_to": {"people": ["chief@x"]}}
    await office.policy(steps=[{"approvers": {"people": ["boss@x"]}}], timing=timing | escalate)
    dev, chief = await office.person("dev@x", Role.DEVELOPER), await office.person("chief@x")
    first, second = [(await office.request(dev))["id"] for _ in range(2)]
    keepers = [Keeper(office.pools[0], office.vault, office.clock) for _ in range(2)]
    assert await keepers[0].keep() == 0
    assert (await refused(office.decide(chief, first))).code is ApiCode.PERMISSION_DENIED
    for seconds in (110, 210):
        office.clock.ahead_ms = seconds * 1000
        assert await keepers[0].keep() == 2
        assert await keepers[1].keep() == 0, "once"
    assert (await office.decide(chief, first))["state"] == "approved"
    office.clock.ahead_ms = 301_000
    assert "has expired" in (await refused(office.decide(chief, second))).message, "noted or not"
    assert (await keepers[1].keep(), await keepers[0].keep()) == (1, 0)
    shown = await office.ask(dev, "ApprovalService/GetApproval", approval=second)
    assert (shown["state"], shown["ended_by"]) == ("expired", "time")
    assert await office.limit() == "30"
    rows = await office.sql(
        "SELECT a.details ->> 'event', a.id FROM alerts a JOIN alert_deliveries d ON d.alert_id = a.id"
        " WHERE a.details ->> 'approval' = %s AND d.channel_id IS NOT NULL ORDER BY a.fired_at",
        first,
    )
    assert [event for event, _ in rows] == ["requested", "reminded", "escalated", "reminded", "approved"]
    async with office.pools[0].connection() as db:
        told = await alert(db, rows[0][1])
    assert told is not None
    assert first.encode() in payload(told, told.id), "what an external tool needs to decide"


def test_the_language_is_bounded_in_time_and_size() -> None:
    numbers = "[" + ",".join(["1"] * 200) + "]"
    heavy = f"{numbers}.all(x, " + " && ".join(["'aaaaaaaaaaaaaaaa' + string(x) != 'b'"] * 14) + ")"
    started = time.monotonic()
    holds = engine().over({"amount": 5.0, "now": "2026-01-31T12:00:00+00:00"})
    assert holds(heavy)
    assert holds("amount <= 5 && now.getHours('UTC') == 12")
    for text in ("amount == role", "kind == 'x'", "1 / 0 == 1"):
        with pytest.raises(ConditionFailed):
            holds(text)
    bombs = [
        f"{numbers}.all(x, {numbers}.all(y, true))",
        f"{numbers}.map (x, 'a').exists(y, true)",
        f"{numbers}.all(x, 'a'.matches('((a{{30}}){{30}})' + string(x)))",
        "(" * 400 + "true" + ")" * 400,
        "true" + " && true" * 200,
        "requester.name.secret == ''",
    ]
    for text in bombs:
        with pytest.raises(ConditionInvalid):
            engine().check(text)
    assert time.monotonic() - started < 2
