"""Who is asked, by which name, and what is kept of why; and what is told to conditions about budgets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tollway.controlplane.access.permissions import FULL, Role, base, grant
from tollway.controlplane.call import ApiCode, ApiError, Principal
from tollway.testkit.approvals import ADMINISTRATOR, Office, furnished
from tollway.testkit.approvals import office as opened
from tollway.testkit.servers import PostgresServer

MANAGERS = [{"approvers": {"role": "unit_manager"}}]
DEVELOPERS = [{"approvers": {"role": "developer"}}]


@pytest.fixture(scope="module")
def template(postgres: PostgresServer, migrated: str) -> str:
    """A furnished database that every test copies."""
    return furnished(postgres, migrated)


@pytest.fixture
async def office(postgres: PostgresServer, template: str) -> AsyncIterator[Office]:
    """An organisation whose unit managers decide about credit."""
    async with opened(postgres, template) as made:
        await made.policy(steps=MANAGERS)
        yield made


async def refused(awaited: Any) -> tuple[ApiCode, str | None]:
    """Code and field of the error of a call that must fail."""
    with pytest.raises(ApiError) as caught:
        await awaited
    return caught.value.code, caught.value.field


async def waiting(office: Office, who: Principal) -> list[str]:
    """What the inbox of somebody shows."""
    found = await office.ask(who, "ApprovalService/ListApprovals", decidable=True)
    return [row["id"] for row in found["approvals"]]


async def listed(office: Office, who: Principal) -> list[str]:
    """What somebody may see."""
    return [row["id"] for row in (await office.ask(who, "ApprovalService/ListApprovals"))["approvals"]]


async def test_why_something_was_asked_decided_and_revoked_is_in_the_audit_log(office: Office) -> None:
    dev, boss = await office.person("dev@x", Role.DEVELOPER), await office.person("boss@x", Role.UNIT_MANAGER, "unit")
    asked = (await office.request(dev))["id"]
    vote = {"approval": asked, "verdict": "approve", "reason": "within the plan"}
    await office.ask(boss, "ApprovalService/DecideApproval", **vote)
    await office.ask(boss, "ApprovalService/RevokeApproval", approval=asked, reason="the launch is off")
    of_request = "SELECT action, reason FROM audit_events WHERE resource = %s ORDER BY seq"
    assert await office.sql(of_request, f"approval:{asked}") == [
        ("approvals.create", "for the launch"),
        ("approvals.decide", "within the plan"),
        ("approvals.revoke", "the launch is off"),
    ]
    of_budget = "SELECT reason FROM audit_events WHERE resource LIKE 'budget:%%' AND actor = 'boss@x' ORDER BY seq"
    assert await office.sql(of_budget) == [("within the plan",), ("the launch is off",)]


async def test_who_is_asked_by_a_role_finds_what_waits(office: Office) -> None:
    dev, peer = await office.person("dev@x", Role.DEVELOPER), await office.person("peer@x", Role.DEVELOPER)
    wide = await office.person("wide@x", Role.DEVELOPER, "unit")
    stranger = await office.person("far@x")
    other = await office.ask(ADMINISTRATOR, "ProjectService/CreateProject", name="other", business_unit="default")
    elsewhere = msgspec.structs.replace(stranger, grants=(grant(Role.DEVELOPER, None, UUID(other["id"])),))
    of_managers = (await office.request(dev))["id"]
    await office.policy(steps=DEVELOPERS)
    asked = (await office.request(dev))["id"]
    for who in (peer, wide):
        assert (await waiting(office, who), await listed(office, who)) == ([asked], [asked])
    assert (await waiting(office, dev), await listed(office, dev)) == ([], [asked, of_managers])
    assert (await waiting(office, elsewhere), await listed(office, elsewhere)) == ([], [])
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    await office.ask(peer, "DelegationService/CreateDelegation", delegate=stranger.name, ends_at=until)
    assert await waiting(office, stranger) == [asked], "who stands in sees it too"
    await office.decide(peer, asked)
    assert (await waiting(office, wide), await listed(office, wide)) == ([], [asked])
    timing = {"escalate_seconds": 60, "escalate_to": {"role": "developer"}}
    await office.policy(steps=MANAGERS, timing=timing)
    later = (await office.request(dev))["id"]
    assert await listed(office, wide) == [later, asked]


async def test_people_are_named_by_their_address_in_any_case(office: Office) -> None:
    dev, boss = await office.person("dev@x", Role.DEVELOPER), await office.person("boss@x")
    helper = await office.person("helper@x")
    kept = await office.policy(steps=[{"approvers": {"people": ["Boss@X", "boss@x", "Not.Yet@X"]}}])
    assert kept["steps"][0]["approvers"]["people"] == ["boss@x", "not.yet@x"]
    asked, second = [(await office.request(dev))["id"] for _ in range(2)]
    assert (await office.decide(boss, asked))["state"] == "approved"
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    lent = await office.ask(boss, "DelegationService/CreateDelegation", delegate="Helper@X", ends_at=until)
    assert lent["delegate"] == "helper@x"
    assert (await office.decide(helper, second))["votes"][0]["on_behalf_of"] == "boss@x"
    assert (await office.policy(steps=[{"approvers": {"people": ["BOSS@X", "NOT.YET@x"]}}]))["version"] == "2"


async def test_names_that_nobody_has_are_refused_with_their_place(office: Office) -> None:
    boss = await office.person("boss@x", Role.UNIT_MANAGER, "unit")
    nobody = {"people": ["nobody-at-all"]}
    step = {"approvers": nobody}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"steps": [step]}, "steps[0].approvers.people"),
        ({"steps": [*MANAGERS, {"approvers": {"people": ["boss@x", "a b@x"]}}]}, "steps[1].approvers.people"),
        (
            {"rules": [{"name": "a", "effect": "require", "steps": [*MANAGERS, step]}]},
            "rules[0].steps[1].approvers.people",
        ),
        ({"timing": {"escalate_seconds": 60, "escalate_to": nobody}}, "timing.escalate_to.people"),
        ({"steps": [{"approvers": {"people": ["service_account:gone"]}}]}, "steps[0].approvers.people"),
        ({"steps": [{"approvers": {"people": [f"user:{office.unit}"]}}]}, "steps[0].approvers.people"),
        ({"steps": [{"approvers": {"role": "auditor"}}]}, "steps[0].approvers.role"),
    ]
    for fields, where in wrong:
        assert await refused(office.policy(**fields)) == (ApiCode.INVALID, where)
    named = [f"user:{boss.user_id}", "administrator"]
    assert (await office.policy(steps=[{"approvers": {"people": named}}]))["version"] == "2"
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    for delegate in ("nobody-at-all", "not.yet@x"):
        made = office.ask(boss, "DelegationService/CreateDelegation", delegate=delegate, ends_at=until)
        assert await refused(made) == (ApiCode.INVALID, "delegate")


async def test_who_only_audits_reads_and_changes_nothing(office: Office) -> None:
    dev, boss = await office.person("dev@x", Role.DEVELOPER), await office.person("boss@x", Role.UNIT_MANAGER, "unit")
    auditor = await office.person("audit@x", Role.AUDITOR, "unit")
    await office.policy(steps=[{"approvers": {"people": [auditor.name, boss.name]}}])
    asked = (await office.request(dev))["id"]
    assert await listed(office, auditor) == [asked]
    assert await waiting(office, auditor) == [], "nothing waits for who may not decide"
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    terms = {"subject": "project:demo", "amount": "5"}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("ApprovalService/CommentApproval", {"approval": asked, "text": "seen"}),
        ("ApprovalService/DecideApproval", {"approval": asked, "verdict": "approve"}),
        ("ApprovalService/CreateApproval", {"kind": "credit", "terms": terms, "reason": "more"}),
        ("DelegationService/CreateDelegation", {"delegate": boss.name, "ends_at": until}),
    ]
    for method, fields in calls:
        assert await refused(office.ask(auditor, method, **fields)) == (ApiCode.PERMISSION_DENIED, None), method
    both = msgspec.structs.replace(
        auditor,
        permissions=base([Role.AUDITOR, Role.DEVELOPER]),
        grants=(*auditor.grants, grant(Role.DEVELOPER, None, office.project)),
    )
    for method, fields in calls:
        assert await office.ask(both, method, **fields), method


async def test_the_role_of_the_auditor_decides_nothing_in_older_policies(office: Office) -> None:
    dev = await office.person("dev@x", Role.DEVELOPER)
    auditor = await office.person("audit@x", Role.AUDITOR, "unit")
    both = msgspec.structs.replace(
        auditor,
        permissions=base([Role.AUDITOR, Role.DEVELOPER]) | FULL[Role.DEVELOPER],
        grants=(*auditor.grants, grant(Role.DEVELOPER, None, office.project)),
    )
    asked = (await office.request(dev))["id"]
    older = '[{"approvers": {"people": [], "role": "auditor"}, "quorum": 1}]'
    await office.sql("UPDATE approvals SET steps = %s", older)
    assert await listed(office, both) == [asked]
    assert (await refused(office.decide(both, asked)))[0] is ApiCode.PERMISSION_DENIED


async def test_conditions_see_the_budget_of_the_place(office: Office) -> None:
    dev = await office.person("dev@x", Role.DEVELOPER)
    limits: dict[str, Any] = {
        "subject": "project:demo",
        "limits": [{"measure": "requests", "amount": 10, "window": "minute"}],
    }
    await office.ask(ADMINISTRATOR, "LimitService/SetLimits", **limits)
    rules = [
        {"name": "none", "when": "!budget.exists", "effect": "reject", "reason": "first a budget"},
        {"name": "left", "when": "budget.limit == 25.0 && budget.remaining > 24.0", "effect": "approve"},
    ]
    for kind in ("model_access", "limit", "project", "platform_access"):
        await office.policy(kind, rules=rules, steps=MANAGERS)
    raise_ = {"subject": "project:demo", "measure": "requests", "window": "minute", "limit": "20"}
    assert (await office.request(dev, "limit", **raise_))["rule"] == "left"
    models = {"project": "demo", "models": ["large"]}
    assert (await office.request(dev, "model_access", **models))["rule"] == "left"
    new = {"project": "bot", "business_unit": "retail", "models": ["*"]}
    assert (await office.request(dev, "project", **new))["rule"] == "none", "the unit has none"
    await office.ask(ADMINISTRATOR, "BudgetService/SetBudget", subject="business_unit:retail", limit="25")
    assert (await office.request(dev, "project", **new))["rule"] == "left"
    await office.ask(ADMINISTRATOR, "BudgetService/RemoveBudget", subject="project:demo")
    asked = await office.request(dev, "model_access", project="demo", models=["huge"])
    assert (asked["state"], asked["rule"]) == ("rejected", "none")
    await office.policy("model_access", rules=rules[1:], steps=MANAGERS)
    asked = await office.request(dev, "model_access", project="demo", models=["huge"])
    assert (asked["state"], asked["rule"]) == ("pending", "left"), "what is not there is no small budget"
    assert "could not be evaluated" in asked["outcome_reason"]
    asked = await office.request(dev, "platform_access", role="auditor")
    assert (asked["state"], asked["rule"]) == ("pending", "none"), "the platform has no budget to be told of"
