"""Budgets, limits and users of a configuration: applied, applied again, edited, pruned, and left to others."""

from __future__ import annotations

import copy
import secrets
from typing import Any

import pytest

BUDGET = {"limit": "25.00", "period": "week", "timezone": "Europe/Berlin", "alerts": [1, 0.5], "carry_over": True}
MINUTE = {"measure": "requests", "window": "minute", "amount": "600"}
MODEL = {"measure": "tokens", "window": "day", "amount": "9", "model": "gpt-4o*", "on_outage": "closed"}
DOCUMENT: dict[str, Any] = {
    "organisations": [{"name": "default", "budget": {"limit": "1000"}, "limits": {"limits": [MINUTE]}}],
    "users": [{"name": "ana@example.com", "budget": {"limit": "5"}}],
    "business_units": [{"name": "retail", "budget": {"limit": "100"}}],
    "providers": [{"name": "sim", "kind": "simulator", "base_url": "http://127.0.0.1:9/v1"}],
    "models": [
        {"name": "sim/a", "targets": [{"provider": "sim", "model": "a"}], "limits": {"limits": [MINUTE]}},
    ],
    "projects": [
        {
            "name": "demo",
            "business_unit": "retail",
            "budget": BUDGET,
            "limits": {"limits": [MODEL, MINUTE]},
            "keys": [
                {
                    "name": "web",
                    "value": "Zq7xW2mB9tRk4LpVc8NhYs3DfGj5AeUo",
                    "user": "ana@example.com",
                    "budget": {"limit": "0", "period": "none", "mode": "soft"},
                    "limits": {"limits": []},
                }
            ],
        }
    ],
}


@pytest.fixture
def document() -> dict[str, Any]:
    return copy.deepcopy(DOCUMENT)


async def _try(api: Any, document: dict[str, Any], **options: Any) -> Any:
    return await api.call("POST", "configuration:apply", {"configuration": document, **options})


async def _apply(api: Any, document: dict[str, Any], **options: Any) -> dict[str, Any]:
    answer = await _try(api, document, **options)
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.body
    return body


def _steps(answer: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(step["action"], step["kind"], step["name"]) for step in answer["changes"]]


async def _version(api: Any) -> int:
    return int((await api.sql("SELECT version FROM installation"))[0][0])


async def test_rules_are_made_and_applying_again_changes_nothing(api: Any, document: dict[str, Any]) -> None:
    dry = await _apply(api, document, dry_run=True)
    first = await _apply(api, document)
    assert first["changes"] == dry["changes"]
    assert [step for step in _steps(first) if step[1] in ("budget", "limits")] == [
        ("create", "budget", "organisation"),
        ("create", "budget", "business_unit:retail"),
        ("create", "budget", "user:ana@example.com"),
        ("create", "budget", "project:demo"),
        ("create", "budget", "key:demo/web"),
        ("create", "limits", "organisation"),
        ("create", "limits", "model:sim/a"),
        ("create", "limits", "project:demo"),
    ]
    demo = (await api.call("GET", "budgets/project:demo")).body
    assert (demo["limit"], demo["period"], demo["mode"], demo["alerts"]) == ("25", "week", "hard", [0.5, 1.0])
    key = (await api.call("GET", "budgets/key:demo%2Fweb")).body
    assert (key["limit"], key["period"], key["mode"], key["timezone"]) == ("0", "none", "soft", "UTC")
    shown = (await api.call("GET", "limits/project:demo")).body["limits"]
    assert [(one["measure"], one["amount"], one["model"], one["on_outage"]) for one in shown] == [
        ("requests", "600", "*", "local"),
        ("tokens", "9", "gpt-4o*", "closed"),
    ]
    (web,) = (await api.call("GET", "keys?project=demo")).body["keys"]
    assert web["user"] == "ana@example.com"
    version = await _version(api)
    audited = await api.sql("SELECT count(*) FROM audit_events")
    assert (await _apply(api, document))["changes"] == []
    reordered = {name: list(reversed(part)) for name, part in document.items()}
    reordered["projects"][0]["limits"]["limits"].reverse()
    assert (await _apply(api, reordered))["changes"] == []
    assert await _version(api) == version
    assert await api.sql("SELECT count(*) FROM audit_events") == audited


async def test_an_edit_changes_the_fields_that_differ_and_keeps_the_id(api: Any, document: dict[str, Any]) -> None:
    await _apply(api, document)
    before = (await api.call("GET", "budgets/project:demo")).body
    project = document["projects"][0]
    project["budget"] = {"limit": "30", "timezone": "Europe/Berlin"}
    project["limits"]["limits"].pop(0)
    project["keys"][0]["user"] = ""
    answer = await _apply(api, document)
    assert _steps(answer) == [
        ("update", "key", "demo/web"),
        ("update", "budget", "project:demo"),
        ("update", "limits", "project:demo"),
    ]
    assert answer["changes"][1]["details"] == [
        'limit: "25" -> "30"',
        'period: "week" -> "month"',
        "carry_over: true -> false",
        "alerts: [0.5,1.0] -> []",
    ]
    after = (await api.call("GET", "budgets/project:demo")).body
    assert (after["id"], after["limit"], after["period"], after["alerts"]) == (before["id"], "30", "month", [])
    assert (await _apply(api, document))["changes"] == []
    project["limits"] = {"limits": []}
    assert _steps(await _apply(api, document)) == [("update", "limits", "project:demo")]
    assert (await _apply(api, document))["changes"] == []


