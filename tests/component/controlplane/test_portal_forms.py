"""Forms of the portal: what they do, what they say when something is wrong, and that twice is once."""

from __future__ import annotations

import asyncio
import html
import re

import pytest

from tollway.testkit.portal import Person, Rig

pytestmark = pytest.mark.asyncio(loop_scope="module")


def etag(text: str) -> str:
    """The etag of a page's first form that has one."""
    found = re.search(r'name="etag" value="([^"]*)"', text)
    assert found, text
    return html.unescape(found[1])


async def key_of(person: Person, name: str, **fields: str) -> tuple[str, str]:
    """Makes a key; its page and its secret."""
    status, text, _ = await person.post("/keys", project="alpha", name=name, **fields)
    secret = re.search(r'id="secret"[^>]*>(sk-tw-[^<]+)<', text)
    page = re.search(r'href="(/keys/[0-9a-f-]{36})"', text)
    assert status == 200, text
    assert secret, text
    assert page, text
    return page[1], secret[1]


async def test_a_key_is_made_rotated_and_revoked_and_its_secret_shown_once(rig: Rig) -> None:
    page, secret = await key_of(rig.developer, "laptop", days="30", models="sim/*")
    status, text, _ = await rig.developer.get(page)
    assert status == 200
    assert "dev@example.com" in text
    assert secret not in text
    status, rotated, headers = await rig.developer.post(f"{page}/rotate", grace_seconds="3600", etag=etag(text))
    assert (status, headers["cache-control"]) == (200, "no-store")
    assert "The secret before is valid until" in rotated
    assert secret not in rotated
    _, text, _ = await rig.developer.get(page)
    status, text, _ = await rig.developer.post(f"{page}/end-grace", etag=etag(text))
    assert "The grace period is over." in text
    status, text, _ = await rig.developer.post(f"{page}/revoke", etag=etag(text))
    assert (status, "Revoked." in text, "Revoke key" in text) == (200, True, False)
    (audited,) = (await rig.api.call("GET", "audit?action=keys.revoke")).body["events"]
    assert (audited["actor"], audited["transport"], audited["source"]) == ("dev@example.com", "portal", "127.0.0.1")


async def test_what_is_wrong_stands_beside_its_field_and_nothing_typed_is_lost(rig: Rig) -> None:
    status, text, _ = await rig.developer.post("/keys", project="alpha", name="not a name!", models="typed-before")
    assert status == 400
    assert re.search(r'id="name"[^>]*aria-invalid="true" aria-describedby="name-error"', text)
    assert re.search(r'id="name-error" role="alert">name [^<]+<', text)
    assert 'value="not a name!"' in html.unescape(text)
    assert 'value="typed-before"' in text
    status, text, _ = await rig.developer.post("/keys", project="alpha", name="fine", days="many")
    assert (status, 'id="days-error"' in text) == (400, True)
    status, text, _ = await rig.developer.post(
        "/approvals", kind="credit", terms__subject="project:alpha", terms__amount="much", reason="why"
    )
    assert (status, 'id="terms.amount-error"' in text) == (400, True)
    status, text, _ = await rig.administrator.post("/policies/credit", policy='{"rulez": []}')
    assert (status, "rulez" in text) == (400, True)


async def test_a_change_of_somebody_else_in_the_meantime_is_not_overwritten(rig: Rig) -> None:
    _, text, _ = await rig.manager.get("/projects/alpha")
    old = etag(text[text.index("<h2>Change</h2>") :])
    status, text, _ = await rig.administrator.post("/projects/alpha", description="first", models="*", etag=old)
    assert (status, "Saved." in text) == (200, True)
    status, text, _ = await rig.manager.post("/projects/alpha", description="second", models="*", etag=old)
    assert status == 412
    assert "Somebody else changed this" in text
    assert 'href="/projects/alpha"' in text
    assert (await rig.api.call("GET", "projects/alpha")).body["description"] == "first"


async def test_a_form_sent_twice_is_done_once(rig: Rig) -> None:
    asked = {"kind": "credit", "terms__subject": "project:alpha", "terms__amount": "7", "reason": "twice"}
    await rig.developer.get("/account")
    answers = await asyncio.gather(*(rig.developer.post("/approvals", once="number-1", **asked) for _ in range(5)))
    assert {status for status, _, _ in answers} == {200}
    found = await rig.api.sql("SELECT count(*) FROM approvals WHERE reason = 'twice'")
    assert found == [(1,)]
    await rig.developer.post("/approvals", once="number-2", **asked)
    assert await rig.api.sql("SELECT count(*) FROM approvals WHERE reason = 'twice'") == [(2,)]
    other = await rig.developer.post("/approvals", once="number-1", **asked | {"terms__amount": "8"})
    assert ">$8.00<" in other[1]  # typed into the same form again, after going back to it
    keys = await asyncio.gather(
        *(rig.developer.post("/keys", once="number-3", project="alpha", name="double") for _ in range(3))
    )
    assert {status for status, _, _ in keys} == {200}
    assert len({re.search(r">(sk-tw-[^<]+)<", text)[1] for _, text, _ in keys}) == 1  # type: ignore[index]


