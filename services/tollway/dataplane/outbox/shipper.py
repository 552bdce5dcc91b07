"""Ships finished rows to the control plane in acknowledged batches, and adopts the journals of dead processes.

At most one batch is under way. What is not acknowledged is sent again: the ledger ignores what it has.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tollway.core.ledger import RequestRow
from tollway.dataplane.outbox.journal import Journal, adopt
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
BATCH_ROWS = 500
LINGER_SECONDS = 0.1
ADOPT_SECONDS = 5.0
BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
REMIND_SECONDS = 30.0


class IngestClient(Protocol):
    """The ledger's front door; the real one is `tollway.wire.client.UsageIngestClient`."""

    async def ingest(self, replica: str, rows: Sequence[RequestRow]) -> object:
        """Returns when the rows are committed; raises ConnectionError or TimeoutError otherwise."""


class Shipper:
    """One for each process."""

    def __init__(self, replica: str, journal: Journal, root: Path, client: IngestClient, clock: Clock) -> None:
        self._replica = replica
        self._journal = journal
        self._root = root
        self._client = client
        self._clock = clock
        self._wanted = asyncio.Event()
        self._failing_since: float | None = None
        self._reminded = 0.0
        self._shipping = asyncio.Lock()
        journal.wake = self._wanted.set

    def start(self, tasks: Tasks) -> None:
        """Ships and adopts in the background."""
        tasks.keep(self._ship_forever, "outbox-ship")
        tasks.keep(self._adopt_forever, "outbox-adopt")

    async def _ship_forever(self) -> None:
        failures = 0
        while True:
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
            while True:
                rows, acknowledge = self._journal.unshipped(BATCH_ROWS)
                if rows and not await self._send(rows):
                    return False
                acknowledge()
                if len(rows) < BATCH_ROWS:
                    return True

    async def _send(self, rows: Sequence[RequestRow]) -> bool:
        try:
            await self._client.ingest(self._replica, rows)
        except (ConnectionError, TimeoutError) as error:
            now = self._clock.monotonic()
            if self._failing_since is None or now - self._reminded > REMIND_SECONDS:
                _log.warning(
                    "ledger rows wait in the journal", reason=str(error), backlog_bytes=self._journal.backlog_bytes
                )
                self._reminded = now
            self._failing_since = self._failing_since or now
            return False
        if self._failing_since is not None:
            _log.info("ledger rows are shipped again")
            self._failing_since = None
        return True

    async def _adopt_forever(self) -> None:
        while True:
            for orphan in adopt(self._root, self._clock.now_ms()):
                done = True
                for start in range(0, len(orphan.rows), BATCH_ROWS):
                    done = done and await self._send(orphan.rows[start : start + BATCH_ROWS])
                if done:
                    orphan.forget()
                else:
                    orphan.release()
            await asyncio.sleep(ADOPT_SECONDS)

    async def flush(self, deadline_seconds: float) -> bool:
        """Ships what is left; false when it could not be done in time (it stays in the journal)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_seconds):
                return await self._ship_all()
        return False
