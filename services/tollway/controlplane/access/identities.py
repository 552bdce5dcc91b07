"""Identities whose tokens data planes take in place of a key: which entries of the directory change, and what they say.

An identity has an entry once the issuer's tokens are taken there. Entries stay: who is unbound, disabled or without a
role is refused by theirs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from tollway.controlplane.access.permissions import FULL, OWNED, Role
from tollway.controlplane.access.postgres import SQL, Subject
from tollway.controlplane.access.rows import BindingRow
from tollway.controlplane.call import Call
from tollway.controlplane.db.statements import Database
from tollway.core import ids
from tollway.core.catalog import DirectoryEntry, ProjectGrant

CALLING = frozenset(role for role in Role if "keys.create" in FULL[role] | OWNED[role])
"""The roles that let their holder call models: those with which one could make a key."""
GROUPS_BELIEVED = timedelta(hours=24)
"""How long the groups that an issuer named serve where the person is not at hand, after they were last seen."""
BUCKET = timedelta(hours=6)
"""How often that end moves on for who is seen all the time: each time is a change for every data plane."""
SWEEP = 1_000
"""How many identities without an entry get one at a time."""


class _Id(msgspec.Struct):
    id: UUID


class _EntryRow(msgspec.Struct, frozen=True):
    id: UUID
    issuer: str
    subject: str
    version: int
    user_id: UUID | None
    user_name: str
    disabled: bool
    not_before: datetime | None


class _GrantRow(msgspec.Struct, frozen=True):
    user_id: UUID
    unit_id: UUID | None
    project_id: UUID | None
    expires_at: datetime | None


async def of_users(db: Database, users: Collection[UUID]) -> set[UUID]:
    """The entries of these users, made where they are missing; none where the issuer's tokens are not taken.

    To be called before a user is unbound, and to be published in the same transaction.
    """
    return {row.id for row in await SQL.all(db, "identities_of_users", _Id, users=sorted(users))}


async def of_issuer(db: Database, issuer: str) -> set[UUID]:
    """The entries of everybody who is bound to an issuer, made where they are missing."""
    return {row.id for row in await SQL.all(db, "identities_of_issuer", _Id, issuer=issuer)}


async def missing(db: Database) -> set[UUID]:
    """Makes entries for users who have none although they should; at most `SWEEP` at a time."""
    return {row.id for row in await SQL.all(db, "missing_identities", _Id, limit=SWEEP)}


def believed_longer(seen: datetime | None, now: datetime) -> bool:
    """Whether the groups of who was seen, and now is, are believed until a later time than data planes know."""
    return seen is None or seen.timestamp() // BUCKET.total_seconds() < now.timestamp() // BUCKET.total_seconds()


async def user_changed(call: Call, user: UUID) -> None:
    """Says that what data planes know of a user changes; before it, where the user is unbound."""
    call.changed_keys |= await of_users(call.db, {user})


async def role_changed(call: Call, holder: Subject | BindingRow) -> None:
    """Says that a role of a user or of a group was given, ended or taken. Service accounts have no such tokens."""
    if isinstance(holder, BindingRow):
        holder = Subject(user=holder.user_id, group=holder.group_name, issuer=holder.group_issuer)
    if holder.user is not None:
        await user_changed(call, holder.user)
    elif holder.group is not None:
        members = await SQL.all(call.db, "members", _Id, group=holder.group, issuer=holder.issuer)
        call.changed_keys |= await of_users(call.db, {row.id for row in members})


async def entries(db: Database, identities: Sequence[UUID], index_pepper: bytes) -> list[DirectoryEntry]:
    """The entries of these identities; ids of others are left out."""
    return await _entries(db, await SQL.all(db, "identity_entries", _EntryRow, ids=list(identities)), index_pepper)


async def page(db: Database, after: UUID | None, limit: int, index_pepper: bytes) -> list[DirectoryEntry]:
    """The next entries by id."""
    rows = await SQL.all(db, "identity_page", _EntryRow, after=after, limit=limit)
    return await _entries(db, rows, index_pepper)


async def _entries(db: Database, rows: Sequence[_EntryRow], index_pepper: bytes) -> list[DirectoryEntry]:
    grants: dict[UUID, list[ProjectGrant]] = {row.user_id: [] for row in rows if row.user_id is not None}
    if grants:
        roles = [role.value for role in sorted(CALLING)]
        found_rows = await SQL.all(
            db, "identity_grants", _GrantRow, users=list(grants), roles=roles, believed=GROUPS_BELIEVED, bucket=BUCKET
        )
        for found in found_rows:
            grants[found.user_id].append(_grant(found))
    return [
        DirectoryEntry(
            lookup=ids.identity_lookup(index_pepper, row.issuer, row.subject),
            public_id="",
            key_id=str(row.id),
            name=row.user_name,
            project="",
            version=row.version,
            secrets=(),
            revoked=row.disabled or row.user_id is None,
            user=row.user_name,
            grants=() if row.user_id is None else tuple(grants[row.user_id]),
            not_before_ms=_milliseconds(row.not_before),
        )
        for row in rows
    ]


def _grant(row: _GrantRow) -> ProjectGrant:
    return ProjectGrant(
        project=str(row.project_id) if row.project_id is not None else "",
        business_unit=str(row.unit_id) if row.unit_id is not None else "",
        not_after_ms=_milliseconds(row.expires_at),
    )


def _milliseconds(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp() * 1000)
