"""Declarative configuration through the API: plan, execution, idempotence, pruning, conflicts, force, dry run."""

from __future__ import annotations

import copy
import secrets
from typing import Any

import pytest
from psycopg import AsyncConnection

from tollway.controlplane.catalog.snapshot import build_catalog

VALUE = secrets.token_urlsafe(24)
DOCUMENT: dict[str, Any] = {
    "models": [
        {"name": "small", "aliases": ["tiny"], "targets": [{"provider": "openai", "model": "gpt-4o-mini"}]},
        {"name": "home", "targets": [{"provider": "vllm", "model": "smollm2", "weight": 2}], "price": {"free": True}},
    ],
    "projects": [
        {
            "name": "demo",
            "business_unit": "retail",
            "models": ["small", "home*"],
            "keys": [
                {"name": "made", "expires_seconds": "86400", "tags": {"team": "web"}},
                {"name": "given", "value": VALUE},
            ],
        },
        {"name": "plain"},
    ],
    "providers": [
        {
            "name": "openai",
            "kind": "openai",
            "credentials": [{"name": "main", "api_key": "canary-one"}],
            "timeouts": {"total_seconds": 30},
        },
        {"name": "vllm", "kind": "vllm", "base_url": "http://127.0.0.1:8000/v1/"},
    ],
    "business_units": [{"name": "retail", "description": "shops"}, {"name": "default", "description": "the rest"}],
}


@pytest.fixture
def document() -> dict[str, Any]:
    """A document of its own for each test, its parts in an order that no dependency has."""
    return copy.deepcopy(DOCUMENT)


async def _try(api: Any, document: dict[str, Any], **options: Any) -> Any:
    return await api.call("POST", "configuration:apply", {"configuration": document, **options})


async def _apply(api: Any, document: dict[str, Any], **options: Any) -> dict[str, Any]:
    answer = await _try(api, document, **options)
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.body
    return body


def _steps(answer: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(change["action"], change["kind"], change["name"]) for change in answer["changes"]]


async def _state(api: Any) -> list[Any]:
    """Versions, revisions and audit count: what a call that changes nothing leaves alone."""
    tables = ("business_units", "providers", "models", "projects", "keys")
    rows = [await api.sql(f"SELECT id, revision, managed_by FROM {table} ORDER BY id") for table in tables]
    rows.append(await api.sql("SELECT version, (SELECT count(*) FROM audit_events) FROM installation"))
    return rows


async def test_a_document_is_made_and_applying_it_again_changes_nothing(api: Any, document: dict[str, Any]) -> None:
    first = await _apply(api, document)
    assert first["applied"] is True
    assert _steps(first) == [
        ("create", "business_unit", "retail"),
        ("update", "business_unit", "default"),
        ("create", "provider", "openai"),
        ("create", "provider", "vllm"),
        ("create", "credential", "openai/main"),
        ("create", "model", "small"),
        ("create", "model", "home"),
        ("create", "project", "demo"),
        ("create", "project", "plain"),
        ("create", "key", "demo/made"),
        ("create", "key", "demo/given"),
    ]
    (made,) = first["generated_keys"]
    assert (made["project"], made["name"]) == ("demo", "made")
    assert made["secret"].startswith("sk-tw-")
    assert "canary-one" not in str(first)
    assert VALUE not in str(first)
    async with await AsyncConnection.connect(api.database_url) as db:
        catalog = await build_catalog(db, api.plane.vault)
    assert {project.name: project.business_unit for project in catalog.projects.values()} == {
        "demo": "retail",
        "plain": "default",
    }
    before = await _state(api)
    second = await _apply(api, document)
    assert (second["changes"], second["generated_keys"], second["applied"]) == ([], [], True)
    reordered = {name: list(reversed(part)) for name, part in document.items()}
    assert (await _apply(api, reordered))["changes"] == []
    assert await _state(api) == before


async def test_a_dry_run_says_the_same_and_does_nothing(api: Any, document: dict[str, Any]) -> None:
    before = await _state(api)
    dry = await _apply(api, document, dry_run=True)
    assert dry["applied"] is False
    assert await _state(api) == before
    assert (await _apply(api, document))["changes"] == dry["changes"]


async def test_changes_are_updates_with_details(api: Any, document: dict[str, Any]) -> None:
    await _apply(api, document)
    document["models"][0]["aliases"] = ["mini"]
    document["models"][1]["aliases"] = ["tiny"]
    document["providers"][0]["credentials"][0]["api_key"] = "canary-two"
    document["projects"][0]["keys"][0]["tags"] = {"team": "app"}
    answer = await _apply(api, document)
    assert _steps(answer) == [
        ("update", "credential", "openai/main"),
        ("update", "model", "small"),
        ("update", "model", "home"),
        ("update", "key", "demo/made"),
    ]
    details = {change["name"]: change["details"] for change in answer["changes"]}
    assert details["small"] == ['aliases: ["tiny"] -> ["mini"]']
    assert details["demo/made"] == ['tags: {"team":"web"} -> {"team":"app"}']
    assert "canary" not in str(answer)
    assert (await _apply(api, document))["changes"] == []


