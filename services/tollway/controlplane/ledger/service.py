"""The ledger's background work, and its counters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from psycopg_pool import AsyncConnectionPool

from tollway.controlplane.db.statements import Statements
from tollway.controlplane.ledger.ingest import ingest
from tollway.controlplane.ledger.partitions import Width, keep_partitions
from tollway.core.ledger import RequestRow
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks
from tollway.wire.usage_codec import IngestResult

_sql = Statements(__package__ or "")


class _Count(msgspec.Struct):
    rows: int


@dataclass
class LedgerCounters:
    """Totals since the process started, ready to be shown as metrics."""

    batches: int = 0
    rows_received: int = 0
    rows_inserted: int = 0
    rows_quarantined: int = 0
    failures: int = 0


class Ledger:
    """`start` it, send it rows with `ingest`, `close` it."""

    def __init__(self, pool: AsyncConnectionPool[Any], clock: Clock, *, width: Width = Width.MONTH) -> None:
        self._pool = pool
        self._clock = clock
        self._width = width
        self._tasks = Tasks()
        self.counters = LedgerCounters()

    def start(self) -> None:
        """Begins to look after the partitions."""
        self._tasks.keep(self._keep_partitions, "ledger-partitions", restart_seconds=60.0)

    async def _keep_partitions(self) -> None:
        await keep_partitions(self._pool, self._clock, width=self._width)

    async def close(self) -> None:
        """Ends the background work."""
        await self._tasks.close()

    async def ingest(self, replica: str, rows: Sequence[RequestRow]) -> IngestResult:
        """Stores a batch, see `ledger.ingest.ingest`; the answer means committed."""
        self.counters.batches += 1
        self.counters.rows_received += len(rows)
        try:
            result = await ingest(self._pool, replica, rows)
        except BaseException:
            self.counters.failures += 1
            raise
        self.counters.rows_inserted += result.inserted
        self.counters.rows_quarantined += result.quarantined
        return result

    async def quarantined_rows(self) -> int:
        """How many rows wait in quarantine."""
        async with self._pool.connection() as db:
            counted = await _sql.one(db, "quarantined_rows", _Count)
        return counted.rows if counted is not None else 0
