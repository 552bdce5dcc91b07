"""The ledger's background work, and its counters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
from psycopg_pool import AsyncConnectionPool

from tollway.controlplane.db.statements import Statements
from tollway.controlplane.ledger.balances import Query, balances, key_families, present_cut
from tollway.controlplane.ledger.checks import CheckResult, OnDifference, keep_checked
from tollway.controlplane.ledger.ingest import ingest
from tollway.controlplane.ledger.partitions import Width, keep_partitions
from tollway.controlplane.ledger.recount import keep_recounted
from tollway.controlplane.ledger.retention import Retained, keep_retention, retain
from tollway.controlplane.ledger.rollups import keep_folded
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
    checks: int = 0
    check_differences: int = 0


class Ledger:
    """`start` it, send it rows with `ingest`, `close` it.

    `retention_days` 0 keeps the rows for ever. `on_difference`, when set, is told of every check that found something.
    """

    def __init__(
        self, pool: AsyncConnectionPool[Any], clock: Clock, *, width: Width = Width.MONTH, retention_days: int = 0
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._width = width
        self._tasks = Tasks()
        self.retention_days = retention_days
        self.on_difference: OnDifference | None = None
        self.counters = LedgerCounters()

    def start(self) -> None:
        """Begins to look after partitions, roll-ups and retention, to count what an upgrade left, and to check."""
        self._tasks.keep(self._keep_partitions, "ledger-partitions", restart_seconds=60.0)
        self._tasks.keep(self._keep_folded, "ledger-rollups", restart_seconds=10.0)
        self._tasks.keep(self._keep_recounted, "ledger-recount", restart_seconds=60.0)
        self._tasks.keep(self._keep_checked, "ledger-check", restart_seconds=300.0)
        if self.retention_days:
            self._tasks.keep(self._keep_retention, "ledger-retention", restart_seconds=60.0)

    async def _keep_partitions(self) -> None:
        await keep_partitions(self._pool, self._clock, width=self._width)

    async def _keep_folded(self) -> None:
        await keep_folded(self._pool)

    async def _keep_recounted(self) -> None:
        await keep_recounted(self._pool, self._clock)

    async def _keep_checked(self) -> None:
        await keep_checked(self._pool, self._clock, self._checked)

    async def _keep_retention(self) -> None:
        await keep_retention(self._pool, self._clock, self.retention_days)

    async def _checked(self, result: CheckResult) -> None:
        self.counters.checks += 1
        self.counters.check_differences += result.found
        if result.found and self.on_difference is not None:
            await self.on_difference(result)

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

    async def retain(self, today: date, days: int, *, dry_run: bool = False) -> Retained:
        """Drops rows that are older than `days`, see `ledger.retention.retain`."""
        async with self._pool.connection() as db:
            return await retain(db, today, days, dry_run=dry_run)

    async def balances(
        self, organisation: str, queries: Sequence[Query], cut_us: int | None = None
    ) -> tuple[list[int], int]:
        """One amount for each query, and the cut they were counted at, see `ledger.balances.balances`. A key counts
        with those that it replaced or that took its place, as they share its budget and limits.

        Raises UnknownQuery; psycopg.OperationalError when the database could not do it.
        """
        cut = await present_cut(self._pool) if cut_us is None else cut_us
        async with self._pool.connection() as db, db.transaction():
            await db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            families = await key_families(db, (query.subject for query in queries if query.scope == "key"))
            return await balances(db, queries, organisation=organisation, cut_us=cut, families=families), cut

    async def quarantined_rows(self) -> int:
        """How many rows wait in quarantine."""
        async with self._pool.connection() as db:
            counted = await _sql.one(db, "quarantined_rows", _Count)
        return counted.rows if counted is not None else 0
