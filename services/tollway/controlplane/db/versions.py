"""The version of the configuration: assigned in commit order, by one function (decision 13).

A version is the last thing that a transaction does: the lock is held until the commit, so whoever gets a higher version
commits later, and a reader that has seen a version has seen every one below it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

import msgspec

from tollway.controlplane.db.statements import Database, Statements
from tollway.runtime import log

_log = log.get(__name__)
_SQL = Statements(__package__ or "")
VERSION_LOCK = 0x746F6C6C_76657273
"""Advisory lock of whoever assigns a version."""


class Installation(msgspec.Struct, frozen=True):
    """Which history this database tells, and how far it is."""

    epoch: str
    version: int
    origin: str | None


class _Version(msgspec.Struct):
    version: int


class _Origin(msgspec.Struct):
    origin: str


class _Allowed(msgspec.Struct):
    allowed: bool


async def publish(db: Database, *, catalog: bool, keys: Collection[UUID]) -> int:
    """Assigns the next version to what this transaction changed and tells the publishers; returns it.

    `keys` are ids of entries of the directory: of keys, and of identities.
    To be called once, as the last step before the commit. Without changes there is no new version, and the present one
    is returned.
    """
    if not catalog and not keys:
        return (await installation(db)).version
    await _SQL.run(db, "version_lock", lock=VERSION_LOCK)
    assigned = await _SQL.one(db, "next_version", _Version)
    if assigned is None:
        raise LookupError("the database has no installation row: it was not prepared")
    version = assigned.version
    if catalog:
        await _SQL.run(db, "log_catalog_change", version=version)
    if keys:
        ids = sorted(keys)
        await _SQL.run(db, "set_key_versions", version=version, keys=ids)
        await _SQL.run(db, "set_identity_versions", version=version, keys=ids)
        await _SQL.run(db, "log_key_changes", version=version, keys=ids)
    await _SQL.run(db, "notify_config")
    return version


async def installation(db: Database) -> Installation:
    """The present epoch and version."""
    found = await _SQL.one(db, "installation", Installation)
    if found is None:
        raise LookupError("the database has no installation row: it was not prepared")
    return found


async def ensure_installation(db: Database, *prepare: Callable[[Database], Awaitable[object]]) -> str:
    """Makes the installation's row when it is missing, a new epoch when this is another database than the one that the
    row was made in (a restored copy), and runs `prepare` (default objects, peppers), whose steps return whether they
    changed what data planes must know. Returns the epoch.

    To be called inside a transaction, at every start; several processes may do so at once.
    """
    await _SQL.run(db, "version_lock", lock=VERSION_LOCK)
    origin = await _origin(db)
    found = await _SQL.one(db, "installation", Installation)
    fresh = found is None or (found.origin is not None and found.origin != origin)
    epoch = os.urandom(9).hex() if found is None or fresh else found.epoch
    if found is not None and fresh:
        _log.warning("this is a restored or promoted database: a new epoch begins", before=found.epoch, epoch=epoch)
    await _SQL.run(db, "set_installation", epoch=epoch, origin=origin)
    changed = [bool(await step(db)) for step in prepare]
    if fresh or any(changed):
        await publish(db, catalog=True, keys=())
    return epoch


async def _origin(db: Database) -> str:
    """Names this history of this database: cluster, timeline and database. A dump that is loaded elsewhere, a recovery
    to
    a point in time and a failover each change it. Where the server does not tell, only the database counts.
    """
    allowed = await _SQL.one(db, "may_read_control_data", _Allowed)
    name = "origin" if allowed is not None and allowed.allowed else "origin_of_database"
    row = await _SQL.one(db, name, _Origin)
    assert row is not None
    return row.origin
