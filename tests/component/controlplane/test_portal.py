"""The portal over HTTP: every page for administrator and developer, what each sees, and what nobody gets past."""

from __future__ import annotations

import re

import pytest

from tollway.testkit.browser import Browser
from tollway.testkit.portal import XSS, Rig

PAGES = (
    "/", "/account", "/keys", "/keys?revoked=1&project=alpha", "/keys/new", "/models", "/models/sim/chat",
    "/playground", "/approvals", "/approvals?view=all", "/approvals/new", "/approvals/new?kind=platform_access",
    "/approvals/new?kind=project", "/approvals/new?kind=model_access", "/approvals/new?kind=credit",
    "/approvals/new?kind=limit", "/delegations", "/projects", "/projects/alpha", "/units", "/units/sales",
    "/units/sales/costs", "/budgets", "/budgets?scope=project", "/budgets/edit", "/budgets/edit?subject=project:alpha",
    "/request-log", "/request-log?hours=720&project=alpha", "/providers", "/users", "/roles",
    "/roles?user=dev@example.com", "/service-accounts", "/policies", "/policies/credit", "/audit",
    "/policies/credit?as=text", "/policies/credit/condition?when=true",
    "/audit?actor=administrator", "/usage/day", "/usage/model?days=7", "/usage/key?all=1", "/usage/day?project=alpha",
)  # fmt: skip
FOR_ADMINISTRATORS = ("/units", "/providers", "/users", "/policies", "/policies/credit", "/audit", "/service-accounts")


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_every_page_is_shown_with_its_headers(rig: Rig) -> None:
    for path in PAGES:
        status, text, headers = await rig.administrator.get(path)
        assert status == 200, (path, text)
        assert headers["content-type"] == "text/html; charset=utf-8", path
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy, path
        assert headers["cache-control"] == "no-store", path
        assert (headers["x-frame-options"], headers["referrer-policy"]) == ("DENY", "same-origin")
        assert not re.search(r"<script(?! src=\"/assets/)|\sstyle=|\son[a-z]+=|javascript:", text), path
        assert not re.search(r"(src|href)=\"(https?:)?//", text), path
        for form in re.findall(r'<form[^>]*method="post".*?</form>', text, re.DOTALL):
            assert f'name="csrf_token" value="{rig.administrator.token}"' in form, (path, form)
        ids = re.findall(r'\bid="([^"]*)"', text)
        assert len(ids) == len(set(ids)), (path, sorted(ids))


async def test_assets_are_ours_and_kept_for_ever(rig: Rig) -> None:
    _, text, _ = await rig.administrator.get("/")
    found = re.findall(r'(?:src|href)="(/assets/[^"]+)"', text)
    assert {path.rsplit("/", 1)[1] for path in found} == {"htmx.min.js", "portal.js", "portal.css", "icon.svg"}
    for path in set(found):
        status, _, headers = await rig.administrator.get(path)
        assert (status, headers["x-content-type-options"]) == (200, "nosniff")
        assert "immutable" in headers["cache-control"]
    assert (await rig.administrator.get("/assets/x/settings.py"))[0] == 404


async def test_who_is_not_signed_in_is_sent_there_and_changes_nothing(rig: Rig) -> None:
    async with Browser() as browser:
        page = await browser.open(rig.api.base + "/keys?project=alpha", stop="/auth/login")
        assert "return_to=%2Fkeys%3Fproject%3Dalpha" in page.url
        for shown, back in (
            (f"{rig.api.base}/keys?project=alpha", "%2Fkeys%3Fproject%3Dalpha"),
            ("https://evil.example//evil.example/x", "%2F%2Fevil.example%2Fx"),  # sign-in itself goes to no other site
            ("http://[", "%2F"),
        ):
            part = await browser.open(
                rig.api.base + "/usage/day", headers={"HX-Request": "true", "HX-Current-URL": shown}
            )
            assert (part.status, part.headers["hx-redirect"]) == (401, f"/auth/login?return_to={back}")
        boosted = {"HX-Request": "true", "HX-Boosted": "true", "HX-Current-URL": rig.api.base + "/"}
        page = await browser.open(rig.api.base + "/keys?project=alpha", headers=boosted)
        assert page.headers["hx-redirect"] == "/auth/login?return_to=%2Fkeys%3Fproject%3Dalpha"
        page = await browser.post(rig.api.base + "/keys", project="alpha", name="stolen")
        assert page.path == "/auth/login"
    assert await rig.api.sql("SELECT 1 FROM keys WHERE name = 'stolen'") == []


