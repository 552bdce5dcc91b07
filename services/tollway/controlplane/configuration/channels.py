"""Alert channels of a document. URL and secret are compared by their fingerprint and never shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tollway.controlplane.alerts import channels, postgres
from tollway.controlplane.alerts.model import (
    AlertChannelSpec,
    CreateAlertChannelRequest,
    DeleteAlertChannelRequest,
    Target,
    UpdateAlertChannelRequest,
)
from tollway.controlplane.call import ApiCode, ApiError, Call
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

_DIFFERS = "differs"


def _target(spec: AlertChannelSpec) -> Target:
    return Target(url=spec.url.strip(), secret=spec.secret)


async def load(db: Database) -> dict[Ref, Present]:
    """The channels that there are."""
    found: dict[Ref, Present] = {}
    for row in await postgres.channels(db):
        ref = (Kind.ALERT_CHANNEL, row.name)
        fields = {
            "kind": row.kind.value,
            "recipients": row.recipients,
            "scope": row.scope,
            "subject": row.subject,
            "alerts": row.alerts,
            SECRET_FIELD: row.fingerprint.hex() if row.fingerprint is not None else "",
        }
        found[ref] = Present(*ref, row.id, fields, row.managed_by, read_applied(row.applied_digest))
    return found


def desired(document: Configuration, present: Mapping[Ref, Present], peppers: Peppers) -> Iterator[Desired]:
    """The channels of a document."""
    for index, spec in enumerate(document.alert_channels):
        known = present.get((Kind.ALERT_CHANNEL, spec.name))
        value = _DIFFERS
        if _target(spec) == Target():
            value = ""
        elif known is not None and not known.gone:
            value = channels.fingerprint(peppers, known.identity, _target(spec)).hex()
        fields = {
            "kind": spec.kind,
            "recipients": spec.recipients,
            "scope": spec.scope or channels.ALL,
            "subject": spec.subject,
            "alerts": sorted(set(spec.alerts)),
            SECRET_FIELD: value,
        }
        yield Desired(Kind.ALERT_CHANNEL, spec.name, fields, f"{ROOT}.alert_channels[{index}]")


class Channels:
    """Executes the steps of the channels of one document."""

    def __init__(self, call: Call, document: Configuration) -> None:
        self._call = call
        self._specs = {spec.name: spec for spec in document.alert_channels}

    async def create(self, step: Step) -> None:
        """Makes a channel."""
        spec = self._specs[step.name]
        request = CreateAlertChannelRequest(
            name=spec.name,
            kind=spec.kind,
            url=spec.url,
            secret=spec.secret,
            recipients=spec.recipients,
            scope=spec.scope,
            subject=spec.subject,
            alerts=spec.alerts,
        )
        await channels.create_channel(self._call, request)

    async def update(self, step: Step) -> None:
        """Writes the fields of a step. Raises ApiError when the kind is among them."""
        if "kind" in step.fields:
            message = f"the kind of the alert channel {step.name!r} cannot change; give the new one another name"
            raise ApiError(ApiCode.FAILED_PRECONDITION, message, field="kind")
        spec = self._specs[step.name]
        target = {"url", "secret"} if SECRET_FIELD in step.fields else set()
        self._call.update_mask = (step.fields - {SECRET_FIELD}) | target
        request = UpdateAlertChannelRequest(
            channel=spec.name,
            url=spec.url.strip(),
            secret=spec.secret,
            recipients=spec.recipients,
            scope=spec.scope,
            subject=spec.subject,
            alerts=spec.alerts,
        )
        await channels.update_channel(self._call, request)

    async def delete(self, step: Step) -> None:
        """Deletes a channel that the document does not name."""
        await channels.delete_channel(self._call, DeleteAlertChannelRequest(channel=step.name))
