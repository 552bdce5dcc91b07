"""Dataclasses to and from the JSON of the management API (RFC 3339 times, 64-bit integers as strings).

Pure; it never fails on fields that it does not know.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

T = TypeVar("T")
_HINTS: dict[type[Any], dict[str, Any]] = {}


def encode(value: Any) -> Any:
    """`value` as JSON-ready data: dataclasses without their None fields, times in RFC 3339."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {name: encode(item) for name, item in fields.items() if item is not None}
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, Mapping):
        return {str(name): encode(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC; a time without zone is refused, because guessing it would shift usage and expiry."""
    if at.tzinfo is None:
        raise ValueError("a time needs a time zone")
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def decode(cls: type[T], data: Any) -> T:
    """An instance of the dataclass `cls` from a JSON object. Raises ValueError when the shape is another one."""
    if not isinstance(data, Mapping):
        raise ValueError(f"expected an object for {cls.__name__}")
    values = {}
    for name, hint in _hints(cls).items():
        if data.get(name) is not None:
            values[name] = _value(hint, data[name])
    return cls(**values)


def _hints(cls: type[Any]) -> dict[str, Any]:
    known = _HINTS.get(cls)
    if known is None:
        known = _HINTS[cls] = typing.get_type_hints(cls)
    return known


def _value(hint: Any, item: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _value(next(part for part in typing.get_args(hint) if part is not type(None)), item)
    if origin is list:
        return [_value(typing.get_args(hint)[0], element) for element in _expect(list, item)]
    if origin is dict:
        return {str(name): str(element) for name, element in _expect(dict, item).items()}
    if hint is datetime:
        # Python 3.11 reads at most microseconds; protobuf may send nanoseconds.
        return datetime.fromisoformat(_microseconds(str(item)))
    if hint is bool:
        return bool(item)
    if hint in (int, float, str):
        return hint(item)
    return decode(cast(type[Any], hint), item)


def _expect(kind: type[Any], item: Any) -> Any:
    if not isinstance(item, kind):
        raise ValueError(f"expected {kind.__name__}, got {type(item).__name__}")
    return item


def _microseconds(text: str) -> str:
    head, dot, tail = text.partition(".")
    if not dot:
        return text
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return f"{head}.{tail[:digits][:6]:0<6}{tail[digits:]}"
