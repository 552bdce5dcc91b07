"""JSON Schemas in the part of the language that Anthropic's models can be held to.

Owns what is rewritten so that nothing is refused: objects are closed, alternatives are `anyOf`, and a bound that cannot
be enforced becomes part of the description, as in Anthropic's own clients. An answer to the rewritten schema is never
wrong for a reason that this module made up. Source: JSON Schema limitations,
https://docs.anthropic.com/en/docs/build-with-claude/structured-outputs
"""

from __future__ import annotations

import json
from typing import Any

Schema = dict[str, Any]

_FORMATS = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"))
_TYPES = frozenset(("object", "array", "string", "integer", "number", "boolean", "null"))
_DEFINITIONS = ("$defs", "definitions")
_KEPT = frozenset(("type", "enum", "const", "title", "description", "required", "$ref"))
# What says nothing about which values are valid.
_SILENT = frozenset(("default", "examples", "$schema", "$id", "$comment", "deprecated", "readOnly", "writeOnly"))
# Bounds: without them more values are valid, with them in words the model may still keep to them.
_BOUNDS = frozenset(
    (
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
    )
)
_STRUCTURE = frozenset(
    (
        "properties",
        "required",
        "additionalProperties",
        "items",
        "minItems",
        "maxItems",
        "uniqueItems",
        "anyOf",
        "oneOf",
        "allOf",
    )
)


class _NotEnforceableError(Exception):
    """The schema says something that the subset has no words for."""


def enforceable(schema: Schema) -> Schema | None:
    """The schema, rewritten; None when it needs what cannot be enforced at all: open objects, recursion, tuples."""
    try:
        written = _written(schema)
        _check_references(schema)
    except (_NotEnforceableError, RecursionError):
        return None
    return written


def _written(schema: Any) -> Schema:
    if not isinstance(schema, dict):
        raise _NotEnforceableError
    if isinstance(schema.get("type"), list):
        return _alternatives(schema)
    written: Schema = {}
    bounds: Schema = {}
    for name, value in schema.items():
        if name in _KEPT:
            written[name] = value
        elif name in (*_DEFINITIONS, "properties") and isinstance(value, dict):
            written[name] = {key: _written(inner) for key, inner in value.items()}
        elif name in ("anyOf", "oneOf", "allOf") and isinstance(value, list):
            written["allOf" if name == "allOf" else "anyOf"] = [_written(inner) for inner in value]
        elif name == "items":
            written[name] = _written(value)
        elif (name == "format" and isinstance(value, str) and value in _FORMATS) or (
            name == "minItems" and value in (0, 1)
        ):
            written[name] = value
        elif name in _BOUNDS:
            bounds[name] = value
        elif name not in _SILENT and name != "additionalProperties":
            raise _NotEnforceableError
    kind = written.get("type")
    if "type" in written and not (isinstance(kind, str) and kind in _TYPES):
        raise _NotEnforceableError
    if not written.keys() & {"type", "enum", "const", "anyOf", "allOf", "$ref"}:
        raise _NotEnforceableError
    _close(schema, written)
    if bounds:
        told = written.get("description")
        written["description"] = (f"{told}\n\n" if told else "") + json.dumps(bounds)
    return written


def _alternatives(schema: Schema) -> Schema:
    """`{"type": ["string", "null"]}` as `anyOf`."""
    shared = {name: schema[name] for name in ("title", "description", *_DEFINITIONS) if name in schema}
    rest = {name: value for name, value in schema.items() if name not in shared and name not in ("type", "default")}
    plain = {name: value for name, value in rest.items() if name not in _STRUCTURE}
    if sum(kind in ("object", "array") for kind in schema["type"]) > 1:  # the parts of one would be written twice
        raise _NotEnforceableError
    options = [{**(rest if kind in ("object", "array") else plain), "type": kind} for kind in schema["type"]]
    if "enum" in rest:  # it names the values of all types, null among them
        options = [{"enum": rest["enum"]}]
    return _written({**shared, "anyOf": options})


def _close(schema: Schema, written: Schema) -> None:
    """Every object must be closed; one that is meant to be open would become another."""
    if written.get("type") != "object":
        if "properties" in written or schema.get("additionalProperties"):
            raise _NotEnforceableError
        return
    closed = schema.get("additionalProperties") is False
    if schema.get("additionalProperties", False) is not False or not (closed or "properties" in schema):
        raise _NotEnforceableError
    written["additionalProperties"] = False


def _check_references(schema: Schema) -> None:
    """References lead to definitions of this schema, and never back to where they came from."""
    definitions = {
        f"#/{group}/{name}": inner for group in _DEFINITIONS for name, inner in (schema.get(group) or {}).items()
    }
    finished: set[str] = set()

    def follow(reference: str, above: tuple[str, ...]) -> None:
        if reference in finished:
            return
        if reference in above or reference not in definitions:
            raise _NotEnforceableError
        for inner in _references(definitions[reference]):
            follow(inner, (*above, reference))
        finished.add(reference)

    for reference in _references({name: value for name, value in schema.items() if name not in _DEFINITIONS}):
        follow(reference, ())


def _references(value: Any) -> list[str]:
    found: list[str] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if isinstance(item.get("$ref"), str):
                found.append(item["$ref"])
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return found
