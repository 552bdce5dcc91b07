"""The configuration file: what it becomes, and what is said when it is wrong."""

import json

import jsonschema
import pytest

from tollway.cli.document.load import configuration, json_schema
from tollway.cli.document.problems import DocumentError

GOOD = """
version: 1
organisations: default
providers:
  - name: openai
    kind: openai
    credentials: [{name: main, api_key: "${OPENAI_API_KEY}", weight: 1}]
    timeouts: {connect: 5s, first_byte: 1m, between_chunks: 500ms, total: 10m}
models:
  - name: gpt-4o-mini
    aliases: [small]
    strategy: weighted
    targets: [{provider: openai, model: gpt-4o-mini, weight: 1, priority: 0}]
    price: {input: "0.15", cached_input: "0.075", output: 1}
  - {name: local, targets: [{provider: openai, model: x}], price: free}
  - {name: whisper, targets: [{provider: openai, model: whisper-1}], price: {audio_minute: "0.006"}}
  - name: long
    targets: [{provider: openai, model: y}]
    price: {input: "1.25", output: 10, image_input: "1", tiers: [{above: 200000, input: "2.50", output: 15}]}
business_units: [{name: retail}]
projects:
  - name: demo
    business_unit: retail
    models: ["*"]
    keys: [{name: demo-key, value: "${DEMO_KEY}", models: ["*"], expires: 90d, tags: {team: web}}]
"""
ENVIRON = {"OPENAI_API_KEY": "sk-1", "DEMO_KEY": "0123456789abcdefghijklmn", "EMPTY": ""}


def problems(text: str) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        configuration(text, ENVIRON)
    return caught.value.problems


def test_becomes_the_configuration_of_the_contract() -> None:
    made = configuration(GOOD, ENVIRON)
    assert set(made) == {"providers", "models", "business_units", "projects"}
    assert made["providers"][0]["credentials"] == [{"name": "main", "api_key": "sk-1", "weight": 1}]
    assert made["providers"][0]["timeouts"] == {
        "connect_seconds": 5.0,
        "first_byte_seconds": 60.0,
        "between_chunks_seconds": 0.5,
        "total_seconds": 600.0,
    }
    assert made["models"][0]["price"] == {"input": "0.15", "cached_input": "0.075", "output": "1"}
    assert made["models"][1]["price"] == {"free": True}
    assert made["models"][2]["price"] == {"audio_minute": "0.006"}
    assert made["models"][3]["price"]["tiers"] == [{"above": 200000, "input": "2.50", "output": "15"}]
    key = made["projects"][0]["keys"][0]
    assert key["expires_seconds"] == 90 * 86400
    assert key["value"] == ENVIRON["DEMO_KEY"]


