"""A thousand people who take part, over two control planes; and how soon what one decides is everywhere.

The people are of a real OpenID provider: they come with its tokens, and what they may do comes with their groups.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tollway.testkit.oidc_provider import AUDIENCE, CLIENT, SECRET, Issuer, OidcProvider
from tollway.testkit.stack import Stack, http, until

DATA_PLANES = 3
ASKING, DECIDING = 24, 200
"""How many calls are under way at a time."""
DEVELOPERS, MANAGERS = 400, 600
ALONE, TOGETHER, EACH, SMALL = 100, 50, 10, 50
"""Requests that one manager decides, those on which ten vote at once, and those that need nobody."""
DECIDED = ALONE + TOGETHER
PROJECTS = 10
WITHIN = 2.0
DEAR, OTHER = "dear", "other"


@pytest.fixture(scope="module")
def issuer(oidc: OidcProvider) -> Issuer:
    """Who vouches for the people."""
    return oidc.issuer()


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Stack]:
    """Two control planes and three data planes, with roles for the issuer's groups."""
    stack = Stack(tmp_path_factory.mktemp("several"))
    stack.log_level = "warning"
    try:
        stack.start(dataplanes=DATA_PLANES).add_control()
        document = stack.demo()
        document["models"] += [
            {
                "name": name,
                "targets": [{"provider": "sim", "model": "sim-fast/tokens=50"}],
                "price": {"input": "0", "output": "10000"},
            }
            for name in (DEAR, OTHER)
        ]
        document["projects"][0] |= {"models": [DEAR], "budget": {"limit": "0.4", "period": "month"}}
        document["identity"] = {
            "issuers": [
                {"name": "corp", "issuer": issuer.url, "client_id": CLIENT, "client_secret": SECRET,
                 "audiences": [AUDIENCE]}
            ]
        }  # fmt: skip
        small = {"name": "small", "when": "amount <= 1.0", "effect": "approve"}
        document["policies"] = [
            {"kind": "credit", "rules": [small], "steps": [{"approvers": {"role": "unit_manager"}}]},
            {"kind": "model_access", "steps": [{"approvers": {"role": "unit_manager"}}]},
        ]
        stack.apply(document)
        stack.api("POST", "roles", {"role": "developer", "group": "devs", "project": "demo"})
        stack.api("POST", "roles", {"role": "unit_manager", "group": "leads", "business_unit": "default"})
        stack.api("POST", "business-units", {"name": "crowd"})
        stack.api("POST", "roles", {"role": "developer", "group": "devs", "business_unit": "crowd"})
        stack.api("POST", "roles", {"role": "unit_manager", "group": "leads", "business_unit": "crowd"})
        for number in range(PROJECTS):
            stack.api("POST", "projects", {"name": f"crowd-{number}", "business_unit": "crowd"})
            stack.api("PATCH", f"budgets/project:crowd-{number}", {"limit": "25"})
        yield stack
    finally:
        stack.stop()


def token(issuer: Issuer, name: str, group: str) -> str:
    """A token of somebody in a group."""
    said = {"sub": name, "name": name, "email": f"{name}@example.com", "email_verified": True, "groups": [group]}
    return issuer.token(said)


@dataclass(frozen=True)
class Said:
    """An answer, and how long it took."""

    status: int
    body: dict[str, Any]
    seconds: float


class Crowd:
    """Callers of both control planes at once. Who finds a plane too busy tries again, as clients do."""

    def __init__(self, stack: Stack, session: aiohttp.ClientSession, at_once: int) -> None:
        self._bases = [f"http://127.0.0.1:{control.ports['control']}/api/v1" for control in stack.controls]
        self._session = session
        self._free = asyncio.Semaphore(at_once)
        self.busy = 0

    async def call(self, place: int, bearer: str, path: str, body: Any) -> Said:
        """One call of the control plane number `place`."""
        url = f"{self._bases[place % len(self._bases)]}/{path}"
        async with self._free:
            began = time.monotonic()
            while True:
                async with self._session.post(url, json=body, headers={"Authorization": f"Bearer {bearer}"}) as answer:
                    found = Said(answer.status, await answer.json(), time.monotonic() - began)
                if found.status != 503:
                    return found
                self.busy += 1
                await asyncio.sleep(0.05)

    async def request(self, place: int, bearer: str) -> Said:
        """Asks for credit; what is small needs nobody, and the last ones wait on."""
        amount = "2" if place < DECIDED else "1" if place < DECIDED + SMALL else "3"
        terms = {"subject": f"project:crowd-{place % PROJECTS}", "amount": amount}
        return await self.call(place, bearer, "approvals", {"kind": "credit", "reason": "all of us", "terms": terms})

    async def vote(self, place: int, bearer: str, approval: str) -> Said:
        """Approves."""
        return await self.call(place, bearer, f"approvals/{approval}:decide", {"verdict": "approve"})


def quantile(found: Sequence[Said], part: float) -> float:
    ordered = sorted(said.seconds for said in found)
    return ordered[int(part * (len(ordered) - 1))]


