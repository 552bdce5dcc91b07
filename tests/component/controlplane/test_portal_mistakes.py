"""Mistakes in forms: nothing typed is lost, nobody's change is overwritten unseen, and no bytes are a defect."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from tollway.controlplane.portal.policyform import MAX_RULES, MAX_STEPS
from tollway.controlplane.portal.routes import MAX_FIELDS
from tollway.testkit.portal import Person, Rig

pytestmark = pytest.mark.asyncio(loop_scope="module")
FORM = "application/x-www-form-urlencoded"
PART = {"HX-Request": "true"}
RULE = {"rules[0].name": "one", "rules[0].effect": "require", "rules[0].when": "", "rules[0].reason": ""}


def form(text: str, action: str) -> dict[str, str]:
    """What the form with an action holds: its fields, and what is chosen in its lists."""
    found = re.search(rf'<form[^>]*action="{re.escape(action)}".*?</form>', text, re.DOTALL)
    assert found, text
    fields = dict(re.findall(r'<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"', found[0]))
    for name, options in re.findall(r'<select[^>]*name="([^"]*)".*?>(.*?)</select>', found[0], re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        fields[name] = chosen[1] if chosen else ""
    fields |= dict(re.findall(r'<textarea[^>]*name="([^"]*)"[^>]*>\n?(.*?)</textarea>', found[0], re.DOTALL))
    return {name: html.unescape(value) for name, value in fields.items()}


async def sends(person: Person, action: str, fields: dict[str, str], **changed: str) -> tuple[int, str]:
    """Sends a form as it stands, but for some fields."""
    status, text, _ = await person.post(action, **fields | changed)
    return status, text


async def test_a_second_try_overwrites_nothing_that_somebody_changed_meanwhile(rig: Rig) -> None:
    budget = "budgets/business_unit:sales"
    assert (await rig.api.call("PATCH", budget, {"limit": "10"})).status == 200
    _, text, _ = await rig.administrator.get("/budgets/edit?subject=business_unit:sales")
    first, more = form(text, "/budgets"), form(text, "/budgets/increase")
    assert (await rig.api.call("PATCH", budget, {"limit": "20"})).status == 200
    status, text = await sends(rig.administrator, "/budgets", first, limit="30", period="never")
    assert (status, 'id="period-error"' in text) == (400, True)
    for _ in range(2):  # also after it was said that nothing was saved
        again = form(text, "/budgets")
        assert (again["limit"], again["etag"]) == ("30", first["etag"])
        status, text = await sends(rig.administrator, "/budgets", again, period="month")
        assert (status, "Somebody else changed this" in text) == (412, True)
        assert 'href="/budgets/edit?subject=business_unit%3Asales"' in text
    status, text = await sends(rig.administrator, "/budgets/increase", more, amount="many", ends_at="2999-01-01")
    assert (status, form(text, "/budgets")["limit"]) == (412, "20")
    status, text = await sends(rig.administrator, "/budgets", form(text, "/budgets"), limit="25")
    assert (status, (await rig.api.call("GET", budget)).body["limit"]) == (200, "25")

    _, text, _ = await rig.manager.get("/projects/alpha")
    first = form(text, "/projects/alpha")
    assert (await rig.api.call("PATCH", "projects/alpha", {"description": "theirs"})).status == 200
    status, text = await sends(rig.manager, "/projects/alpha", first, description="d" * 9999)
    assert status == 400
    status, text = await sends(rig.manager, "/projects/alpha", form(text, "/projects/alpha"), description="mine")
    assert (status, (await rig.api.call("GET", "projects/alpha")).body["description"]) == (412, "theirs")

    _, text, _ = await rig.developer.post("/keys", project="alpha", name="shared")
    page = re.findall(r'href="(/keys/[0-9a-f-]{36})"', text)[0]
    _, text, _ = await rig.developer.get(page)
    rotate = form(text, f"{page}/rotate")
    assert (await rig.api.call("PATCH", page.lstrip("/"), {"tags": {"a": "b"}})).status == 200
    status, text = await sends(rig.developer, f"{page}/rotate", rotate, grace_seconds="x")
    assert status == 400
    for action in ("rotate", "revoke"):
        status, text = await sends(rig.developer, f"{page}/{action}", form(text, f"{page}/{action}"))
        assert (status, f'href="{page}"' in text) == (412, True)


async def test_a_budget_that_is_there_is_shown_and_not_replaced(rig: Rig) -> None:
    wanted = {"subject": "project:secret-beta", "limit": "5", "period": "day", "mode": "soft", "once": "budget-1"}
    for _ in range(2):  # the second try of a form finds what it has made
        status, text = await sends(rig.administrator, "/budgets", wanted)
        assert (status, "Saved." in text) == (200, True)
    status, text = await sends(rig.administrator, "/budgets", wanted, limit="7", period="month", once="budget-2")
    assert (status, "nothing was saved" in text) == (409, True)
    shown = form(text, "/budgets")
    assert (shown["limit"], shown["period"], shown["mode"]) == ("5", "day", "soft")
    status, text = await sends(rig.administrator, "/budgets", shown, limit="7")
    assert (status, "Saved." in text) == (200, True)
    found = (await rig.api.call("GET", "budgets/project:secret-beta")).body
    assert (found["limit"], found["period"]) == ("7", "day")


async def test_a_budget_of_what_cannot_have_one_keeps_its_form(rig: Rig) -> None:
    for person in (rig.administrator, rig.manager):
        status, text = await sends(person, "/budgets", {"subject": "team:x", "limit": "12", "why": "<so>"})
        typed = form(text, "/budgets")
        assert (status, 'id="subject-error"' in text) == (400 if person is rig.administrator else 403, True)
        assert (typed["subject"], typed["limit"], typed["why"]) == ("team:x", "12", "<so>")
    status, text, _ = await rig.administrator.get("/budgets/edit?subject=team:x")
    assert (status, 'id="subject-error"' in text) == (400, True)


async def test_the_enter_key_does_what_the_form_says(rig: Rig) -> None:
    """It presses the first button, so a form with a line of text has one, or a harmless one in front."""
    assert (await rig.administrator.post("/service-accounts", name="robot"))[0] == 200
    looked = ("/service-accounts", "/policies/limit", "/policies/limit?as=text", "/projects/alpha", "/roles", "/users")
    pages = [(await rig.administrator.get(path))[1] for path in looked]
    forms = [one for text in pages for one in re.findall(r"<form.*?</form>", text, re.DOTALL)]
    several = []
    for one in forms:
        buttons = re.findall(r"<button(?! type=\"button\")[^>]*>", one)
        if len(buttons) > 1 and re.search(r"<input(?! type=\"hidden\")", one):
            several.append(buttons[0])
    assert len(several) == 2
    assert all('value="try"' in first for first in several)
    actions = {action for one in forms for action in re.findall(r'action="/service-accounts/robot/(\w+)"', one)}
    assert actions == {"issue", "disable", "archive"}
    assert not any("formaction" in one for one in forms)


async def test_a_policy_s_text_that_is_no_json_is_kept(rig: Rig) -> None:
    for policy, said in (('{"rules": [}', "not JSON"), ('{"rules": [], "rules": []}', "twice"), ("[]", "JSON object")):
        status, text, _ = await rig.administrator.post("/policies/limit", policy=policy, note="why <not>", version="0")
        wrong = re.search(r'id="policy-error" role="alert">([^<]+)<', text)
        assert wrong, text
        typed = form(text, "/policies/limit")
        assert (status, said in wrong[1], "body" in wrong[1]) == (400, True, False)
        assert (typed["policy"], typed["note"]) == (policy, "why <not>")


async def test_what_is_wrong_with_a_policy_is_said_on_top_and_at_its_field(rig: Rig) -> None:
    step = {"rules[0].steps[0].quorum": "1", "rules[0].steps[0].approvers.role": ""}
    people = {"rules[0].steps[0].approvers.people": f"a@example.com, {'b' * 600}"}
    sent = RULE | step | people | {"action": "save", "version": "0"}
    status, text = await sends(rig.administrator, "/policies/limit", sent)
    assert (status, 'id="rules[0].steps[0].approvers.people-error"' in text) == (400, True), text
    top = re.search(r'<div class="note bad"><p>([^<]+)<', text)
    assert top, text
    assert re.match(r"Rule 1, step 1: (?!rules)", top[1])
    status, text, _ = await rig.administrator.post("/policies/limit", action="save", version="x", **RULE)
    assert (status, 'class="note bad" role="alert"><p>Version must be a whole number' in text) == (400, True)


async def test_an_empty_choice_stays_empty(rig: Rig) -> None:
    asked = {"kind": "limit", "terms.subject": "project:alpha", "terms.measure": "concurrent", "terms.window": ""}
    _, text, _ = await rig.developer.get("/approvals/new?kind=limit")
    assert form(text, "/approvals")["terms.window"] == "minute"
    status, text = await sends(rig.developer, "/approvals", asked, **{"terms.limit": "many", "reason": "more"})
    assert (status, form(text, "/approvals")["terms.window"]) == (400, "")


async def test_members_that_are_not_shown_are_said(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    member = {"user": "dev@example.com", "role": "developer", "project": "secret-beta"}
    assert (await rig.api.call("POST", "roles", member)).status == 200
    more = '<a href="/roles?project=alpha">'
    assert (await rig.api.call("POST", "roles", {**member, "role": "project_owner", "project": "alpha"})).status == 200
    assert more not in (await rig.manager.get("/projects/alpha"))[1]
    monkeypatch.setattr("tollway.controlplane.portal.pages.projects.MEMBERS", 1)
    assert more in (await rig.manager.get("/projects/alpha"))[1]
    _, text, _ = await rig.administrator.get("/roles?project=alpha")
    assert (text.count("<td>project alpha</td>"), "secret-beta" in text) == (2, False)


async def test_a_part_that_fails_is_a_part(rig: Rig) -> None:
    browser, base = rig.administrator.browser, rig.api.base
    for path, status in (("/units/none/costs", 404), ("/nothing", 404)):
        page = await browser.open(base + path, headers=PART)
        assert (page.status, page.text.count('role="alert"'), page.text.count("<")) == (status, 1, 4), page.text
        boosted = await browser.open(base + path, headers=PART | {"HX-Boosted": "true"})
        assert (boosted.status, 'aria-label="Pages"' in boosted.text) == (status, True)
    await rig.api.sql("ALTER TABLE approval_policies RENAME TO approval_policies_away")
    try:
        page = await browser.open(base + "/policies/credit", headers=PART)
    finally:
        await rig.api.sql("ALTER TABLE approval_policies_away RENAME TO approval_policies")
    assert (page.status, "defect" in page.text, page.text.count("<")) == (500, True, 4), page.text


async def test_bytes_that_are_no_form_are_no_defect(rig: Rig) -> None:
    await rig.administrator.get("/account")
    token = rig.administrator.token.encode()
    part = b"--x\r\nContent-Disposition: form-data\r\n\r\nv\r\n--x--\r\n"
    for kind, body in (
        (FORM, b"csrf_token=" + token + b"&name=\xff\xfe"),
        (f"{FORM}; charset=none-such", b"csrf_token=" + token),
        (f"{FORM}; charset=unicode_escape", b"csrf_token=" + token + b"&name=\\ud800"),
        ("multipart/form-data; boundary=x", part),
        ("multipart/form-data", part),
        (f"{FORM}; squeezed", b"csrf_token=" + token),
    ):
        headers = {"Content-Type": kind, "X-CSRF-Token": token.decode()}
        headers |= {"Content-Encoding": "gzip"} if "squeezed" in kind else {}
        sent: dict[str, Any] = {"data": body, "headers": headers}
        async with rig.administrator.browser.session.post(rig.api.base + "/keys", **sent) as answer:
            text = await answer.text()
        assert (answer.status, answer.content_type, "<h1>" in text) == (400, "text/html", True), (kind, text)


async def test_the_largest_form_is_taken_and_a_larger_one_said_to_be_too_large(rig: Rig) -> None:
    step = {"quorum": "1", "approvers.people": "", "approvers.role": "unit_manager"}
    many = {f"steps[{n}].{name}": value for n in range(MAX_STEPS) for name, value in step.items()}
    many |= {f"timing.{name}": "" for name in ("remind_seconds", "escalate_seconds", "expire_seconds")}
    many |= {"timing.escalate_to.people": "", "timing.escalate_to.role": "", "note": "", "version": "0"}
    for number in range(MAX_RULES):
        at = f"rules[{number}]"
        many |= {f"{at}{name[8:]}": value for name, value in RULE.items()} | {f"{at}.name": f"rule-{number}"}
        many |= {f"{at}.steps[{n}].{name}": value for n in range(MAX_STEPS) for name, value in step.items()}
    status, text, _ = await rig.administrator.post("/policies/project", action="save", **many)
    assert (status, "Saved." in text) == (200, True), re.findall(r"note bad.*|error.*", text)[:5]
    rules = (await rig.api.call("GET", "policies/project")).body["rules"]
    assert {len(rule["steps"]) for rule in rules} == {MAX_STEPS}
    full = {f"x{number}": "" for number in range(MAX_FIELDS - 2)}
    assert 'id="name-error"' in (await rig.administrator.post("/keys", project="alpha", **full))[1]
    status, text, headers = await rig.administrator.post("/keys", project="alpha", one="more", **full)
    assert (status, "too many fields" in text) == (400, True)
    assert headers["content-type"].startswith("text/html")
