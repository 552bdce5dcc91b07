"""Ships finished rows to the control plane in acknowledged batches, and adopts the journals of dead processes.

At most one batch is under way. What is not acknowledged is sent again: the ledger ignores what it has.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from tollway.core.ledger import RequestRow
from tollway.dataplane.aside import aside
from tollway.dataplane.outbox.journal import Journal
from tollway.dataplane.outbox.orphans import MAX_ROWS, Orphan, adopt
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks
from tollway.wire.usage_codec import encode_row

_log = log.get(__name__)
BATCH_ROWS = MAX_ROWS
LINGER_SECONDS = 0.1
ADOPT_SECONDS = 5.0
PROVIDE_SECONDS = 1.0
BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
REMIND_SECONDS = 30.0


class IngestClient(Protocol):
    """The ledger's front door; the real one is `tollway.wire.client.UsageIngestClient`."""

    async def ingest(self, replica: str, rows: Sequence[bytes]) -> object:
        """Returns when the encoded rows are committed; raises ConnectionError or TimeoutError otherwise."""


class Executor(Protocol):
    """Who closes the accounts of a dead process; the real one is `tollway.dataplane.admission`."""

    @property
    def epoch(self) -> str:
        """The life of the counters; empty: none is ready."""

    @property
    def settled(self) -> bool:
        """Whether `epoch` is known, or will not be for long: rows of the dead do not wait any more then."""

    async def close(self, orphan: Orphan) -> bool:
        """Books what it spent of budgets and limits; false when that cannot be done now."""


class CopyKeeper(Protocol):
    """Who keeps second copies of journals; the real one is `tollway.dataplane.outbox.copies`."""

    async def forget(self, holder: str) -> None:
        """Removes the copy of a journal whose rows were all acknowledged."""

    def vouch(self, holder: str) -> None:
        """Says that the journal of a dead process is here, but cannot be settled yet."""


class Shipper:
    """One for each process. While it is held, no row leaves: that is when counters are brought back."""

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
        self._free = asyncio.Event()
        self._free.set()
        self.executor: Executor | None = None
        """Set before `start`."""
        self.copies: CopyKeeper | None = None
        """Set before `start`."""
        journal.wake = self._wanted.set

    def start(self, tasks: Tasks) -> None:
        """Ships and adopts in the background."""
        tasks.keep(self._ship_forever, "outbox-ship")
        tasks.keep(self._adopt_forever, "outbox-adopt")
        tasks.keep(self._provide_forever, "outbox-space")

    async def hold(self) -> None:
        """Stops shipping; returns when no batch is under way."""
        self._free.clear()
        async with self._shipping:
            return

    def release(self) -> None:
        """Ships again."""
        self._free.set()

    def owed(self) -> dict[str, int]:
        """What the rows that were not acknowledged charge, by account."""
        return self._journal.owed()

    def acknowledged_since(self) -> dict[str, int]:
        """What rows charged that the ledger took since the pools were last told everything, by account."""
        return self._journal.acknowledged_since

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
        while True:
            async with self._turn():
                rows, acknowledge = self._journal.unshipped(BATCH_ROWS)
                if rows and not await self._send(rows):
                    return False
                acknowledge()
                if len(rows) < BATCH_ROWS:
                    return True

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """While rows may leave, and nobody else's do."""
        while True:
            await self._free.wait()
            async with self._shipping:
                if self._free.is_set():
                    yield
                    return

    async def _send(self, rows: Sequence[bytes]) -> bool:
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
            await self.adopt()
            await asyncio.sleep(ADOPT_SECONDS)

    async def _provide_forever(self) -> None:
        while True:
            self._journal.provide()
            await asyncio.sleep(PROVIDE_SECONDS)

    async def adopt(self) -> None:
        """Books what processes of this machine that are gone have left, one after the other, as far as that can be done
        now. Their journals are read aside, a part at a time, and rows of this process leave in between.
        """
        for orphan in adopt(self._root, self._clock.now_ms()):
            try:
                await self._adopt(orphan)
            except Exception:  # noqa: BLE001 - one that cannot be read must not keep the others waiting
                _log.exception("the journal of a dead process cannot be booked", journal=orphan.holder)
            finally:
                orphan.release()

    async def _adopt(self, orphan: Orphan) -> None:
        if not await self._settle(orphan):
            self._vouch(orphan)
            return
        _log.info("the journal of a dead process is booked", journal=orphan.holder, rows=orphan.estate.rows)
        if self.copies is not None:
            await self.copies.forget(orphan.holder)
        await aside(orphan.forget)

    def _vouch(self, orphan: Orphan) -> None:
        if self.copies is not None:
            self.copies.vouch(orphan.holder)

    async def _settle(self, orphan: Orphan) -> bool:
        executor = self.executor
        shipped = orphan.shipped_in is not None
        if executor is not None and not (executor.epoch if shipped else executor.settled):
            return False  # before it is read: nothing could be done with it
        parts = orphan.parts()
        while (rows := await aside(lambda: _next_rows(parts))) is not None:
            self._vouch(orphan)
            if shipped or not rows:
                continue
            async with self._turn():
                if not await self._send(rows):
                    return False
        async with self._turn():
            if not shipped:
                # The life that there is now: of one that began meanwhile the first rows may be counted twice, and none
                # is missing. Every later one finds all of them in the ledger.
                orphan.shipped("" if executor is None else executor.epoch)
            return executor is None or await executor.close(orphan)

    async def ship_for_another(self, rows: Sequence[RequestRow]) -> bool:
        """Ships rows of a journal that is lost; false when the control plane could not take them."""
        async with self._turn():
            for start in range(0, len(rows), BATCH_ROWS):
                if not await self._send([encode_row(row) for row in rows[start : start + BATCH_ROWS]]):
                    return False
            return True

    async def flush(self, deadline_seconds: float) -> bool:
        """Ships what is left; false when it could not be done in time (it stays in the journal)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_seconds):
                return await self._ship_all()
        return False


def _next_rows(parts: Iterator[list[RequestRow]]) -> list[bytes] | None:
    """The next rows of a journal as they are shipped; None at its end."""
    part = next(parts, None)
    return None if part is None else [encode_row(row) for row in part]
