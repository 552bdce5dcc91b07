"""Reads and writes the tables of alerts. It decides nothing, and sees ciphertext only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from tollway.controlplane.alerts.model import AlertRow, ChannelRow, Concern, DeliveryRow, Firing
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.resources import as_uuid, from_ms

_SQL = Statements(__package__ or "")
_EVALUATOR_LOCK = 0x616C6572_74730001
Lock = Literal["", "_for_update"]


class _Count(msgspec.Struct):
    rows: int


class _Locked(msgspec.Struct):
    locked: bool


class _Text(msgspec.Struct):
    text: str


class Lost(msgspec.Struct, frozen=True):
    """Bodies of the request log that were dropped by data planes, and refused here."""

    dropped: int | None
    refused: int | None


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is this process's to try, until `claimed_until`. `age` is in seconds.

    It goes to a channel or, by mail, to people.
    """

    id: UUID
    alert_id: UUID
    channel_id: UUID | None
    recipients: list[str] | None
    claimed_until: datetime
    tried: int
    age: float


async def channel(db: Database, reference: str, lock: Lock = "") -> ChannelRow | None:
    """The live channel with that id or name."""
    found = as_uuid(reference)
    return await _SQL.one(db, f"channel{lock}", ChannelRow, id=found, name=None if found else reference)


async def channel_by_id(db: Database, channel_id: UUID) -> ChannelRow:
    """The channel with that id, deleted or not; it must exist."""
    row = await _SQL.one(db, "channel_by_id", ChannelRow, id=channel_id)
    assert row is not None
    return row


Names = tuple[list[str], list[str]] | None
"""Names of the business units and projects that a caller reaches; None: all."""


def _within(names: Names) -> dict[str, Any]:
    return {"units": None, "projects": None} if names is None else {"units": names[0], "projects": names[1]}


async def channels(db: Database, after: str = "", limit: int | None = None, names: Names = None) -> list[ChannelRow]:
    """Live channels by name, after a name, of what a caller reaches."""
    return await _SQL.all(db, "channels", ChannelRow, after=after, limit=limit, **_within(names))


async def channel_count(db: Database) -> int:
    """How many live channels there are."""
    return await _count(db, "channel_count")


async def _count(db: Database, name: str, **params: Any) -> int:
    found = await _SQL.one(db, name, _Count, **params)
    return found.rows if found is not None else 0


async def insert_channel(db: Database, row: ChannelRow) -> bool:
    """A new channel; False when a live one has the name."""
    return await _SQL.run(db, "insert_channel", name=row.name, kind=row.kind.value, **_columns(row)) == 1


async def update_channel(db: Database, row: ChannelRow) -> None:
    """Writes what can change of a channel."""
    await _SQL.run(db, "update_channel", **_columns(row))


def _columns(row: ChannelRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "host": row.host,
        "sealed": row.sealed,
        "data_key": row.data_key,
        "fingerprint": row.fingerprint,
        "recipients": row.recipients,
        "scope": row.scope,
        "subject": row.subject,
        "alerts": row.alerts,
        "at": row.updated_at,
    }


async def archive_channel(db: Database, channel_id: UUID, at: datetime) -> None:
    """Marks a channel as deleted, forgets its URL and secret, and gives its pending deliveries up."""
    await _SQL.run(db, "archive_channel", id=channel_id, at=at)
    await _SQL.run(db, "abandon_deliveries", channel=channel_id)


async def concern(db: Database, scope: str, subject: str) -> Concern | None:
    """Whom an organisation, business unit, project or key (by id or name) belongs to; None when it is unknown."""
    if scope not in ("organisation", "business_unit", "project", "key"):
        return None
    return await _SQL.one(db, f"concern_of_{scope}", Concern, subject=subject, id=as_uuid(subject))


async def subjects(db: Database, scope: str, subject: str) -> list[str]:
    """How budgets may have a subject that is named so: by id, or as it is."""
    return [found.text for found in await _SQL.all(db, "subjects", _Text, scope=scope, subject=subject)]


async def fire(db: Database, firing: Firing, at: datetime) -> UUID | None:
    """Fires an alert and addresses its deliveries; None when its crossing has fired before, which counts it."""
    alert_id = uuid7()
    concerned = msgspec.structs.asdict(firing.concern)
    made = await _SQL.run(
        db,
        "fire",
        id=alert_id,
        crossing=firing.crossing,
        kind=firing.kind.value,
        severity=firing.severity.value,
        scope=firing.scope,
        subject=firing.subject,
        summary=firing.summary,
        details=Jsonb(firing.details),
        occurrences=firing.occurrences,
        at=at,
        forget=None if firing.forget_ms is None else from_ms(firing.forget_ms),
        **concerned,
    )
    if not made:
        return None
    await _SQL.run(db, "address", alert=alert_id)
    return alert_id


