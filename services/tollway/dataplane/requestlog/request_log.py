"""The request log of one process: what the pipeline calls, and the writer and shipper behind it.

What the pipeline calls is O(1), never waits and never fails: a body that finds no room is dropped and counted. Only
bodies are ever dropped here; the ledger knows nothing of this log.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

import uuid_utils
from aiohttp import web

from tollway.core.catalog import Bodies, Project
from tollway.dataplane.notices import Notices
from tollway.dataplane.requestlog.capture import Captured, LoggedStream, Memory
from tollway.dataplane.requestlog.counts import BodyMetrics, Counts, Levels
from tollway.dataplane.requestlog.shipper import BodyClient, BodyShipper
from tollway.dataplane.requestlog.spool import Spool
from tollway.dataplane.requestlog.writer import Writer
from tollway.dataplane.settings import Settings
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
FOLDER = "bodies"
SEGMENT_BYTES = 8 << 20
REMIND_SECONDS = 30.0
WRITE_SECONDS = 5.0


class RequestLog:
    """One for each process. Everything is of one event loop but the writer, which has a thread."""

    def __init__(self, settings: Settings, replica: str, client: BodyClient, clock: Clock, notices: Notices) -> None:
        """Raises OSError when the data directory cannot be used."""
        self._clock = clock
        self._notices = notices
        self.limit = settings.max_logged_body_bytes
        """How many bytes are kept of a body."""
        self._capacity = settings.bodies_spool_bytes
        self.memory = Memory(settings.bodies_memory_bytes)
        self.counts = Counts()
        self.spool = Spool(
            Path(settings.data_dir) / FOLDER,
            str(uuid_utils.uuid7()),
            segment_bytes=max(1, min(SEGMENT_BYTES, self._capacity // 4)),
            capacity=self._capacity,
        )
        self.shipper = BodyShipper(replica, self.spool, client, self.counts, clock)
        self._loop = asyncio.get_running_loop()
        self.writer = Writer(self.spool, self.memory, self.counts, self._written)
        self._reminded = -REMIND_SECONDS
        self._told_dropped = 0

    def start(self, tasks: Tasks) -> None:
        """Writes, ships and adopts in the background."""
        self.writer.start()
        self.shipper.start(tasks)

    def _written(self) -> None:
        """In the writer's thread. The loop may be closed when a process ends: then nobody ships any more."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.shipper.wake)

    # -- on the path of requests ------------------------------------------------------------------------------------

    def stream(self, project: Project, headers: Mapping[str, str]) -> web.StreamResponse:
        """The response for a streamed answer; it keeps what passes when the project wants bodies."""
        if project.logging.bodies is Bodies.NONE:
            return web.StreamResponse(headers=headers)
        return LoggedStream(headers, self.memory, self.limit)

    def offer(self, captured: Captured | None) -> None:
        """A request is over; None: there was no memory to keep it."""
        self.counts.captured += 1
        if captured is None:
            self.counts.dropped_here["memory"] += 1
        elif not self.writer.offer(captured):
            self.memory.give_back(captured.held)
            self.counts.dropped_here["queue"] += 1

    # -- in the background ------------------------------------------------------------------------------------------

    def levels(self) -> Levels:
        """How things stand."""
        oldest = self.shipper.oldest_ms
        age = 0.0 if oldest is None else (self._clock.now_ms() - oldest) / 1000
        return Levels(self.memory.held, self.spool.backlog_bytes, age)

    def tick(self, metrics: BodyMetrics) -> None:
        """Metrics, the spool's level as notice, and the log line about losses; called every second."""
        metrics.update(self.counts, self.levels())
        self._notices.pressure("bodies", self.spool.disk_bytes, self._capacity)
        dropped = self.counts.dropped  # the control plane hears of it from the shipper
        now = self._clock.monotonic()
        if dropped > self._told_dropped and now - self._reminded >= REMIND_SECONDS:
            reasons = {reason: count for reason, count in self.counts.by_reason().items() if count}
            _log.warning(
                "bodies were dropped from the request log",
                dropped=dropped - self._told_dropped,
                since_start=reasons,
                problem=self.writer.problem,
            )
            self._told_dropped, self._reminded = dropped, now

    async def close(self, deadline_seconds: float) -> None:
        """Writes what waits, ships what it can within the time, and leaves the rest to a successor.

        Call it before the tasks and the channel are closed, and `give_up` after.
        """
        if not await asyncio.to_thread(self.writer.stop, WRITE_SECONDS):
            _log.warning("bodies were not written in time", waiting_bytes=self.memory.held)
        if not await self.shipper.flush(deadline_seconds):
            _log.warning("bodies stay in the spool for a successor", backlog_bytes=self.spool.backlog_bytes)

    def give_up(self) -> None:
        """Ends the thread if it still runs, and releases the spool."""
        self.writer.stop(WRITE_SECONDS)
        self.spool.close()
