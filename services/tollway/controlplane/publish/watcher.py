"""Watches the database for changes of the configuration and keeps the newest state in memory, sealed.

One connection of its own (LISTEN as a hint, a look every 500 ms whatever it says) reads each change once, however many
subscribe. It never sends anything: streams look at `state` and `window`, and wait on `changed`.
"""

from __future__ import annotations

import asyncio

import psycopg
from psycopg import AsyncConnection

from tollway.controlplane.db.statements import Database
from tollway.controlplane.publish.model import ChangeWindow, PublishCounters, State, reached
from tollway.controlplane.publish.store import Store, one_snapshot
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.wire.config_codec import Position

_log = log.get(__name__)
POLL_SECONDS = 0.5
FRESH_SECONDS = 2.0
READ_SECONDS = 10.0
RETRY_SECONDS = 0.5
OUTAGE = (psycopg.OperationalError, psycopg.InterfaceError, OSError, TimeoutError)
"""What is raised when the database does not answer, as opposed to when a statement is wrong."""


class Watcher:
    """`run` it for the life of the process."""

    def __init__(self, conninfo: str, store: Store, clock: Clock, counters: PublishCounters) -> None:
        self._conninfo = conninfo
        self._store = store
        self._clock = clock
        self._counters = counters
        self._fresh_at = -FRESH_SECONDS
        self._outage = False
        self.window = ChangeWindow()
        self.state: State | None = None
        self.changed = asyncio.Event()
        """Set, and replaced by a new one, at every change; take it before looking at `state`."""
        self.looks_begun = 0
        self.looks_done = 0
        """The number of the last look that succeeded; a look that begins after `looks_begun` was n is later than n."""

    @property
    def position(self) -> Position | None:
        """Up to where the configuration is known; None before the first look."""
        return self.state.position if self.state is not None else None

    @property
    def fresh(self) -> bool:
        """Whether a look within the last 2 s succeeded, so that `position` can be claimed to be all there is."""
        return self._clock.monotonic() - self._fresh_at <= FRESH_SECONDS

    async def run(self) -> None:
        """Looks until it is cancelled; an outage of the database is waited out."""
        while True:
            try:
                db = await AsyncConnection.connect(
                    self._conninfo, autocommit=True, connect_timeout=3, keepalives_idle=5, keepalives_interval=2
                )
                async with db:
                    await db.execute("LISTEN tollway_config")
                    while True:
                        await self._look(db)
                        async for _ in db.notifies(timeout=POLL_SECONDS, stop_after=1):
                            continue  # what it says does not matter, only that it came
            except OUTAGE as error:
                self.note_outage(error)
            await asyncio.sleep(RETRY_SECONDS)

    def announce(self) -> None:
        """Wakes every stream."""
        self.changed.set()
        self.changed = asyncio.Event()

    def note_outage(self, error: BaseException) -> None:
        """Counts a failure; the first of an outage is logged."""
        self._counters.read_failures += 1
        if not self._outage:
            self._outage = True
            _log.warning("the database does not answer; without it no heartbeats", reason=type(error).__name__)

    async def _look(self, db: Database) -> None:
        """Reads the position, and what changed when it is another one."""
        self.looks_begun += 1
        begun = self._clock.monotonic()
        async with asyncio.timeout(READ_SECONDS):
            at = await self._store.position(db)
            changed = self.position != Position(at.epoch, at.version)
            if changed:
                async with db.transaction():
                    await one_snapshot(db)
                    await self._take_changes(db)
        self._fresh_at = begun
        self.looks_done = self.looks_begun
        self._counters.reads += 1
        if changed:
            self.announce()
        if self._outage:
            self._outage = False
            _log.info("the database answers again")

    async def _take_changes(self, db: Database) -> None:
        at = await self._store.position(db)
        position = Position(at.epoch, at.version)
        state = self.state
        if state is not None and state.position.epoch == at.epoch and state.position.version > at.version:
            _log.error(
                "the configuration went back without a new epoch", known=state.position.version, found=at.version
            )
        logged = None
        if state is not None and reached(position, state.position):
            logged = await self._store.logged(db, at, state.position.version)
        if state is None or logged is None or logged.catalog:
            catalog = await self._store.catalog(db, at.epoch)
        else:
            catalog = state.catalog
        if logged is None:
            self.window.restart(at.version)
        else:
            self._counters.unexplained_keys += logged.unexplained
            for version, change in logged.keys:
                self.window.add(version, change)
        self.state = State(position, catalog)