async def test_a_request_goes_from_the_form_to_the_decision(rig: Rig) -> None:
    steps = [{"approvers": {"role": "unit_manager"}}]
    assert (await rig.api.call("PUT", "policies/credit", {"steps": steps})).status == 200
    status, text, _ = await rig.developer.post(
        "/approvals", kind="credit", terms__subject="project:alpha", terms__amount="50", reason="the launch"
    )
    assert (status, "Your request was sent." in text) == (200, True)
    assert "Approve</button>" not in text
    address = re.search(r"/approvals/[0-9a-f-]{36}", text)
    assert address
    _, inbox, _ = await rig.manager.get("/approvals?view=inbox")
    assert address[0] in inbox
    status, text, _ = await rig.manager.post(f"{address[0]}/decide", verdict="reject", reason="")
    assert (status, 'role="alert"' in text) == (400, True)
    status, text, _ = await rig.manager.post(f"{address[0]}/comment", text="what for?")
    assert "what for?" in text
    assert (await rig.developer.post(f"{address[0]}/decide", verdict="approve"))[0] in (403, 409)
    status, text, _ = await rig.manager.post(f"{address[0]}/decide", verdict="approve")
    assert (status, "Given:" in text) == (200, True)
    _, text, _ = await rig.manager.get("/projects/alpha")
    assert "$75.00" in text


async def test_budgets_members_roles_policies_and_service_accounts_are_set(rig: Rig) -> None:
    admin = rig.administrator
    wanted = {"subject": "business_unit:sales", "limit": "500", "period": "month", "mode": "soft"}
    status, text, _ = await admin.post("/budgets", **wanted)
    assert (status, "Saved." in text) == (200, True)
    _, text, _ = await admin.get("/budgets/edit?subject=business_unit:sales")
    more = {"subject": "business_unit:sales", "amount": "20", "ends_at": "2999-01-01", "etag": etag(text)}
    assert "$20.00" in (await admin.post("/budgets/increase", **more))[1]
    _, text, _ = await rig.manager.post("/projects/alpha/members", user="new@example.com", role="developer")
    assert "new@example.com" in text
    status, text, _ = await admin.post("/roles", holder="group", name="auditors", role="auditor")
    binding = re.search(r'name="revoke" value="([^"]+)"[^>]*from auditors', text)
    assert binding, text
    assert "group auditors" not in (await admin.post("/roles", revoke=binding[1]))[1]
    policy = '{"rules": [{"name": "small", "when": "amount < 10.0", "effect": "approve"}]}'
    status, text, _ = await admin.post("/policies/limit", policy=policy, action="try")
    assert (status, "What it would have said" in text) == (200, True), text
    status, text, _ = await admin.post("/policies/limit", policy=policy, note="small ones", action="save", version="0")
    assert (status, "Version 1" in text) == (200, True), text
    status, text, _ = await admin.post("/policies/limit", policy=policy, action="save", version="0")
    assert status in (409, 412)
    assert "created" in (await admin.post("/service-accounts", name="robot", description="d"))[1].lower()
    assert "sa-tw-" in (await admin.post("/service-accounts/robot/issue"))[1]
    _, text, _ = await admin.post("/audit/verify")
    assert "all are what was written" in text


async def test_the_playground_refuses_what_it_cannot_send_and_keeps_no_key(rig: Rig) -> None:
    secret = "sk-tw-canary-of-the-playground"
    status, text, _ = await rig.developer.post("/playground", key=secret, model="sim/chat", prompt="")
    assert (status, 'id="prompt-error"' in text) == (400, True)
    assert secret not in text
    status, text, _ = await rig.developer.post("/playground", key=secret, model="sim/chat", prompt="Hello")
    assert (status, "the gateway does not answer" in text.lower()) == (503, True)
    assert secret not in text
    status, text, headers = await rig.developer.post("/playground/stream", key=secret, model="", prompt="Hello")
    assert (status, headers["content-type"].partition(";")[0]) == (400, "text/plain")
    assert "model is missing" in text