def test_a_doubled_dollar_is_a_literal() -> None:
    made = configuration('version: 1\nprojects: [{name: a, description: "$${X} costs $5"}]', ENVIRON)
    assert made["projects"][0]["description"] == "${X} costs $5"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty; it needs at least `version: 1`"),
        ("[]", "the file: must be a mapping"),
        ("projects: []", "version: is missing"),
        ("version: 2", "version: must be 1, the only version of the format that this version knows"),
        ("version: 1\nproject: []", 'project: unknown field; did you mean "projects"?'),
        ("version: 1\nprojects: [{name: a, modles: []}]", 'projects[0].modles: unknown field; did you mean "models"?'),
        (
            "version: 1\nmodels: [{name: a, targets: [{provider: p, model: m}], cache: {}}]",
            "models[0].cache: not supported by this version; remove it",
        ),
        ("version: 1\ndefaults: {}", "defaults: not supported by this version; remove it"),
        (
            "version: 1\nbusiness_units: [{name: a, managers: [x.y.z]}]",
            "business_units[0].managers[0]: must be an e-mail address such as ana@example.com",
        ),
        (
            "version: 1\nroles: [{role: owner, group: g}]",
            "roles[0].role: must be one of platform_admin, auditor, unit_manager, project_owner, developer, "
            "service_account",
        ),
        (
            "version: 1\nmodels: [{name: a, strategy: fastest, targets: [{provider: p, model: m}]}]",
            "models[0].strategy: must be one of weighted, priority, least_busy, latency, cost, affinity",
        ),
        (
            "version: 1\norganisations: [other]",
            "organisations[0]: only the organisation `default` is supported by this version",
        ),
        ("version: 1\nprojects: [{}]", "projects[0].name: is missing"),
        ("version: 1\nprojects: [{name: 5}]", "projects[0].name: must be a text; put it in quotes"),
        (
            "version: 1\nprojects: [{name: A}]",
            "projects[0].name: must be 1 to 63 lower-case letters, digits or hyphens, "
            "not beginning or ending with a hyphen",
        ),
        ("version: 1\nprojects: {}", "projects: must be a list"),
        (
            "version: 1\nprojects: [{name: a, keys: [{name: k, value: '${NOPE}'}]}]",
            "projects[0].keys[0].value: the environment variable NOPE is not set",
        ),
        (
            "version: 1\nprojects: [{name: a, description: '${EMPTY}'}]",
            "projects[0].description: the environment variable EMPTY is empty",
        ),
        (
            "version: 1\nprojects: [{name: a, description: '${x y}'}]",
            "projects[0].description: a reference must look like ${NAME}; write $${ for a literal ${",
        ),
        (
            "version: 1\nprojects: [{name: a, keys: [{name: k, expires: 90}]}]",
            "projects[0].keys[0].expires: must be a duration such as 5s, 10m, 12h or 90d",
        ),
        (
            "version: 1\nproviders: [{name: a, kind: openapi}]",
            "providers[0].kind: must be one of openai, azure_openai, anthropic, huggingface, vllm, openai_compatible, "
            'simulator; did you mean "openai"?',
        ),
        (
            "version: 1\nmodels: [{name: a, targets: [{provider: p, model: m, weight: -1}]}]",
            "models[0].targets[0].weight: must be a whole number from 0 to 10000",
        ),
        ("version: 1\nmodels: [{name: a, targets: []}]", "models[0].targets: must have 1 to 100 entries"),
        (
            "version: 1\nmodels: [{name: a, targets: [{provider: p, model: m}], price: {input: 0.15}}]",
            'models[0].price.input: must be an amount in quotes, such as "0.15"',
        ),
        (
            "version: 1\nmodels: [{name: a, targets: [{provider: p, model: m}], price: {tiers: [{input: 1}]}}]",
            "models[0].price.tiers[0].above: is missing",
        ),
        ("version: 1\nprojects: [{name: a}, {name: a}]", "projects[1].name: a appears twice"),
        ("version: 1\nversion: 1", "line 2: version appears twice in one mapping"),
        ("version: 1\nprojects: [\n", "line 3, column 1: not valid YAML: did not find expected node content"),
    ],
)
def test_says_what_is_wrong_and_where(text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_names_all_problems_at_once() -> None:
    assert len(problems("version: 1\nfoo: 1\nprojects: [{name: a, limits: []}, {}]")) == 3


def test_values_never_appear_in_messages() -> None:
    shown = problems("version: 1\nproviders: [{name: a, kind: '${DEMO_KEY}', credentials: [{name: '-', api_key: ''}]}]")
    assert ENVIRON["DEMO_KEY"] not in str(shown)


def test_the_schema_accepts_what_the_parser_accepts() -> None:
    import yaml

    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(GOOD), schema)
    assert "defaults" not in json.dumps(schema["properties"])


@pytest.mark.parametrize(
    "text",
    ["version: 1\nfoo: 1", "version: 2", "version: 1\nprojects: [{}]", "version: 1\nproviders: [{name: a, kind: b}]"],
)
def test_the_schema_refuses_what_the_parser_refuses(text: str) -> None:
    import yaml

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), json_schema())
