"""Who must not decide, see, or take back: service accounts and those behind them, the disabled, former approvers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from tollway.controlplane.access.permissions import BASE, Role, grant
from tollway.controlplane.call import ApiCode, ApiError, Principal
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
    async with opened(postgres, template, planes=2) as made:
        await made.policy(steps=MANAGERS)
        yield made


async def machine(office: Office, name: str, role: Role | None = None) -> Principal:
    """A service account of the project, with a role on the unit."""
    account = uuid4()
    insert = "INSERT INTO service_accounts (id, name, project_id) VALUES (%s, %s, %s)"
    await office.sql(insert, account, name, office.project)
    grants = () if role is None else (grant(role, office.unit, None),)
    full_name = f"service_account:{name}"
    return Principal(
        name=full_name, permissions=BASE, kind="service_account", service_account_id=account, grants=grants
    )


async def refused(awaited: Any, code: ApiCode) -> str:
    """The message of a call that must fail."""
    with pytest.raises(ApiError) as caught:
        await awaited
    assert caught.value.code is code, caught.value.message
    return caught.value.message


async def lend(office: Office, who: Principal, delegate: str) -> None:
    """Lets somebody decide in one's place for a day."""
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    await office.ask(who, "DelegationService/CreateDelegation", delegate=delegate, ends_at=until)


async def test_a_service_account_never_decides_by_a_role(office: Office) -> None:
    dev, boss = await office.person("dev@x", Role.DEVELOPER), await office.person("boss@x", Role.UNIT_MANAGER, "unit")
    bot = await machine(office, "bot", Role.UNIT_MANAGER)
    asked = (await office.request(dev))["id"]
    await refused(office.decide(bot, asked), ApiCode.PERMISSION_DENIED)
    await refused(lend(office, boss, bot.name), ApiCode.INVALID)
    named = [{"approvers": {"people": [bot.name]}}]
    await office.policy(steps=named)
    assert (await office.decide(bot, (await office.request(dev))["id"]))["state"] == "approved"
    await refused(office.policy(steps=[{"approvers": {"people": ["service_account:later"]}}]), ApiCode.INVALID)


async def test_nobody_decides_by_or_for_an_account_that_they_could_be(office: Office) -> None:
    boss = await office.person("boss@x", Role.UNIT_MANAGER, "unit")
    owner, clerk = await office.person("owner@x", Role.PROJECT_OWNER), await office.person("clerk@x")
    bot = await machine(office, "bot", Role.DEVELOPER)
    people = [boss.name, clerk.name, bot.name]
    await office.policy(steps=[{"approvers": {"people": people}, "quorum": 2}])
    own = (await office.request(bot))["id"]
    assert "may issue tokens" in await refused(office.decide(boss, own), ApiCode.PERMISSION_DENIED)
    assert len((await office.decide(clerk, own))["votes"]) == 1
    asked = (await office.request(owner))["id"]
    await refused(office.decide(bot, asked), ApiCode.PERMISSION_DENIED)
    of_boss = (await office.request(await office.person("dev@x", Role.DEVELOPER)))["id"]
    await office.decide(boss, of_boss)
    await refused(office.decide(bot, of_boss), ApiCode.PERMISSION_DENIED)
    assert (await office.decide(clerk, of_boss))["state"] == "approved"


async def test_a_project_without_an_amount_is_no_small_one(office: Office) -> None:
    small = {"name": "small", "when": "amount <= 50.0", "effect": "approve"}
    await office.policy("project", rules=[small], steps=MANAGERS)
    dev = await office.person("dev@x", Role.DEVELOPER)
    asked = await office.request(dev, "project", project="bot", business_unit="retail", models=["*"])
    assert (asked["state"], asked["outcome"]) == ("pending", "require")
    given = await office.request(dev, "project", project="bot2", business_unit="retail", models=["*"], amount="7")
    assert given["state"] == "approved"
    unbounded = {"name": "unbounded", "when": "!budgeted", "effect": "reject", "reason": "name a budget"}
    await office.policy("project", rules=[unbounded, small], steps=MANAGERS)
    asked = await office.request(dev, "project", project="bot3", business_unit="retail", models=["*"])
    assert (asked["state"], asked["rule"]) == ("rejected", "unbounded")


async def test_a_monthly_cap_holds_for_requests_at_once(office: Office) -> None:
    cap = {"name": "cap", "when": "granted.month + amount <= 100.0", "effect": "approve"}
    await office.policy(rules=[cap], steps=MANAGERS)
    people = [await office.person(f"dev{n}@x", Role.DEVELOPER) for n in range(8)]
    terms = {"subject": "project:demo", "amount": "50"}
    asked = [
        office.ask(
            dev, "ApprovalService/CreateApproval", through=office.planes[n % 2], kind="credit", terms=terms, reason="x"
        )
        for n, dev in enumerate(people)
    ]
    assert Counter(found["state"] for found in await asyncio.gather(*asked)) == {"approved": 2, "pending": 6}


