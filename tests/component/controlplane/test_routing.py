"""Routing of models, probes of providers, quotas of credentials, caching and priority of projects, through the API."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tollway.controlplane.catalog.snapshot import build_catalog
from tollway.core.catalog import (
    Affinity,
    Breaker,
    CacheScope,
    Caching,
    Catalog,
    Hedge,
    Model,
    Priority,
    Quota,
    Retries,
    Strategy,
    decode_catalog,
    encode,
)
from tollway.wire.contract import METHODS

ALL: dict[str, Any] = {
    "strategy": "affinity",
    "affinity": "prefix",
    "fallbacks": ["b", "c"],
    "context_fallbacks": ["c"],
    "filter_fallbacks": ["b"],
    "retries": {"attempts": 0, "budget": 0.25},
    "breaker": {"enabled": False},
    "hedge": {"percentile": 0.9, "least_seconds": 0.05},
}
DEFAULTS: dict[str, Any] = {
    "strategy": "weighted",
    "affinity": "session",
    "fallbacks": [],
    "context_fallbacks": [],
    "filter_fallbacks": [],
    "retries": {"attempts": 2, "budget": 0.1},
    "breaker": {"enabled": True},
    "hedge": None,
}


async def catalog(api: Any) -> Catalog:
    """What data planes are told, as it is after the way over the wire."""
    async with api.plane.pool.connection() as db, db.transaction():
        return decode_catalog(encode(await build_catalog(db, api.plane.vault)))


async def make(api: Any, name: str, **fields: Any) -> Any:
    """Tries to make a model."""
    return await api.call("POST", "models", {"name": name, "targets": [{"provider": "p", "model": "m"}], **fields})


@pytest.fixture
async def models(api: Any) -> Any:
    """Clients of a control plane with a provider and the models b and c."""
    provider = {"name": "p", "kind": "simulator", "base_url": "http://127.0.0.1/v1"}
    assert (await api.call("POST", "providers", provider)).status == 200
    for name in ("b", "c"):
        assert (await make(api, name)).status == 200
    return api


def routing(shown: dict[str, Any]) -> dict[str, Any]:
    """The part of a model that is about routing."""
    return {name: shown.get(name) for name in ALL}


async def test_a_model_says_everything_or_has_the_defaults(models: Any) -> None:
    assert routing((await models.call("GET", "models/b")).body) == DEFAULTS
    made = await make(models, "a", **ALL)
    assert made.status == 200, made.body
    assert routing(made.body) == ALL
    assert routing((await models.call("GET", "models/a")).body) == ALL
    assert routing((await models.call("GET", "models")).body["models"][0]) == ALL
    told = (await catalog(models)).models
    plain = told["b"]
    assert plain == Model(
        id=plain.id,
        name="b",
        targets=plain.targets,
        price=plain.price,
        capabilities=plain.capabilities,
        created=plain.created,
    )
    assert (told["a"].strategy, told["a"].affinity) == (Strategy.AFFINITY, Affinity.PREFIX)
    assert (told["a"].fallbacks, told["a"].context_fallbacks, told["a"].filter_fallbacks) == (
        ("b", "c"),
        ("c",),
        ("b",),
    )
    assert (told["a"].retries, told["a"].breaker) == (Retries(attempts=0, budget=0.25), Breaker(enabled=False))
    assert told["a"].hedge == Hedge(percentile=0.9, least_seconds=0.05)


async def test_one_is_changed_without_the_others_and_taken_back(models: Any) -> None:
    await make(models, "a", **ALL)
    for field, default in DEFAULTS.items():
        changed = await models.call("PATCH", "models/a", {field: default})
        assert changed.status == 200, changed.body
        assert routing(changed.body) == ALL | {field: default}
        again = await models.call("PATCH", "models/a", {field: ALL[field]})
        assert routing(again.body) == ALL
    before = (await models.call("GET", "models/a")).body["etag"]
    assert (await models.call("PATCH", "models/a", ALL)).body["etag"] == before, "nothing changed"
    part = await models.call("PATCH", "models/a", {"retries": {"attempts": 5}, "hedge": {}})
    assert part.body["retries"] == {"attempts": 5, "budget": 0.1}
    assert part.body["hedge"] == {"percentile": 0.95, "least_seconds": 0.5}
    request: Any = METHODS["tollway.control.v1.ModelService/UpdateModel"].request(model="a")
    request.update_mask.paths.extend(["hedge", "retries", "fallbacks"])
    answer = await models.rpc("ModelService/UpdateModel", request)
    assert (answer.HasField("hedge"), answer.retries.attempts, list(answer.fallbacks)) == (False, 2, [])
    ((kept,),) = await models.sql("SELECT retries FROM models WHERE name = 'a'")
    assert kept == {}, "what nobody chose follows the defaults"
    (entry, *_) = (await models.call("GET", "audit?resource=model:a")).body["events"]
    before_it, after_it = json.loads(entry["before"]), json.loads(entry["after"])
    assert (before_it["retries"]["attempts"], after_it["retries"]["attempts"]) == (5, 2)


async def test_what_is_refused_of_a_model_is_named(models: Any) -> None:
    await make(models, "a")
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"strategy": "fastest"}, "strategy"),
        ({"affinity": "user"}, "affinity"),
        ({"fallbacks": ["a"]}, "fallbacks[0]"),
        ({"fallbacks": ["b", "b"]}, "fallbacks[1]"),
        ({"context_fallbacks": ["b", "no"]}, "context_fallbacks[1]"),
        ({"filter_fallbacks": ["two words"]}, "filter_fallbacks[0]"),
        ({"fallbacks": [f"m{n}" for n in range(9)]}, "fallbacks"),
        ({"retries": {"attempts": 11}}, "retries.attempts"),
        ({"retries": {"attempts": -1}}, "retries.attempts"),
        ({"retries": {"budget": 1.01}}, "retries.budget"),
        ({"hedge": {"percentile": 0.49}}, "hedge.percentile"),
        ({"hedge": {"percentile": 1}}, "hedge.percentile"),
        ({"hedge": {"least_seconds": 0}}, "hedge.least_seconds"),
        ({"hedge": {"least_seconds": 61}}, "hedge.least_seconds"),
    ]
    before = (await models.call("GET", "models")).body
    for fields, field in refusals:
        refused = await models.call("PATCH", "models/a", fields)
        assert (refused.status, refused.error["field"]) == (400, field), refused.body
        if field != "fallbacks[0]":  # which is about itself
            refused = await make(models, "new", **fields)
            assert (refused.status, refused.error["field"]) == (400, field), refused.body
    assert (await models.call("GET", "models")).body == before, "nothing was left behind"


async def test_fallbacks_never_lead_back(models: Any) -> None:
    await make(models, "a", fallbacks=["b"])
    await models.call("PATCH", "models/b", {"context_fallbacks": ["c"]})
    refused = await models.call("PATCH", "models/c", {"filter_fallbacks": ["a"]})
    assert (refused.status, refused.error["field"]) == (400, "filter_fallbacks[0]")
    assert "c -> a -> b -> c" in refused.error["message"]
    answers = await asyncio.gather(
        models.call("PATCH", "models/c", {"fallbacks": ["d"]}),
        make(models, "d", fallbacks=["c"]),
        make(models, "d"),
        models.call("PATCH", "models/c", {"fallbacks": ["d"]}),
        models.call("PATCH", "models/d", {"fallbacks": ["c"]}),
    )
    assert {answer.status for answer in answers} <= {200, 400, 404, 409}
    told = (await catalog(models)).models
    assert not ("d" in told["c"].fallbacks and "c" in told["d"].fallbacks)


async def test_a_model_that_others_fall_back_to_is_not_archived(models: Any) -> None:
    for number in range(4):
        await make(models, f"a{number}", **{list(ALL)[2 + number % 3]: ["b"]})
    refused = await models.call("DELETE", "models/b")
    assert (refused.status, refused.error["code"]) == (409, "failed_precondition")
    assert "still a fallback of a0, a1, a2;" in refused.error["message"]
    for number in range(4):
        await models.call("PATCH", f"models/a{number}", {field: [] for field in list(ALL)[2:5]})
    assert (await models.call("DELETE", "models/b")).status == 200
    await models.call("PATCH", "models/a0", {"fallbacks": ["c"]})
    # What a release before this one does, which knows nothing of fallbacks.
    await models.sql("UPDATE models SET archived_at = now() WHERE name = 'c'")
    assert (await catalog(models)).models["a0"].fallbacks == ()


async def test_of_an_archive_and_a_new_fallback_at_once_one_wins(models: Any) -> None:
    await make(models, "a")
    archived, named = await asyncio.gather(
        models.call("DELETE", "models/b"), models.call("PATCH", "models/a", {"fallbacks": ["b"]})
    )
    assert sorted((archived.status, named.status)) in ([200, 400], [200, 409])


async def test_how_often_a_provider_is_probed(models: Any) -> None:
    assert (await models.call("GET", "providers/p")).body["probe_seconds"] == 0
    assert (await models.call("PATCH", "providers/p", {"probe_seconds": 10})).body["probe_seconds"] == 10
    assert (await models.call("PATCH", "providers/p", {"hangup": "drain"})).body["probe_seconds"] == 10
    (told,) = (await catalog(models)).providers.values()
    assert told.probe_seconds == 10
    for wrong in (0.5, -1, 3601):
        refused = await models.call("PATCH", "providers/p", {"probe_seconds": wrong})
        assert (refused.status, refused.error["field"]) == (400, "probe_seconds")
    assert (await models.call("PATCH", "providers/p", {"probe_seconds": 0})).body["probe_seconds"] == 0
    made = {"name": "q", "kind": "openai", "probe_seconds": 3600}
    assert (await models.call("POST", "providers", made)).body["probe_seconds"] == 3600


async def test_the_quota_of_a_credential(models: Any, canary: str) -> None:
    path = "providers/p/credentials"
    quota = {"requests_per_minute": "500", "tokens_per_minute": "200000", "concurrent": 20}
    made = (await models.call("POST", path, {"name": "main", "api_key": canary, "quota": quota})).body["credentials"][0]
    assert (made["quota"], made["weight"]) == (quota, 1)
    changed = await models.call("PATCH", f"{path}/main", {"weight": 3})
    assert changed.status == 200, changed.body
    assert (changed.body["credentials"][0]["quota"], changed.body["credentials"][0]["weight"]) == (quota, 3)
    same = await models.call("PATCH", f"{path}/main", {"weight": 3})
    assert same.body["etag"] == changed.body["etag"]
    less = await models.call("PATCH", f"{path}/main", {"quota": {"concurrent": 5}})
    assert less.body["credentials"][0]["weight"] == 3
    (told,) = (await catalog(models)).providers.values()
    assert told.credentials[0].quota == Quota(concurrent=5)
    assert told.credentials[0].api_key == canary
    assert canary not in str(await models.call("GET", "audit"))
    for wrong in ({"concurrent": 0}, {"tokens_per_minute": -1}, {"requests_per_minute": 10**12 + 1}):
        refused = await models.call("PATCH", f"{path}/main", {"quota": wrong})
        assert (refused.status, refused.error["field"]) == (400, f"quota.{next(iter(wrong))}")
    none = await models.call("PATCH", f"{path}/main", {"quota": None})
    assert none.body["credentials"][0].get("quota") is None
    (told,) = (await catalog(models)).providers.values()
    assert told.credentials[0].quota == Quota()
    assert (await models.call("PATCH", f"{path}/nobody", {"weight": 1})).status == 404


async def test_what_a_project_caches_and_who_waits(api: Any) -> None:
    names = ("cache_enabled", "cache_ttl_seconds", "cache_scope", "cache_similarity", "priority")

    def shown(answer: Any) -> list[Any]:
        assert answer.status == 200, answer.body
        return [answer.body.get(name) for name in names]

    assert shown(await api.call("POST", "projects", {"name": "plain"})) == [False, 3600, "project", None, "interactive"]
    said = dict(zip(names, (True, 60, "organisation", None, "batch"), strict=True))
    assert shown(await api.call("POST", "projects", {"name": "exam", **said})) == list(said.values())
    told = {project.name: project for project in (await catalog(api)).projects.values()}
    assert (told["plain"].caching, told["plain"].priority) == (Caching(), Priority.INTERACTIVE)
    assert told["exam"].caching == Caching(enabled=True, ttl_seconds=60, scope=CacheScope.ORGANISATION)
    assert told["exam"].priority is Priority.BATCH
    for name, default in zip(names, (False, 0, "", None, ""), strict=True):
        wanted = said | {
            name: {"cache_ttl_seconds": 3600, "cache_scope": "project", "priority": "interactive"}.get(name, default)
        }
        assert shown(await api.call("PATCH", "projects/exam", {name: default})) == list(wanted.values())
        assert shown(await api.call("PATCH", "projects/exam", {name: said[name]})) == list(said.values())
    for wrong in (
        {"cache_ttl_seconds": 2592001},
        {"cache_ttl_seconds": -1},
        {"cache_scope": "all"},
        {"cache_similarity": 0.4},
        {"cache_similarity": 1},
        {"cache_similarity": 0.95},
        {"priority": "low"},
    ):
        answer = await api.call("PATCH", "projects/exam", wrong)
        assert (answer.status, answer.error["field"]) == (400, next(iter(wrong)))
