"""The one place that assigns versions to changes, in commit order.

The version is taken as the last step of a transaction, under a lock that is held until its commit: whoever sees version
n has seen every version before it.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import msgspec

from tollway.controlplane.db.statements import Database, Statements

VERSION_LOCK = 0x746F6C6C_76657273
_sql = Statements(__package__ or "")


class _Version(msgspec.Struct):
    version: int


class Installation(msgspec.Struct, frozen=True):
    """Which history this database tells, and how far it is."""

    epoch: str
    version: int


async def publish(db: Database, *, catalog: bool, keys: Collection[UUID]) -> int:
    """Gives the changes of this transaction their version and tells the publishers. Must be its last step."""
    await _sql.run(db, "lock_version", lock=VERSION_LOCK)
    found = await _sql.one(db, "next_version", _Version)
    assert found is not None, "ensure_installation has run"
    version = found.version
    if catalog:
        await _sql.run(db, "log_catalog_change", version=version)
    if keys:
        ids = sorted(keys)
        await _sql.run(db, "stamp_keys", version=version, ids=ids)
        await _sql.run(db, "log_key_changes", version=version, ids=ids)
    await _sql.run(db, "notify", version=version)
    return version


async def installation(db: Database) -> Installation:
    """The present epoch and version."""
    found = await _sql.one(db, "installation", Installation)
    assert found is not None, "ensure_installation has run"
    return found
