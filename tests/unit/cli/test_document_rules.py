"""`budget:`, `limits:`, `users:` and `organisations:` of the configuration file."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml

from tollway.cli.document.load import configuration, json_schema
from tollway.cli.document.problems import DocumentError

GOOD = """
version: 1
organisations:
  - name: default
    budget: {limit: 5000, alerts: [0.5, 0.8, 1.0]}
    limits: {requests_per_minute: 6000}
users:
  - {name: ana@example.com, budget: {limit: "5.00", period: week, timezone: Europe/Berlin, mode: soft}}
business_units: [{name: retail, budget: {limit: "1000.00", period: year, fiscal_start: "04-01", carry_over: true}}]
providers: [{name: sim, kind: simulator, base_url: "http://127.0.0.1:9"}]
models:
  - {name: small, targets: [{provider: sim, model: x}], limits: {tokens_per_hour: 1, on_outage: closed}}
projects:
  - name: demo
    limits:
      requests_per_minute: 600
      tokens_per_day: 0
      concurrent: 50
      on_outage: closed
      models: {"gpt-4o*": {requests_per_hour: 60, on_outage: local}, "o*": {concurrent: 1}}
    keys: [{name: web, user: ana@example.com, budget: {limit: "0"}, limits: {}}]
"""


def limit(measure: str, window: str, amount: str, model: str = "*", **more: str) -> dict[str, Any]:
    return {"measure": measure, "window": window, "amount": amount, "model": model, **more}


def test_becomes_the_rules_of_the_contract() -> None:
    made = configuration(GOOD, {})
    assert made["organisations"] == [
        {
            "name": "default",
            "budget": {"limit": "5000", "alerts": [0.5, 0.8, 1.0]},
            "limits": {"limits": [limit("requests", "minute", "6000")]},
        }
    ]
    assert made["users"][0]["budget"] == {
        "limit": "5.00",
        "period": "week",
        "timezone": "Europe/Berlin",
        "mode": "soft",
    }
    assert made["business_units"][0]["budget"]["carry_over"] is True
    assert made["models"][0]["limits"] == {"limits": [limit("tokens", "hour", "1", on_outage="closed")]}
    demo = made["projects"][0]
    assert demo["limits"]["limits"] == [
        limit("requests", "minute", "600", on_outage="closed"),
        limit("tokens", "day", "0", on_outage="closed"),
        limit("concurrent", "", "50", on_outage="closed"),
        limit("requests", "hour", "60", "gpt-4o*", on_outage="local"),
        limit("concurrent", "", "1", "o*", on_outage="closed"),
    ]
    assert demo["keys"][0] == {
        "name": "web",
        "user": "ana@example.com",
        "budget": {"limit": "0"},
        "limits": {"limits": []},
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("projects: [{name: a, budget: {period: day}}]", "projects[0].budget.limit: is missing"),
        (
            "projects: [{name: a, budget: {limit: 1.5}}]",
            'projects[0].budget.limit: must be an amount in quotes, such as "0.15"',
        ),
        (
            "users: [{name: a, budget: {limit: 1, alerts: [0]}}]",
            "users[0].budget.alerts[0]: must be a share of the limit above 0 and at most 10, such as 0.8",
        ),
        ("users: [{name: a}, {name: a}]", "users[1].name: a appears twice"),
        (
            "projects: [{name: a, limits: {request_per_minute: 1}}]",
            'projects[0].limits.request_per_minute: unknown field; did you mean "requests_per_minute"?',
        ),
        (
            "projects: [{name: a, limits: {concurrent: -1}}]",
            "projects[0].limits.concurrent: must be a whole number from 0 to 1000000000000",
        ),
        (
            "projects: [{name: a, limits: {models: {x: {models: {}}}}}]",
            "projects[0].limits.models.x.models: unknown field",
        ),
        (
            "models: [{name: a, targets: [{provider: p, model: m}], limits: {models: {}}}]",
            "models[0].limits.models: unknown field",
        ),
        (
            "organisations: [{name: other, budget: {limit: 1}}]",
            "organisations[0]: only the organisation `default` is supported by this version",
        ),
    ],
)
def test_says_what_is_wrong_and_where(text: str, expected: str) -> None:
    with pytest.raises(DocumentError) as caught:
        configuration(f"version: 1\n{text}", {})
    assert caught.value.problems == [expected]
    if "twice" not in expected:  # which is beyond JSON Schema
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(yaml.safe_load(f"version: 1\n{text}"), json_schema())


def test_the_schema_accepts_what_the_parser_accepts() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(GOOD), schema)