async def test_a_dialect_policy_is_applied_and_taken_back(api: Any, document: dict[str, Any]) -> None:
    await _apply(api, document)
    for policy in ("strict", "lenient"):
        document["projects"][1]["dialect_policy"] = policy
        assert _steps(await _apply(api, document)) == [("update", "project", "plain")]
        assert (await api.call("GET", "projects/plain")).body["dialect_policy"] == policy
        assert (await _apply(api, document))["changes"] == []
    document["projects"][1]["dialect_policy"] = "none"
    refused = await _try(api, document)
    assert (refused.status, refused.error["field"]) == (400, "configuration.projects[1].dialect_policy")


async def test_a_changed_value_replaces_the_key_at_once(api: Any, document: dict[str, Any]) -> None:
    await _apply(api, document)
    (before,) = await api.sql("SELECT id FROM keys WHERE name = 'given' AND revoked_at IS NULL")
    document["projects"][0]["keys"][1]["value"] = secrets.token_urlsafe(24)
    answer = await _apply(api, document)
    assert _steps(answer) == [("update", "key", "demo/given")]
    assert answer["generated_keys"] == []
    (after,) = await api.sql("SELECT id FROM keys WHERE name = 'given' AND revoked_at IS NULL")
    assert before != after
    assert (await api.call("GET", f"keys/{before[0]}")).body["status"] == "KEY_STATUS_REVOKED"
    assert (await _apply(api, document))["changes"] == []


async def test_prune_archives_what_the_set_no_longer_names(api: Any, document: dict[str, Any]) -> None:
    await _apply(api, document)
    await api.call("POST", "projects", {"name": "by-hand"})
    document["models"] = [{**document["models"][0], "aliases": ["home"]}]
    document["providers"] = document["providers"][:1]
    document["providers"][0]["credentials"] = [{"name": "new", "api_key": "canary-three"}]
    document["projects"] = document["projects"][1:]
    document["business_units"] = document["business_units"][1:]
    kept = await _apply(api, {**document, "models": DOCUMENT["models"]})
    assert _steps(kept) == [("create", "credential", "openai/new")]
    pruned = await _apply(api, document, prune=True)
    assert sorted(_steps(pruned)) == [
        ("archive", "business_unit", "retail"),
        ("archive", "credential", "openai/main"),
        ("archive", "key", "demo/given"),
        ("archive", "key", "demo/made"),
        ("archive", "model", "home"),
        ("archive", "project", "demo"),
        ("archive", "provider", "vllm"),
        ("update", "model", "small"),
    ]
    assert (await api.call("GET", "projects/by-hand")).status == 200
    assert (await api.call("GET", "projects/demo")).status == 404
    assert (await _apply(api, document, prune=True))["changes"] == []
    again = copy.deepcopy(DOCUMENT)
    del again["projects"][0]["keys"][1]["value"]
    again["models"][0]["aliases"] = []
    assert ("create", "project", "demo") in _steps(await _apply(api, again))


async def test_what_was_edited_elsewhere_is_a_conflict(api: Any, document: dict[str, Any]) -> None:
    await _apply(api, document)
    await api.call("PATCH", "projects/demo", {"description": "by hand"})
    assert (await api.call("PATCH", "models/small", {"strategy": "priority"})).status == 200
    before = await _state(api)
    dry = await _apply(api, document, dry_run=True)
    assert _steps(dry) == [("conflict", "model", "small"), ("conflict", "project", "demo")]
    assert dry["changes"][1]["details"][0] == "edited elsewhere: description"
    refused = await _try(api, document)
    assert (refused.status, refused.error["code"]) == (409, "failed_precondition")
    assert "project demo" in refused.error["message"]
    assert await _state(api) == before
    forced = await _apply(api, document, force=True)
    assert _steps(forced) == [("update", "model", "small"), ("update", "project", "demo")]
    assert (await api.call("GET", "projects/demo")).body["description"] == ""
    assert (await _apply(api, document))["changes"] == []


async def test_the_same_edit_on_both_sides_is_no_conflict(api: Any, document: dict[str, Any]) -> None:
    await _apply(api, document)
    await api.call("PATCH", "projects/demo", {"description": "agreed"})
    document["projects"][0]["description"] = "agreed"
    assert (await _apply(api, document))["changes"] == []
    document["projects"][0]["description"] = "next"
    assert _steps(await _apply(api, document)) == [("update", "project", "demo")]


