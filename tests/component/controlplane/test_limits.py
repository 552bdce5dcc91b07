"""Limits through REST and gRPC: sets that are replaced, what is refused, concurrent administrators, audit."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from tollway.wire.contract import METHODS

REQUESTS = {"measure": "requests", "window": "minute", "amount": "600"}
TOKENS = {"measure": "tokens", "window": "day", "amount": 200_000, "model": "gpt-4o*", "on_outage": "closed"}
AT_ONCE = {"measure": "concurrent", "amount": "50"}


async def _version(api: Any) -> int:
    return int((await api.sql("SELECT version FROM installation"))[0][0])


async def _put(api: Any, *limits: dict[str, Any], subject: str = "project:demo", **more: Any) -> dict[str, Any]:
    answer = await api.call("PUT", f"limits/{subject}", {"limits": list(limits), **more})
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.body
    return body


@pytest.fixture(autouse=True)
async def demo(api: Any) -> None:
    """A project, and a model with an alias."""
    await api.call("POST", "projects", {"name": "demo"})
    await api.call("POST", "providers", {"name": "sim", "kind": "simulator", "base_url": "http://127.0.0.1:9/v1"})
    target = {"provider": "sim", "model": "x"}
    await api.call("POST", "models", {"name": "sim/small", "aliases": ["tiny"], "targets": [target]})


async def test_a_set_is_replaced_and_what_stays_keeps_its_id(api: Any) -> None:
    assert (await api.call("GET", "limits/project:demo")).body["limits"] == []
    made = await _put(api, REQUESTS, TOKENS, AT_ONCE)
    assert [
        (one["measure"], one["window"], one["amount"], one["model"], one["on_outage"]) for one in made["limits"]
    ] == [
        ("concurrent", "", "50", "*", "local"),
        ("requests", "minute", "600", "*", "local"),
        ("tokens", "day", "200000", "gpt-4o*", "closed"),
    ]
    ids = {one["measure"]: one["id"] for one in made["limits"]}
    assert all(number.startswith("l") for number in ids.values())
    assert (await api.call("GET", "limits/project:demo")).body == made
    changed = await _put(api, {**REQUESTS, "amount": "0"}, {**TOKENS, "model": "*"})
    now = {one["measure"]: one for one in changed["limits"]}
    assert set(now) == {"requests", "tokens"}
    assert (now["requests"]["id"], now["requests"]["amount"]) == (ids["requests"], "0")
    assert now["tokens"]["id"] != ids["tokens"]
    assert changed["etag"] != made["etag"]
    back = await _put(api, AT_ONCE)
    assert back["limits"][0]["id"] != ids["concurrent"]
    assert (await _put(api))["limits"] == []
    assert (await api.call("GET", "limits")).body["limits"] == []


async def test_every_subject_is_listed_by_its_name(api: Any) -> None:
    await api.call("POST", "keys", {"project": "demo", "name": "web"})
    for subject in (
        "organisation",
        "business_unit:default",
        "project:demo",
        "key:demo%2Fweb",
        "user:ana",
        "model:tiny",
    ):
        await _put(api, {"measure": "requests", "window": "hour", "amount": "1"}, subject=subject)
    listed = (await api.call("GET", "limits")).body["limits"]
    assert [one["subject"] for one in listed] == [
        "business_unit:default",
        "key:demo/web",
        "model:sim/small",
        "organisation",
        "project:demo",
        "user:ana",
    ]
    assert (await api.call("GET", "limits/model:sim%2Fsmall")).body == listed[2]
    of_models = (await api.call("GET", "limits?scope=model")).body["limits"]
    assert [one["subject"] for one in of_models] == ["model:sim/small"]
    page = (await api.call("GET", "limits?page_size=4")).body
    rest = (await api.call("GET", f"limits?page_size=4&page_token={page['next_page_token']}")).body
    assert page["limits"] + rest["limits"] == listed
    assert rest["next_page_token"] == ""


BAD: list[tuple[list[dict[str, Any]], str]] = [
    ([{"measure": "requests", "window": "minute"}], "limits[0].amount"),
    ([{**REQUESTS, "amount": "-1"}], "limits[0].amount"),
    ([{**REQUESTS, "window": "week"}], "limits[0].window"),
    ([AT_ONCE, {**REQUESTS, "window": ""}], "limits[1].window"),
    ([{**AT_ONCE, "window": "minute"}], "limits[0].window"),
    ([{**REQUESTS, "measure": "dollars"}], "limits[0].measure"),
    ([{**REQUESTS, "on_outage": "open"}], "limits[0].on_outage"),
    ([{**REQUESTS, "model": " gpt"}], "limits[0].model"),
    ([REQUESTS, {**REQUESTS, "amount": "5"}], "limits[1]"),
    ([REQUESTS, {**REQUESTS, "model": "*"}], "limits[1]"),
]


async def test_bad_input_is_refused_with_its_field_and_nothing_is_changed(api: Any) -> None:
    made = await _put(api, AT_ONCE)
    for limits, field in BAD:
        refused = await api.call("PUT", "limits/project:demo", {"limits": limits})
        assert (refused.status, refused.error["field"]) == (400, field), limits
    refused = await api.call("PUT", "limits/model:tiny", {"limits": [TOKENS]})
    assert (refused.status, refused.error["field"]) == (400, "limits[0].model")
    assert (await api.call("PUT", "limits/project:none", {"limits": []})).status == 404
    assert (await api.call("GET", "limits/project:demo")).body == made


async def test_of_two_administrators_with_one_etag_one_wins(api: Any) -> None:
    made = await _put(api, AT_ONCE)
    edits = [
        api.call("PUT", "limits/project:demo", {"limits": [{**AT_ONCE, "amount": amount}], "etag": made["etag"]})
        for amount in ("1", "2")
    ]
    answers = await asyncio.gather(*edits)
    assert sorted(answer.status for answer in answers) == [200, 412]
    never = await api.call("PUT", "limits/user:bo", {"limits": [AT_ONCE], "etag": "abc"})
    assert (never.status, never.error["field"]) == (412, "etag")
    both = [api.call("PUT", "limits/user:ana", {"limits": [{**AT_ONCE, "amount": str(n)}]}) for n in range(5)]
    assert {answer.status for answer in await asyncio.gather(*both)} == {200}
    assert len((await api.call("GET", "limits/user:ana")).body["limits"]) == 1


async def test_changes_are_audited_and_published_once(api: Any) -> None:
    before = await _version(api)
    await _put(api, AT_ONCE)
    await _put(api, AT_ONCE)
    await _put(api)
    assert await _version(api) == before + 2
    rows = await api.sql(
        "SELECT action, before -> 'limits' -> 0 ->> 'amount', after -> 'limits' -> 0 ->> 'amount' "
        "FROM audit_events WHERE resource = 'limits:project:demo' ORDER BY id"
    )
    assert rows == [("limits.update", None, "50"), ("limits.update", "50", None)]


async def test_grpc_does_the_same(api: Any) -> None:
    set_limits = METHODS["tollway.control.v1.LimitService/SetLimits"].request
    one = {"measure": "requests", "window": "minute", "amount": 0}
    made = await api.rpc("LimitService/SetLimits", set_limits(subject="project:demo", limits=[one]))
    assert [(limit.measure, limit.amount) for limit in made.limits] == [("requests", 0)]
    get = METHODS["tollway.control.v1.LimitService/GetLimits"].request(subject="project:demo")
    assert await api.rpc("LimitService/GetLimits", get) == made
    listed = METHODS["tollway.control.v1.LimitService/ListLimits"].request(scope="project")
    assert list((await api.rpc("LimitService/ListLimits", listed)).limits) == [made]
    del one["amount"]  # which is not an amount of 0
    without = set_limits(subject="project:demo", limits=[one])
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await api.rpc("LimitService/SetLimits", without)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
