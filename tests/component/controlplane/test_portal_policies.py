"""The form of policies: written without text, checked while it is typed, with versions to go back to."""

from __future__ import annotations

import html
import re
from urllib.parse import quote

import pytest

from tollway.controlplane.portal.pages.conditions import EXAMPLES
from tollway.testkit.portal import Rig

pytestmark = pytest.mark.asyncio(loop_scope="module")
SMALL = {
    "rules[0].name": "small",
    "rules[0].effect": "approve",
    "rules[0].when": "amount <= 50",
    "rules[0].reason": "",
    "rules[1].name": "large",
    "rules[1].effect": "require",
    "rules[1].when": "amount > 500",
    "rules[1].reason": "",
    "rules[1].steps[0].quorum": "2",
    "rules[1].steps[0].approvers.people": "cfo@example.com, ceo@example.com",
    "rules[1].steps[0].approvers.role": "",
    "steps[0].quorum": "1",
    "steps[0].approvers.people": "",
    "steps[0].approvers.role": "unit_manager",
    "timing.remind_seconds": "1d",
    "timing.expire_seconds": "2d",
}


def values(text: str, ending: str) -> list[str]:
    """The values of a page's fields whose names end so, in their order."""
    return [html.unescape(value) for value in re.findall(rf'name="[^"]*{re.escape(ending)}" value="([^"]*)"', text)]


async def test_a_policy_is_written_changed_tried_and_brought_back(rig: Rig) -> None:
    admin = rig.administrator
    status, text, _ = await admin.post("/policies/credit", action="save", version="0", note="first", **SMALL)
    assert (status, "Saved." in text) == (200, True), text
    found = (await rig.api.call("GET", "policies/credit")).body
    assert [rule["name"] for rule in found["rules"]] == ["small", "large"]
    step = {"approvers": {"people": ["cfo@example.com", "ceo@example.com"], "role": ""}, "quorum": 2}
    assert found["rules"][1]["steps"] == [step]
    assert (found["timing"]["remind_seconds"], found["timing"]["expire_seconds"]) == ("86400", "172800")
    asked = {"kind": "credit", "terms__subject": "project:alpha", "reason": "why"}
    await rig.developer.post("/approvals", terms__amount="40", **asked)
    await rig.developer.post("/approvals", terms__amount="70", **asked)
    status, text, _ = await admin.post("/policies/credit", action="try", version="1", **SMALL | {"rules[0].when": ""})
    assert (status, "Of 2 past requests: 2 approved" in text, "1 would have gone another way" in text) == (200, 1, 1)
    status, text, _ = await admin.post("/policies/credit", action="rule-down:0", version="1", **SMALL)
    assert (status, values(text, "].name")) == (200, ["large", "small"])
    assert values(text, "rules[0].steps[0].approvers.people") == ["cfo@example.com, ceo@example.com"]
    assert re.search(r'name="rules\[1\].name"[^>]* autofocus', text)
    fewer = {name: value for name, value in SMALL.items() if not name.startswith("rules[1]")}
    status, text, _ = await admin.post("/policies/credit", action="save", version="1", note="fewer", **fewer)
    assert "Version 2" in text
    assert re.findall(r'href="/policies/credit\?version=(\d)"', text) == ["2", "1"]
    _, text, _ = await admin.get("/policies/credit?version=1")
    assert "This is version 1 of" in text
    assert (values(text, "].name"), values(text, "version")) == (["small", "large"], ["2"])
    status, text, _ = await admin.post("/policies/credit", action="save", version="1", **SMALL)
    assert (status, "Somebody else changed this" in text) == (412, True)


async def test_what_is_wrong_is_marked_where_it_is(rig: Rig) -> None:
    admin = rig.administrator
    for field, value, said in (
        ("rules[0].when", "amonut > 1", "no condition"),
        ("rules[0].name", "Not a name", "lower-case letters"),
        ("rules[1].steps[0].quorum", "3", "more than the 2 people"),
        ("rules[1].steps[0].quorum", "many", "whole number"),
        ("timing.remind_seconds", "often", "duration"),
    ):
        status, text, _ = await admin.post("/policies/limit", action="save", **SMALL | {field: value})
        found = re.search(rf'id="{re.escape(field)}-error" role="alert">([^<]+)<', text)
        assert (status, found is not None) == (400, True), (field, text)
        assert found is not None
        assert said in html.unescape(found[1])
        assert "cfo@example.com, ceo@example.com" in text
    empty = SMALL | {"rules[1].steps[0].approvers.people": ""}
    _, text, _ = await admin.post("/policies/limit", action="save", **empty)
    assert "must name people or a role" in text.lower()
    assert (await rig.api.call("GET", "policies/limit")).body["version"] == "0"


async def test_a_condition_is_checked_while_it_is_typed(rig: Rig) -> None:
    admin = rig.administrator
    for kind, examples in EXAMPLES.items():
        for text, _ in examples:
            status, page, _ = await admin.get(f"/policies/{kind}/condition?rules[0].when={quote(text)}")
            assert (status, "Can be used." in page) == (200, True), (text, page)
    _, page, _ = await admin.get(f"/policies/credit/condition?when={quote('<img src=x> == 1')}")
    assert 'class="error"' in page
    assert "<img src=x>" not in page
    _, page, _ = await admin.get("/policies/credit/condition?when=")
    assert "it holds always" in page
    assert (await rig.developer.get("/policies/credit/condition?when=true"))[0] == 200
    assert "Can be used" not in (await rig.developer.get("/policies/credit/condition?when=true"))[1]
    assert (await rig.developer.post("/policies/credit", action="save", **SMALL))[0] == 403


async def test_a_large_form_is_taken(rig: Rig) -> None:
    many: dict[str, str] = {}
    for number in range(50):
        at = f"rules[{number}]"
        many |= {f"{at}.name": f"rule-{number}", f"{at}.effect": "require", f"{at}.when": "", f"{at}.reason": ""}
        for step in range(3):
            where = f"{at}.steps[{step}]"
            many |= {f"{where}.quorum": "1", f"{where}.approvers.role": "unit_manager", f"{where}.approvers.people": ""}
    status, text, _ = await rig.administrator.post("/policies/project", action="save", **many)
    assert (status, "Saved." in text) == (200, True), re.findall(r"note bad.*|error.*", text)[:5]
    assert len((await rig.api.call("GET", "policies/project")).body["rules"]) == 50