async def test_a_form_without_the_sessions_token_or_from_elsewhere_is_refused(rig: Rig) -> None:
    for token in ("", "wrong"):
        status, text, _ = await rig.administrator.post("/keys", csrf_token=token, project="alpha", name="forged")
        assert status == 403
        assert "CSRF" in text
    await rig.administrator.get("/account")
    form = {"csrf_token": rig.administrator.token, "project": "alpha", "name": "forged"}
    elsewhere = {"Origin": "https://evil.example"}
    page = await rig.administrator.browser.post(rig.api.base + "/keys", headers=elsewhere, **form)
    assert page.status == 403
    large = await rig.administrator.post("/keys", name="x" * 300_000)
    assert large[0] == 400
    assert await rig.api.sql("SELECT 1 FROM keys WHERE name = 'forged'") == []


async def test_what_people_wrote_is_shown_as_they_wrote_it(rig: Rig) -> None:
    _, _, _ = await rig.developer.post(
        "/approvals", kind="credit", terms__subject="project:alpha", terms__amount="1", reason=XSS
    )
    await rig.administrator.post("/users", email="odd@example.com", display_name=XSS)
    for path in ("/projects/alpha", "/units/sales", "/units", "/projects", "/users", "/approvals?view=all", "/audit"):
        _, text, _ = await rig.administrator.get(path)
        assert "<script>alert" not in text, path
        assert "<img src=x" not in text, path
        assert "&lt;script&gt;" in text, path
    for path in (
        f"/keys?project={XSS}",
        f"/audit?actor={XSS}",
        f"/approvals/new?kind=credit&subject={XSS}",
        f"/?days={XSS}",
    ):
        _, text, _ = await rig.administrator.get(path)
        assert "<script>alert" not in text, path


async def test_a_developer_sees_what_is_theirs_alone(rig: Rig) -> None:
    status, text, _ = await rig.developer.get("/")
    assert status == 200
    assert "/projects" in text
    for path in FOR_ADMINISTRATORS:
        assert f'href="{path}"' not in text, path
        status, refused, _ = await rig.developer.get(path)
        assert status == 403, path
        assert "You may not do this" in refused
        assert "/approvals/new?kind=platform_access" in refused
    _, listed, _ = await rig.developer.get("/projects")
    assert "alpha" in listed
    assert "secret-beta" not in listed
    assert (await rig.developer.get("/projects/secret-beta"))[0] in (403, 404)
    assert "secret-beta" in (await rig.administrator.get("/projects"))[1]
    for path in ("/keys", "/models", "/playground", "/approvals", "/projects/alpha", "/budgets", "/request-log"):
        assert (await rig.developer.get(path))[0] == 200, path


async def test_a_report_of_one_is_not_shown_to_another(rig: Rig) -> None:
    """Reports are kept for some seconds; what somebody else may see is not among them."""
    project = (await rig.api.sql("SELECT id::text FROM projects WHERE name = 'secret-beta'"))[0][0]
    await rig.api.sql(
        "INSERT INTO ledger_groups SELECT gen_random_uuid(), id::text, 'u', %s, 'k', 'K', '', 'm', NULL"
        " FROM organisations",
        project,
    )
    await rig.api.sql(
        "INSERT INTO ledger_days (begins, group_id, requests) SELECT date_trunc('day', now() AT TIME ZONE 'UTC')"
        " AT TIME ZONE 'UTC', id, 4711 FROM ledger_groups WHERE project = %s",
        project,
    )
    assert "4,711" in (await rig.administrator.get("/usage/project?days=90"))[1]
    for _ in range(2):
        status, text, _ = await rig.developer.get("/usage/project?days=90")
        assert status == 200
        assert "4,711" not in text