async def test_what_the_document_does_not_name_is_left_and_pruned_only_when_asked(
    api: Any, document: dict[str, Any]
) -> None:
    await _apply(api, document)
    await api.call("PATCH", "budgets/user:bo", {"limit": "7"})
    trimmed = copy.deepcopy(document)
    del trimmed["users"], trimmed["organisations"][0]["limits"]
    del trimmed["projects"][0]["budget"], trimmed["projects"][0]["keys"]
    assert (await _apply(api, trimmed))["changes"] == []
    pruned = await _apply(api, trimmed, prune=True)
    assert sorted(_steps(pruned)) == [
        ("archive", "budget", "key:demo/web"),
        ("archive", "budget", "project:demo"),
        ("archive", "budget", "user:ana@example.com"),
        ("archive", "key", "demo/web"),
        ("archive", "limits", "organisation"),
    ]
    listed = (await api.call("GET", "budgets")).body["budgets"]
    assert [one["subject"] for one in listed] == ["business_unit:retail", "organisation", "user:bo"]
    assert (await api.call("GET", "limits/organisation")).body["limits"] == []
    assert (await _apply(api, trimmed, prune=True))["changes"] == []
    # What was pruned comes back as something new, without a conflict.
    again = await _apply(api, document | {"projects": trimmed["projects"]})
    assert _steps(again) == [("create", "budget", "user:ana@example.com"), ("create", "limits", "organisation")]
    everything = await _apply(api, {"business_units": []}, prune=True)
    assert {step[0] for step in _steps(everything)} == {"archive"}
    assert [one["subject"] for one in (await api.call("GET", "budgets")).body["budgets"]] == ["user:bo"]


async def test_edits_made_elsewhere_are_conflicts(api: Any, document: dict[str, Any]) -> None:
    await _apply(api, document)
    await api.call("PATCH", "budgets/project:demo", {"limit": "26"})
    await api.call("PUT", "limits/organisation", {"limits": []})
    await api.call("DELETE", "budgets/user:ana@example.com")
    dry = await _apply(api, document, dry_run=True)
    assert _steps(dry) == [
        ("conflict", "budget", "user:ana@example.com"),
        ("conflict", "budget", "project:demo"),
        ("conflict", "limits", "organisation"),
    ]
    assert (await _try(api, document)).status == 409
    forced = await _apply(api, document, force=True)
    assert [step[0] for step in _steps(forced)] == ["create", "update", "update"]
    assert (await _apply(api, document))["changes"] == []
    # An increase is no edit: the file does not speak of it.
    more = {"amount": "1", "ends_at": "2199-01-01T00:00:00Z"}
    assert (await api.call("POST", "budgets/project:demo/increases", more)).status == 200
    assert (await _apply(api, document))["changes"] == []


async def test_a_changed_value_of_a_key_takes_its_budget_along(api: Any, document: dict[str, Any]) -> None:
    await _apply(api, document)
    before = (await api.call("GET", "budgets/key:demo%2Fweb")).body["id"]
    document["projects"][0]["keys"][0]["value"] = secrets.token_urlsafe(32)
    document["projects"][0]["keys"][0]["budget"]["limit"] = "3"
    assert _steps(await _apply(api, document)) == [("update", "key", "demo/web"), ("update", "budget", "key:demo/web")]
    after = (await api.call("GET", "budgets/key:demo%2Fweb")).body
    assert (after["id"], after["limit"]) == (before, "3")
    assert (await _apply(api, document))["changes"] == []


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"users": [{"name": " ana"}]}, "users[0].name"),
    ({"users": [{"name": "a"}, {"name": "a"}]}, "users[1].name"),
    ({"users": [{"name": "a", "budget": {}}]}, "users[0].budget.limit"),
    ({"users": [{"name": "a", "budget": {"limit": "1e9"}}]}, "users[0].budget.limit"),
    ({"users": [{"name": "a", "budget": {"limit": "1", "timezone": "Nowhere"}}]}, "users[0].budget.timezone"),
    ({"users": [{"name": "a", "budget": {"limit": "1", "fiscal_start": "13-01"}}]}, "users[0].budget.fiscal_start"),
    ({"users": [{"name": "a", "limits": {"limits": [MINUTE, MINUTE]}}]}, "users[0].limits.limits[1]"),
    ({"organisations": [{"name": "other"}]}, "organisations[0].name"),
    (
        {"models": [{"name": "m", "targets": [{"provider": "sim", "model": "a"}], "limits": {"limits": [MODEL]}}]},
        "models[0].limits.limits[0].model",
    ),
]


async def test_what_is_wrong_is_refused_with_its_path(api: Any) -> None:
    await _apply(api, {"providers": DOCUMENT["providers"]})
    for document, path in WRONG:
        refused = await _try(api, document)
        assert (refused.status, refused.error["field"]) == (400, f"configuration.{path}"), document
