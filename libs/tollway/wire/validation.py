"""The field rules of the contract (buf.validate options), checked on a message: one implementation, one function."""

from __future__ import annotations

from typing import Any

import protovalidate
from google.protobuf.message import Message

from tollway.wire.codec import ContractViolation
from tollway.wire.json_codec import unknown_field


def check(message: Message) -> None:
    """Raises ContractViolation with the path of the first field that breaks a rule, or that nobody knows.

    The message says which rule; it never repeats the value.
    """
    if (extra := unknown_field(message)) is not None:
        raise ContractViolation(f"there is no field {extra}", extra)
    violations = protovalidate.collect_violations(message, fail_fast=True)
    if not violations:
        return
    found = violations[0].proto
    path = _path(found.field)
    raise ContractViolation(f"{path} {found.message}".strip(), path or None)


def _path(field: Any) -> str:
    """`configuration.projects[3].tags['team']`."""
    text = ""
    for element in field.elements if field is not None else ():
        text += f".{element.field_name}" if text else element.field_name
        if element.subscript is not None:
            value = element.subscript.value
            text += f"[{value!r}]"
    return text
