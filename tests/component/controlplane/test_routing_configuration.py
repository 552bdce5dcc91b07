"""Routing, quotas, caching and priorities in a configuration file: from the file to what is shown."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tollway.cli.document.load import configuration

FILE = """
version: 1
providers:
  - name: openai
    kind: openai
    probe: 10s
    credentials:
      - {name: main, api_key: canary-one, quota: {requests_per_minute: 500, tokens_per_minute: 200000, concurrent: 20}}
      - {name: spare, api_key: canary-two, weight: 2}
models:
  - name: first
    strategy: affinity
    affinity: prefix
    targets: [{provider: openai, model: gpt-4o-mini, weight: 0}, {provider: openai, model: gpt-4o}]
    fallbacks: [second, third]
    context_fallbacks: [third]
    filter_fallbacks: [second]
    retries: {attempts: 4, budget: 12.5%}
    breaker: {enabled: false}
    hedge: {percentile: 0.9, least: 300ms}
  - {name: second, strategy: latency, targets: [{provider: openai, model: gpt-4o}], fallbacks: [third], hedge: {}}
  - {name: third, strategy: cost, targets: [{provider: openai, model: gpt-4o}], retries: {attempts: 0}}
projects:
  - name: demo
    cache: {enabled: true, ttl: 2d, scope: organisation}
    priority: batch
  - {name: plain}
"""
PLAIN: dict[str, Any] = {
    "providers": [{"name": "openai", "kind": "openai", "credentials": [{"name": "main", "api_key": "canary-one"}]}],
    "models": [
        {"name": name, "targets": [{"provider": "openai", "model": "gpt-4o"}]} for name in ("first", "second", "third")
    ],
    "projects": [{"name": "demo"}],
}
DEFAULTS = """
version: 1
providers:
  - {name: openai, kind: openai, probe: 0, credentials: [{name: main, api_key: canary-one, quota: {}}]}
models:
  - name: first
    strategy: weighted
    affinity: session
    targets: [{provider: openai, model: gpt-4o}]
    fallbacks: []
    context_fallbacks: []
    filter_fallbacks: []
    retries: {attempts: 2, budget: 10%}
    breaker: {enabled: true}
projects:
  - {name: demo, cache: {enabled: false, ttl: 1h, scope: project}, priority: interactive}
