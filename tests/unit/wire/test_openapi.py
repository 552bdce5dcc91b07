"""The OpenAPI document: valid, complete, and saying what the field rules say."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tollway.wire.contract import METHODS
from tollway.wire.openapi import document, document_bytes


@pytest.fixture(scope="module")
def doc() -> dict[str, Any]:
    """The document as a client reads it."""
    found: dict[str, Any] = json.loads(document_bytes())
    return found


def operation(doc: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (o for path in doc["paths"].values() for o in path.values() if o["operationId"] == name)
    return dict(found)


def test_it_is_valid(doc: dict[str, Any]) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(doc).iter_errors()] == []
    broken = {**doc, "paths": {"/x": {"get": {"responses": []}}}}
    assert list(OpenAPIV31SpecValidator(broken).iter_errors()) != []


def test_every_method_is_there_under_its_path(doc: dict[str, Any]) -> None:
    described = {(verb.upper(), path) for path, item in doc["paths"].items() for verb in item}
    wanted = {(m.http.verb, re.sub(r"=\*\*", "", m.http.template)) for m in METHODS.values()}
    assert described == wanted


def test_every_reference_leads_somewhere(doc: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref": ?"([^"]+)"', json.dumps(doc)))
    assert len(references) > 20
    for reference in references:
        node: Any = doc
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_rules_become_constraints(doc: dict[str, Any]) -> None:
    body = operation(doc, "CreateProvider")["requestBody"]["content"]["application/json"]["schema"]
    fields = body["properties"]
    assert body["additionalProperties"] is False
    assert set(body["required"]) == {"name", "kind"}
    assert fields["name"]["pattern"].startswith("^[a-z0-9]")
    assert "vllm" in fields["kind"]["enum"]
    assert fields["base_url"]["maxLength"] == 2000
    assert fields["credentials"]["maxItems"] == 100
    schemas = doc["components"]["schemas"]
    assert schemas["NewCredential"]["properties"]["api_key"]["format"] == "password"
    assert schemas["NewCredential"]["properties"]["weight"]["maximum"] == 10000
    assert schemas["Timeouts"]["properties"]["total_seconds"]["exclusiveMinimum"] == 0
    assert schemas["Status"]["properties"]["config_version"] == {
        "type": "string",
        "format": "int64",
        "pattern": "^-?[0-9]+$",
    }
    tags = schemas["KeySpec"]["properties"]["tags"]
    assert (tags["maxProperties"], tags["propertyNames"]["maxLength"]) == (50, 63)


def test_parameters_come_from_path_query_and_header(doc: dict[str, Any]) -> None:
    listed = {(p["name"], p["in"]) for p in operation(doc, "ListKeys")["parameters"]}
    assert listed == {(name, "query") for name in ("page_size", "page_token", "project", "include_revoked")}
    updated = operation(doc, "UpdateKey")
    assert [(p["name"], p["in"], p["required"]) for p in updated["parameters"]] == [
        ("key", "path", True),
        ("If-Match", "header", False),
        ("Idempotency-Key", "header", False),
    ]
    assert "key" not in updated["requestBody"]["content"]["application/json"]["schema"]["properties"]


def test_comments_of_the_contract_are_descriptions(doc: dict[str, Any]) -> None:
    assert operation(doc, "RevokeKey")["description"].startswith("Ends the key for good")
    assert doc["components"]["schemas"]["Key"]["properties"]["project"]["description"] == "Name of the project."
    assert doc["components"]["schemas"]["Key"]["description"].startswith("A virtual key as it may be shown")


def test_errors_and_security_are_described(doc: dict[str, Any]) -> None:
    assert doc["security"] == [{"bearer": []}]
    for item in doc["paths"].values():
        for found in item.values():
            assert set(found["responses"]) >= {"200", "400", "401", "403", "404", "409", "412", "503"}
            assert found["x-tollway-permission"]
    assert document() == doc
