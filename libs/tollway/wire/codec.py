"""Messages of the contract to and from msgspec structs, by field name.

A struct mirrors a message: every field of the one is a field of the other (the update mask alone may be missing, as it
is handed over beside the struct). The match is made once for each pair, and a pair that does not match is a programming
error, raised as TypeError at first use. Values that no struct can hold are refused with the path of their field.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tollway.wire.contract import UPDATE_MASK, Field, MessageType

S = TypeVar("S")
M = TypeVar("M", bound=Message)
_TIMESTAMP = "google.protobuf.Timestamp"
_FIELD_MASK = "google.protobuf.FieldMask"


class ContractViolation(ValueError):
    """A request that the contract refuses. `field` is the path of the offending field, None for the request itself."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class _Path(ValueError):
    """On its way up, a violation gathers the steps of its path."""

    def __init__(self, message: str, *steps: str) -> None:
        super().__init__(message)
        self.message = message
        self.steps = steps

    def under(self, step: str) -> _Path:
        return _Path(self.message, step, *self.steps)


def decode(message: Message, struct: type[S]) -> S:
    """`message` as a `struct`. Unset fields with presence are None where the struct allows it, else its default.

    Raises ContractViolation for a value that cannot be represented (a time outside of the calendar, a NUL character).
    """
    kind: Any = struct
    try:
        decoded: S = _decoder(message.DESCRIPTOR, kind)(message)
    except _Path as problem:
        path = "".join(problem.steps).lstrip(".")
        raise ContractViolation(f"{path} {problem.message}", path) from None
    return decoded


def encode(value: Any, message_class: type[M]) -> M:
    """`value`, a struct, as a message. None is left unset."""
    message = message_class()
    _fill(message, value)
    return message


def mask_of(message: Message) -> frozenset[str]:
    """The paths of the request's update mask; empty when there is none."""
    if UPDATE_MASK not in message.DESCRIPTOR.fields_by_name:
        return frozenset()
    return frozenset(getattr(message, UPDATE_MASK).paths)


# -- decoding ---------------------------------------------------------------------------------------------------------


def _members(hint: Any) -> tuple[Any, bool]:
    """A type without its None, and whether it had one."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        if len(parts) != 1:
            raise TypeError(f"a union of several types cannot mirror a field: {hint}")
        return parts[0], True
    return hint, False


def _is_map(field: Field) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


@cache
def _decoder(descriptor: MessageType, struct: Any) -> Callable[[Message], Any]:
    fields = {info.encode_name: info for info in msgspec.structs.fields(struct)}
    unknown = fields.keys() - descriptor.fields_by_name.keys()
    missing = descriptor.fields_by_name.keys() - fields.keys() - {UPDATE_MASK}
    if unknown or missing:
        raise TypeError(f"{struct.__name__} does not mirror {descriptor.full_name}: {sorted(unknown | missing)}")
    readers = []
    for name, info in fields.items():
        field = descriptor.fields_by_name[name]
        fallback = _fallback(info) if field.has_presence else _never_absent
        readers.append((info.name, name, _reader(field, info.type), fallback))

    def read(message: Message) -> Any:
        values = {}
        for attribute, name, reader, fallback in readers:
            try:
                value = reader(message)
            except _Path as problem:
                raise problem.under(f".{name}") from None
            values[attribute] = fallback() if value is _ABSENT else value
        return struct(**values)

    return read


_ABSENT: Any = object()


def _never_absent() -> Any:
    raise AssertionError("a field without presence was absent")


def _fallback(info: msgspec.structs.FieldInfo) -> Callable[[], Any]:
    """What an absent field becomes: None where that is allowed, else the struct's default, else an empty value."""
    hint, optional = _members(info.type)
    if info.default_factory is not msgspec.NODEFAULT:
        factory: Callable[[], Any] = info.default_factory
        return factory
    if optional:
        return lambda: None
    if info.default is not msgspec.NODEFAULT:
        return lambda: info.default
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct | str | int | float | bytes):
        return hint
    raise TypeError(f"{info.name} can be absent in the message, so it must allow None or have a default")