"""


async def tried(api: Any, document: dict[str, Any], **options: Any) -> Any:
    """The answer to a document."""
    return await api.call("POST", "configuration:apply", {"configuration": document, **options})


async def applied(api: Any, document: dict[str, Any], **options: Any) -> list[tuple[str, str, str]]:
    """The steps that a document took."""
    answer = await tried(api, document, **options)
    assert answer.status == 200, answer.body
    return [(change["action"], change["kind"], change["name"]) for change in answer.body["changes"]]


async def test_a_file_with_everything_is_shown_as_written_and_changes_nothing_again(api: Any) -> None:
    document = configuration(FILE, {})
    assert len(await applied(api, document)) == 8
    assert await applied(api, document) == []
    for wanted in document["models"]:
        shown = (await api.call("GET", f"models/{wanted['name']}")).body
        effective = {"retries": {"attempts": 2, "budget": 0.1}, "hedge": {"percentile": 0.95, "least_seconds": 0.5}}
        for field, value in wanted.items():
            if field == "targets":
                assert [target["weight"] for target in shown[field]] == [one.get("weight", 1) for one in value]
            else:
                assert shown[field] == (effective[field] | value if field in effective else value), field
    provider = (await api.call("GET", "providers/openai")).body
    assert provider["probe_seconds"] == 10
    main, spare = provider["credentials"]
    assert main["quota"] == {"requests_per_minute": "500", "tokens_per_minute": "200000", "concurrent": 20}
    assert (spare.get("quota"), spare["weight"]) == (None, 2)
    project = (await api.call("GET", "projects/demo")).body
    assert {name: project[f"cache_{name}"] for name in ("enabled", "ttl_seconds", "scope")} == {
        "enabled": True,
        "ttl_seconds": 172800,
        "scope": "organisation",
    }
    assert project["priority"] == "batch"


async def test_a_file_from_before_is_no_change_and_says_the_defaults(api: Any) -> None:
    await applied(api, PLAIN)
    # As a release before this one left it: what the set applied has none of the fields that are new.
    for table in ("models", "providers", "credentials", "projects"):
        await api.sql(f"UPDATE {table} SET applied_digest = '\\x80'")
    assert await applied(api, PLAIN, dry_run=True) == []
    assert await applied(api, configuration(DEFAULTS, {})) == []
    document = configuration(FILE, {})
    changed = [step for step in await applied(api, document) if step[0] == "update"]
    assert changed == [
        ("update", "provider", "openai"),
        ("update", "credential", "openai/main"),
        ("update", "model", "first"),
        ("update", "model", "second"),
        ("update", "model", "third"),
        ("update", "project", "demo"),
    ]
    back = [step for step in await applied(api, PLAIN) if step[0] == "update"]
    assert back == changed
    assert (await api.call("GET", "models/first")).body.get("hedge") is None
    assert (await api.call("GET", "providers/openai")).body["credentials"][0].get("quota") is None
    assert await applied(api, PLAIN) == []


async def test_each_field_is_an_update_of_its_own_and_an_edit_elsewhere_is_a_conflict(api: Any) -> None:
    document = configuration(FILE, {})
    await applied(api, document)
    document["models"][0]["retries"]["budget"] = 0.5
    document["providers"][0]["credentials"][0]["quota"] = {"concurrent": 21}
    document["projects"][0]["cache"]["ttl_seconds"] = 60
    plan = (await tried(api, document, dry_run=True)).body["changes"]
    assert [change["details"] for change in plan] == [
        ['quota: {"concurrent":20,"requests_per_minute":500,"tokens_per_minute":200000} -> {"concurrent":21}'],
        ['retries: {"attempts":4,"budget":0.125} -> {"attempts":4,"budget":0.5}'],
        ["cache_ttl_seconds: 172800 -> 60"],
    ]
    await api.call("PATCH", "models/first", {"hedge": None})
    assert ("conflict", "model", "first") in await applied(api, document, dry_run=True)
    assert ("update", "model", "first") in await applied(api, document, force=True)
    assert await applied(api, document) == []


async def test_fallbacks_and_their_models_come_and_go_in_one_file(api: Any) -> None:
    document = configuration(FILE, {})
    await applied(api, document)
    document["models"] = list(reversed(document["models"]))
    assert await applied(api, document) == [], "the order of models does not matter"
    third, second, first = document["models"]
    second["fallbacks"] = []
    first |= {"fallbacks": ["fourth"], "context_fallbacks": [], "filter_fallbacks": ["second"]}
    document["models"] = [first, second, third | {"name": "fourth"}]
    assert await applied(api, document, prune=True) == [
        ("update", "model", "first"),
        ("update", "model", "second"),
        ("create", "model", "fourth"),
        ("archive", "model", "third"),
    ]
    assert await applied(api, document, prune=True) == []
    turned = copy.deepcopy(document)
    turned["models"][0]["fallbacks"], turned["models"][0]["filter_fallbacks"] = [], []
    turned["models"][2]["fallbacks"] = ["first"]
    await applied(api, turned)
    assert await applied(api, document) == [("update", "model", "first"), ("update", "model", "fourth")]


async def test_what_others_fall_back_to_is_not_pruned(api: Any) -> None:
    await applied(api, PLAIN)
    by_hand = {"name": "by-hand", "targets": PLAIN["models"][0]["targets"], "fallbacks": ["third"]}
    assert (await api.call("POST", "models", by_hand)).status == 200
    less = {**PLAIN, "models": PLAIN["models"][:2]}
    refused = await tried(api, less, prune=True)
    assert (refused.status, refused.error["code"]) == (409, "failed_precondition")
    assert "'third' is still a fallback of by-hand" in refused.error["message"]
    less["models"] = [PLAIN["models"][0] | {"fallbacks": ["third"]}]
    refused = await tried(api, less, prune=True)
    assert (refused.status, refused.error["field"]) == (400, "configuration.models[0].fallbacks[0]")
    assert (await api.call("GET", "models/third")).status == 200, "nothing was done"


@pytest.mark.parametrize("dry_run", [True, False])
async def test_what_is_wrong_is_named_by_its_path(api: Any, dry_run: bool) -> None:
    await applied(api, PLAIN)
    way_back = {"name": "by-hand", "targets": PLAIN["models"][0]["targets"], "fallbacks": ["first"]}
    assert (await api.call("POST", "models", way_back)).status == 200
    credential = {"name": "c", "api_key": "k", "quota": {"concurrent": 0}}
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("models", {"fallbacks": ["first"]}, "models[0].fallbacks[0]"),
        ("models", {"filter_fallbacks": ["second", "no"]}, "models[0].filter_fallbacks[1]"),
        ("models", {"fallbacks": ["second", "second"]}, "models[0].fallbacks[1]"),
        ("models", {"context_fallbacks": ["second", "by-hand"]}, "models[0].context_fallbacks[1]"),
        ("models", {"retries": {"budget": 2}}, "models[0].retries.budget"),
        ("models", {"hedge": {"percentile": 2}}, "models[0].hedge.percentile"),
        ("providers", {"probe_seconds": 0.5}, "providers[0].probe_seconds"),
        ("providers", {"credentials": [credential]}, "providers[0].credentials[0].quota.concurrent"),
        ("projects", {"cache": {"ttl_seconds": 0}}, "projects[0].cache.ttl_seconds"),
        ("projects", {"cache": {"similarity": 1}}, "projects[0].cache.similarity"),
        ("projects", {"cache": {"similarity": 0.9}}, "projects[0].cache.similarity"),
        ("projects", {"priority": "low"}, "projects[0].priority"),
    ]  # fmt: skip
    for part, fields, path in wrong:
        document = copy.deepcopy(PLAIN)
        document[part][0] |= fields
        refused = await tried(api, document, dry_run=dry_run)
        assert (refused.status, refused.error["field"]) == (400, f"configuration.{path}"), refused.body
    assert await applied(api, PLAIN) == []
