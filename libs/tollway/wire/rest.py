"""REST made from the contract: which method a path means, and its request message. Pure.

Templates are those of google.api.http as far as the contract uses them: literals, `{field}` for one segment,
`{field=**}` for the rest of the path, and a verb after a colon at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tollway.wire.codec import ContractViolation
from tollway.wire.contract import ETAG, UPDATE_MASK, Field, MethodContract
from tollway.wire.json_codec import FIELD_MASK, TIMESTAMP, fill, is_map, loads, scalar, set_message

_VARIABLE = re.compile(r"\{([a-z_]+)(=\*\*)?\}")
_MAX_QUERY_FIELDS = 100


class NoRoute(LookupError):
    """No method has this path."""


class VerbNotAllowed(LookupError):
    """The path exists, but not with this HTTP verb. `allowed` are those it has."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(", ".join(allowed))
        self.allowed = allowed


@dataclass(frozen=True)
class _Segment:
    """A literal, or the field that takes one segment (or, with `rest`, all that follow)."""

    literal: str = ""
    field: str = ""
    rest: bool = False


@dataclass(frozen=True)
class Template:
    """A parsed path template."""

    segments: tuple[_Segment, ...]
    verb: str

    @classmethod
    def parse(cls, text: str) -> Template:
        """The template of an HTTP rule. Raises ValueError when it uses more than this module knows."""
        body, _, verb = text.partition(":")
        segments = []
        for part in body.strip("/").split("/"):
            variable = _VARIABLE.fullmatch(part)
            if variable:
                segments.append(_Segment(field=variable[1], rest=variable[2] is not None))
            elif "{" in part or "*" in part:
                raise ValueError(f"unsupported path template {text!r}")
            else:
                segments.append(_Segment(literal=part))
        if any(segment.rest for segment in segments[:-1]) or (verb and segments[-1].rest):
            raise ValueError(f"unsupported path template {text!r}")
        return cls(tuple(segments), verb)

    @property
    def fields(self) -> tuple[str, ...]:
        """The request fields that the path gives."""
        return tuple(segment.field for segment in self.segments if segment.field)

    def match(self, path: str) -> dict[str, str] | None:
        """The values of the fields in an undecoded path, percent-decoded; None when the path is another one."""
        if self.verb:
            path, colon, verb = path.rpartition(":")
            if not colon or verb != self.verb:
                return None
        parts = path.removeprefix("/").split("/")
        if len(parts) < len(self.segments) or (len(parts) > len(self.segments) and not self.segments[-1].rest):
            return None
        values = {}
        for number, segment in enumerate(self.segments):
            found = "/".join(parts[number:]) if segment.rest else parts[number]
            if segment.field:
                if not found:
                    return None
                values[segment.field] = _decoded(found, segment.field)
            elif found != segment.literal:
                return None
        return values


def _decoded(text: str, where: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ContractViolation(f"{where} in the path is not UTF-8", where) from None


@dataclass(frozen=True)
class Route:
    """The method that a path and a verb mean, with the fields that the path gives."""

    method: MethodContract
    path_fields: Mapping[str, str]


class Router:
    """Finds methods by path. Templates with a verb go first: the others would take it for a part of a name."""

    def __init__(self, methods: Iterable[MethodContract]) -> None:
        known = [(Template.parse(method.http.template), method) for method in methods]
        self._known = sorted(known, key=lambda pair: (not pair[0].verb, any(s.rest for s in pair[0].segments)))

    def find(self, verb: str, path: str) -> Route:
        """The route of an undecoded path. Raises NoRoute, VerbNotAllowed or ContractViolation."""
        allowed = []
        for template, method in self._known:
            fields = template.match(path)
            if fields is None:
                continue
            if method.http.verb == verb:
                return Route(method, fields)
            allowed.append(method.http.verb)
        if allowed:
            raise VerbNotAllowed(tuple(sorted(set(allowed))))
        raise NoRoute(path)


def request_message(route: Route, query: str, body: bytes) -> Message:
    """The request of a call: fields from the path, then from the body or, for methods without one, from the query.

    Raises ContractViolation for everything that the contract does not know. The update mask of a PATCH that has none
    is made of the body's fields.
    """
    method = route.method
    message = method.request()
    data: dict[str, Any] = {}
    if method.http.body:
        if query:
            raise ContractViolation("this method takes its parameters in the body, not in the query")
        data = loads(body) if body.strip() else {}
        _agree_with_path(route.path_fields, data)
        fill(message, data)
        if method.http.verb == "PATCH" and UPDATE_MASK in method.fields and data.get(UPDATE_MASK) is None:
            getattr(message, UPDATE_MASK).paths.extend(sorted(data.keys() - {ETAG, UPDATE_MASK, *route.path_fields}))
    else:
        if body.strip():
            raise ContractViolation("this method takes no body")
        _fill_from_query(message, query, route.path_fields)
    for name, text in route.path_fields.items():
        setattr(message, name, scalar(method.fields[name], text, name))
    return message


def _agree_with_path(path_fields: Mapping[str, str], data: Mapping[str, Any]) -> None:
    for name, text in path_fields.items():
        if name in data and data[name] != text:
            raise ContractViolation(f"{name} in the body is not the one in the path", name)


def _fill_from_query(message: Any, query: str, path_fields: Mapping[str, str]) -> None:
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, errors="strict", max_num_fields=_MAX_QUERY_FIELDS, separator="&"
        )
    except ValueError:
        raise ContractViolation("the query cannot be read") from None
    seen = set()
    for name, text in pairs:
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is None or name in path_fields or not _in_query(field):
            raise ContractViolation(f"there is no query parameter {name}", name)
        if name in seen and not field.is_repeated:
            raise ContractViolation(f"{name} is given twice", name)
        seen.add(name)
        if field.message_type is not None:
            if text:
                set_message(getattr(message, name), text, name)
        elif field.is_repeated:
            getattr(message, name).append(_from_text(field, text))
        elif text or field.type == FieldDescriptor.TYPE_STRING:
            setattr(message, name, _from_text(field, text))


def _in_query(field: Field) -> bool:
    """Whether a field can be a query parameter: plain values, times and update masks."""
    if is_map(field):
        return False
    return field.message_type is None or field.message_type.full_name in (TIMESTAMP, FIELD_MASK)


def _from_text(field: Field, text: str) -> Any:
    if field.type == FieldDescriptor.TYPE_BOOL:
        if text not in ("true", "false"):
            raise ContractViolation(f"{field.name} must be true or false", field.name)
        return text == "true"
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        try:
            return scalar(field, float(text), field.name)
        except ValueError as error:
            raise ContractViolation(f"{field.name} must be a finite number", field.name) from error
    return scalar(field, text, field.name)