async def address_people(db: Database, alert_id: UUID, recipients: Sequence[str]) -> None:
    """Addresses an alert to people at their own addresses, in one mail; without a mail server it is dropped."""
    await _SQL.run(db, "address_people", alert=alert_id, recipients=list(recipients))


async def drop_delivery(db: Database, delivery_id: UUID) -> None:
    """Removes a delivery that nothing can send."""
    await _SQL.run(db, "drop_delivery", id=delivery_id)


async def count_again(db: Database, firing: Firing, at: datetime) -> None:
    """Counts further occurrences of a crossing that has fired."""
    await _SQL.run(db, "again", crossing=firing.crossing, occurrences=firing.occurrences, at=at)


async def known_crossings(db: Database, crossings: Sequence[str]) -> frozenset[str]:
    """Those of `crossings` that have fired."""
    return frozenset(found.text for found in await _SQL.all(db, "known_crossings", _Text, crossings=list(crossings)))


async def fired_since(db: Database, first_id: UUID, limit: int) -> int:
    """How many alerts fired from an id on, counted up to `limit`."""
    return await _count(db, "fired_since", first_id=first_id, limit=limit)


async def alert(db: Database, alert_id: UUID) -> AlertRow | None:
    """One alert."""
    return await _SQL.one(db, "alert", AlertRow, id=alert_id)


async def alerts(
    db: Database,
    before: UUID | None,
    kind: str,
    project: str,
    business_unit: str,
    *,
    only_open: bool,
    limit: int,
    names: Names = None,
) -> list[AlertRow]:
    """Alerts, newest first, before an id, of what a caller reaches."""
    return await _SQL.all(
        db,
        "alerts",
        AlertRow,
        before=before,
        kind=kind,
        project=project,
        business_unit=business_unit,
        open=only_open,
        limit=limit,
        **_within(names),
    )


async def acknowledge(db: Database, alert_id: UUID, at: datetime, by: str, note: str) -> None:
    """Notes who has seen an alert."""
    await _SQL.run(db, "acknowledge", id=alert_id, at=at, by=by, note=note)


async def deliveries(
    db: Database,
    before: tuple[datetime, UUID] | None,
    alert_id: UUID | None,
    channel_id: UUID | None,
    state: str,
    limit: int,
    names: Names = None,
) -> list[DeliveryRow]:
    """Deliveries, newest first, before a position, of what a caller reaches."""
    at, identity = before if before is not None else (None, None)
    return await _SQL.all(
        db,
        "deliveries",
        DeliveryRow,
        before_at=at,
        before_id=identity,
        alert=alert_id,
        channel=channel_id,
        state=state,
        limit=limit,
        **_within(names),
    )


async def claim(db: Database, limit: int, seconds: float) -> list[Claimed]:
    """Deliveries that are due, each for this process alone during `seconds`."""
    return await _SQL.all(db, "claim", Claimed, limit=limit, seconds=seconds)


async def finish(db: Database, claimed: Claimed, state: str, attempt: dict[str, Any], pause: float) -> bool:
    """Notes a try and what follows: delivered, failed, or pending for `pause` seconds. False: it is another's now."""
    touched = await _SQL.run(
        db,
        "finish",
        id=claimed.id,
        claimed_until=claimed.claimed_until,
        state=state,
        attempt=Jsonb([attempt]),
        pause=pause,
    )
    return touched == 1


async def pending(db: Database) -> int:
    """How many deliveries wait."""
    return await _count(db, "pending")


async def elect(db: Database) -> bool:
    """Whether this process is the evaluator until the end of the transaction."""
    found = await _SQL.one(db, "elect", _Locked, lock=_EVALUATOR_LOCK)
    return found is not None and found.locked


async def forget(db: Database, now: datetime) -> int:
    """Deletes alerts whose crossings cannot happen again, with their deliveries; at most 1,000 a call."""
    return await _SQL.run(db, "forget", now=now)


async def quarantined_since(db: Database, since: datetime) -> int:
    """Ledger rows that came into quarantine, counted up to 10,000."""
    return await _count(db, "quarantined_since", since=since)


async def unpartitioned(db: Database) -> int:
    """Ledger rows in the default partitions, counted up to 10,000."""
    return await _count(db, "unpartitioned")


async def bodies_lost(db: Database, since: datetime) -> Lost:
    """Bodies of the request log that were lost in the hours from `since` on."""
    found = await _SQL.one(db, "bodies_lost", Lost, since=since)
    return found or Lost(0, 0)