async def test_what_does_not_exist_is_a_page(rig: Rig) -> None:
    for path in ("/projects/none", "/keys/none", "/units/none", "/approvals/01900000-0000-7000-8000-000000000000"):
        status, text, _ = await rig.administrator.get(path)
        assert status in (403, 404), path
        assert 'role="alert"' in text
    status, text, _ = await rig.administrator.get("/keys?page=nonsense")
    assert status == 400
    assert 'role="alert"' in text
    status, text, headers = await rig.administrator.get("/nothing/<here>")
    assert (status, "Not found" in text, 'aria-label="Pages"' in text, "<here>" in text) == (404, True, True, False)
    assert "default-src 'none'" in headers["content-security-policy"]
    async with Browser() as browser:
        page = await browser.open(rig.api.base + "/nothing")
        assert (page.status, "Not found" in page.text, 'aria-label="Pages"' in page.text) == (404, True, False)
    status, _, headers = await rig.administrator.get("/api/v1/nothing")
    assert (status, headers["content-type"].partition(";")[0]) == (404, "application/json")


async def test_who_loads_a_form_s_answer_anew_comes_to_its_page(rig: Rig) -> None:
    project = await rig.administrator.get("/projects/alpha/members")
    assert (project[0], 'name="user"' in project[1]) == (200, True)
    for path, heading in (("/budgets/increase", "Budgets"), ("/providers/sim/check", "Providers")):
        status, text, _ = await rig.administrator.get(path)
        assert (status, f"<h1>{heading}</h1>" in text) == (200, True), path


async def test_a_defect_is_a_page_that_tells_nothing(rig: Rig) -> None:
    await rig.api.sql("ALTER TABLE approval_policies RENAME TO approval_policies_away")
    try:
        status, text, headers = await rig.administrator.get("/policies/credit")
    finally:
        await rig.api.sql("ALTER TABLE approval_policies_away RENAME TO approval_policies")
    assert (status, "Something went wrong" in text, "approval_policies" in text) == (500, True, False)
    assert "default-src 'none'" in headers["content-security-policy"]
    assert (await rig.administrator.get("/policies/credit"))[0] == 200


async def test_a_unit_shows_its_month_and_the_rest_of_it(rig: Rig) -> None:
    """Only what was booked on the unit counts; the days to come are expected to go on as the last ones."""
    unit, project = (await rig.api.sql("SELECT business_unit_id::text, id::text FROM projects WHERE name = 'alpha'"))[0]
    other = (await rig.api.sql("SELECT id::text FROM business_units WHERE name = 'default'"))[0][0]
    for number, place in enumerate((unit, other)):
        await rig.api.sql(
            "WITH made AS (INSERT INTO ledger_groups SELECT gen_random_uuid(), id::text, %s, %s, 'k', 'K', '', %s, 'p'"
            " FROM organisations RETURNING id) INSERT INTO ledger_days (begins, group_id, cost_nano)"
            " SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', id, 7000000000000 FROM made",
            place,
            project,
            f"model-{number}",
        )
    status, text, _ = await rig.manager.get("/units/sales/costs")
    assert status == 200
    assert "<dd>$7,000.00</dd>" in text
    assert "$14,000.00" not in text
    drawn = re.findall(r"<g><title>(\d{4}-\d\d-\d\d): [^<]+</title>", text)
    assert drawn[0].endswith("-01")
    assert 28 <= len(drawn) <= 31
    today = (await rig.api.sql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')"))[0][0]
    expected = re.findall(r"<title>(\S+): [^<]+ expected</title>", text)
    assert expected == [day for day in drawn if day > today]
    span = f"from={today[:8]}01T00:00:00Z&to=2999-01-01T00:00:00Z"
    found = await rig.api.call("GET", f"usage?by=model&business_unit=sales&{span}")
    assert [row["group"] for row in found.body["rows"]] == ["model-0"]
    assert (await rig.api.call("GET", f"usage?by=model&business_unit=none&{span}")).body["rows"] == []
    assert (await rig.administrator.get("/units/none/costs"))[0] == 404
