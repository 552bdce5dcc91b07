"""Requests from the asking to the giving and the taking back, each kind; who may see, decide and undo."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tollway.controlplane.access.permissions import Role
from tollway.controlplane.call import ApiCode, ApiError
from tollway.testkit.approvals import ADMINISTRATOR, Office, furnished
from tollway.testkit.approvals import office as opened
from tollway.testkit.servers import PostgresServer

MANAGERS = [{"approvers": {"role": "unit_manager"}}]


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


async def refused(awaited: Any, code: ApiCode) -> ApiError:
    """The error of a call that must fail."""
    with pytest.raises(ApiError) as caught:
        await awaited
    assert caught.value.code is code, caught.value.message
    return caught.value


async def revoke(office: Office, who: Any, approval: str) -> dict[str, Any]:
    """Takes back what a request gave."""
    return await office.ask(who, "ApprovalService/RevokeApproval", approval=approval, reason="a mistake")


async def test_credit_is_given_with_the_decision_in_one_transaction_and_taken_back(office: Office) -> None:
    dev, boss = await office.person("dev@x", Role.DEVELOPER), await office.person("boss@x", Role.UNIT_MANAGER, "unit")
    asked = await office.request(dev)
    assert (asked["state"], asked["outcome"], asked["policy_version"]) == ("pending", "require", "1")
    assert await office.limit() == "25"
    before = (await office.sql("SELECT version FROM installation"))[0][0]
    done = await office.decide(boss, asked["id"])
    assert (done["state"], done["ended_by"], done["votes"][0]["actor"]) == ("approved", "boss@x", "boss@x")
    assert await office.limit() == "30"
    rows = await office.sql(
        "SELECT c.xmin = a.xmin, c.xmin = v.xmin, c.xmin = g.xmin FROM change_log c, approvals a, approval_votes v,"
        " approval_grants g WHERE c.version > %s AND a.id = v.approval_id AND a.id = g.approval_id",
        before,
    )
    assert rows == [(True, True, True)], "decision, grant and change log are one transaction"
    assert (await revoke(office, boss, asked["id"]))["state"] == "revoked"
    assert await office.limit() == "25"
    assert (await revoke(office, boss, asked["id"]))["state"] == "revoked"
    assert await office.limit() == "25"


async def test_credit_until_a_date_is_an_increase(office: Office) -> None:
    dev, boss = await office.person("dev@x", Role.DEVELOPER), await office.person("boss@x", Role.UNIT_MANAGER, "unit")
    until = (datetime.now(UTC) + timedelta(days=7)).isoformat().replace("+00:00", "Z")
    asked = await office.request(dev, until=until)
    await office.decide(boss, asked["id"])
    budget = await office.ask(ADMINISTRATOR, "BudgetService/GetBudget", subject="project:demo")
    assert (budget["limit"], budget["limit_now"], len(budget["increases"])) == ("25", "30", 1)
    await revoke(office, dev, asked["id"])
    assert await office.limit() == "25"


async def test_models_limits_and_projects_are_given_and_taken_back(office: Office) -> None:
    admin = await office.person("root@x", Role.PLATFORM_ADMIN, "platform")
    dev = await office.person("dev@x", Role.DEVELOPER)
    limit = [{"measure": "requests", "window": "minute", "amount": "10"}]
    await office.ask(ADMINISTRATOR, "LimitService/SetLimits", subject="project:demo", limits=limit)
    models = await office.request(dev, "model_access", project="demo", models=["large", "small"])
    raised = {"subject": "project:demo", "measure": "requests", "window": "minute", "limit": "50"}
    limits = await office.request(dev, "limit", **raised)
    project = await office.request(dev, "project", project="bot", business_unit="retail", models=["*"], amount="7")
    for asked in (models, limits, project):
        assert (await office.decide(admin, asked["id"]))["state"] == "approved"

    async def shown() -> tuple[Any, ...]:
        demo = await office.ask(ADMINISTRATOR, "ProjectService/GetProject", project="demo")
        held = await office.ask(ADMINISTRATOR, "LimitService/GetLimits", subject="project:demo")
        made = await office.ask(ADMINISTRATOR, "ProjectService/ListProjects")
        return demo["models"], held["limits"][0]["amount"], sorted(row["name"] for row in made["projects"])

    assert await shown() == (["small", "large"], "50", ["bot", "demo"])
    assert await office.limit("project:bot") == "7"
    owners = await office.sql("SELECT count(*) FROM role_bindings WHERE role = 'project_owner'")
    assert owners == [(1,)], "who asked for a project owns it"
    for asked in (models, limits, project):
        await revoke(office, admin, asked["id"])
    assert await shown() == (["small"], "10", ["demo"])


async def test_a_role_is_given_by_policy_at_once_and_taken_back(office: Office) -> None:
    rule = {"name": "staff", "when": "role == 'developer' && requester.email.endsWith('@x')", "effect": "approve"}
    await office.policy("platform_access", rules=[rule])
    new = await office.person("new@x")
    asked = await office.request(new, "platform_access", role="developer", subject="project:demo")
    assert (asked["state"], asked["rule"], asked["ended_by"]) == ("approved", "staff", "policy")
    count = "SELECT count(*) FROM role_bindings WHERE user_id = %s AND project_id = %s"
    assert await office.sql(count, new.user_id, office.project) == [(1,)]
    waits = await office.request(new, "platform_access", role="auditor")
    assert waits["state"] == "pending"
    await revoke(office, new, asked["id"])
    assert await office.sql(count, new.user_id, office.project) == [(0,)]


async def test_nobody_approves_their_own_and_outsiders_see_nothing(office: Office) -> None:
    boss = await office.person("boss@x", Role.UNIT_MANAGER, "unit")
    other, dev = await office.person("other@x"), await office.person("dev@x", Role.DEVELOPER)
    own = await office.request(boss)
    error = await refused(office.decide(boss, own["id"]), ApiCode.PERMISSION_DENIED)
    assert "own request" in error.message
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    await office.ask(boss, "DelegationService/CreateDelegation", delegate="other@x", ends_at=until)
    await refused(office.decide(other, own["id"]), ApiCode.PERMISSION_DENIED)
    asked = await office.request(dev)
    await refused(office.request(other), ApiCode.NOT_FOUND)
    assert (await office.decide(other, asked["id"]))["votes"][0]["on_behalf_of"] == "boss@x"
    stranger = await office.person("stranger@x")
    await refused(office.decide(stranger, asked["id"]), ApiCode.NOT_FOUND)
    listed = await office.ask(stranger, "ApprovalService/ListApprovals")
    assert listed["approvals"] == []
    seen = await office.ask(dev, "ApprovalService/ListApprovals")
    assert [row["id"] for row in seen["approvals"]] == [asked["id"]]


async def test_a_quorum_over_steps_comments_and_a_rejection_with_a_reason(office: Office) -> None:
    people = {name: await office.person(name) for name in ("a@x", "b@x", "c@x")}
    steps = [
        {"approvers": {"people": ["a@x", "b@x"]}, "quorum": 2},
        {"approvers": {"people": ["a@x", "c@x"]}},
    ]
    await office.policy(steps=steps)
    dev = await office.person("dev@x", Role.DEVELOPER)
    asked = await office.request(dev)
    for name in ("a@x", "a@x", "b@x"):
        shown = await office.decide(people[name], asked["id"])
    assert (shown["state"], shown["step"], len(shown["votes"])) == ("pending", 1, 2)
    again = await office.decide(people["a@x"], asked["id"])
    assert len(again["votes"]) == 2, "a second click is no vote for the next step"
    waiting = await office.ask(people["c@x"], "ApprovalService/ListApprovals", decidable=True)
    assert [row["id"] for row in waiting["approvals"]] == [asked["id"]]
    await office.ask(dev, "ApprovalService/CommentApproval", approval=asked["id"], text="it is urgent")
    ended = await office.decide(people["c@x"], asked["id"], "reject")
    assert (ended["state"], ended["votes"][-1]["reason"]) == ("rejected", "not now")
    assert [row["text"] for row in ended["comments"]] == ["it is urgent"]
    assert await office.limit() == "25"
    await refused(office.decide(people["b@x"], asked["id"], "reject"), ApiCode.FAILED_PRECONDITION)


async def test_what_cannot_be_given_stays_waiting(office: Office) -> None:
    dev, boss = await office.person("dev@x", Role.DEVELOPER), await office.person("boss@x", Role.UNIT_MANAGER, "unit")
    asked = await office.request(dev)
    await office.ask(ADMINISTRATOR, "BudgetService/RemoveBudget", subject="project:demo")
    error = await refused(office.decide(boss, asked["id"]), ApiCode.FAILED_PRECONDITION)
    assert "cannot be given" in error.message
    shown = await office.ask(dev, "ApprovalService/GetApproval", approval=asked["id"])
    assert (shown["state"], shown["votes"]) == ("pending", [])
    assert (await office.ask(dev, "ApprovalService/CancelApproval", approval=asked["id"]))["state"] == "cancelled"
    error = await refused(office.decide(boss, asked["id"]), ApiCode.FAILED_PRECONDITION)
    assert "cancelled already, by dev@x" in error.message


NONSENSE: list[tuple[str, dict[str, Any], str]] = [
    ("credit", {"subject": "project:demo"}, "terms.amount"),
    ("credit", {"subject": "project:demo", "amount": "0"}, "terms.amount"),
    ("credit", {"subject": "project:demo", "amount": "5", "until": "2020-01-01T00:00:00Z"}, "terms.until"),
    ("credit", {"subject": "project:demo", "amount": "5", "role": "auditor"}, "terms.role"),
    ("model_access", {"project": "demo"}, "terms.models"),
    ("project", {"project": "bot"}, "terms.models"),
    ("project", {"project": "No Name", "models": ["*"]}, "terms.project"),
    ("platform_access", {"role": "king"}, "terms.role"),
    ("platform_access", {"role": "unit_manager"}, "terms.subject"),
]


async def test_what_is_asked_for_must_make_sense(office: Office) -> None:
    dev = await office.person("dev@x", Role.DEVELOPER)
    for kind, terms, field in NONSENSE:
        call = office.ask(dev, "ApprovalService/CreateApproval", kind=kind, terms=terms, reason="why not")
        assert (await refused(call, ApiCode.INVALID)).field == field
    assert (await office.ask(dev, "ApprovalService/ListApprovals"))["approvals"] == []
    for _ in range(20):
        await office.request(dev, amount="1")
    assert "wait already" in (await refused(office.request(dev), ApiCode.FAILED_PRECONDITION)).message
    await office.sql(
        "INSERT INTO approvals SELECT (jsonb_populate_record(a, jsonb_build_object('id', gen_random_uuid(), 'state',"
        " 'rejected', 'ended_at', now()))).* FROM approvals a, generate_series(1, 4)"
    )
    await office.sql("UPDATE approvals SET state = 'cancelled', ended_at = now() WHERE state = 'pending'")
    assert "in 24 hours" in (await refused(office.request(dev), ApiCode.FAILED_PRECONDITION)).message
