"""The OpenAPI 3.1 document of the management API, generated from the contract and its field rules. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from tollway.wire.contract import MethodContract, is_secret
from tollway.wire.gen.buf.validate import validate_pb2

_VARIABLE = re.compile(r"\{(\w+)(?:=\*\*)?\}")
_INTEGERS_32 = {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_SINT32}
_FLOATS = {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}
_ERRORS = {
    "400": "The request does not fit the contract.",
    "401": "The token is missing or not valid.",
    "403": "The token's owner may not do this.",
    "404": "There is no such resource.",
    "409": "It exists already, or something else stands in the way.",
    "412": "The etag is not the present one.",
    "503": "The database does not answer; retry.",
}
_ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "request_id"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "field": {"type": ["string", "null"]},
                "request_id": {"type": "string"},
            },
        }
    },
}


def document(contracts: Iterable[MethodContract], version: str) -> dict[str, Any]:
    """The document, as JSON values."""
    schemas: dict[str, Any] = {"Error": _ERROR_SCHEMA}
    paths: dict[str, dict[str, Any]] = {}
    for contract in contracts:
        path = _VARIABLE.sub(r"{\1}", contract.http_path)
        paths.setdefault(path, {})[contract.http_verb.lower()] = _operation(contract, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tollway management API", "version": version, "license": {"name": "Apache-2.0"}},
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}, "schemas": schemas},
    }


def _operation(contract: MethodContract, schemas: dict[str, Any]) -> dict[str, Any]:
    variables = _VARIABLE.findall(contract.http_path)
    request = contract.request.DESCRIPTOR
    answer = {"description": "OK", "content": _content(_reference(contract.response.DESCRIPTOR, schemas))}
    errors = {code: {"description": text, "content": _content(_error())} for code, text in _ERRORS.items()}
    operation: dict[str, Any] = {
        "operationId": contract.method,
        "tags": [contract.service.rpartition(".")[2]],
        "x-tollway-permission": contract.permission,
        "parameters": [_parameter(request.fields_by_name[name], "path", schemas) for name in variables],
        "responses": {"200": answer, **errors},
    }
    rest = [field for field in request.fields if field.name not in variables]
    if contract.body:
        schema = {"type": "object", "properties": {f.name: _field(f, schemas) for f in rest}}
        schema["additionalProperties"] = False
        operation["requestBody"] = {"content": _content(schema)}
    else:
        operation["parameters"] += [_parameter(field, "query", schemas) for field in rest]
    return operation


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _error() -> dict[str, Any]:
    return {"$ref": "#/components/schemas/Error"}


def _parameter(field: FieldDescriptor, where: str, schemas: dict[str, Any]) -> dict[str, Any]:
    return {"name": field.name, "in": where, "required": where == "path", "schema": _field(field, schemas)}


def _reference(message: Descriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    name = message.name
    if name not in schemas:
        schemas[name] = {"type": "object"}  # a message may hold itself
        schemas[name]["properties"] = {field.name: _field(field, schemas) for field in message.fields}
    return {"$ref": f"#/components/schemas/{name}"}


def _field(field: FieldDescriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    rules: Any = field.GetOptions().Extensions[validate_pb2.field]
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": _value(message.fields_by_name["value"], schemas, rules)}
    if field.is_repeated:
        schema = {"type": "array", "items": _value(field, schemas, rules.repeated.items)}
        if rules.repeated.HasField("max_items"):
            schema["maxItems"] = rules.repeated.max_items
        return schema
    return _value(field, schemas, rules)


def _value(field: FieldDescriptor, schemas: dict[str, Any], rules: Any) -> dict[str, Any]:
    message = field.message_type
    if message is not None:
        known = {
            "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
            "google.protobuf.FieldMask": {"type": "string", "description": "Comma-separated field names."},
        }
        return known.get(message.full_name) or _reference(message, schemas)
    if field.enum_type is not None:
        return {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    if field.type == FieldDescriptor.TYPE_BOOL:
        return {"type": "boolean"}
    if field.type in _FLOATS:
        return {"type": "number"}
    if field.type in _INTEGERS_32:
        return {"type": "integer", "format": "int32"}
    if field.type != FieldDescriptor.TYPE_STRING:
        return {"type": "string", "format": "int64"}
    return _string(field, rules)


def _string(field: FieldDescriptor, rules: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    string = rules.string
    for rule, key in (("min_len", "minLength"), ("max_len", "maxLength"), ("pattern", "pattern")):
        if string.HasField(rule):
            schema[key] = getattr(string, rule)
    allowed = list(getattr(string, "in"))
    if allowed:
        schema["enum"] = allowed
    if is_secret(field):
        schema["writeOnly"] = True
    return schema
