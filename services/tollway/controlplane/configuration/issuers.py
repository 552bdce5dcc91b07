"""Issuers of a document: who may sign in. A client's secret is compared by its fingerprint and never shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tollway.controlplane.call import Call
from tollway.controlplane.configuration.document import ROOT
from tollway.controlplane.configuration.model import Configuration
from tollway.controlplane.configuration.plan import (
    SECRET_FIELD,
    Desired,
    Kind,
    Present,
    Ref,
    Step,
    read_applied,
)
from tollway.controlplane.credentials.vault import Peppers
from tollway.controlplane.db.statements import Database
from tollway.controlplane.signin import issuers, postgres

_DIFFERS = "differs"


async def load(db: Database) -> dict[Ref, Present]:
    """The issuers that there are."""
    found: dict[Ref, Present] = {}
    for row in await postgres.issuers(db):
        ref = (Kind.ISSUER, row.name)
        fields = {name: getattr(row, name) for name in issuers.SETTLED}
        fields |= {"issuer": row.issuer, SECRET_FIELD: row.fingerprint.hex() if row.fingerprint is not None else ""}
        found[ref] = Present(*ref, row.id, fields, row.managed_by, read_applied(row.applied_digest))
    return found


def desired(document: Configuration, present: Mapping[Ref, Present], peppers: Peppers) -> Iterator[Desired]:
    """The issuers of a document. Raises ApiError for what cannot be."""
    for index, spec in enumerate(document.identity.issuers):
        path = f"{ROOT}.identity.issuers[{index}]"
        known = present.get((Kind.ISSUER, spec.name))
        value = _DIFFERS if spec.client_secret else ""
        if spec.client_secret and known is not None and not known.gone:
            value = issuers.fingerprint(peppers, known.identity, spec.client_secret).hex()
        fields = issuers.settled(spec, f"{path}.") | {"issuer": spec.issuer, SECRET_FIELD: value}
        yield Desired(Kind.ISSUER, spec.name, fields, path)


class Issuers:
    """Executes the steps of the issuers of one document."""

    def __init__(self, call: Call, document: Configuration) -> None:
        self._call = call
        self._specs = {spec.name: spec for spec in document.identity.issuers}

    async def create(self, step: Step) -> None:
        """Makes an issuer."""
        await issuers.create(self._call, self._specs[step.name])

    async def update(self, step: Step) -> None:
        """Writes what differs. Raises ApiError when the URL is among it."""
        await issuers.update(self._call, self._specs[step.name], secret=SECRET_FIELD in step.fields)

    async def remove(self, step: Step) -> None:
        """Removes an issuer that the document does not name."""
        await issuers.remove(self._call, step.name)
