"""Config push for tests: a directory over the table of keys, control planes on one database, a replica that follows.

The replica applies events as a data plane's directory does: older never replaces newer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from tollway.controlplane.db import versions
from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.publish.service import ConfigPublisher
from tollway.core.catalog import Catalog, DirectoryEntry, decode_catalog, decode_entry
from tollway.runtime.clock import SystemClock
from tollway.runtime.seal import Sealer, catalog_place, entry_place
from tollway.wire.config_codec import CatalogSnapshot, ConfigEvent, Heartbeat, KeyChanges, Position, Subscription

SEALER = Sealer([b"f" * 32])
Stream = AsyncGenerator[ConfigEvent, None]
PROJECT = UUID(int=3)


def key_id(number: int) -> UUID:
    """The id of the key `k<number>`; ids are in the order of the numbers."""
    return UUID(int=(7 << 76) + (2 << 62) + number)


class KeysTable:
    """A directory source over the table `keys` alone; counts what it is asked."""

    def __init__(self) -> None:
        self.catalogs = 0
        self.asked: list[int] = []

    async def catalog(self, db: Any) -> Catalog:
        """The empty catalog at its version."""
        self.catalogs += 1
        found = await self._rows(
            db,
            "SELECT epoch, coalesce((SELECT max(version) FROM change_log WHERE kind = 'catalog'), 0) FROM installation",
        )
        return Catalog(epoch=found[0][0], version=found[0][1])

    async def entries(self, db: Any, key_ids: Sequence[UUID]) -> Sequence[DirectoryEntry]:
        """The entries of these keys."""
        self.asked.append(len(key_ids))
        return await self._entries(db, "WHERE id = ANY(%s)", list(key_ids))

    async def page(self, db: Any, after: UUID | None, limit: int) -> Sequence[DirectoryEntry]:
        """The next entries by key id."""
        return await self._entries(db, "WHERE id > %s ORDER BY id LIMIT %s", after or UUID(int=0), limit)

    async def _entries(self, db: Any, where: str, *values: Any) -> list[DirectoryEntry]:
        rows = await self._rows(
            db, f"SELECT lookup, public_id, id, name, project_id, version, revoked_at FROM keys {where}", *values
        )
        return [
            DirectoryEntry(
                lookup=row[0], public_id=row[1], key_id=str(row[2]), name=row[3], project=str(row[4]), version=row[5],
                secrets=(), revoked=row[6] is not None,
            )
            for row in rows
        ]  # fmt: skip

    async def _rows(self, db: Any, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        cursor = await db.execute(statement.encode(), values)
        return list(await cursor.fetchall())


async def publish(db: Any, keys: Sequence[int] = (), *, catalog: bool = False, removed: Sequence[int] = ()) -> int:
    """The last step of a transaction; `removed` keys are deleted and leave their lookup in the change log."""
    version = await versions.publish(db, catalog=catalog, keys=[key_id(number) for number in keys])
    for number in removed:
        await db.execute("DELETE FROM keys WHERE id = %s", (key_id(number),))
        await db.execute(
            "INSERT INTO change_log (version, kind, key_id, lookup) VALUES (%s, 'key', %s, %s)",
            (version, key_id(number), f"k{number}"),
        )
    return version


async def rename(db: Any, number: int, name: str) -> None:
    """Changes a key; to be published in the same transaction."""
    await db.execute("UPDATE keys SET name = %s WHERE id = %s", (name, key_id(number)))


@dataclass
class Deployment:
    """A database, and control planes on it."""

    url: str
    source: KeysTable = field(default_factory=KeysTable)
    open: list[tuple[ConfigPublisher, Pool]] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection of its own, committed at the end."""
        async with await psycopg.AsyncConnection.connect(self.url) as db:
            yield db

    async def change(self, *keys: int, name: str = "", catalog: bool = False, removed: Sequence[int] = ()) -> int:
        """Renames keys and publishes them, in one transaction; returns the version."""
        async with self.transaction() as db:
            for number in keys:
                await rename(db, number, name or f"name-{number}")
            return await publish(db, keys, catalog=catalog, removed=removed)

    async def names(self) -> dict[str, str]:
        """What every replica should come to."""
        async with self.transaction() as db:
            return dict(await (await db.execute("SELECT lookup, name FROM keys")).fetchall())

    async def publisher(self) -> ConfigPublisher:
        """Another control plane on this database, started."""
        pool = create_pool(self.url, 4)
        await pool.open()
        publisher = ConfigPublisher(pool, self.url, self.source, SEALER, SystemClock())
        publisher.start()
        self.open.append((publisher, pool))
        return publisher

    async def close(self) -> None:
        """Ends its control planes."""
        for publisher, pool in self.open:
            await publisher.close()
            await pool.close()


async def fill(url: str, count: int) -> None:
    """A project with keys `k0`, `k1`, ...; version 1 names the catalog and the first 20."""
    async with await psycopg.AsyncConnection.connect(url) as db:
        await db.execute("DROP INDEX keys_name")  # names stand for states here: several keys may have the same
        await db.execute(
            "WITH o AS (INSERT INTO organisations (id, name) VALUES (%(p)s, 'o') RETURNING id), u AS"
            " (INSERT INTO business_units (id, organisation_id, name) SELECT %(p)s, id, 'u' FROM o RETURNING id)"
            " INSERT INTO projects (id, business_unit_id, name) SELECT %(p)s, id, 'p' FROM u",
            {"p": PROJECT},
        )
        rows = [(key_id(n), PROJECT, f"k{n}", f"k{n}", f"name-{n}") for n in range(count)]
        async with db.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO keys (id, project_id, lookup, public_id, name) VALUES (%s, %s, %s, %s, %s)", rows
            )
        await publish(db, range(min(count, 20)), catalog=True)


class Replica:
    """A data plane's end of a stream: applies events as its directory does, older never over newer."""

    def __init__(self, publisher: ConfigPublisher, name: str = "dp") -> None:
        self._publisher = publisher
        self._name = name
        self.catalog: Catalog | None = None
        self.directory: Position | None = None
        self.entries: dict[str, DirectoryEntry | int] = {}
        self.events: list[ConfigEvent] = []
        self._stream: Stream | None = None

    def connect(
        self, *, catalog: Position | None = None, directory: Position | None = None, snapshot: bool = False
    ) -> Replica:
        """Subscribes; nothing happens before the first event is asked for."""
        request = Subscription(
            replica=self._name, catalog=catalog, directory=directory, want_directory_snapshot=snapshot
        )
        self._stream = self._publisher.subscribe(request, "test")
        return self

    async def next(self) -> ConfigEvent:
        """The next event, applied."""
        assert self._stream is not None
        async with asyncio.timeout(8):
            event = await anext(self._stream)
        self.events.append(event)
        self._apply(event)
        return event

    async def until(self, done: Callable[[ConfigEvent], bool]) -> ConfigEvent:
        """The first event for which `done` holds; those before it are applied too."""
        while not done(event := await self.next()):
            continue
        return event

    async def heartbeat(self, version: int | None = None) -> Heartbeat:
        """Reads until a heartbeat (of a version)."""
        event = await self.until(
            lambda e: isinstance(e, Heartbeat) and (version is None or e.position.version == version)
        )
        assert isinstance(event, Heartbeat)
        return event

    def names(self) -> dict[str, str]:
        """The names of the keys that it has, by lookup."""
        return {lookup: entry.name for lookup, entry in self.entries.items() if isinstance(entry, DirectoryEntry)}

    def _apply(self, event: ConfigEvent) -> None:
        epoch, version = event.position.epoch, event.position.version
        if isinstance(event, CatalogSnapshot):
            self.catalog = decode_catalog(SEALER.open(event.sealed, catalog_place(epoch, version)))
        elif isinstance(event, KeyChanges):
            for change in event.changes:
                found = self.entries.get(change.lookup)
                had = found if isinstance(found, int) else found.version if found is not None else -1
                if change.version <= had:
                    continue
                if not change.sealed:
                    self.entries[change.lookup] = change.version
                    continue
                place = entry_place(epoch, change.lookup, change.version)
                entry = decode_entry(SEALER.open(change.sealed, place))
                assert entry.version == change.version
                self.entries[change.lookup] = entry
            if not event.snapshot or event.complete:
                self.directory = event.position

    async def close(self) -> None:
        """Leaves the stream."""
        assert self._stream is not None
        await self._stream.aclose()


def kinds(replica: Replica) -> list[str]:
    """What sorts of events came, in their order."""
    return [type(event).__name__ for event in replica.events]
