"""Reads and writes the tables of keys. It sees digests only, never a secret."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from tollway.controlplane.access.reach import places
from tollway.controlplane.call import Reach
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.keys.model import KeyRow, SecretRow
from tollway.controlplane.resources import as_uuid

_SQL = Statements(__package__)
_NUMBERS = 0x6B657901


class EntryRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the directory needs of a row of `keys`."""

    id: UUID
    project_id: UUID
    project: str
    lookup: str
    public_id: str
    name: str
    user_name: str
    rules_of: UUID
    models: list[str]
    tags: dict[str, str]
    version: int
    expires_at: datetime | None
    revoked_at: datetime | None


class Number(msgspec.Struct, frozen=True):
    """Keys that work, and those of them that belong to one user."""

    all: int
    of_user: int


class _Id(msgspec.Struct):
    id: UUID


async def key(db: Database, reference: str, lock: Literal["", "_for_update"] = "") -> KeyRow | None:
    """The key with that id or public id, revoked or not."""
    found = as_uuid(reference)
    return await _SQL.one(db, f"key{lock}", KeyRow, id=found, public_id=None if found else reference)


async def keys(
    db: Database,
    after: UUID | None = None,
    limit: int | None = None,
    project_id: UUID | None = None,
    include_revoked: bool = False,
    reach: Reach | None = None,
) -> list[KeyRow]:
    """Keys by id (which is by age), of one project or all, within a reach."""
    return await _SQL.all(
        db, "keys", KeyRow, after=after, limit=limit, project=project_id, revoked=include_revoked, **places(reach)
    )


async def insert(
    db: Database,
    key_id: UUID,
    project_id: UUID,
    name: str,
    *,
    lookup: str,
    public_id: str,
    imported: bool,
    models: list[str],
    tags: dict[str, str],
    expires_at: datetime | None,
    created_at: datetime,
    at: datetime,
    user: str,
) -> bool:
    """A new key without secrets; False when lookup, public id or name is taken."""
    touched = await _SQL.run(
        db,
        "insert",
        id=key_id,
        project=project_id,
        lookup=lookup,
        public_id=public_id,
        imported=imported,
        name=name,
        models=models,
        tags=Jsonb(tags),
        expires_at=expires_at,
        created_at=created_at,
        at=at,
        user=user,
    )
    return touched == 1


async def name_taken(db: Database, project_id: UUID, name: str) -> bool:
    """Whether a key of the project that is not revoked has the name."""
    return await _SQL.one(db, "name_taken", _Id, project=project_id, name=name) is not None


async def lock_number(db: Database, project_id: UUID) -> None:
    """Nobody else counts the keys of this project until the transaction ends."""
    await _SQL.run(db, "lock_number", space=_NUMBERS, project=str(project_id))


async def active(db: Database, project_id: UUID, user: str, now: datetime, brief: timedelta) -> Number:
    """How many keys of a project work, and how many of them belong to a user. Brief ones are left out."""
    found = await _SQL.one(db, "active", Number, project=project_id, user=user, now=now, brief=brief)
    return found or Number(0, 0)


async def lookup_taken(db: Database, lookup: str) -> bool:
    """Whether any key, revoked ones included, is found by that lookup."""
    return await _SQL.one(db, "lookup_taken", _Id, lookup=lookup) is not None


async def insert_secret(db: Database, key_id: UUID, digest: bytes, pepper: str, at: datetime) -> None:
    """A further accepted secret."""
    await _SQL.run(db, "insert_secret", key=key_id, digest=digest, pepper=pepper, at=at)


async def update(
    db: Database,
    key_id: UUID,
    models: list[str],
    tags: dict[str, str],
    expires_at: datetime | None,
    user: str,
    at: datetime,
) -> None:
    """Writes what can change of a key."""
    await _SQL.run(db, "update", id=key_id, models=models, tags=Jsonb(tags), expires_at=expires_at, user=user, at=at)


async def end_grace(db: Database, key_id: UUID, at: datetime) -> None:
    """Ends at `at` every secret of a key that has an end, and forgets it."""
    await _SQL.run(db, "end_grace", key=key_id, at=at)
    await _SQL.run(db, "drop_ended_secrets", key=key_id, at=at)
    await _SQL.run(db, "touch", id=key_id, at=at)


async def end_secrets(db: Database, key_id: UUID, not_after: datetime, at: datetime) -> None:
    """Ends every present secret of a key at `not_after` or earlier; forgets those that have ended by `at`."""
    await _SQL.run(db, "end_secrets", key=key_id, not_after=not_after)
    await _SQL.run(db, "drop_ended_secrets", key=key_id, at=at)
    await _SQL.run(db, "touch", id=key_id, at=at)


async def revoke(db: Database, key_id: UUID, at: datetime) -> None:
    """Marks a key as revoked."""
    await _SQL.run(db, "revoke", id=key_id, at=at)


async def retire(db: Database, key_id: UUID, name: str, not_after: datetime, at: datetime) -> None:
    """Renames a replaced key and lets it expire."""
    await _SQL.run(db, "retire", id=key_id, name=name, not_after=not_after, at=at)


async def release(db: Database, key_id: UUID) -> None:
    """Takes a key out of its declarative set."""
    await _SQL.run(db, "release", id=key_id)


async def inherit_management(db: Database, key_id: UUID, old: KeyRow) -> None:
    """Puts a successor into the declarative set of the key that it replaces."""
    await _SQL.run(db, "inherit_management", id=key_id, managed_by=old.managed_by, applied_digest=old.applied_digest)


async def succeed(db: Database, key_id: UUID, successor: UUID) -> None:
    """Makes the rules of a successor hold for the key that it replaces, and for those that this one replaced."""
    await _SQL.run(db, "succeed", id=key_id, successor=successor)


async def followers(db: Database, key_id: UUID) -> list[UUID]:
    """The keys that this one replaced: its rules hold for them too."""
    return [row.id for row in await _SQL.all(db, "followers", _Id, key=key_id)]


async def by_name(db: Database, project: str, name: str) -> KeyRow | None:
    """The key of a live project with that name, unless it is revoked."""
    found = await _SQL.one(db, "by_name", _Id, project=project, name=name)
    return None if found is None else await key(db, str(found.id))


async def secrets(db: Database, key_ids: Sequence[UUID]) -> list[SecretRow]:
    """The secrets of these keys, oldest first within a key."""
    return await _SQL.all(db, "secrets", SecretRow, keys=list(key_ids))


async def entry_keys(db: Database, key_ids: Sequence[UUID]) -> list[EntryRow]:
    """These keys, for the directory."""
    return await _SQL.all(db, "entry_keys", EntryRow, keys=list(key_ids))


async def entry_page(db: Database, after: UUID | None, limit: int) -> list[EntryRow]:
    """The next keys by id, for the directory."""
    return await _SQL.all(db, "entry_page", EntryRow, after=after, limit=limit)