async def test_a_rotated_credential_is_not_put_back_without_force(api: Any, document: dict[str, Any]) -> None:
    await _apply(api, document)
    await api.call("POST", "providers/openai/credentials/main:rotate", {"api_key": "canary-after-a-leak"})
    refused = await _try(api, document)
    assert refused.status == 409
    assert "credential openai/main" in refused.error["message"]
    assert "canary" not in refused.error["message"]


async def test_a_revoked_key_stays_revoked_without_force(api: Any, document: dict[str, Any]) -> None:
    made = (await _apply(api, document))["generated_keys"][0]["secret"]
    public_id = made[6:14]
    await api.call("POST", f"keys/{public_id}:revoke", {})
    assert _steps(await _apply(api, document, dry_run=True)) == [("conflict", "key", "demo/made")]
    assert (await _try(api, document)).status == 409
    forced = await _apply(api, document, force=True)
    assert _steps(forced) == [("create", "key", "demo/made")]
    assert forced["generated_keys"][0]["secret"] != made
    assert (await _apply(api, document))["changes"] == []


async def test_a_generated_key_that_was_rotated_elsewhere_is_left_alone(api: Any, document: dict[str, Any]) -> None:
    made = (await _apply(api, document))["generated_keys"][0]["secret"]
    assert (await api.call("POST", f"keys/{made[6:14]}:rotate", {})).status == 200
    assert (await _apply(api, document))["changes"] == []


async def test_sets_do_not_take_from_each_other(api: Any, document: dict[str, Any]) -> None:
    await _apply(api, document, set="one")
    other = {"projects": [document["projects"][1]]}
    dry = await _apply(api, other, set="two", dry_run=True)
    assert _steps(dry) == [("conflict", "project", "plain")]
    assert "'one'" in dry["changes"][0]["details"][0]
    assert (await _apply(api, {}, set="two", prune=True))["changes"] == []
    assert _steps(await _apply(api, other, set="two", force=True)) == [("update", "project", "plain")]
    assert (await _apply(api, other, set="two"))["changes"] == []
    assert _steps(await _apply(api, document, set="one", dry_run=True)) == [("conflict", "project", "plain")]


async def test_what_was_made_by_hand_is_adopted_only_when_equal(api: Any) -> None:
    await api.call("POST", "projects", {"name": "equal"})
    await api.call("POST", "projects", {"name": "different", "description": "by hand"})
    assert (await _apply(api, {"projects": [{"name": "equal"}]}))["changes"] == []
    assert await api.sql("SELECT managed_by FROM projects WHERE name = 'equal'") == [("default",)]
    assert (await _try(api, {"projects": [{"name": "different"}]})).status == 409


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (
            {
                "providers": [{"name": "vllm", "kind": "vllm", "base_url": "http://127.0.0.1/v1"}],
                "models": [
                    {"name": "m", "targets": [{"provider": "vllm", "model": "a"}, {"provider": "no", "model": "b"}]}
                ],
            },
            "configuration.models[0].targets[1].provider",
        ),
        (
            {"projects": [{"name": "p"}, {"name": "q", "business_unit": "no"}]},
            "configuration.projects[1].business_unit",
        ),
        ({"projects": [{"name": "p"}, {"name": "p"}]}, "configuration.projects[1].name"),
        ({"providers": [{"name": "a", "kind": "vllm"}]}, "configuration.providers[0].base_url"),
        (
            {"providers": [{"name": "a", "kind": "openai", "base_url": "http://169.254.169.254"}]},
            "configuration.providers[0].base_url",
        ),
        (
            {"projects": [{"name": "p", "keys": [{"name": "k", "value": "a" * 30}]}]},
            "configuration.projects[0].keys[0].value",
        ),
        (
            {"providers": [{"name": "a", "kind": "openai", "credentials": [{"name": "c", "api_key": "two words"}]}]},
            "configuration.providers[0].credentials[0].api_key",
        ),
    ],
)
async def test_errors_name_the_path_and_nothing_is_left_behind(api: Any, document: Any, path: str) -> None:
    before = await _state(api)
    answer = await _try(api, document)
    assert (answer.status, answer.error["field"]) == (400, path), answer.body
    assert await _state(api) == before


async def test_the_kind_of_a_provider_does_not_change(api: Any, document: dict[str, Any]) -> None:
    await _apply(api, document)
    document["providers"][1]["kind"] = "simulator"
    answer = await _try(api, document)
    assert (answer.status, answer.error["field"]) == (409, "configuration.providers[1].kind")
