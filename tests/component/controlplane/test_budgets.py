"""Budgets through REST and gRPC: every method, what is refused, concurrent administrators, audit and versions."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from psycopg import AsyncConnection

from tollway.wire.contract import METHODS


async def _version(api: Any) -> int:
    return int((await api.sql("SELECT version FROM installation"))[0][0])


async def _make(api: Any, subject: str = "project:demo", **fields: Any) -> dict[str, Any]:
    answer = await api.call("PATCH", f"budgets/{subject}", {"limit": "25.00", **fields})
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.body
    return body


@pytest.fixture(autouse=True)
async def demo(api: Any) -> None:
    """A unit, a project in it, and a key."""
    await api.call("POST", "business-units", {"name": "retail"})
    await api.call("POST", "projects", {"name": "demo", "business_unit": "retail"})
    await api.call("POST", "keys", {"project": "demo", "name": "web"})


async def test_a_new_budget_has_the_defaults_and_nothing_used(api: Any) -> None:
    made = await _make(api)
    shown = {name: made[name] for name in ("subject", "limit", "period", "timezone", "fiscal_start", "mode")}
    assert shown == {
        "subject": "project:demo",
        "limit": "25",
        "period": "month",
        "timezone": "UTC",
        "fiscal_start": "01-01",
        "mode": "hard",
    }
    assert (made["carry_over"], made["alerts"], made["increases"]) == (False, [], [])
    assert (made["limit_now"], made["used"], made["remaining"], made["carried"]) == ("25", "0", "25", "0")
    assert made["window_start"].endswith("-01T00:00:00Z")
    assert made["id"].startswith("b")
    assert (await api.call("GET", "budgets/project:demo")).body == made


async def test_what_is_not_given_stays_and_the_id_with_it(api: Any) -> None:
    made = await _make(api, period="week", timezone="Europe/Berlin", alerts=[1, 0.5, 0.5], carry_over=True)
    assert made["alerts"] == [0.5, 1.0]
    changed = await _make(api, limit="0")
    kept = ("id", "period", "timezone", "alerts", "carry_over", "created_at")
    assert {name: changed[name] for name in kept} == {name: made[name] for name in kept}
    assert (changed["limit"], changed["remaining"]) == ("0", "0")
    assert changed["etag"] != made["etag"]
    reset = (await api.call("PATCH", "budgets/project:demo", {"period": "", "alerts": []})).body
    assert (reset["period"], reset["alerts"], reset["limit"]) == ("month", [], "0")


async def test_every_subject_can_have_one_and_is_found_by_each_of_its_names(api: Any) -> None:
    project = (await api.call("GET", "projects/demo")).body
    key = (await api.call("GET", "keys?project=demo")).body["keys"][0]
    unit = (await api.call("GET", "business-units/retail")).body
    subjects = {
        "organisation": ["organisation", "organisation:default"],
        "business_unit:retail": ["business_unit:retail", f"business_unit:{unit['id']}"],
        "project:demo": ["project:demo", f"project:{project['id']}"],
        "key:demo/web": ["key:demo%2Fweb", f"key:{key['id']}", f"key:{key['public_id']}"],
        "user:ana@example.com": ["user:ana@example.com"],
    }
    for shown, references in subjects.items():
        ids = {(await _make(api, reference))["id"] for reference in references}
        assert len(ids) == 1
        found = [(await api.call("GET", f"budgets/{reference}")).body["subject"] for reference in references]
        assert set(found) == {shown}
    listed = (await api.call("GET", "budgets")).body["budgets"]
    assert [budget["subject"] for budget in listed] == sorted(subjects)
    one = (await api.call("GET", "budgets?scope=user")).body["budgets"]
    assert [budget["subject"] for budget in one] == ["user:ana@example.com"]


async def test_pages_show_every_budget_once(api: Any) -> None:
    names = [*(f"user:u{number}" for number in range(4)), "user:" + "\U0001f600" * 200, "user:" + "\U0001f601" * 200]
    for name in names:
        await _make(api, name)
    seen: list[str] = []
    token = ""
    while True:
        page = (await api.call("GET", f"budgets?page_size=2&page_token={token}")).body
        seen += [budget["subject"] for budget in page["budgets"]]
        token = page["next_page_token"]
        if not token:
            break
    assert seen == names


async def test_the_budget_of_what_was_archived_is_not_shown(api: Any) -> None:
    await _make(api)
    await _make(api, "key:demo%2Fweb")
    assert (await api.call("DELETE", "projects/demo")).status == 200
    assert (await api.call("GET", "budgets")).body["budgets"] == []
    gone = await api.call("GET", "budgets/project:demo")
    assert (gone.status, gone.error["field"]) == (404, "subject")
    await api.call("POST", "projects", {"name": "demo"})
    assert (await api.call("GET", "budgets/project:demo")).status == 404


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"limit": ""}, "limit", "is required"),
    ({"limit": "-1"}, "limit", "must be an amount"),
    ({"limit": "1e3"}, "limit", "must be an amount"),
    ({"limit": "1.0000000001"}, "limit", "at most 9 decimal places"),
    ({"limit": "9000000.01"}, "limit", "must not be over 9000000"),
    ({"limit": "5000000", "carry_over": True}, "limit", "add up to over 9000000"),
    ({"period": "fortnight"}, "period", ""),
    ({"mode": "firm"}, "mode", ""),
    ({"timezone": "Mars/Olympus"}, "timezone", "is not a time zone"),
    ({"timezone": "../UTC"}, "timezone", "is not a time zone"),
    ({"fiscal_start": "02-30"}, "fiscal_start", "is not a day of the year"),
    ({"fiscal_start": "1-1"}, "fiscal_start", "MM-DD"),
    ({"alerts": [0.5, 0]}, "alerts[1]", ""),
    ({"alerts": [10.5]}, "alerts[0]", ""),
    ({"alerts": [0.1] * 11}, "alerts", ""),
    ({"etag": "abc"}, "etag", "has no budget any more"),
]


async def test_bad_input_is_refused_with_its_field(api: Any) -> None:
    before = await _version(api)
    for fields, field, says in BAD:
        refused = await api.call("PATCH", "budgets/project:demo", {"limit": "1", **fields})
        assert refused.status == (412 if field == "etag" else 400), fields
        assert refused.error["field"] == field, fields
        assert says in refused.error["message"], fields
    assert (await api.call("GET", "budgets/project:demo")).status == 404
    assert await _version(api) == before


async def test_the_largest_amount_and_the_leap_day_are_accepted(api: Any) -> None:
    made = await _make(api, limit="9000000", fiscal_start="02-29", period="year", alerts=[10])
    assert (made["limit"], made["fiscal_start"]) == ("9000000", "02-29")
    forever = await _make(api, "user:bo", period="none")
    assert "window_start" not in forever
    assert "window_end" not in forever


async def test_a_subject_must_exist(api: Any) -> None:
    wrong = {"project:none": 404, "projects:demo": 400, "project:": 400, "model:small": 404, "key:demo%2Fnone": 404}
    for subject, status in wrong.items():
        refused = await api.call("PATCH", f"budgets/{subject}", {"limit": "1"})
        assert (refused.status, refused.error["field"]) == (status, "subject"), subject


async def test_a_model_has_no_budget(api: Any) -> None:
    await api.call("POST", "providers", {"name": "sim", "kind": "simulator", "base_url": "http://127.0.0.1:9/v1"})
    await api.call("POST", "models", {"name": "small", "targets": [{"provider": "sim", "model": "x"}]})
    refused = await api.call("PATCH", "budgets/model:small", {"limit": "1"})
    assert (refused.status, refused.error["field"]) == (400, "subject")
    assert "limits" in refused.error["message"]


async def test_of_two_administrators_with_one_etag_one_wins(api: Any) -> None:
    made = await _make(api)
    edits = [
        api.call("PATCH", "budgets/project:demo", {"limit": limit, "etag": made["etag"]}) for limit in ("30", "40")
    ]
    answers = await asyncio.gather(*edits)
    assert sorted(answer.status for answer in answers) == [200, 412]
    winner = next(answer for answer in answers if answer.status == 200)
    assert (await api.call("GET", "budgets/project:demo")).body["limit"] == winner.body["limit"]
    late = {"amount": "1", "ends_at": "2199-01-01T00:00:00Z", "etag": made["etag"]}
    assert (await api.call("POST", "budgets/project:demo/increases", late)).status == 412
    assert (await api.call("DELETE", f"budgets/project:demo?etag={made['etag']}")).status == 412


async def test_who_makes_a_budget_where_none_is_overwrites_none(api: Any) -> None:
    await api.call("POST", "projects", {"name": "fresh"})
    makes = [api.call("PATCH", "budgets/project:fresh", {"limit": str(n), "etag": "none"}) for n in range(1, 6)]
    answers = await asyncio.gather(*makes)
    assert sorted(answer.status for answer in answers) == [200, 412, 412, 412, 412]
    made = next(answer.body for answer in answers if answer.status == 200)
    assert (await api.call("GET", "budgets/project:fresh")).body["limit"] == made["limit"]


async def test_two_administrators_who_make_it_at_once_make_one(api: Any) -> None:
    answers = await asyncio.gather(
        *(api.call("PATCH", "budgets/user:ana", {"limit": str(number)}) for number in range(1, 7))
    )
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body["id"] for answer in answers}) == 1
    assert await api.sql("SELECT count(*) FROM budgets WHERE subject = 'ana'") == [(1,)]


async def test_a_budget_given_while_its_key_is_replaced_is_its_successors(api: Any) -> None:
    old, new = [
        (await api.call("POST", "keys", {"project": "demo", "name": name})).body["key"]["id"] for name in ("a", "b")
    ]
    async with await AsyncConnection.connect(api.database_url) as replacing:
        await replacing.execute("UPDATE keys SET rules_of = %s WHERE id = %s", [new, old])
        making = asyncio.create_task(_make(api, f"key:{old}"))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        async with asyncio.timeout(5):
            while (await api.sql(waiting))[0] == (0,):
                await asyncio.sleep(0.02)
        await replacing.commit()
    assert (await making)["subject"] == "key:demo/b"


async def test_an_increase_adds_for_its_time_and_can_be_revoked(api: Any) -> None:
    made = await _make(api)
    now = {"amount": "10.5", "ends_at": "2199-01-01T00:00:00Z", "reason": "launch"}
    more = (await api.call("POST", "budgets/project:demo/increases", now)).body
    later = {"amount": "3", "starts_at": "2198-01-01T00:00:00Z", "ends_at": "2199-01-01T00:00:00Z"}
    both = (await api.call("POST", "budgets/project:demo/increases", later)).body
    assert (more["limit_now"], both["limit_now"], both["remaining"]) == ("35.5", "35.5", "35.5")
    assert (both["limit"], both["id"]) == ("25", made["id"])
    assert [(one["amount"], one["reason"], one["created_by"]) for one in both["increases"]] == [
        ("10.5", "launch", "administrator"),
        ("3", "", "administrator"),
    ]
    first = both["increases"][0]["id"]
    less = (await api.call("DELETE", f"budgets/project:demo/increases/{first}")).body
    assert (less["limit_now"], len(less["increases"])) == ("25", 1)
    again = await api.call("DELETE", f"budgets/project:demo/increases/{first}")
    assert (again.status, again.error["field"]) == (404, "increase")


BAD_INCREASES: list[tuple[dict[str, Any], str]] = [
    ({"amount": "0"}, "amount"),
    ({"amount": "8999999"}, "amount"),
    ({"amount": "lots"}, "amount"),
    ({"ends_at": None}, "ends_at"),
    ({"ends_at": "2020-01-01T00:00:00Z"}, "ends_at"),
    ({"starts_at": "2199-01-01T00:00:00Z"}, "starts_at"),
]


async def test_a_bad_increase_is_refused_with_its_field(api: Any) -> None:
    made = await _make(api)
    for fields, field in BAD_INCREASES:
        body = {"amount": "1", "ends_at": "2199-01-01T00:00:00Z", **fields}
        refused = await api.call("POST", "budgets/project:demo/increases", body)
        assert (refused.status, refused.error["field"]) == (400, field), fields
    assert (await api.call("GET", "budgets/project:demo")).body == made


async def test_a_removed_budget_comes_back_as_another_one(api: Any) -> None:
    made = await _make(api)
    await api.call("POST", "budgets/project:demo/increases", {"amount": "1", "ends_at": "2199-01-01T00:00:00Z"})
    assert (await api.call("DELETE", "budgets/project:demo")).status == 200
    assert (await api.call("GET", "budgets/project:demo")).status == 404
    assert (await api.call("DELETE", "budgets/project:demo")).status == 404
    assert (await api.call("POST", "budgets/project:demo/increases", {"amount": "1"})).status in (400, 404)
    anew = await _make(api)
    assert anew["id"] != made["id"]
    assert anew["increases"] == []


async def test_changes_are_audited_and_published(api: Any) -> None:
    before = await _version(api)
    made = await _make(api)
    await _make(api, limit="30")
    await api.call("POST", "budgets/project:demo/increases", {"amount": "1", "ends_at": "2199-01-01T00:00:00Z"})
    await api.call("DELETE", "budgets/project:demo")
    assert await _version(api) == before + 4
    assert (await api.call("GET", "budgets")).status == 200
    rows = await api.sql(
        "SELECT action, before ->> 'limit', after ->> 'limit', coalesce(after, before) ->> 'id' "
        "FROM audit_events WHERE resource = 'budget:project:demo' ORDER BY id"
    )
    number = made["id"]
    assert rows == [
        ("budgets.update", None, "25", number),
        ("budgets.update", "25", "30", number),
        ("budgets.increase", "30", "30", number),
        ("budgets.remove", "30", None, number),
    ]
    await _make(api)
    version = await _version(api)
    await _make(api)
    assert await _version(api) == version  # nothing changed


async def test_grpc_does_the_same(api: Any) -> None:
    def message(method: str, **fields: Any) -> Any:
        return METHODS[f"tollway.control.v1.BudgetService/{method}"].request(**fields)

    async def call(method: str, **fields: Any) -> Any:
        return await api.rpc(f"BudgetService/{method}", message(method, **fields))

    made = await call("SetBudget", subject="project:demo", limit="25", alerts=[0.5])
    assert (made.limit, made.period, made.remaining) == ("25", "month", "25")
    request = message("IncreaseBudget", subject="project:demo", amount="5")
    request.ends_at.FromJsonString("2199-01-01T00:00:00Z")
    more = await api.rpc("BudgetService/IncreaseBudget", request)
    assert more.limit_now == "30"
    less = await call("RevokeIncrease", subject="project:demo", increase=more.increases[0].id)
    assert less.limit_now == "25"
    assert (await call("GetBudget", subject="project:demo")).etag == less.etag
    assert [budget.subject for budget in (await call("ListBudgets")).budgets] == ["project:demo"]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call("SetBudget", subject="project:demo", limit="x")
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.aio.AioRpcError):
        await call("SetBudget", subject="project:demo", limit="1", alerts=[float("nan")])
    await call("RemoveBudget", subject="project:demo")
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await call("GetBudget", subject="project:demo")
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND
