"""Reads for config push: the position, what changed, pages of the directory; sealed, each from one snapshot.

Every function runs inside the caller's transaction or on an autocommit connection and never writes, but for `prune`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from tollway.controlplane.publish.model import PART_ENTRIES, WINDOW_CHANGES, tombstone
from tollway.controlplane.publish.queries import SQL
from tollway.core.catalog import Catalog, DirectoryEntry, encode
from tollway.runtime import log
from tollway.runtime.seal import Sealer, catalog_place, entry_place
from tollway.wire.config_codec import CatalogSnapshot, KeyChange, Position

_log = log.get(__name__)
Database = AsyncConnection[Any]
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


class Installation(NamedTuple):
    """Where the configuration is, and since when the change log tells all."""

    epoch: str
    version: int
    pruned_version: int


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
        return Installation(*(await _rows(db, "position"))[0])

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
        rows = await _rows(db, "changes_since", since=since, until=at.version, limit=limit)
        if len(rows) == limit:
            return None
        latest: dict[UUID, tuple[int, str | None]] = {}
        for version, kind, key_id, lookup in rows:
            if kind == "key":
                latest.pop(key_id, None)
                latest[key_id] = (version, lookup)
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
        return LoggedChanges(any(row[1] == "catalog" for row in rows), keys, unexplained)

    async def changed_page(self, db: Database, since: int, start: tuple[int, UUID]) -> Page:
        """The keys that changed after `start` (a version, and within it a key), oldest change first.

        The last page also tells which keys were removed after `since`.
        """
        at = await self.position(db)
        rows = await _rows(db, "keys_since", version=start[0], key=start[1], limit=PART_ENTRIES)
        states = await self._entries(db, at.epoch, [key_id for key_id, _ in rows])
        changes = [(version, states[key_id]) for key_id, version in rows if key_id in states]
        if len(rows) == PART_ENTRIES:
            return Page(at, changes, (rows[-1][1], rows[-1][0]))
        removed = await _rows(db, "removed_since", since=since)
        changes += [(version, tombstone(lookup, version)) for lookup, version in removed]
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
    await db.execute(SQL["one_snapshot"])


async def prune(db: Database, *, hours: int, rows: int) -> int | None:
    """Removes changes older than `hours`, but never the newest `rows`. None when another process is at it.

    To be called inside a transaction. Returns how many rows were removed.
    """
    if not (await _rows(db, "try_prune_lock", lock=PRUNE_LOCK))[0][0]:
        return None
    return int((await _rows(db, "prune", hours=hours, rows=rows))[0][0])


async def _rows(db: Database, name: str, **arguments: Any) -> list[tuple[Any, ...]]:
    async with db.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(SQL[name], arguments)
        return await cursor.fetchall()
