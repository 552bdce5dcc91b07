"""Reads and writes what the declarative sets leave in the tables: to which set a row belongs, and what it applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from tollway.controlplane.configuration.plan import Kind
from tollway.controlplane.db.statements import Database, Statements

_SQL = Statements(__package__ or "")
_APPLY_LOCK = 0x6170706C_79000001


class KeyState(msgspec.Struct, frozen=True, kw_only=True):
    """A live key of a live project, as far as configuration knows it."""

    id: UUID
    project: str
    name: str
    models: list[str]
    tags: dict[str, str]
    user_name: str
    created_at: datetime
    expires_at: datetime | None
    managed_by: str | None
    applied_digest: bytes | None


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """An object that was archived elsewhere."""

    id: UUID
    kind: Kind
    name: str


async def lock(db: Database) -> None:
    """Waits until nobody else applies configuration; held to the end of the transaction."""
    await _SQL.run(db, "lock_set", lock=_APPLY_LOCK)


async def keys(db: Database, managing_set: str, projects: Sequence[str]) -> list[KeyState]:
    """The live keys of the set and of these projects."""
    return await _SQL.all(db, "keys", KeyState, set=managing_set, projects=list(projects))


async def gone(db: Database, managing_set: str) -> list[Gone]:
    """What the set has, but was archived, removed or revoked elsewhere."""
    return await _SQL.all(db, "gone", Gone, set=managing_set)


async def stamp(db: Database, kind: Kind, managing_set: str, digests: Mapping[UUID, bytes]) -> None:
    """Puts rows into the set with what it applied; rows that say so already are not written."""
    ids = list(digests)
    await _SQL.run(db, f"stamp_{kind.value}", set=managing_set, ids=ids, digests=[digests[found] for found in ids])


async def free_policy(db: Database, kind: str, digest: bytes) -> None:
    """Says of the present policy of a kind that it is nobody's edit: `digest` is that of no field."""
    await _SQL.run(db, "free_policy", kind=kind, digest=digest)


async def release(db: Database, kind: Kind, ids: Sequence[UUID]) -> None:
    """Takes rows out of their set."""
    await _SQL.run(db, f"release_{kind.value}", ids=list(ids))
