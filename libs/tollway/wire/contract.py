"""The management API as its descriptors declare it: methods, permissions, HTTP rules, secret fields.

Read once, at import; a method without a permission or a path cannot be loaded. Nothing here calls anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from google.api import annotations_pb2
from google.protobuf import message_factory
from google.protobuf.message import Message

from tollway.wire.gen.tollway.control.v1 import (
    access_pb2,
    alerts_pb2,
    budgets_pb2,
    catalog_pb2,
    configuration_pb2,
    identity_pb2,
    ledger_pb2,
    options_pb2,
    prices_pb2,
    reports_pb2,
    requestlog_pb2,
    secrets_pb2,
    workflows_pb2,
)

Field: TypeAlias = Any
MessageType: TypeAlias = Any
"""Descriptors of fields and messages. The library has two implementations of them that share no static type."""
_FILES = (
    identity_pb2,
    catalog_pb2,
    budgets_pb2,
    configuration_pb2,
    reports_pb2,
    requestlog_pb2,
    alerts_pb2,
    prices_pb2,
    ledger_pb2,
    access_pb2,
    secrets_pb2,
    workflows_pb2,
)
_VERBS = ("get", "put", "post", "delete", "patch")
PUBLIC = "public"
"""The permission of a method that needs no token."""
UPDATE_MASK = "update_mask"
ETAG = "etag"


class ContractError(Exception):
    """The contract itself is incomplete; found at import, never at run time."""


@dataclass(frozen=True)
class HttpRule:
    """How a method is reached over REST; `body` is "*" or empty."""

    verb: str
    template: str
    body: str


@dataclass(frozen=True)
class MethodContract:
    """One method; `name` is its full name, "tollway.control.v1.ProjectService/CreateProject"."""

    name: str
    service: str
    request: type[Message]
    response: type[Message]
    permission: str
    scope_field: str
    read_only: bool
    http: HttpRule

    @property
    def fields(self) -> Mapping[str, Field]:
        """The request's fields by name."""
        fields: Mapping[str, Field] = self.request.DESCRIPTOR.fields_by_name
        return fields


def _http(method: Any) -> HttpRule:
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    if verb not in _VERBS:
        raise ContractError(f"{method.full_name} has no HTTP rule")
    if rule.body not in ("", "*"):
        raise ContractError(f"{method.full_name}: only the whole request can be the body")
    return HttpRule(verb.upper(), getattr(rule, verb), rule.body)


def read_method(method: Any) -> MethodContract:
    """What a method declares. Raises ContractError when it declares too little."""
    policy = method.GetOptions().Extensions[options_pb2.policy]
    if not policy.permission:
        raise ContractError(f"{method.full_name} has no permission")
    if policy.scope_field and policy.scope_field not in method.input_type.fields_by_name:
        raise ContractError(f"{method.full_name}: there is no scope field {policy.scope_field!r}")
    service = method.containing_service.full_name
    return MethodContract(
        name=f"{service}/{method.name}",
        service=service,
        request=message_factory.GetMessageClass(method.input_type),
        response=message_factory.GetMessageClass(method.output_type),
        permission=policy.permission,
        scope_field=policy.scope_field,
        read_only=policy.read_only,
        http=_http(method),
    )


def _methods() -> Iterator[MethodContract]:
    for file in _FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield read_method(method)


METHODS: Mapping[str, MethodContract] = {method.name: method for method in _methods()}
"""Every method of the management API by its full name, in the order of the contract."""


def message_types(roots: Iterator[MessageType]) -> dict[str, MessageType]:
    """These messages and all that they are made of, by full name; map entries left out."""
    found: dict[str, MessageType] = {}
    waiting = list(roots)
    while waiting:
        descriptor = waiting.pop()
        if descriptor.full_name in found:
            continue
        if not descriptor.GetOptions().map_entry:
            found[descriptor.full_name] = descriptor
        waiting += [field.message_type for field in descriptor.fields if field.message_type is not None]
    return found


def is_sensitive(field: Field) -> bool:
    """Whether the value of a field is a secret."""
    sensitive: bool = field.GetOptions().Extensions[options_pb2.sensitive]
    return sensitive


def _sensitive_names() -> frozenset[str]:
    roots = (c.DESCRIPTOR for method in METHODS.values() for c in (method.request, method.response))
    return frozenset(
        field.name for descriptor in message_types(roots).values() for field in descriptor.fields if is_sensitive(field)
    )


SENSITIVE_NAMES: frozenset[str] = _sensitive_names()
"""Names of all fields that carry secrets anywhere in the contract."""


def redact(value: Any, replacement: str = "********") -> Any:
    """JSON-ready `value` with whatever stands under a sensitive name replaced, at any depth."""
    if isinstance(value, Mapping):
        return {k: replacement if k in SENSITIVE_NAMES and v else redact(v, replacement) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item, replacement) for item in value]
    return value