async def test_a_thousand_people_ask_and_decide_and_each_thing_happens_once(
    several: Stack, issuer: Issuer, capsys: pytest.CaptureFixture[str]
) -> None:
    developers = [token(issuer, f"dev{n}", "devs") for n in range(DEVELOPERS)]
    managers = [token(issuer, f"boss{n}", "leads") for n in range(MANAGERS)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=DECIDING)) as session:
        crowd = Crowd(several, session, ASKING)
        began = time.monotonic()
        made = await asyncio.gather(*(crowd.request(n, bearer) for n, bearer in enumerate(developers)))
        asking = time.monotonic() - began
    assert Counter((said.status, said.body.get("state")) for said in made) == {
        (200, "approved"): SMALL, (200, "pending"): DEVELOPERS - SMALL,
    }  # fmt: skip
    ids = [said.body["id"] for said in made[:DECIDED]]
    # Each manager votes once: the first hundred on one request each, of the others ten on each of fifty.
    chosen = ids[:ALONE] + [approval for approval in ids[ALONE:] for _ in range(EACH)]
    assert len(chosen) == MANAGERS
    version = "SELECT version FROM installation"
    before = several.sql(version)[0][0]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=DECIDING)) as session:
        crowd = Crowd(several, session, DECIDING)
        began = time.monotonic()
        voting = enumerate(zip(managers, chosen, strict=True))
        votes = await asyncio.gather(*(crowd.vote(n, bearer, approval) for n, (bearer, approval) in voting))
        deciding = time.monotonic() - began
    said = Counter((vote.status, vote.body.get("state") or vote.body["error"]["code"]) for vote in votes)
    assert said == {(200, "approved"): DECIDED, (409, "failed_precondition"): MANAGERS - DECIDED}
    assert several.sql(version)[0][0] == before + DECIDED, "one change for data planes for each"
    for table in ("approval_grants", "approval_votes"):
        counted = several.sql(
            f"SELECT count(*), count(DISTINCT t.approval_id) FROM {table} t JOIN approvals a ON a.id = t.approval_id"
            " WHERE a.business_unit = 'crowd'"
        )
        assert counted == [(DECIDED + SMALL if table == "approval_grants" else DECIDED,) * 2]
    limits = [several.api("GET", f"budgets/project:crowd-{n}")["limit_now"] for n in range(PROJECTS)]
    assert limits == [str(25 + (2 * DECIDED + SMALL) // PROJECTS)] * PROJECTS
    people = several.sql("SELECT count(*), count(DISTINCT email) FROM users WHERE email ~ '^(dev|boss)[0-9]'")
    assert people == [(DEVELOPERS + MANAGERS,) * 2], "each of them signed in, none was turned away"
    assert several.api("GET", "audit:verify")["found"] in (0, "0")
    with capsys.disabled():
        print(
            f"\n{DEVELOPERS} people ask over two control planes: {DEVELOPERS / asking:.0f}/s, p99"
            f" {1000 * quantile(made, 0.99):.0f} ms; {MANAGERS} decide, {DECIDING} at once:"
            f" {MANAGERS / deciding:.0f}/s, p99 {1000 * quantile(votes, 0.99):.0f} ms; tried again: {crowd.busy}"
        )


def test_what_is_granted_is_usable_on_every_data_plane_within_two_seconds(
    several: Stack, issuer: Issuer, capsys: pytest.CaptureFixture[str]
) -> None:
    developer, manager = token(issuer, "asker", "devs"), token(issuer, "decider", "leads")
    seconds: dict[str, float] = {}

    def say(path: str, body: dict[str, Any], bearer: str) -> dict[str, Any]:
        """The second control plane is told: the data planes are with the first."""
        url = f"http://127.0.0.1:{several.controls[1].ports['control']}/api/v1/{path}"
        status, _headers, found = http("POST", url, token=bearer, body=body)
        assert status == 200, found
        answer: dict[str, Any] = found
        return answer

    def ask(kind: str, **terms: Any) -> str:
        made = say("approvals", {"kind": kind, "reason": "launch", "terms": terms}, developer)
        assert made["state"] == "pending"
        return str(made["id"])

    with ThreadPoolExecutor(DATA_PLANES) as pool:

        def everywhere(wanted: int, model: str, what: str) -> list[float]:
            began = time.monotonic()

            def arrived(number: int) -> float:
                called = lambda: several.chat(model=model, max_tokens=50, number=number)[0] == wanted  # noqa: E731
                until(called, WITHIN, f"{wanted} on data plane {number} after {what}")
                return time.monotonic() - began

            return list(pool.map(arrived, range(DATA_PLANES)))

        def decided(what: str, path: str, body: dict[str, Any], wanted: int, model: str = DEAR) -> None:
            say(path, body, manager)
            seconds[what] = max(everywhere(wanted, model, what))

        everywhere(429, DEAR, "the start")
        everywhere(403, OTHER, "the start")
        credit = ask("credit", subject="project:demo", amount="50")
        models = ask("model_access", project="demo", models=[OTHER])
        decided("credit", f"approvals/{credit}:decide", {"verdict": "approve"}, 200)
        decided("model", f"approvals/{models}:decide", {"verdict": "approve"}, 200, OTHER)
        decided("model taken back", f"approvals/{models}:revoke", {"reason": "by mistake"}, 403, OTHER)
        decided("credit taken back", f"approvals/{credit}:revoke", {"reason": "by mistake"}, 429)
    with capsys.disabled():
        shown = ", ".join(f"{what} {1000 * found:.0f}" for what, found in seconds.items())
        print(f"\nfrom the answer to a decision until it holds on {DATA_PLANES} data planes, ms: {shown}")
    assert max(seconds.values()) < WITHIN
