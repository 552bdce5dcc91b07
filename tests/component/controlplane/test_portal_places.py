"""What the portal offers is what is taken there: forms of a project's owner and others, and why things were done."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from tollway.testkit.portal import Person, Rig, signed_in
from tollway.testkit.portal import rig as opened
from tollway.testkit.servers import PostgresServer

pytestmark = pytest.mark.asyncio(loop_scope="module")
WHY = "it was lost <on a train>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(
    postgres: PostgresServer, make_settings: Callable[..., object], make_api: Callable[..., object]
) -> AsyncIterator[Rig]:
    """Made once for the module; tests change only what is theirs."""
    async with opened(postgres, make_settings, make_api) as made:
        for role in (
            {"role": "project_owner", "user": "owner@example.com", "project": "alpha"},
            {"role": "developer", "user": "owner@example.com", "project": "secret-beta"},
            {"role": "auditor", "user": "audit@example.com"},
        ):
            assert (await made.api.call("POST", "roles", role)).status == 200
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def owner(rig: Rig) -> AsyncIterator[Person]:
    """Owns the project alpha, and is a developer in another."""
    async with signed_in(rig.plane, "owner@example.com") as person:
        yield person


def etag(text: str) -> str:
    """The etag of a page's first form that has one."""
    found = re.search(r'name="etag" value="([^"]*)"', text)
    assert found, text
    return html.unescape(found[1])


def choices(text: str) -> list[str]:
    """The roles that a page offers to give."""
    found = re.search(r'<select id="role".*?</select>', text, re.DOTALL)
    return re.findall(r'<option value="([^"]+)"', found[0]) if found else []


async def reasons(rig: Rig, action: str) -> list[str]:
    """Why such things were done, newest first."""
    return [event["reason"] for event in (await rig.api.call("GET", f"audit?action={action}")).body["events"]]


async def test_an_owner_saves_the_project_and_is_shown_what_an_owner_may(rig: Rig, owner: Person) -> None:
    models = (await rig.api.call("GET", "projects/alpha")).body["models"]
    _, text, _ = await owner.get("/projects/alpha")
    form = text[text.index("<h2>Change</h2>") :]
    assert 'name="description"' in form
    assert 'name="models"' not in form
    assert choices(text) == ["developer", "project_owner"]
    assert "/budgets/edit" not in text
    assert "/keys/new?project=alpha" in text
    status, text, _ = await owner.post("/projects/alpha", description="mine now", etag=etag(form), why=WHY)
    assert (status, "Saved." in text) == (200, True)
    assert (await rig.api.call("GET", "projects/alpha")).body["description"] == "mine now"
    assert (await rig.api.call("GET", "projects/alpha")).body["models"] == models
    assert (await reasons(rig, "projects.update"))[0] == WHY
    member = {"user": "new@example.com", "role": "developer"}
    status, text, _ = await owner.post("/projects/alpha/members", **member, why="joins us")
    assert (status, "new@example.com" in text) == (200, True)
    assert (await reasons(rig, "roles.grant"))[0] == "joins us"
    binding = re.search(r'name="revoke" value="([^"]+)"[^>]*from new@example.com', text)
    assert binding, text
    assert (await owner.post("/projects/alpha/members", revoke=binding[1], why="left us"))[0] == 200
    assert await reasons(rig, "roles.revoke") == ["left us"]
    _, text, _ = await owner.get("/budgets/edit?subject=project:alpha")
    assert "You may not set this budget" in text
    assert 'name="limit"' not in text
    _, text, _ = await owner.get("/projects/secret-beta")  # where they are a developer
    assert "<h2>Change</h2>" not in text
    assert "/keys/new?project=secret-beta" in text
    assert choices(text) == []


async def test_a_manager_and_an_administrator_are_shown_more(rig: Rig) -> None:
    _, text, _ = await rig.manager.get("/projects/alpha")
    assert 'name="models"' in text
    assert "/budgets/edit?subject=project:alpha" in text
    assert choices(text) == ["developer", "project_owner"]
    form = text[text.index("<h2>Change</h2>") :]
    status, text, _ = await rig.manager.post("/projects/alpha", models="sim/*", etag=etag(form))
    assert (status, (await rig.api.call("GET", "projects/alpha")).body["models"]) == (200, ["sim/*"])
    _, text, _ = await rig.manager.get("/units/sales")
    assert "/budgets/edit" not in text  # what holds them is set above them
    _, text, _ = await rig.manager.get("/budgets")
    assert 'href="/budgets/edit?subject=project%3Aalpha"' in text
    assert set(choices((await rig.manager.get("/roles"))[1])).isdisjoint({"auditor", "platform_admin"})
    assert "unit_manager" in choices((await rig.manager.get("/roles"))[1])
    assert "/budgets/edit" in (await rig.administrator.get("/units/sales"))[1]
    assert "auditor" in choices((await rig.administrator.get("/projects/alpha"))[1])
    assert "platform_admin" in choices((await rig.administrator.get("/roles"))[1])


async def test_who_only_reads_is_offered_nothing(rig: Rig) -> None:
    async with signed_in(rig.plane, "audit@example.com") as auditor:
        for path in ("/projects/alpha", "/units/sales", "/budgets", "/roles", "/users", "/service-accounts"):
            status, text, _ = await auditor.get(path)
            posts = set(re.findall(r'<form[^>]*method="post"[^>]*action="([^"]+)"', text)) - {"/auth/logout"}
            assert (status, posts) == (200, set()), path
            assert "/approvals/new" not in text, path


