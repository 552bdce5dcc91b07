"""Messages of the contract to and from JSON, by decision 25: original field names, zero values printed, 64-bit integers
as strings, times in RFC 3339, and nothing unknown accepted. Every refusal names the path of its field.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NoReturn

import orjson
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from tollway.wire.codec import ContractViolation
from tollway.wire.contract import Field, MessageType

_F = FieldDescriptor
_BITS = {
    _F.TYPE_INT32: (-(2**31), 2**31 - 1),
    _F.TYPE_UINT32: (0, 2**32 - 1),
    _F.TYPE_INT64: (-(2**63), 2**63 - 1),
    _F.TYPE_UINT64: (0, 2**64 - 1),
}
WIDE = frozenset({_F.TYPE_INT64, _F.TYPE_UINT64})
"""Integers that JavaScript cannot hold: they travel as strings."""
TIMESTAMP = "google.protobuf.Timestamp"
FIELD_MASK = "google.protobuf.FieldMask"
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,19})")
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
)


def is_map(field: Field) -> bool:
    """Whether a field is a map."""
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


# -- reading ----------------------------------------------------------------------------------------------------------


def loads(raw: bytes) -> dict[str, Any]:
    """The JSON object of a request body. Raises ContractViolation for anything else, and for a name given twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ContractViolation(f"the body has {twice!r} twice in one object", twice)
        return found

    def refuse(constant: str) -> NoReturn:
        raise ContractViolation(f"{constant} is not JSON")

    try:
        data = json.loads(raw.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except ContractViolation:
        raise
    except UnicodeDecodeError:
        raise ContractViolation("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ContractViolation(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except (ValueError, RecursionError):
        raise ContractViolation("the body is not JSON: a number is too long or it is nested too deeply") from None
    if not isinstance(data, dict):
        raise ContractViolation("the body must be a JSON object")
    return data


def fill(message: Message, data: Mapping[str, Any], path: str = "") -> None:
    """Sets the fields of `message` from a JSON object. null leaves a field unset. Raises ContractViolation."""
    fields = message.DESCRIPTOR.fields_by_name
    for name, value in data.items():
        where = f"{path}.{name}" if path else name
        field = fields.get(name)
        if field is None:
            raise ContractViolation(f"there is no field {where}", where)
        if value is not None:
            _set(message, field, value, where)


def _set(message: Any, field: Field, value: Any, where: str) -> None:
    if is_map(field):
        _set_map(getattr(message, field.name), field, value, where)
    elif field.is_repeated:
        if not isinstance(value, list):
            raise ContractViolation(f"{where} must be an array", where)
        container = getattr(message, field.name)
        for number, item in enumerate(value):
            step = f"{where}[{number}]"
            if field.message_type is not None:
                set_message(container.add(), item, step)
            else:
                container.append(scalar(field, item, step))
    elif field.message_type is not None:
        inner = getattr(message, field.name)
        inner.SetInParent()
        set_message(inner, value, where)
    else:
        setattr(message, field.name, scalar(field, value, where))


def _set_map(container: Any, field: Field, value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise ContractViolation(f"{where} must be an object", where)
    entry = field.message_type.fields_by_name
    for key, item in value.items():
        step = f"{where}[{key!r}]"
        container[scalar(entry["key"], key, step)] = scalar(entry["value"], item, step)


def set_message(message: Any, value: Any, where: str) -> None:
    """Sets a message that is a field's value: a time, an update mask, or an object."""
    kind = message.DESCRIPTOR.full_name
    if kind in (TIMESTAMP, FIELD_MASK):
        if not isinstance(value, str):
            raise ContractViolation(f"{where} must be a string", where)
        if kind == FIELD_MASK:
            message.paths.extend(path.strip() for path in value.split(",") if path.strip())
            return
        set_timestamp(message, value, where)
    elif isinstance(value, dict):
        fill(message, value, where)
    else:
        raise ContractViolation(f"{where} must be an object", where)


def set_timestamp(stamp: Any, text: str, where: str) -> None:
    """Sets a time from RFC 3339 (section 5.6)."""
    try:
        if not _RFC3339.fullmatch(text):
            raise ValueError(text)
        stamp.FromJsonString(text.upper())
    except ValueError:
        raise ContractViolation(f"{where} must be a time as in 2026-01-31T23:59:59Z (RFC 3339)", where) from None


def scalar(field: Field, value: Any, where: str) -> Any:
    """One plain value, checked against the field's type."""
    kind = field.type
    if kind == _F.TYPE_STRING:
        if not isinstance(value, str):
            raise ContractViolation(f"{where} must be a string", where)
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ContractViolation(f"{where} is not valid Unicode", where) from None
        return value
    if kind == _F.TYPE_BOOL:
        if not isinstance(value, bool):
            raise ContractViolation(f"{where} must be true or false", where)
        return value
    if kind == _F.TYPE_DOUBLE:
        if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
            raise ContractViolation(f"{where} must be a finite number", where)
        return float(value)
    if kind == _F.TYPE_ENUM:
        return _enum(field.enum_type, value, where)
    return _integer(kind, value, where)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the largest double
        return False


def _enum(kind: Any, value: Any, where: str) -> int:
    found = kind.values_by_name.get(value) if isinstance(value, str) else None
    if found is None:
        raise ContractViolation(f"{where} must be one of {', '.join(kind.values_by_name)}", where)
    number: int = found.number
    return number


def _integer(kind: int, value: Any, where: str) -> int:
    low, high = _BITS[kind]
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ContractViolation(f"{where} must be an integer", where)
    if not low <= value <= high:
        raise ContractViolation(f"{where} must be between {low} and {high}", where)
    return value


def unknown_field(message: Message) -> str | None:
    """The path of a field that a newer sender set and this contract does not know; None when there is none.

    The binary format keeps such fields without looking at them; accepting them would silently ignore what was asked.
    """
    extras: Any = UnknownFieldSet(message)
    for extra in extras:
        return f"#{extra.field_number}"
    for field, value in message.ListFields():
        if field.message_type is None or (
            is_map(field) and field.message_type.fields_by_name["value"].message_type is None
        ):
            continue
        items = value.values() if is_map(field) else value if field.is_repeated else (value,)
        for item in items:
            if (inner := unknown_field(item)) is not None:
                return f"{field.name}.{inner}"
    return None


# -- writing ----------------------------------------------------------------------------------------------------------


def dumps(message: Message) -> bytes:
    """The JSON of an answer."""
    return orjson.dumps(render(message))


def render(message: Message) -> dict[str, Any]:
    """A message as JSON-ready data. Fields with presence that are not set are left out, all others are printed."""
    return {name: write(message) for name, has, write in _renderers(message.DESCRIPTOR) if has is None or has(message)}


Renderer = tuple[str, Callable[[Any], bool] | None, Callable[[Any], Any]]


@cache
def _renderers(descriptor: MessageType) -> list[Renderer]:
    return [_renderer(field) for field in descriptor.fields]


def _renderer(field: Field) -> Renderer:
    name = field.name
    if is_map(field):
        convert = _shown(field.message_type.fields_by_name["value"])
        return name, None, lambda m: {str(k): convert(v) for k, v in sorted(getattr(m, name).items())}
    convert = _shown(field)
    if field.is_repeated:
        return name, None, lambda m: [convert(item) for item in getattr(m, name)]
    has = (lambda m: m.HasField(name)) if field.has_presence else None
    return name, has, lambda m: convert(getattr(m, name))


def _shown(field: Field) -> Callable[[Any], Any]:
    if field.message_type is not None:
        kind = field.message_type.full_name
        if kind == TIMESTAMP:
            return lambda stamp: stamp.ToJsonString()
        if kind == FIELD_MASK:
            return lambda mask: ",".join(mask.paths)
        return render
    if field.enum_type is not None:
        names = field.enum_type.values_by_number
        return lambda number: names[number].name if number in names else number
    if field.type in WIDE:
        return str
    return lambda value: value
