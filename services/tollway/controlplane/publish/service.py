"""Pushes the configuration to the data planes: one publisher a process, one stream a subscriber.

A stream is pulled: it holds a position, not a queue, so a slow subscriber costs no memory and finds the latest state of
each key when it comes back. A heartbeat claims that nothing is missing; none is sent when the database was not read
for 2 s, and the streams stay open meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from tollway.controlplane.db.statements import Database
from tollway.controlplane.publish.model import PublishCounters, State, SubscriberStatus, batches, reached
from tollway.controlplane.publish.store import AFTER_ALL_KEYS, DirectorySource, Page, Store, one_snapshot, prune
from tollway.controlplane.publish.watcher import OUTAGE, POLL_SECONDS, READ_SECONDS, RETRY_SECONDS, Watcher
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.seal import Sealer
from tollway.runtime.tasks import Tasks
from tollway.wire.config_codec import ConfigEvent, Heartbeat, KeyChange, KeyChanges, Position, Subscription

_log = log.get(__name__)
T = TypeVar("T")
HEARTBEAT_SECONDS = 0.4
"""Below the promised 500 ms, so that a late timer still keeps it."""
POOL_SECONDS = 5.0
READERS = 2
"""How many subscribers read the database at the same moment; the others wait, as after a restart of everything."""
PRUNE_SECONDS = 3600.0
KEEP_HOURS = 24
KEEP_ROWS = 10_000


@dataclass
class _Stream:
    """What one subscriber has been sent."""

    replica: str
    peer: str
    connected_at_ms: int
    catalog: Position | None
    directory: Position | None
    wants_snapshot: bool
    next_heartbeat: float = 0.0


class ConfigPublisher:
    """`start` it, `subscribe` to it, `close` it."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Any],
        conninfo: str,
        source: DirectorySource,
        sealer: Sealer,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._conninfo = conninfo
        self._store = Store(source, sealer)
        self._clock = clock
        self._tasks = Tasks()
        self.counters = PublishCounters()
        self._watcher = Watcher(conninfo, self._store, clock, self.counters)
        self._closed = False
        self._readers = asyncio.Semaphore(READERS)
        self._streams: dict[int, _Stream] = {}
        self._numbers = itertools.count()

    def start(self) -> None:
        """Begins to watch the database and to prune its change log. The database need not be there yet."""
        self._tasks.keep(self._watcher.run, "config-watch")
        self._tasks.keep(self._prune, "config-prune", restart_seconds=60.0)

    async def close(self) -> None:
        """Ends every stream and the background work."""
        self._closed = True
        self._watcher.announce()
        await self._tasks.close()

    @property
    def position(self) -> Position | None:
        """Up to where this process knows the configuration; None before the first read."""
        return self._watcher.position

    @property
    def fresh(self) -> bool:
        """Whether the database was read within the last 2 s, so that `position` can be claimed to be all there is."""
        return self._watcher.fresh

    def problem(self) -> str | None:
        """Why this process cannot publish yet, for its readiness; None when it can."""
        return None if self._watcher.state is not None else "the configuration has not been read from the database yet"

    def subscribers(self) -> list[SubscriberStatus]:
        """The open streams, oldest first."""
        return [
            SubscriberStatus(
                replica=stream.replica,
                peer=stream.peer,
                behind=self._behind(stream),
                connected_at_ms=stream.connected_at_ms,
            )
            for stream in self._streams.values()
        ]

    async def subscribe(self, request: Subscription, peer: str) -> AsyncGenerator[ConfigEvent, None]:
        """The events of one subscriber, until it leaves or the publisher is closed.

        The catalog first when the subscriber's is behind, then the directory's changes from its position (or all of the
        directory, in parts), then whatever is committed; a heartbeat at least every 500 ms while all of it is known.
        """
        stream = _Stream(
            request.replica,
            peer,
            self._clock.now_ms(),
            request.catalog,
            request.directory,
            request.want_directory_snapshot,
        )
        number = next(self._numbers)
        self._streams[number] = stream
        try:
            async with contextlib.aclosing(self._events(stream)) as events:
                async for event in events:
                    yield event
        finally:
            del self._streams[number]

    # -- one stream ---------------------------------------------------------------------------------------------------

    async def _events(self, stream: _Stream) -> AsyncGenerator[ConfigEvent, None]:
        await self._confirm(stream)
        while not self._closed:
            changed = self._watcher.changed  # taken before looking, so that no change is missed between
            state = self._watcher.state
            if state is None:
                await self._pause(changed, POLL_SECONDS)
                continue
            if (catalog := self._newer_catalog(stream)) is not None:
                yield catalog
                continue
            if stream.directory != state.position:
                async with contextlib.aclosing(self._advance(stream, state)) as events:
                    async for event in events:
                        yield event
                continue
            now = self._clock.monotonic()
            if now >= stream.next_heartbeat:
                stream.next_heartbeat = now + HEARTBEAT_SECONDS
                if self.fresh:
                    self.counters.heartbeats_sent += 1
                    yield Heartbeat(state.position)
                    continue
            await self._pause(changed, stream.next_heartbeat - now)

    async def _confirm(self, stream: _Stream) -> None:
        """Holds a subscriber that knows more than this process until the next read has told who is right.

        It may come from another control plane that has read a later change already, or from another epoch.
        """
        begun = self._watcher.looks_begun
        while not self._closed and self._watcher.looks_done <= begun:
            known = (stream.catalog, stream.directory)
            state = self._watcher.state
            if state is not None and all(p is None or reached(state.position, p) for p in known):
                return
            await self._pause(self._watcher.changed, POLL_SECONDS / 5)

    def _newer_catalog(self, stream: _Stream) -> ConfigEvent | None:
        """The catalog, when the subscriber has another one; counts as sent."""
        state = self._watcher.state
        if state is None or stream.catalog == state.catalog.position:
            return None
        stream.catalog = state.catalog.position
        self.counters.catalogs_sent += 1
        return state.catalog

    def _advance(self, stream: _Stream, state: State) -> AsyncGenerator[ConfigEvent, None]:
        """The events that bring the directory of a subscriber to the present."""
        directory = stream.directory
        if directory is None or not reached(state.position, directory):
            return self._whole(stream, state) if stream.wants_snapshot else self._from_now(stream, state)
        changes = self._watcher.window.since(directory.version)
        if changes is None:
            return self._from_database(stream, state, directory)
        return self._from_memory(stream, state, directory, changes)

    async def _from_now(self, stream: _Stream, state: State) -> AsyncGenerator[ConfigEvent, None]:
        stream.directory = state.position
        yield KeyChanges(state.position, ())

    async def _from_memory(
        self, stream: _Stream, state: State, directory: Position, changes: list[tuple[int, KeyChange]]
    ) -> AsyncGenerator[ConfigEvent, None]:
        for version, part in batches(changes, directory.version, state.position.version):
            stream.directory = Position(state.position.epoch, version)
            self.counters.changes_sent += len(part)
            yield KeyChanges(stream.directory, part)

    async def _from_database(
        self, stream: _Stream, state: State, directory: Position
    ) -> AsyncGenerator[ConfigEvent, None]:
        """Changes that are no longer in memory: each key that changed since, at its present version.

        Who is behind the change log can have missed removals, and gets the whole directory if it wants it.
        """
        self.counters.resumes_from_database += 1
        start = (directory.version, AFTER_ALL_KEYS)
        while True:
            page = await self._read(partial(self._store.changed_page, since=directory.version, start=start))
            if page is None:
                return
            if page.at.pruned_version > directory.version and stream.wants_snapshot:
                async with contextlib.aclosing(self._whole(stream, state)) as events:
                    async for event in events:
                        yield event
                return
            if not await self._reach(page, state.position.epoch):
                return
            if (catalog := self._newer_catalog(stream)) is not None:
                yield catalog
            end = page.at.version if page.following is None else max(directory.version, page.following[0] - 1)
            stream.directory = Position(page.at.epoch, end)
            part = tuple(change for _, change in page.changes)
            self.counters.changes_sent += len(part)
            yield KeyChanges(stream.directory, part)
            if page.following is None:
                return
            start = page.following

    async def _whole(self, stream: _Stream, state: State) -> AsyncGenerator[ConfigEvent, None]:
        """The whole directory in parts, as of the position at its beginning.

        Each part is read at its own, later moment, one ahead at most, so that a slow subscriber never holds a
        transaction open: what changed meanwhile is in a part at its newer version, or missing from it, and in either
        case is sent again by the changes from the beginning's position on.
        """
        self.counters.snapshots_sent += 1
        stream.directory = None
        reading = self._reading(None)
        try:
            while True:
                page = await reading
                if page is None or not await self._reach(page, state.position.epoch):
                    return
                if page.following is not None:  # the next part is read while this one travels
                    reading = self._reading(page.following[1])
                if (catalog := self._newer_catalog(stream)) is not None:
                    yield catalog
                complete = page.following is None
                if complete:
                    stream.directory = state.position
                part = tuple(change for _, change in page.changes)
                self.counters.changes_sent += len(part)
                yield KeyChanges(state.position, part, snapshot=True, complete=complete)
                if complete:
                    return
        finally:
            reading.cancel()

    def _reading(self, after: UUID | None) -> asyncio.Task[Page | None]:
        return self._tasks.spawn(self._read(partial(self._store.directory_page, after=after)), "directory-part")

    async def _reach(self, page: Page, epoch: str) -> bool:
        """Waits until the catalog in memory is not older than a page, which may name what only a newer one explains.

        False when the page belongs to another epoch than `epoch`, or the publisher is closed: begin anew.
        """
        while not self._closed and page.at.epoch == epoch:
            changed = self._watcher.changed
            position = self.position
            if position is None or position.epoch != epoch:
                return False
            if position.version >= page.at.version:
                return True
            await self._pause(changed, POLL_SECONDS)
        return False

    async def _read(self, work: Callable[[Database], Awaitable[T]]) -> T | None:
        """Runs reads of a subscriber in one snapshot. None, after a pause, when the database does not answer."""
        try:
            async with (
                self._readers,
                asyncio.timeout(READ_SECONDS),
                self._pool.connection(POOL_SECONDS) as db,
                db.transaction(),
            ):
                await one_snapshot(db)
                return await work(db)
        except OUTAGE as error:
            self._watcher.note_outage(error)
        await asyncio.sleep(RETRY_SECONDS)
        return None

    async def _pause(self, changed: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):  # nothing changed: the caller looks again
            async with asyncio.timeout(max(seconds, 0.0)):
                await changed.wait()

    def _behind(self, stream: _Stream) -> int:
        position = self.position
        if position is None:
            return 0
        sent = stream.directory
        return (
            position.version - sent.version if sent is not None and sent.epoch == position.epoch else position.version
        )

    async def _prune(self) -> None:
        while True:
            try:
                async with self._pool.connection(POOL_SECONDS) as db, db.transaction():
                    removed = await prune(db, hours=KEEP_HOURS, rows=KEEP_ROWS)
                if removed:
                    _log.info("change log pruned", rows=removed)
            except OUTAGE as error:
                self._watcher.note_outage(error)
            await asyncio.sleep(PRUNE_SECONDS)