async def test_a_comment_is_audited_once_and_comments_are_bounded(office: Office) -> None:
    dev, boss = await office.person("dev@x", Role.DEVELOPER), await office.person("boss@x", Role.UNIT_MANAGER, "unit")
    asked = (await office.request(dev))["id"]
    for text in ("first words", "second words"):
        await office.ask(dev, "ApprovalService/CommentApproval", approval=asked, text=text)
    await office.decide(boss, asked)
    rows = await office.sql(
        "SELECT action, after::text FROM audit_events WHERE resource = %s ORDER BY seq", f"approval:{asked}"
    )
    assert [row[1] for row in rows[1:3]] == ['{"comment": "first words"}', '{"comment": "second words"}']
    assert "words" not in rows[3][1]
    await office.sql(
        "INSERT INTO approval_comments SELECT gen_random_uuid(), %s, 'dev@x', 'x', now() FROM generate_series(1, 98)",
        asked,
    )
    comment = office.ask(dev, "ApprovalService/CommentApproval", approval=asked, text="more")
    assert "24 hours" in await refused(comment, ApiCode.FAILED_PRECONDITION)


async def test_who_asked_or_approved_once_has_no_lasting_power(office: Office) -> None:
    await office.policy("model_access", steps=MANAGERS)
    dev, boss = await office.person("dev@x", Role.DEVELOPER), await office.person("boss@x", Role.UNIT_MANAGER, "unit")
    owner = await office.person("owner@x", Role.PROJECT_OWNER)
    asked = (await office.request(dev, "model_access", project="demo", models=["large"]))["id"]
    await office.decide(boss, asked)
    former = msgspec.structs.replace(boss, grants=())
    for who in (dev, former):
        revoke = office.ask(who, "ApprovalService/RevokeApproval", approval=asked, reason="mine")
        await refused(revoke, ApiCode.PERMISSION_DENIED)
    done = await office.ask(owner, "ApprovalService/RevokeApproval", approval=asked, reason="may do it anyway")
    assert done["state"] == "revoked"


async def test_the_vote_of_who_was_disabled_since_is_not_counted(office: Office) -> None:
    steps = [MANAGERS[0] | {"quorum": 2}, {"approvers": {"people": ["cfo@x"]}}]
    await office.policy(steps=steps)
    dev, cfo = await office.person("dev@x", Role.DEVELOPER), await office.person("cfo@x")
    first, second, third = [await office.person(f"boss{n}@x", Role.UNIT_MANAGER, "unit") for n in range(3)]
    asked = (await office.request(dev))["id"]
    await office.decide(first, asked)
    assert (await office.decide(second, asked))["step"] == 1
    await office.sql("UPDATE users SET disabled_at = now() WHERE email = 'boss0@x'")
    await refused(office.decide(cfo, asked), ApiCode.PERMISSION_DENIED)
    assert (await office.decide(third, asked))["step"] == 1
    assert (await office.decide(cfo, asked))["state"] == "approved"


async def test_delegations_of_strangers_do_not_crowd_out_those_that_matter(office: Office) -> None:
    dev, boss = await office.person("dev@x", Role.DEVELOPER), await office.person("zoe@x", Role.UNIT_MANAGER, "unit")
    helper = await office.person("helper@x")
    await office.sql(
        "WITH u AS (INSERT INTO users (id, email) SELECT gen_random_uuid(), 'a' || n || '@x'"
        " FROM generate_series(1, 120) AS n RETURNING id, email)"
        " INSERT INTO approval_delegations (id, delegator, user_id, delegate, starts_at, ends_at, reason, created_by,"
        " created_at) SELECT gen_random_uuid(), email, id, 'helper@x', now() - interval '1 hour',"
        " now() + interval '1 day', '', email, now() FROM u"
    )
    await lend(office, boss, helper.name)
    asked = (await office.request(dev))["id"]
    listed = await office.ask(helper, "ApprovalService/ListApprovals", decidable=True)
    assert [row["id"] for row in listed["approvals"]] == [asked]
    assert (await office.decide(helper, asked))["state"] == "approved"


async def test_a_right_by_a_stored_group_ends_a_day_after_its_holder_was_seen(office: Office) -> None:
    dev, boss, helper = await office.person("dev@x", Role.DEVELOPER), await office.person("boss@x"), "helper@x"
    stranger = await office.person(helper)
    await office.sql(
        "INSERT INTO role_bindings (id, role, group_name, unit_id) VALUES (gen_random_uuid(), 'unit_manager', 'g', %s)",
        office.unit,
    )
    seen = "UPDATE users SET groups = '{g}', issuer = 'https://i', subject = 's', last_seen_at = now() - %s::interval"
    await office.sql(f"{seen} WHERE email = 'boss@x'", "25 hours")
    await lend(office, boss, helper)
    asked = (await office.request(dev))["id"]
    await refused(office.decide(stranger, asked), ApiCode.NOT_FOUND)
    await office.sql(f"{seen} WHERE email = 'boss@x'", "23 hours")
    stand_in = Principal(name=helper, permissions=BASE, kind="user")
    assert (await office.decide(stand_in, asked))["state"] == "approved"
    assert await office.ask(ADMINISTRATOR, "ApprovalService/GetApproval", approval=asked)
