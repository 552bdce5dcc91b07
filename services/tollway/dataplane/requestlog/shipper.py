"""Ships spooled bodies to the control plane in acknowledged batches, and takes over the spools of dead processes.

At most one batch is under way. What is not acknowledged is sent again: the control plane ignores what it has. Reading
the disk is done in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

from tollway.core.requestlog import LoggedBody
from tollway.dataplane.requestlog.counts import Counts
from tollway.dataplane.requestlog.spool import Spool
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
BATCH_BODIES = 200
BATCH_BYTES = 2 << 20
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

    async def store(self, replica: str, bodies: Sequence[LoggedBody], dropped: int) -> int:
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
        self._single = False
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
        batch = await asyncio.to_thread(self._spool.batch, BATCH_BYTES, 1 if self._single else BATCH_BODIES)
        self.oldest_ms = batch.bodies[0].started_ms if batch.bodies else None
        dropped = self._counts.dropped - self._told_dropped
        if batch.bodies or dropped:
            try:
                await self._client.store(self._replica, batch.bodies, dropped)
            except (ConnectionError, TimeoutError) as error:
                return await self._refused(str(error), len(batch.bodies), batch.acknowledge)
            self._told_dropped += dropped
            self._counts.shipped += len(batch.bodies)
            self._recovered()
        await asyncio.to_thread(batch.acknowledge)
        self._counts.dropped_here["unreadable"] += batch.unreadable
        return True

    async def _refused(self, reason: str, count: int, acknowledge: Callable[[], None]) -> bool:
        """Whether to go on at once."""
        self._remind(reason)
        if not count or not reason.startswith(REFUSALS):
            return False
        if not self._single:
            self._single = True  # to find the one that is not taken
            return True
        self._counts.dropped_here["refused"] += 1
        await asyncio.to_thread(acknowledge)
        return True

    def _remind(self, reason: str) -> None:
        self._failing = True
        now = self._clock.monotonic()
        if now - self._reminded >= REMIND_SECONDS:
            self._reminded = now
            _log.warning("bodies wait in the spool", reason=reason, backlog_bytes=self._spool.backlog_bytes)

    def _recovered(self) -> None:
        self._single = False
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
