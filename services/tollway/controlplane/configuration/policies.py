"""Policies of a document: how requests of people are decided. Each change is a new version, as by hand.

Whatever kind the document does not name keeps its policy; one that the set had is set back to how it was before any.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.configuration import postgres as sets
from tollway.controlplane.configuration.document import ROOT
from tollway.controlplane.configuration.model import Configuration
from tollway.controlplane.configuration.plan import (
    Desired,
    Kind,
    Present,
    Ref,
    Step,
    applied_digest,
    read_applied,
)
from tollway.controlplane.db.statements import Database
from tollway.controlplane.workflows import policies, postgres
from tollway.controlplane.workflows.model import SetPolicyRequest
from tollway.controlplane.workflows.rows import PolicyDocument


def _fields(document: PolicyDocument) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(document)
    return plain


async def load(db: Database) -> dict[Ref, Present]:
    """The policies that were set."""
    found: dict[Ref, Present] = {}
    for row in await postgres.managed_policies(db):
        ref = (Kind.POLICY, row.kind.value)
        applied = read_applied(row.applied_digest)
        found[ref] = Present(*ref, row.id, _fields(row.document), row.managed_by, applied)
    return found


def desired(document: Configuration) -> Iterator[Desired]:
    """The policies of a document. Raises ApiError for what cannot be one."""
    seen: set[str] = set()
    for index, spec in enumerate(document.policies):
        path = f"{ROOT}.policies[{index}]"
        if spec.kind in seen:
            raise ApiError(ApiCode.INVALID, f"{path}.kind: {spec.kind!r} is there twice", field=f"{path}.kind")
        seen.add(spec.kind)
        try:
            fields = _fields(policies.document_of(spec.rules, spec.steps, spec.timing))
        except ApiError as error:
            where = f"{path}.{error.field}"
            raise ApiError(error.code, f"{path}: {error.message}", field=where) from None
        yield Desired(Kind.POLICY, spec.kind, fields, path)


class Policies:
    """Executes the steps of the policies of one document."""

    def __init__(self, call: Call, document: Configuration) -> None:
        self._call = call
        self._specs = {spec.kind: spec for spec in document.policies}

    async def set(self, step: Step) -> None:
        """Makes a new version of what the document says."""
        spec = self._specs[step.name]
        request = SetPolicyRequest(
            kind=spec.kind, rules=spec.rules, steps=spec.steps, timing=spec.timing, note=spec.note
        )
        await policies.set_policy(self._call, request)

    async def set_back(self, step: Step) -> None:
        """Makes a new version that says what holds while none was set; whoever describes the policy next may."""
        await policies.set_policy(self._call, SetPolicyRequest(kind=step.name, note="no longer in the configuration"))
        await sets.free_policy(self._call.db, step.name, applied_digest({}))
