"""`logging` of a project in a configuration file."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from tollway.cli.document.load import configuration, json_schema
from tollway.cli.document.problems import DocumentError


def document(logging: str) -> str:
    return f"version: 1\nprojects:\n  - {{name: demo, logging: {logging}}}\n"


@pytest.mark.parametrize(
    ("written", "made"),
    [
        ("{bodies: masked, retention: 90d}", {"bodies": "masked", "retention_days": 90}),
        ("{retention: 24h}", {"retention_days": 1}),
        ("{bodies: none}", {"bodies": "none"}),
        ("{}", {}),
    ],
)
def test_becomes_days(written: str, made: dict[str, Any]) -> None:
    assert configuration(document(written), {})["projects"] == [{"name": "demo", "logging": made}]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("{retention: 31d}", "projects[0].logging.retention: must be one of 1d, 7d, 30d, 90d, 365d"),
        ("{retention: 30}", "projects[0].logging.retention: must be one of 1d, 7d, 30d, 90d, 365d"),
        ("{bodies: some}", "projects[0].logging.bodies: must be one of full, masked, none"),
        ("full", "projects[0].logging: must be a mapping"),
    ],
)
def test_what_is_wrong_is_said_with_its_path(written: str, problem: str) -> None:
    with pytest.raises(DocumentError) as caught:
        configuration(document(written), {})
    assert any(said.startswith(problem) for said in caught.value.problems), caught.value.problems


def test_the_schema_says_the_same() -> None:
    schema = json_schema()
    logging = {"bodies": "full", "retention": "365d"}
    made: dict[str, Any] = {"version": 1, "projects": [{"name": "demo", "logging": logging}]}
    jsonschema.validate(made, schema)
    logging["retention"] = "2d"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(json.dumps(made)), schema)
