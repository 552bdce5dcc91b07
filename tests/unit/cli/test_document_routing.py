"""Routing, caching and priorities in a configuration file."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml

from tollway.cli.document.load import configuration, json_schema
from tollway.cli.document.problems import DocumentError

GOOD = """
version: 1
providers:
  - name: openai
    kind: openai
    probe: 10s
    credentials:
      - {name: main, api_key: k, quota: {requests_per_minute: 500, tokens_per_minute: 200000, concurrent: 20}}
  - {name: spare, kind: openai, probe: 0}
models:
  - name: all
    strategy: affinity
    affinity: prefix
    targets: [{provider: openai, model: a}]
    fallbacks: [b, org/c:1]
    context_fallbacks: [c]
    filter_fallbacks: []
    retries: {attempts: 3, budget: 12.5%}
    breaker: {enabled: false}
    hedge: {percentile: 0.9, least: 300ms}
  - {name: b, targets: [{provider: openai, model: a}], strategy: least_busy, retries: {}, hedge: {}}
projects:
  - name: demo
    cache: {enabled: true, ttl: 30d, scope: organisation, similarity: 0.95}
    priority: batch
"""


def test_becomes_the_configuration_of_the_contract() -> None:
    made = configuration(GOOD, {})
    openai, spare = made["providers"]
    assert (openai["probe_seconds"], spare["probe_seconds"]) == (10.0, 0.0)
    quota = {"requests_per_minute": 500, "tokens_per_minute": 200000, "concurrent": 20}
    assert openai["credentials"][0]["quota"] == quota
    everything, some = made["models"]
    assert {name: value for name, value in everything.items() if name not in ("name", "targets")} == {
        "strategy": "affinity",
        "affinity": "prefix",
        "fallbacks": ["b", "org/c:1"],
        "context_fallbacks": ["c"],
        "filter_fallbacks": [],
        "retries": {"attempts": 3, "budget": 0.125},
        "breaker": {"enabled": False},
        "hedge": {"percentile": 0.9, "least_seconds": 0.3},
    }
    assert (some["strategy"], some["retries"], some["hedge"]) == ("least_busy", {}, {})
    assert made["projects"][0]["cache"] == {
        "enabled": True,
        "ttl_seconds": 2592000,
        "scope": "organisation",
        "similarity": 0.95,
    }
    assert made["projects"][0]["priority"] == "batch"


@pytest.mark.parametrize(("written", "share"), [("0%", 0.0), ("7%", 0.07), ("29%", 0.29), ("0.3%", 0.003), ("100%", 1)])
def test_a_percentage_becomes_the_nearest_fraction(written: str, share: float) -> None:
    text = f"version: 1\nmodels: [{{name: a, targets: [{{provider: p, model: m}}], retries: {{budget: {written}}}}}]"
    assert configuration(text, {})["models"][0]["retries"] == {"budget": share}


MODEL = "version: 1\nmodels: [{name: a, targets: [{provider: p, model: m}], %s}]"
PROVIDER = "version: 1\nproviders: [{name: a, kind: openai, %s}]"
PERCENTAGE = "models[0].retries.budget: must be a percentage from 0% to 100%, such as 10%"
PROJECT = "version: 1\nprojects: [{name: a, %s}]"


@pytest.mark.parametrize(
    ("form", "written", "problem"),
    [
        (MODEL, "strategy: leastbusy", 'models[0].strategy: must be one of weighted, priority, least_busy, latency, cost, affinity; did you mean "least_busy"?'),  # noqa: E501
        (MODEL, "affinity: user", "models[0].affinity: must be one of session, prefix"),
        (MODEL, "fallbacks: b", "models[0].fallbacks: must be a list"),
        (MODEL, "fallbacks: [b, 5]", "models[0].fallbacks[1]: must be a text; put it in quotes"),
        (MODEL, "fallbacks: [b, c, d, e, f, g, h, i, j]", "models[0].fallbacks: must have 0 to 8 entries"),
        (MODEL, "retries: 2", "models[0].retries: must be a mapping"),
        (MODEL, "retries: {attempts: 11}", "models[0].retries.attempts: must be a whole number from 0 to 10"),
        (MODEL, "retries: {budget: 0.1}", PERCENTAGE),
        (MODEL, "retries: {budget: 101%}", PERCENTAGE),
        (MODEL, "retries: {budget: -1%}", PERCENTAGE),
        (MODEL, "breaker: {enabled: 1}", "models[0].breaker.enabled: must be true or false"),
        (MODEL, "hedge: {percentile: 0.4}", "models[0].hedge.percentile: must be a number from 0.5 to 0.999"),
        (MODEL, "hedge: {percentile: .nan}", "models[0].hedge.percentile: must be a number from 0.5 to 0.999"),
        (MODEL, "hedge: {least: 2m}", "models[0].hedge.least: must be more than 0 and at most 60s"),
        (MODEL, "cache: {enabled: true}", "models[0].cache: not supported by this version; remove it"),
        (PROVIDER, "probe: 500ms", "providers[0].probe: must be a duration from 1s to 1h, such as 10s, or 0 for never"),
        (PROVIDER, "probe: 2h", "providers[0].probe: must be a duration from 1s to 1h, such as 10s, or 0 for never"),
        (PROVIDER, "probe: false", "providers[0].probe: must be a duration from 1s to 1h, such as 10s, or 0 for never"),
        (PROVIDER, "credentials: [{name: c, api_key: k, quota: {concurrent: 0}}]", "providers[0].credentials[0].quota.concurrent: must be a whole number from 1 to 1000000"),  # noqa: E501
        (PROJECT, "cache: {ttl: 31d}", "projects[0].cache.ttl: must be more than 0 and at most 2592000s"),
        (PROJECT, "cache: {ttl: 1.5s}", "projects[0].cache.ttl: must be whole seconds"),
        (PROJECT, "cache: {scope: all}", "projects[0].cache.scope: must be one of project, organisation"),
        (PROJECT, "cache: {similarity: 1}", "projects[0].cache.similarity: must be a number from 0.5 to 0.999"),
        (PROJECT, "priority: low", "projects[0].priority: must be one of interactive, batch"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_path(form: str, written: str, problem: str) -> None:
    with pytest.raises(DocumentError) as caught:
        configuration(form % written, {})
    assert caught.value.problems == [problem]


def test_the_schema_says_the_same() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(GOOD), schema)
    wrong: list[tuple[str, str]] = [
        (MODEL, "retries: {budget: 101%}"),
        (MODEL, "retries: {budget: 0.1}"),
        (MODEL, "hedge: {percentile: 1}"),
        (MODEL, "strategy: fastest"),
        (PROVIDER, "probe: 5"),
        (PROJECT, "cache: {similarity: 0.2}"),
        (PROJECT, "priority: low"),
    ]
    for form, written in wrong:
        made: Any = yaml.safe_load(form % written)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(made, schema)
