"""The request log of one process: takes bodies in, looks after their retention, and counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from tollway.controlplane.db.pool import OUTAGE, Pool
from tollway.controlplane.requestlog.ingest import ingest
from tollway.controlplane.requestlog.partitions import Slot, keep
from tollway.controlplane.requestlog.place import Place
from tollway.controlplane.requestlog.store import ContentStore, RowStore, StoreRefused, StoreUnavailable
from tollway.controlplane.resources import from_ms
from tollway.core.requestlog import LoggedBody
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
LOOK_SECONDS = 3600.0
RETRY_SECONDS = 10.0
MAX_BATCHES = 4
"""Batches that are stored at a time: each holds memory and a connection, and the ledger needs connections too."""


async def open_contents(
    place: Place | None, *, endpoint: str = "", region: str = "", access_key: str = "", secret_key: str = ""
) -> ContentStore:
    """The store that the settings name, tried out: the rows themselves without a `place`.

    Raises StoreRefused when it answers and refuses. One that does not answer is for the retries of each call: the rest
    of the control plane must not wait for it.
    """
    if place is None:
        return RowStore()
    from tollway.controlplane.requestlog.s3 import S3Store

    store = S3Store(place, endpoint=endpoint, region=region, access_key=access_key, secret_key=secret_key)
    await store.open()
    try:
        await store.check()
    except StoreRefused:
        await store.close()
        raise
    except StoreUnavailable as error:
        _log.warning("the object store of bodies does not answer", reason=str(error))
    return store


@dataclass
class RequestLogCounters:
    """Totals since the process started, ready to be shown as metrics. Bytes are packed ones."""

    batches: int = 0
    bodies_received: int = 0
    bodies_stored: int = 0
    bodies_refused: int = 0
    bodies_expired: int = 0
    bodies_dropped_by_replicas: int = 0
    stored_bytes: int = 0
    failures: int = 0
    partitions_made: int = 0
    partitions_dropped: int = 0
    objects_deleted: int = 0
    retention_failures: int = 0


class RequestLog:
    """`start` it, send it bodies with `store`, `close` it. `contents` is where packed bodies are kept."""

    def __init__(self, pool: Pool, clock: Clock, contents: ContentStore | None = None) -> None:
        self._pool = pool
        self._clock = clock
        self.contents: ContentStore = contents or RowStore()
        self._tasks = Tasks()
        self._slots: frozenset[Slot] = frozenset()
        self._missing = asyncio.Event()
        self._gate = asyncio.Semaphore(MAX_BATCHES)
        self.counters = RequestLogCounters()

    def start(self) -> None:
        """Begins to look after the retention."""
        self._tasks.keep(self._keep_forever, "request-log-retention", restart_seconds=60.0)

    async def close(self) -> None:
        """Ends the background work and the connections of the store."""
        await self._tasks.close()
        await self.contents.close()

    async def store(self, replica: str, bodies: Sequence[LoggedBody], dropped: int) -> int:
        """Stores a batch, see `ingest.ingest`; returns how many bodies were new. The answer means committed."""
        self.counters.batches += 1
        self.counters.bodies_received += len(bodies)
        now = from_ms(self._clock.now_ms())
        try:
            async with self._gate:
                result = await ingest(self._pool, self.contents, replica, bodies, dropped, now)
        except BaseException:
            self.counters.failures += 1
            raise
        self.counters.bodies_stored += result.stored
        self.counters.bodies_refused += result.refused
        self.counters.bodies_expired += result.expired
        self.counters.bodies_dropped_by_replicas += max(dropped, 0)
        self.counters.stored_bytes += result.packed_bytes
        if not result.slots <= self._slots:
            self._missing.set()
        return result.stored

    async def look(self) -> bool:
        """One look after the retention: partitions and, in an object store, what lies outside of them.

        Returns whether objects may be left that are over: a sweep is bounded. Raises what the database or the store
        raises; everything done before stays done.
        """
        now = from_ms(self._clock.now_ms())
        async with self._pool.connection() as db:
            done = await keep(db, now)
        if done is None:
            return False
        self._slots = done.slots
        self.counters.partitions_made += done.made
        self.counters.partitions_dropped += done.dropped
        removed = await self.contents.sweep(now.date())
        self.counters.objects_deleted += removed
        return removed > 0

    async def _keep_forever(self) -> None:
        while True:
            pause = LOOK_SECONDS
            try:
                if await self.look():
                    pause = RETRY_SECONDS
            except (*OUTAGE, StoreUnavailable, psycopg.errors.LockNotAvailable) as error:
                pause = RETRY_SECONDS
                self.counters.retention_failures += 1
                _log.warning("the request log's retention could not be looked after", reason=type(error).__name__)
            # Bodies of a class that was not in use may ask for a look, but not one after the other.
            await asyncio.sleep(RETRY_SECONDS)
            self._missing.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._missing.wait()
            except TimeoutError:
                continue
