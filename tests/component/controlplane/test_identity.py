"""Business units and projects through the API: names, pages, etags, archiving, audit and publication."""

from __future__ import annotations

import asyncio
from typing import Any


async def _version(api: Any) -> int:
    return int((await api.sql("SELECT version FROM installation"))[0][0])


async def test_a_unit_is_found_by_id_and_by_name(api: Any) -> None:
    made = await api.call("POST", "business-units", {"name": "retail", "description": "shops"})
    assert made.status == 200, made.body
    by_name = await api.call("GET", "business-units/retail")
    by_id = await api.call("GET", f"business-units/{made.body['id']}")
    assert by_name.body == by_id.body == made.body
    again = await api.call("POST", "business-units", {"name": "retail"})
    assert (again.status, again.error["code"]) == (409, "already_exists")
    assert (await api.call("GET", "business-units/none")).status == 404


async def test_of_two_administrators_with_one_etag_one_wins(api: Any) -> None:
    made = (await api.call("POST", "projects", {"name": "bot"})).body
    edits = [
        api.call("PATCH", "projects/bot", {"description": text, "etag": made["etag"]}) for text in ("first", "second")
    ]
    answers = await asyncio.gather(*edits)
    assert sorted(answer.status for answer in answers) == [200, 412]
    loser = next(answer for answer in answers if answer.status == 412)
    assert loser.error["code"] == "etag_mismatch"
    winner = next(answer for answer in answers if answer.status == 200)
    now = (await api.call("GET", "projects/bot")).body
    assert now["description"] == winner.body["description"]
    assert now["etag"] == winner.body["etag"] != made["etag"]


async def test_pages_show_every_project_once(api: Any) -> None:
    names = sorted(f"project-{number}" for number in range(7))
    for name in reversed(names):
        assert (await api.call("POST", "projects", {"name": name})).status == 200
    seen: list[str] = []
    token = ""
    while True:
        page = (await api.call("GET", f"projects?page_size=3&page_token={token}")).body
        seen += [project["name"] for project in page["projects"]]
        token = page["next_page_token"]
        if not token:
            break
    assert seen == names
    wrong = await api.call("GET", "business-units?page_token=abc")
    assert (wrong.status, wrong.error["field"]) == (400, "page_token")
    first = (await api.call("GET", "projects?page_size=1")).body["next_page_token"]
    foreign = await api.call("GET", f"business-units?page_token={first}")
    assert foreign.status == 400


async def test_projects_are_listed_by_unit(api: Any) -> None:
    await api.call("POST", "business-units", {"name": "retail"})
    await api.call("POST", "projects", {"name": "till", "business_unit": "retail"})
    await api.call("POST", "projects", {"name": "other"})
    found = (await api.call("GET", "projects?business_unit=retail")).body["projects"]
    assert [project["name"] for project in found] == ["till"]
    assert (await api.call("GET", "projects/other")).body["business_unit"] == "default"


async def test_a_unit_with_live_projects_is_not_archived(api: Any) -> None:
    await api.call("POST", "business-units", {"name": "retail"})
    await api.call("POST", "projects", {"name": "till", "business_unit": "retail"})
    refused = await api.call("DELETE", "business-units/retail")
    assert (refused.status, refused.error["code"]) == (409, "failed_precondition")
    assert "till" in refused.error["message"]
    assert (await api.call("DELETE", "projects/till")).status == 200
    assert (await api.call("DELETE", "business-units/retail")).status == 200
    assert (await api.call("GET", "business-units/retail")).status == 404
    assert (await api.call("POST", "business-units", {"name": "retail"})).status == 200
    assert (await api.call("POST", "projects", {"name": "till", "business_unit": "none"})).status == 404


async def test_only_masked_fields_change(api: Any) -> None:
    await api.call("POST", "projects", {"name": "bot", "description": "before", "models": ["gpt-*"]})
    changed = (await api.call("PATCH", "projects/bot", {"models": []})).body
    assert (changed["models"], changed["description"]) == (["*"], "before")
    changed = (await api.call("PATCH", "projects/bot", {"description": ""})).body
    assert changed["description"] == ""
    wrong = await api.call("PATCH", "projects/bot", {"name": "new"})
    assert wrong.status == 400


async def test_a_dialect_policy_is_lenient_unless_said(api: Any) -> None:
    assert (await api.call("POST", "projects", {"name": "plain"})).body["dialect_policy"] == "lenient"
    strict = await api.call("POST", "projects", {"name": "exam", "dialect_policy": "strict"})
    assert strict.body["dialect_policy"] == "strict"
    kept = await api.call("PATCH", "projects/exam", {"description": "changed"})
    assert kept.body["dialect_policy"] == "strict"
    changed = await api.call("PATCH", "projects/exam", {"dialect_policy": "lenient"})
    assert (changed.body["dialect_policy"], changed.body["description"]) == ("lenient", "changed")
    wrong = await api.call("PATCH", "projects/exam", {"dialect_policy": "loose"})
    assert (wrong.status, wrong.error["field"]) == (400, "dialect_policy")


async def test_changes_are_audited_and_published(api: Any) -> None:
    before = await _version(api)
    await api.call("POST", "projects", {"name": "bot", "description": "one"})
    await api.call("PATCH", "projects/bot", {"description": "two"})
    after = await _version(api)
    assert after == before + 2
    same = await api.call("PATCH", "projects/bot", {"description": "two"})
    assert (same.status, await _version(api)) == (200, after)
    rows = await api.sql(
        "SELECT action, before ->> 'description', after ->> 'description' FROM audit_events "
        "WHERE resource = 'project:bot' ORDER BY id"
    )
    assert rows == [("projects.create", None, "one"), ("projects.update", "one", "two")]


async def test_a_unit_is_never_archived_under_a_new_project(api: Any) -> None:
    for number in range(6):
        name = f"unit-{number}"
        await api.call("POST", "business-units", {"name": name})
        made, archived = await asyncio.gather(
            api.call("POST", "projects", {"name": f"project-{number}", "business_unit": name}),
            api.call("DELETE", f"business-units/{name}"),
        )
        assert (made.status, archived.status) in ((200, 409), (404, 200))
