"""Schemas for Anthropic's enforcement: closed objects, no keyword that it refuses, nothing said that was not meant."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core.dialects.anthropic_schema import enforceable

TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        pytest.param(
            {"type": "object", "properties": {"a": TEXT}},
            {"type": "object", "properties": {"a": TEXT}, "additionalProperties": False},
            id="an object is closed",
        ),
        pytest.param(
            {"type": "object", "properties": {}, "additionalProperties": False},
            {"type": "object", "properties": {}, "additionalProperties": False},
            id="an object without properties",
        ),
        pytest.param(
            {"type": "integer", "minimum": 1, "maximum": 9, "description": "A number"},
            {"type": "integer", "description": 'A number\n\n{"minimum": 1, "maximum": 9}'},
            id="bounds are told in words",
        ),
        pytest.param({"type": "string", "format": "date"}, {"type": "string", "format": "date"}, id="a known format"),
        pytest.param(
            {"type": "string", "format": "phone"},
            {"type": "string", "description": '{"format": "phone"}'},
            id="an unknown format",
        ),
        pytest.param(
            {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 3},
            {"type": "array", "items": TEXT, "minItems": 1, "description": '{"maxItems": 3}'},
            id="items",
        ),
        pytest.param(
            {"oneOf": [TEXT, {"type": "null"}], "default": None},
            {"anyOf": [TEXT, {"type": "null"}]},
            id="oneOf",
        ),
        pytest.param(
            {"type": ["integer", "null"], "title": "T", "minimum": 0},
            {
                "title": "T",
                "anyOf": [
                    {"type": "integer", "description": '{"minimum": 0}'},
                    {"type": "null", "description": '{"minimum": 0}'},
                ],
            },
            id="several types",
        ),
        pytest.param(
            {"type": ["object", "null"], "properties": {"a": TEXT}, "required": ["a"]},
            {
                "anyOf": [
                    {"type": "object", "properties": {"a": TEXT}, "required": ["a"], "additionalProperties": False},
                    {"type": "null"},
                ]
            },
            id="an object or null",
        ),
        pytest.param(
            {"type": ["string", "null"], "enum": ["a", None]}, {"anyOf": [{"enum": ["a", None]}]}, id="enum and null"
        ),
        pytest.param(
            {"$ref": "#/$defs/P", "$defs": {"P": {"type": "object", "properties": {"n": TEXT}, "required": ["n"]}}},
            {
                "$ref": "#/$defs/P",
                "$defs": {
                    "P": {"type": "object", "properties": {"n": TEXT}, "required": ["n"], "additionalProperties": False}
                },
            },
            id="definitions",
        ),
    ],
)
def test_what_is_written(schema: dict[str, Any], written: dict[str, Any]) -> None:
    assert enforceable(schema) == written


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": "object"}, id="any object"),
        pytest.param({"type": "object", "additionalProperties": TEXT}, id="a map"),
        pytest.param({"type": "object", "properties": {"a": TEXT}, "additionalProperties": True}, id="an open object"),
        pytest.param({"type": "object", "properties": {"a": {}}}, id="any value"),
        pytest.param({"properties": {"a": TEXT}}, id="no type"),
        pytest.param({"type": "array", "prefixItems": [TEXT]}, id="a tuple"),
        pytest.param({"type": ["object", "array"], "properties": {}, "items": TEXT}, id="two structures"),
        pytest.param({"not": TEXT}, id="not"),
        pytest.param({"$ref": "https://example.com/schema"}, id="a reference elsewhere"),
        pytest.param({"$ref": "#/$defs/missing"}, id="a reference to nothing"),
        pytest.param(
            {"$ref": "#/$defs/N", "$defs": {"N": {"type": "array", "items": {"$ref": "#/$defs/N"}}}}, id="recursion"
        ),
    ],
)
def test_what_cannot_be_enforced(schema: dict[str, Any]) -> None:
    assert enforceable(schema) is None


def test_a_very_deep_schema_is_no_failure() -> None:
    deep: dict[str, Any] = TEXT
    for _ in range(5000):
        deep = {"type": "array", "items": deep}
    assert enforceable(deep) is None


_leaves = st.sampled_from(
    [TEXT, {"type": "integer", "minimum": 0}, {"type": ["number", "null"]}, {"enum": ["a", 1, None]}, {"const": "x"}]
)
_schemas = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.builds(lambda item: {"type": "array", "items": item, "maxItems": 3}, inner),
        st.builds(lambda a, b: {"oneOf": [a, b]}, inner, inner),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1).map(
            lambda properties: {"type": "object", "properties": properties, "required": sorted(properties)}
        ),
    ),
    max_leaves=8,
)
_values = st.recursive(
    st.sampled_from(["a", "x", 1, 0, -2, 1.5, None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(_schemas, _values)
def test_only_bounds_are_lost(schema: dict[str, Any], value: Any) -> None:
    """What the rewritten schema refuses, the client's refuses as well, unless it has properties nobody named."""
    written = enforceable(schema)
    assert written is not None
    assert "oneOf" not in json.dumps(written)
    closed = jsonschema.Draft202012Validator(json.loads(json.dumps(schema).replace('"oneOf"', '"anyOf"')))
    if jsonschema.Draft202012Validator(written).is_valid(value):
        without_bounds = json.loads(json.dumps(schema).replace('"oneOf"', '"anyOf"').replace("minimum", "title_"))
        loose = json.loads(json.dumps(without_bounds).replace("maxItems", "title_"))
        assert jsonschema.Draft202012Validator(loose).is_valid(value)
    elif closed.is_valid(value):
        assert isinstance(value, dict | list)
