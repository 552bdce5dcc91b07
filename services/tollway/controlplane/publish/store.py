"""Reads for config push: the position, what changed, pages of the directory; sealed, each from one snapshot.

Every function runs inside the caller's transaction or on an autocommit connection and never writes, but for `prune`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec

from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.publish.model import PART_ENTRIES, WINDOW_CHANGES, tombstone
from tollway.core.catalog import Catalog, DirectoryEntry, encode
from tollway.runtime import log
from tollway.runtime.seal import Sealer, catalog_place, entry_place
from tollway.wire.config_codec import CatalogSnapshot, KeyChange, Position

_log = log.get(__name__)
_sql = Statements(__package__ or "")
PRUNE_LOCK = 0x70757368_70727565
"""Advisory lock of the change log's pruning."""
BEFORE_ALL_KEYS = UUID(int=0)
AFTER_ALL_KEYS = UUID(int=(1 << 128) - 1)


class DirectorySource(Protocol):
    """Builds what is pushed from the tables of the features; each call sees the snapshot of `db`'s transaction."""

    async def catalog(self, db: Database) -> Catalog:
        """The whole catalog."""

    async def entries(self, db: Database, key_ids: Sequence[UUID]) -> Sequence[DirectoryEntry]:
        """The entries of these keys, in any order; keys that are gone are left out."""

    async def page(self, db: Database, after: UUID | None, limit: int) -> Sequence[DirectoryEntry]:
        """The next entries of the whole directory by key id, after `after`."""


class Installation(msgspec.Struct, frozen=True):
    """Where the configuration is, and since when the change log tells all."""

    epoch: str
    version: int
    pruned_version: int


class _Logged(msgspec.Struct):
    version: int
    kind: str
    key_id: UUID | None
    lookup: str | None


class _Changed(msgspec.Struct):
    id: UUID
    version: int


class _Removed(msgspec.Struct):
    lookup: str
    version: int


class _Locked(msgspec.Struct):
    locked: bool


class _Count(msgspec.Struct):
    rows: int


class LoggedChanges(NamedTuple):
    """What the change log says of a range of versions: whether the catalog changed, and the keys with their states."""

    catalog: bool
    keys: list[tuple[int, KeyChange]]
    unexplained: int


class Page(NamedTuple):
    """Some entries, with the version of each, as they were when the database was at `at`."""

    at: Installation
    changes: list[tuple[int, KeyChange]]
    following: tuple[int, UUID] | None
    """Where the next page begins; None when this was the last."""


class Store:
    """The reads, with what they need for building and sealing."""

    def __init__(self, source: DirectorySource, sealer: Sealer) -> None:
        self._source = source
        self._sealer = sealer

    async def position(self, db: Database) -> Installation:
        """Epoch and versions at this moment."""
        at = await _sql.one(db, "position", Installation)
        if at is None:
            raise LookupError("the database has no installation row: it was not migrated")
        return at

    async def catalog(self, db: Database, epoch: str) -> CatalogSnapshot:
        """The sealed catalog."""
        catalog = await self._source.catalog(db)
        sealed = self._sealer.seal(encode(catalog), catalog_place(epoch, catalog.version))
        return CatalogSnapshot(Position(epoch, catalog.version), sealed)

    async def logged(self, db: Database, at: Installation, since: int) -> LoggedChanges | None:
        """What changed after `since`; None when it is more than is kept in memory, or older than the change log."""
        if since < at.pruned_version:
            return None
        limit = WINDOW_CHANGES + 1
        rows = await _sql.all(db, "changes_since", _Logged, since=since, until=at.version, limit=limit)
        if len(rows) == limit:
            return None
        latest: dict[UUID, tuple[int, str | None]] = {}
        for row in rows:
            if row.key_id is not None:
                latest.pop(row.key_id, None)
                latest[row.key_id] = (row.version, row.lookup)
        states = await self._entries(db, at.epoch, list(latest))
        keys = []
        unexplained = 0
        for key_id, (version, lookup) in latest.items():
            if (state := states.get(key_id)) is not None:
                keys.append((version, state))
            elif lookup is not None:
                keys.append((version, tombstone(lookup, version)))
            else:
                unexplained += 1
                _log.error("a change names a key that is neither there nor marked as removed", key_id=str(key_id))
        return LoggedChanges(any(row.kind == "catalog" for row in rows), keys, unexplained)

    async def changed_page(self, db: Database, since: int, start: tuple[int, UUID]) -> Page:
        """The keys that changed after `start` (a version, and within it a key), oldest change first.

        The last page also tells which keys were removed after `since`.
        """
        at = await self.position(db)
        rows = await _sql.all(db, "keys_since", _Changed, version=start[0], key=start[1], limit=PART_ENTRIES)
        states = await self._entries(db, at.epoch, [row.id for row in rows])
        changes = [(row.version, states[row.id]) for row in rows if row.id in states]
        if len(rows) == PART_ENTRIES:
            return Page(at, changes, (rows[-1].version, rows[-1].id))
        removed = await _sql.all(db, "removed_since", _Removed, since=since)
        changes += [(gone.version, tombstone(gone.lookup, gone.version)) for gone in removed]
        return Page(at, changes, None)

    async def directory_page(self, db: Database, after: UUID | None) -> Page:
        """The next part of the whole directory."""
        at = await self.position(db)
        entries = await self._source.page(db, after, PART_ENTRIES)
        changes = [(entry.version, self._seal(at.epoch, entry)) for entry in entries]
        full = len(entries) == PART_ENTRIES
        return Page(at, changes, (0, UUID(entries[-1].key_id)) if full else None)

    async def _entries(self, db: Database, epoch: str, key_ids: Sequence[UUID]) -> dict[UUID, KeyChange]:
        states: dict[UUID, KeyChange] = {}
        for first in range(0, len(key_ids), PART_ENTRIES):
            for entry in await self._source.entries(db, key_ids[first : first + PART_ENTRIES]):
                states[UUID(entry.key_id)] = self._seal(epoch, entry)
        return states

    def _seal(self, epoch: str, entry: DirectoryEntry) -> KeyChange:
        sealed = self._sealer.seal(encode(entry), entry_place(epoch, entry.lookup, entry.version))
        return KeyChange(entry.lookup, entry.version, sealed)


async def one_snapshot(db: Database) -> None:
    """Makes every read of the transaction that has just begun see one state of the database."""
    await _sql.run(db, "one_snapshot")


async def prune(db: Database, *, hours: int, rows: int) -> int | None:
    """Removes changes older than `hours`, but never the newest `rows`. None when another process is at it.

    To be called inside a transaction. Returns how many rows were removed.
    """
    lock = await _sql.one(db, "try_prune_lock", _Locked, lock=PRUNE_LOCK)
    if lock is None or not lock.locked:
        return None
    removed = await _sql.one(db, "prune", _Count, hours=hours, rows=rows)
    return removed.rows if removed is not None else 0
