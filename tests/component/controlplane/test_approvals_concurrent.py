"""Many hands on requests over two control planes: everything is applied once, and who comes late is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from tollway.controlplane.access.permissions import Role
from tollway.controlplane.call import ApiCode, ApiError
from tollway.testkit.approvals import ADMINISTRATOR, furnished
from tollway.testkit.approvals import office as opened
from tollway.testkit.servers import PostgresServer

MANAGERS = 10
REQUESTS = 20


@pytest.fixture(scope="module")
def template(postgres: PostgresServer, migrated: str) -> str:
    """A furnished database that every test copies."""
    return furnished(postgres, migrated)


async def outcome(vote: Callable[[], Awaitable[dict[str, Any]]]) -> str:
    """What a vote came to: the state or the refusal. Who finds no connection free tries again, as clients do."""
    for _ in range(20):
        try:
            return str((await vote())["state"])
        except ApiError as error:
            if error.code is not ApiCode.UNAVAILABLE:
                return error.message.partition(", by ")[0]
    return "never"


async def test_two_hundred_votes_over_two_planes_apply_once_each(postgres: PostgresServer, template: str) -> None:
    async with opened(postgres, template, planes=2, connections=5) as office:
        await office.policy(steps=[{"approvers": {"role": "unit_manager"}}])
        await office.policy("model_access", steps=[{"approvers": {"role": "unit_manager"}}])
        devs = [await office.person(f"dev{number}@x", Role.DEVELOPER) for number in range(2)]
        bosses = [await office.person(f"boss{number}@x", Role.UNIT_MANAGER, "unit") for number in range(MANAGERS)]
        asked = [await office.request(devs[number % 2], amount="1") for number in range(REQUESTS - 1)]
        asked.append(await office.request(devs[0], "model_access", project="demo", models=["large"]))
        version = "SELECT version FROM installation"
        before = (await office.sql(version))[0][0]
        votes = [
            partial(office.decide, boss, request["id"], through=office.planes[(number + place) % 2])
            for place, boss in enumerate(bosses)
            for number, request in enumerate(asked)
        ]
        assert len(votes) == 200
        said = Counter(await asyncio.gather(*(outcome(vote) for vote in votes)))
        assert said == {"approved": REQUESTS, "the request is approved already": 200 - REQUESTS}
        assert await office.limit() == str(25 + REQUESTS - 1)
        assert (await office.sql(version))[0][0] == before + REQUESTS, "one change for data planes for each"
        count = "SELECT count(*), count(DISTINCT approval_id) FROM {}"
        for table in ("approval_grants", "approval_votes"):
            assert await office.sql(count.format(table)) == [(REQUESTS, REQUESTS)]


async def test_the_same_person_clicking_on_two_planes_counts_once(postgres: PostgresServer, template: str) -> None:
    async with opened(postgres, template, planes=2, connections=5) as office:
        await office.policy(steps=[{"approvers": {"role": "unit_manager"}, "quorum": 2}])
        dev = await office.person("dev@x", Role.DEVELOPER)
        boss, other = [await office.person(f"{name}@x", Role.UNIT_MANAGER, "unit") for name in ("boss", "other")]
        asked = (await office.request(dev))["id"]
        clicks = [office.decide(boss, asked, through=plane) for plane in office.planes * 10]
        assert {(shown["state"], len(shown["votes"])) for shown in await asyncio.gather(*clicks)} == {("pending", 1)}
        assert await office.limit() == "25"
        assert (await office.decide(other, asked))["state"] == "approved"
        revoked = [
            office.ask(boss, "ApprovalService/RevokeApproval", through=plane, approval=asked, reason="no")
            for plane in office.planes * 5
        ]
        assert {shown["state"] for shown in await asyncio.gather(*revoked)} == {"revoked"}
        assert await office.limit() == "25", "taken back once"
        told = await office.ask(ADMINISTRATOR, "ApprovalService/ListApprovals", state="revoked")
        assert [row["id"] for row in told["approvals"]] == [asked]