def _reader(field: Field, hint: Any) -> Callable[[Any], Any]:
    """Reads one field of a message; _ABSENT when it has presence and is not set."""
    name = field.name
    inner, _ = _members(hint)
    if _is_map(field):
        entry = field.message_type.fields_by_name
        key, value = _element(entry["key"], str), _element(entry["value"], typing.get_args(inner)[1])
        return lambda m: {_at(f"[{k!r}]", key, k): _at(f"[{k!r}]", value, v) for k, v in getattr(m, name).items()}
    if field.is_repeated:
        convert, collect = _element(field, typing.get_args(inner)[0]), typing.get_origin(inner)
        return lambda m: collect(_at(f"[{n}]", convert, item) for n, item in enumerate(getattr(m, name)))
    convert = _element(field, inner)
    if field.has_presence:
        return lambda m: convert(getattr(m, name)) if m.HasField(name) else _ABSENT
    return lambda m: convert(getattr(m, name))


def _at(step: str, convert: Callable[[Any], Any], value: Any) -> Any:
    try:
        return convert(value)
    except _Path as problem:
        raise problem.under(step) from None


def _element(field: Field, hint: Any) -> Callable[[Any], Any]:
    """Converts one value of a field's type."""
    if field.message_type is not None:
        kind = field.message_type.full_name
        if kind == _TIMESTAMP:
            return _datetime
        if kind == _FIELD_MASK:
            return lambda mask: frozenset(mask.paths)
        return lambda message: _decoder(field.message_type, hint)(message)
    if field.enum_type is not None:
        return lambda number: _enum(field, hint, number)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text
    return lambda value: value


def _datetime(stamp: Any) -> datetime:
    try:
        at: datetime = stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise _Path("is not a time between the years 1 and 9999") from None
    return at


def _text(value: str) -> str:
    if "\0" in value:
        raise _Path("must not contain NUL characters")
    return value


def _enum(field: Field, hint: Any, number: int) -> Any:
    known = field.enum_type.values_by_number.get(number)
    if known is None:
        raise _Path(f"has no value {number}")
    return hint(known.name) if isinstance(hint, type) and issubclass(hint, Enum) else known.name


# -- encoding ---------------------------------------------------------------------------------------------------------


@cache
def _writers(descriptor: MessageType, struct: Any) -> list[tuple[str, Callable[[Any, Any], None]]]:
    writers = []
    for info in msgspec.structs.fields(struct):
        field = descriptor.fields_by_name.get(info.encode_name)
        if field is None:
            raise TypeError(f"{descriptor.full_name} has no field {info.encode_name!r} of {struct.__name__}")
        writers.append((info.name, _writer(field)))
    return writers


def _fill(message: Message, value: Any) -> None:
    kind: Any = type(value)
    for attribute, write in _writers(message.DESCRIPTOR, kind):
        item = getattr(value, attribute)
        if item is not None:
            write(message, item)


def _writer(field: Field) -> Callable[[Any, Any], None]:
    name = field.name
    if _is_map(field):
        return lambda m, item: getattr(m, name).update(item)
    if field.message_type is None:
        convert = _scalar(field)
        if field.is_repeated:
            return lambda m, items: getattr(m, name).extend(convert(item) for item in items)
        return lambda m, item: setattr(m, name, convert(item))
    put = _put(field)
    if field.is_repeated:
        return lambda m, items: _put_all(getattr(m, name), put, items)

    def write(message: Any, item: Any) -> None:
        inner = getattr(message, name)
        inner.SetInParent()
        put(inner, item)

    return write


def _put_all(container: Any, put: Callable[[Any, Any], None], items: Iterator[Any]) -> None:
    for item in items:
        put(container.add(), item)


def _put(field: Field) -> Callable[[Any, Any], None]:
    kind = field.message_type.full_name
    if kind == _TIMESTAMP:
        return lambda stamp, at: stamp.FromDatetime(at)
    if kind == _FIELD_MASK:
        return lambda mask, paths: mask.paths.extend(sorted(paths))
    return _fill


def _scalar(field: Field) -> Callable[[Any], Any]:
    if field.enum_type is None:
        return lambda value: value
    numbers = field.enum_type.values_by_name
    return lambda value: numbers[str(value)].number if isinstance(value, str) else int(value)
