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
from tollway.core.bearer import session_digest
from tollway.core.catalog import DirectoryEntry, ProjectGrant

CALLING = frozenset(role for role in Role if "keys.create" in FULL[role] | OWNED[role])
"""The roles that let their holder call models: those with which one could make a key."""
GROUPS_BELIEVED = timedelta(hours=24)
"""How long the groups that an issuer named serve where the person is not at hand, after they were last seen."""
BUCKET = timedelta(hours=6)
"""How often that end moves on for who is seen all the time: each time is a change for every data plane."""
SWEEP = 1_000
"""How many identities without an entry get one at a time."""
MAX_ENDED = 32
"""So many sessions of one identity that were signed out are pushed; when there are more, all of its older tokens are
void."""


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
    group_name: str


class _LogoutRow(msgspec.Struct, frozen=True):
    id: UUID
    provider_sid: str
    issued_until: datetime


class _Void(msgspec.Struct, frozen=True):
    """Which tokens of an identity are void: all before a time, those without a session before another, of sessions."""

    before: int | None = None
    sessionless_before: int | None = None
    ended: tuple[str, ...] = ()


async def of_users(db: Database, users: Collection[UUID]) -> set[UUID]:
    """The entries of these users, made where they are missing; none where the issuer's tokens are not taken.

    To be called before a user is unbound, and to be published in the same transaction.
    """
    return {row.id for row in await SQL.all(db, "identities_of_users", _Id, users=sorted(users))}


async def of_issuer(db: Database, issuer: str) -> set[UUID]:
    """The entries of everybody who is bound to an issuer, made where they are missing."""
    return {row.id for row in await SQL.all(db, "identities_of_issuer", _Id, issuer=issuer)}


async def of_subjects(db: Database, issuer: str, subjects: Collection[str]) -> set[UUID]:
    """The entries of these subjects of an issuer as far as they are bound, made where they are missing."""
    found = await SQL.all(db, "users_of_subjects", _Id, issuer=issuer, subjects=sorted(subjects))
    return await of_users(db, {row.id for row in found}) if found else set()


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
    void = await _signed_out(db, rows)
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
            not_before_ms=max(
                (at for at in (_milliseconds(row.not_before), void[row.id].before) if at is not None), default=None
            ),
            sessionless_not_before_ms=void[row.id].sessionless_before,
            ended=void[row.id].ended,
        )
        for row in rows
    ]


async def _signed_out(db: Database, rows: Sequence[_EntryRow]) -> dict[UUID, _Void]:
    """What logouts make void, by identity."""
    found: dict[UUID, list[_LogoutRow]] = {row.id: [] for row in rows}
    if found:
        # One more than is pushed tells that there are more.
        for row in await SQL.all(db, "identity_logouts", _LogoutRow, ids=list(found), limit=MAX_ENDED + 1):
            found[row.id].append(row)
    return {identity: _void(logouts) for identity, logouts in found.items()}


def _void(logouts: Sequence[_LogoutRow]) -> _Void:
    """Of logouts, the newest first."""
    sessions = [row for row in logouts if row.provider_sid]
    whole = [row for row in logouts if not row.provider_sid] + sessions[MAX_ENDED:]
    return _Void(
        before=_after(whole),
        sessionless_before=_after(sessions),
        ended=tuple(session_digest(row.provider_sid) for row in sessions[:MAX_ENDED]),
    )


def _after(logouts: Sequence[_LogoutRow]) -> int | None:
    """The first millisecond after the newest of them: tokens of its own moment are void too."""
    return max((int(row.issued_until.timestamp() * 1000) + 1 for row in logouts), default=None)


def _grant(row: _GrantRow) -> ProjectGrant:
    return ProjectGrant(
        project=str(row.project_id) if row.project_id is not None else "",
        business_unit=str(row.unit_id) if row.unit_id is not None else "",
        not_after_ms=_milliseconds(row.expires_at),
        group=row.group_name,
    )


def _milliseconds(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp() * 1000)
