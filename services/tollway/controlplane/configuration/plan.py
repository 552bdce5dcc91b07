"""What has to be done so that there is what a document says: a pure comparison of desired and present objects.

The comparison is three-way and by field. A set remembers a digest of each field that it applied; a field that differs
from the document and whose present value is not what the set applied was edited elsewhere, and that is a conflict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.configuration.model import Change

_DETAIL_LENGTH = 200
SECRET_FIELD = "value"  # noqa: S105 - the name of a field, whose content is a digest


class Kind(StrEnum):
    """The kinds of objects, in the order in which they are made."""

    BUSINESS_UNIT = "business_unit"
    PROVIDER = "provider"
    CREDENTIAL = "credential"
    MODEL = "model"
    PROJECT = "project"
    KEY = "key"
    BUDGET = "budget"
    LIMITS = "limits"
    ALERT_CHANNEL = "alert_channel"
    ISSUER = "issuer"
    ROLE = "role"
    POLICY = "policy"


class Action(StrEnum):
    """What a step does; a plan with a conflict is not executed."""

    CREATE = "create"
    UPDATE = "update"
    ARCHIVE = "archive"
    CONFLICT = "conflict"


Ref = tuple[Kind, str]


@dataclass(frozen=True)
class Desired:
    """An object of the document: its fields JSON-ready, secrets as digests. `path` is where the document has it."""

    kind: Kind
    name: str
    fields: Mapping[str, Any]
    path: str


@dataclass(frozen=True)
class Present:
    """An object of the database. `applied` are the digests that its set left; None when it belongs to no set.

    `gone`: it was archived or revoked elsewhere while the set still has it.
    """

    kind: Kind
    name: str
    identity: UUID
    fields: Mapping[str, Any]
    managed_by: str | None = None
    applied: Mapping[str, bytes] | None = None
    gone: bool = False


@dataclass(frozen=True)
class Step:
    """One change. `fields` names what an update writes; `path` is empty for what the document does not name."""

    action: Action
    kind: Kind
    name: str
    fields: frozenset[str] = frozenset()
    details: tuple[str, ...] = ()
    path: str = ""

    def shown(self) -> Change:
        """The message of the step."""
        return Change(action=self.action.value, kind=self.kind.value, name=self.name, details=list(self.details))


def field_digest(value: Any) -> bytes:
    """What a set remembers of a field that it applied."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).digest()[:8]


def applied_digest(fields: Mapping[str, Any]) -> bytes:
    """The digests of fields in the form in which a row keeps them."""
    return msgspec.msgpack.encode({name: field_digest(fields[name]) for name in sorted(fields)})


def read_applied(raw: bytes | None) -> dict[str, bytes] | None:
    """The digests that a row keeps."""
    return None if raw is None else msgspec.msgpack.decode(raw, type=dict[str, bytes])


def make_plan(
    desired: Iterable[Desired], present: Mapping[Ref, Present], managing_set: str, *, prune: bool, force: bool
) -> list[Step]:
    """The steps from present to desired, in the order of kinds. Nothing to do makes no step."""
    wanted = {(item.kind, item.name): item for item in desired}
    steps = [step for ref, item in wanted.items() if (step := _step(item, present.get(ref), managing_set, force))]
    if prune:
        surplus = [
            item
            for ref, item in present.items()
            if ref not in wanted and item.managed_by == managing_set and not item.gone
        ]
        dying = {item.name for item in surplus if item.kind is Kind.PROVIDER}
        steps += [
            _archive(item, force)
            for item in surplus
            # A provider takes its credentials with it.
            if not (item.kind is Kind.CREDENTIAL and item.name.partition("/")[0] in dying)
        ]
    order = list(Kind)
    return sorted(steps, key=lambda step: order.index(step.kind))


def _step(item: Desired, present: Present | None, managing_set: str, force: bool) -> Step | None:
    if present is None or (present.gone and force):
        lines = [
            f"{name}: {_text(name, value)}" for name, value in item.fields.items() if value not in (None, "", [], {})
        ]
        return Step(Action.CREATE, item.kind, item.name, details=tuple(lines), path=item.path)
    if present.gone:
        why = "was archived or revoked elsewhere; force makes it anew"
        return Step(Action.CONFLICT, item.kind, item.name, details=(why,), path=item.path)
    changed = [name for name, value in item.fields.items() if value != present.fields.get(name)]
    foreign = present.managed_by not in (None, managing_set)
    if not changed and not foreign:
        return None
    lines = [f"{name}: {_text(name, present.fields.get(name))} -> {_text(name, item.fields[name])}" for name in changed]
    if foreign:
        lines.insert(0, f"belongs to the set {present.managed_by!r}")
    edited = [name for name in changed if _edited(present, name)]
    if edited:
        lines.insert(0, f"edited elsewhere: {', '.join(edited)}")
    action = Action.CONFLICT if (foreign or edited) and not force else Action.UPDATE
    return Step(action, item.kind, item.name, frozenset(changed), tuple(lines), item.path)


def _edited(present: Present, name: str) -> bool:
    """Whether a field is not what the set applied last. A field that it never applied was not its own to guard."""
    if present.applied is None:
        return True
    before = present.applied.get(name)
    return before is not None and before != field_digest(present.fields.get(name))


def _archive(item: Present, force: bool) -> Step:
    edited = [name for name in item.fields if _edited(item, name)]
    if edited and not force:
        return Step(Action.CONFLICT, item.kind, item.name, details=(f"edited elsewhere: {', '.join(edited)}",))
    return Step(Action.ARCHIVE, item.kind, item.name, details=("is not in the document",))


def _text(name: str, value: Any) -> str:
    """A field's value for people; of a secret only whether there is one."""
    if name == SECRET_FIELD:
        return "(secret)" if value else "(none)"
    text = msgspec.json.encode(value, order="deterministic").decode()
    return text if len(text) <= _DETAIL_LENGTH else text[: _DETAIL_LENGTH - 1] + "…"