async def test_why_something_was_done_is_in_the_audit_log(rig: Rig) -> None:
    admin = rig.administrator
    _, text, _ = await rig.developer.post("/keys", project="alpha", name="with-why")
    page = re.findall(r'href="(/keys/[0-9a-f-]{36})"', text)[0]
    _, text, _ = await rig.developer.get(page)
    assert text.count('name="why"') == 2
    assert (await rig.developer.post(f"{page}/rotate", grace_seconds="60", etag=etag(text), why="yearly"))[0] == 200
    _, text, _ = await rig.developer.get(page)
    assert (await rig.developer.post(f"{page}/revoke", etag=etag(text), why=WHY))[0] == 200
    assert (await reasons(rig, "keys.rotate"), await reasons(rig, "keys.revoke")) == (["yearly"], [WHY])
    budget = {"subject": "project:secret-beta", "limit": "5", "period": "month", "mode": "hard"}
    status, text, _ = await admin.post("/budgets", **budget | {"limit": "much"}, why="<typed> before")
    assert (status, 'value="&lt;typed&gt; before"' in text) == (400, True)
    await admin.post("/budgets", **budget, why="a start")
    _, text, _ = await admin.get("/budgets/edit?subject=project:secret-beta")
    more = {"subject": "project:secret-beta", "amount": "2", "ends_at": "2999-01-01", "etag": etag(text)}
    assert (await admin.post("/budgets/increase", **more, reason="the fair"))[0] == 200
    assert (await reasons(rig, "budgets.update"))[0] == "a start"
    assert await reasons(rig, "budgets.increase") == ["the fair"]
    assert html.escape(WHY) in (await admin.get("/audit?action=keys.revoke"))[1]


async def test_users_are_found_and_disabled(rig: Rig) -> None:
    for number in range(3):
        assert (await rig.administrator.post("/users", email=f"many-{number}@example.com"))[0] == 200
    await rig.administrator.post("/users", email="rare@example.com", display_name="Äda Löve 100%_")
    for search in ("RARE", "äda", "100%_"):
        _, text, _ = await rig.administrator.get(f"/users?search={search.replace('%', '%25')}")
        assert re.findall(r'href="/roles\?user=([^"]+)"', text) == ["rare%40example.com"], search
    found = await rig.api.call("GET", "users?search=many-&page_size=2")
    rest = await rig.api.call("GET", f"users?search=many-&page_size=2&page_token={found.body['next_page_token']}")
    emails = [user["email"] for user in found.body["users"] + rest.body["users"]]
    assert emails == [f"many-{number}@example.com" for number in range(3)]
    _, text, _ = await rig.administrator.get("/users?search=nobody-at-all")
    assert "Nobody has that" in text
    _, text, _ = await rig.administrator.get("/users?search=rare")
    (action,) = re.findall(r'action="(/users/[^"]+/disable)"', text)
    assert (await rig.administrator.post(action, etag=etag(text), why="has left"))[0] == 200
    assert await reasons(rig, "users.disable") == ["has left"]


async def test_service_accounts_lose_tokens_are_disabled_and_archived(rig: Rig, owner: Person) -> None:
    made = await owner.post("/service-accounts", name="robot", project="alpha", why="deploys")
    assert (made[0], await reasons(rig, "service_accounts.create")) == (200, ["deploys"])
    _, text, _ = await owner.post("/service-accounts/robot/issue", why="first")
    assert re.search(r'id="secret"[^>]*>sa-tw-', text)
    (token,) = re.findall(r'name="token" value="([^"]+)"', text)
    status, text, _ = await owner.post("/service-accounts/robot/revoke", token=token, why=WHY)
    assert (status, "Revoked." in text, 'name="token"' in text) == (200, True, False)
    assert await reasons(rig, "service_accounts.revoke") == [WHY]
    for action, shown in (("disable", "Enable</button>"), ("enable", "Disable</button>")):
        status, text, _ = await owner.post(f"/service-accounts/robot/{action}", etag=etag(text), why=action)
        assert (status, shown in text) == (200, True), action
        assert await reasons(rig, f"service_accounts.{action}") == [action]
    stale = await owner.post("/service-accounts/robot/archive", etag="old")
    assert (stale[0], "Somebody else changed this" in stale[1]) == (412, True)
    status, text, _ = await owner.post("/service-accounts/robot/archive", etag=etag(text))
    assert (status, "robot" in text) == (200, False)
    await rig.administrator.post("/service-accounts", name="other", description="d")
    assert (await owner.post("/service-accounts/other/disable"))[0] == 403


async def test_only_who_may_take_something_back_is_asked_to(rig: Rig) -> None:
    steps = [{"approvers": {"role": "unit_manager"}}]
    assert (await rig.api.call("PUT", "policies/model_access", {"steps": steps})).status == 200
    _, text, _ = await rig.developer.post(
        "/approvals", kind="model_access", terms__project="alpha", terms__models="other/*", reason="a trial"
    )
    address = re.search(r"/approvals/[0-9a-f-]{36}", text)
    assert address
    _, text, _ = await rig.manager.post(f"{address[0]}/decide", verdict="approve", reason="fine")
    assert (await reasons(rig, "approvals.decide"))[0] == "fine"
    assert "Take back what was given" in text
    async with signed_in(rig.plane, "audit@example.com") as auditor:
        for reader in (rig.developer, auditor):
            status, text, _ = await reader.get(address[0])
            assert (status, "Given:" in text, "Take back what was given" in text) == (200, True, False)
            assert (await reader.post(f"{address[0]}/revoke", reason="x"))[0] == 403
    status, text, _ = await rig.manager.post(f"{address[0]}/revoke", reason=WHY)
    assert (status, "Revoked." in text, "Take back" in text) == (200, True, False)
    assert set(await reasons(rig, "approvals.revoke")) == {WHY}
