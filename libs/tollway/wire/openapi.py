"""The OpenAPI 3.1 document of the management API, generated from the descriptors, their field rules and their comments.

Schemas describe the JSON of `json_codec`; field rules are given as far as JSON
Schema can say them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata, resources
from typing import Any

import orjson
from google.protobuf.descriptor import FieldDescriptor

from tollway.wire.contract import METHODS, PUBLIC, Field, MessageType, MethodContract, is_sensitive, message_types
from tollway.wire.gen.buf.validate import validate_pb2
from tollway.wire.json_codec import FIELD_MASK, TIMESTAMP, WIDE, is_map
from tollway.wire.rest import Template

Schema = dict[str, Any]
_F = FieldDescriptor
_VARIABLE = re.compile(r"\{([a-z_]+)(?:=\*\*)?\}")
_LIMITS = {"gte": "minimum", "gt": "exclusiveMinimum", "lte": "maximum", "lt": "exclusiveMaximum"}
ERRORS = {
    "400": "A field breaks a rule, or is unknown; `field` is its path.",
    "401": "The token is missing or not valid.",
    "403": "The caller may not do this.",
    "404": "What the request names does not exist.",
    "409": "It exists already, or the state of something else forbids it.",
    "412": "It was changed by somebody else since the given etag was read.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "422": "The idempotency key was used for another request.",
    "503": "The database does not answer; the call may be repeated.",
}


@cache
def document_bytes() -> bytes:
    """The document as JSON."""
    return orjson.dumps(document())


def document() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for method in METHODS.values():
        path = _VARIABLE.sub(r"{\1}", method.http.template)
        paths.setdefault(path, {})[method.http.verb.lower()] = _operation(method)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tollway management API",
            "version": metadata.version("tollway"),
            "description": "Field names are the contract's own. 64-bit integers and money are strings, times are "
            "RFC 3339, fields that are not known are refused.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": [{"name": name} for name in dict.fromkeys(_tag(method) for method in METHODS.values())],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {**_schemas(), "Error": _ERROR},
            "responses": {status: _error_response(text) for status, text in ERRORS.items()},
        },
    }


_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "field", "request_id"],
            "properties": {
                "code": {"type": "string", "description": "A stable code, for example `not_found`."},
                "message": {"type": "string"},
                "field": {"type": ["string", "null"], "description": "The path of the request field at fault."},
                "request_id": {"type": "string", "description": "The id to look for in the server's logs."},
            },
        }
    },
}


def _error_response(text: str) -> Schema:
    return {"description": text, "content": {"application/json": {"schema": _reference("Error")}}}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _tag(method: MethodContract) -> str:
    return method.service.rpartition(".")[2].removesuffix("Service")


# -- operations -------------------------------------------------------------------------------------------------------


def _operation(method: MethodContract) -> Schema:
    service, _, name = method.name.partition("/")
    in_path = Template.parse(method.http.template).fields
    operation: Schema = {
        "operationId": name,
        "tags": [_tag(method)],
        "responses": {
            "200": {
                "description": "Done.",
                "content": {"application/json": {"schema": _reference(method.response.DESCRIPTOR.name)}},
            },
            **{
                status: {"$ref": f"#/components/responses/{status}"}
                for status in ERRORS
                if status != "422" or not method.read_only
            },
        },
        "x-tollway-permission": method.permission,
    }
    if text := _comments().get(f"{service}.{name}"):
        operation["description"] = text
    parameters = [_parameter(method.fields[field], "path") for field in in_path]
    if method.http.body:
        schema = _message(method.request.DESCRIPTOR, leave_out=in_path)
        required = bool(schema.get("required"))
        operation["requestBody"] = {"required": required, "content": {"application/json": {"schema": schema}}}
    else:
        parameters += [_parameter(field, "query") for name, field in method.fields.items() if name not in in_path]
    if "etag" in method.fields:
        parameters.append(_IF_MATCH)
    if not method.read_only:
        parameters.append(_IDEMPOTENCY_KEY)
    if parameters:
        operation["parameters"] = parameters
    if method.permission == PUBLIC:
        operation["security"] = []
    return operation


_IF_MATCH: Schema = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The etag that was read, in quotes; the same as the field `etag`.",
    "schema": {"type": "string"},
}


_IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A call is done once under a key; sent again within 24 hours, it gets the first answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


def _parameter(field: Field, place: str) -> Schema:
    schema = _field(field)
    if field.type in WIDE:
        schema = {"type": "integer", "format": schema["format"]}
    parameter: Schema = {"name": field.name, "in": place, "required": place == "path"}
    if text := schema.pop("description", None):
        parameter["description"] = text
    return {**parameter, "schema": schema}


# -- schemas ----------------------------------------------------------------------------------------------------------


def _schemas() -> dict[str, Schema]:
    """Every message that a body or an answer can hold; a request itself stands where it is used."""
    requests = {method.request.DESCRIPTOR.full_name for method in METHODS.values()}
    roots = (kind.DESCRIPTOR for method in METHODS.values() for kind in (method.request, method.response))
    found = message_types(roots)
    kept = (d for name, d in sorted(found.items()) if name not in requests and not name.startswith("google."))
    return {descriptor.name: _message(descriptor) for descriptor in kept}


def _message(descriptor: MessageType, leave_out: Iterable[str] = ()) -> Schema:
    hidden = set(leave_out)
    fields = [field for field in descriptor.fields if field.name not in hidden]
    schema: Schema = {
        "type": "object",
        "properties": {field.name: _field(field) for field in fields},
        "additionalProperties": False,
    }
    if required := [field.name for field in fields if _must_be_given(field)]:
        schema["required"] = required
    if text := _comments().get(descriptor.full_name):
        schema["description"] = text
    return schema


def _must_be_given(field: Field) -> bool:
    """Whether a request without the field is refused in any case."""
    rules = _rules(field)
    text = rules.string
    empty_refused = text.min_len > 0 or ("in" in _names(text) and "" not in getattr(text, "in"))
    if text.HasField("pattern"):
        empty_refused = empty_refused or re.search(text.pattern, "") is None
    return bool(rules.required or rules.repeated.min_items or empty_refused)


def _names(message: Any) -> set[str]:
    return {field.name for field, _ in message.ListFields()}


def _rules(field: Field) -> Any:
    return field.GetOptions().Extensions[validate_pb2.field]


def _field(field: Field) -> Schema:
    rules = _rules(field)
    if is_map(field):
        entry = field.message_type.fields_by_name
        schema: Schema = {
            "type": "object",
            "additionalProperties": _value(entry["value"], rules.map.values),
            "propertyNames": _value(entry["key"], rules.map.keys),
        }
        if rules.map.HasField("max_pairs"):
            schema["maxProperties"] = rules.map.max_pairs
    elif field.is_repeated:
        schema = {"type": "array", "items": _value(field, rules.repeated.items)}
        for name, keyword in (("min_items", "minItems"), ("max_items", "maxItems")):
            if rules.repeated.HasField(name):
                schema[keyword] = getattr(rules.repeated, name)
    else:
        schema = _value(field, rules)
    if is_sensitive(field):
        schema["format"] = "password"
    if text := _comments().get(field.full_name):
        schema["description"] = text
    return schema


def _value(field: Field, rules: Any) -> Schema:
    """One value of a field's type, with the rules that hold for it."""
    if field.message_type is not None:
        kind = field.message_type.full_name
        if kind == TIMESTAMP:
            return {"type": "string", "format": "date-time"}
        if kind == FIELD_MASK:
            return {"type": "string", "description": "Field names, separated by commas."}
        return _reference(field.message_type.name)
    if field.enum_type is not None:
        return {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    if field.type == _F.TYPE_STRING:
        return {"type": "string", **_text_rules(rules.string)}
    if field.type == _F.TYPE_BOOL:
        return {"type": "boolean"}
    if field.type in WIDE:
        return {"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}
    if field.type == _F.TYPE_DOUBLE:
        return {"type": "number", "format": "double", **_number_rules(rules.double)}
    return {"type": "integer", "format": "int32", **_number_rules(rules.int32)}


def _text_rules(rules: Any) -> Schema:
    known: Schema = {}
    for name, keyword in (("min_len", "minLength"), ("max_len", "maxLength"), ("pattern", "pattern")):
        if rules.HasField(name):
            known[keyword] = getattr(rules, name)
    if allowed := list(getattr(rules, "in")):
        known["enum"] = allowed
    return known


def _number_rules(rules: Any) -> Schema:
    return {_LIMITS[field.name]: value for field, value in rules.ListFields() if field.name in _LIMITS}


@cache
def _comments() -> Mapping[str, str]:
    """Comments of the .proto files by full name, as `make gen` extracted them."""
    raw = (resources.files("tollway.wire.gen") / "comments.json").read_bytes()
    found: dict[str, str] = json.loads(raw)
    return found
