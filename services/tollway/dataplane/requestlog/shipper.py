"""Ships spooled bodies to the control plane in acknowledged batches, and takes over the spools of dead processes.

At most one batch is under way. What is not acknowledged is sent again: the control plane ignores what it has. Reading
the disk is done in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Protocol

from tollway.dataplane.requestlog.counts import Counts
from tollway.dataplane.requestlog.spool import Batch, Spool
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks
from tollway.wire.bodies_codec import BatchPacker, Unreadable, unpack

_log = log.get(__name__)
BATCH_RECORDS = 200
BATCH_BYTES = 4 << 20
LINGER_SECONDS = 0.2
IDLE_SECONDS = 5.0
ADOPT_SECONDS = 5.0
BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
REMIND_SECONDS = 30.0
REFUSALS = ("INVALID_ARGUMENT", "OUT_OF_RANGE", "RESOURCE_EXHAUSTED")
"""How it is said that a batch will never be taken, the last one by the transport of what is too large for it: the body
that is meant is found, and given up."""


class BodyClient(Protocol):
    """The request log's front door; the real one is `tollway.wire.bodies_client.BodyIngestClient`."""

    async def store(self, replica: str, batches: Sequence[bytes], dropped: int) -> int:
        """Returns when the bodies are stored; raises ConnectionError or TimeoutError otherwise."""


class BodyShipper:
    """One for each process. `wake` says that there is something to ship."""

    def __init__(self, replica: str, spool: Spool, client: BodyClient, counts: Counts, clock: Clock) -> None:
        self._replica = replica
        self._spool = spool
        self._client = client
        self._counts = counts
        self._clock = clock
        self._told_dropped = 0
        self._wanted = asyncio.Event()
        self._shipping = asyncio.Lock()
        self._failing = False
        self._reminded = -REMIND_SECONDS
        self.oldest_ms: int | None = None
        """When the oldest body that is not acknowledged began, in Unix milliseconds."""

    def start(self, tasks: Tasks) -> None:
        """Ships and adopts in the background."""
        tasks.keep(self._ship_forever, "bodies-ship")
        tasks.keep(self._adopt_forever, "bodies-adopt")

    def wake(self) -> None:
        """There is something to ship. For the event loop's thread."""
        self._wanted.set()

    async def _ship_forever(self) -> None:
        failures = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_SECONDS):  # losses are told although nothing is written
                    await self._wanted.wait()
            await asyncio.sleep(
                LINGER_SECONDS if not failures else BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS)) - 1]
            )
            self._wanted.clear()
            if await self._ship_all():
                failures = 0
            else:
                failures += 1
                self._wanted.set()

    async def _ship_all(self) -> bool:
        """Ships until nothing is left; false when the control plane could not take a batch."""
        async with self._shipping:
            while await self._ship_one():
                if not self._spool.backlog_bytes:
                    self.oldest_ms = None
                    return True
            return False

    async def _ship_one(self) -> bool:
        batch = await asyncio.to_thread(self._spool.batch, BATCH_BYTES, BATCH_RECORDS)
        self.oldest_ms = batch.records[0].oldest_ms if batch.records else None
        dropped = self._counts.dropped - self._told_dropped
        if batch.records or dropped:
            try:
                await self._client.store(self._replica, [record.data for record in batch.records], dropped)
            except (ConnectionError, TimeoutError) as error:
                self._remind(str(error))
                if not batch.records or not str(error).startswith(REFUSALS) or not await self._one_by_one(batch):
                    return False
            else:
                self._told_dropped += dropped
                self._counts.shipped += sum(record.bodies for record in batch.records)
            self._recovered()
        await asyncio.to_thread(batch.acknowledge)
        self._counts.dropped_here["unreadable"] += batch.unreadable
        return True

    async def _one_by_one(self, batch: Batch) -> bool:
        """Ships each body of a batch that was refused by itself, and gives up those that are meant."""
        packer = BatchPacker()
        shipped = refused = unreadable = 0
        for record in batch.records:
            try:
                bodies = await asyncio.to_thread(unpack, record.data)
            except Unreadable:
                unreadable += record.bodies
                continue
            for body in bodies:
                try:
                    await self._client.store(self._replica, [packer.pack([body])], 0)
                except (ConnectionError, TimeoutError) as error:
                    if not str(error).startswith(REFUSALS):
                        return False  # all is tried again: what was stored is not stored twice
                    refused += 1
                else:
                    shipped += 1
        self._counts.shipped += shipped
        self._counts.dropped_here["refused"] += refused
        self._counts.dropped_here["unreadable"] += unreadable
        return True

    def _remind(self, reason: str) -> None:
        self._failing = True
        now = self._clock.monotonic()
        if now - self._reminded >= REMIND_SECONDS:
            self._reminded = now
            _log.warning("bodies wait in the spool", reason=reason, backlog_bytes=self._spool.backlog_bytes)

    def _recovered(self) -> None:
        if self._failing:
            self._failing = False
            _log.info("bodies are shipped again")

    async def _adopt_forever(self) -> None:
        while True:
            found = await asyncio.to_thread(self._spool.adopt)
            if found:
                _log.info("spools of dead processes taken over", count=found)
                self.wake()
            await asyncio.sleep(ADOPT_SECONDS)

    async def flush(self, deadline_seconds: float) -> bool:
        """Ships what is left; false when it could not be done in time (it stays in the spool)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_seconds):
                return await self._ship_all()
        return False
