"""The control plane as the money path sees it: the real ledger on a real Postgres, behind real gRPC, and an ear."""

from __future__ import annotations

from collections.abc import Sequence

from tollway.controlplane.db.pool import create_pool
from tollway.controlplane.ledger.service import Ledger
from tollway.core.ledger import RequestRow
from tollway.core.notices import Notice
from tollway.runtime.clock import SystemClock
from tollway.wire.balances_codec import BalancesAsked, BalancesRead
from tollway.wire.server import (
    Unavailable,
    add_balances,
    add_notice_ingest,
    add_usage_ingest,
    listen,
    make_server,
)
from tollway.wire.usage_codec import IngestResult


class LedgerServer:
    """Takes rows in at `address`, unless it is `away`. `notices` are those that it was told.

    `replicas` are the data planes that it would know.
    """

    def __init__(self, database_url: str, token: str = "join") -> None:
        """The database has every migration; see `ledger_rows.schema_database`."""
        self._url = database_url
        self._token = token
        self.away = False
        self.replicas: list[str] = []
        self.notices: list[Notice] = []
        self.defects: list[object] = []

    async def __aenter__(self) -> LedgerServer:
        self._pool = create_pool(self._url, 4)
        await self._pool.open()
        self.ledger = Ledger(self._pool, SystemClock())
        self._server = make_server()
        add_usage_ingest(self._server, self._ingest, self._token, lambda *defect: self.defects.append(defect))
        add_balances(self._server, self._read, self._token, lambda *defect: self.defects.append(defect))
        add_notice_ingest(self._server, self._report, self._token, lambda *defect: self.defects.append(defect))
        self.address = f"127.0.0.1:{listen(self._server, '127.0.0.1', 0)}"
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(0)
        await self._pool.close()

    def replica(self) -> LedgerServer:
        """Another one on the same database. Not started."""
        return LedgerServer(self._url, self._token)

    async def _ingest(self, replica: str, rows: Sequence[RequestRow]) -> IngestResult:
        if self.away:
            raise Unavailable("away")
        return await self.ledger.ingest(replica, rows)

    async def _read(self, asked: BalancesAsked) -> BalancesRead:
        if self.away:
            raise Unavailable("away")
        used, cut = await self.ledger.balances(asked.organisation, asked.queries, asked.cut_us)
        return BalancesRead(used=tuple(used), replicas=tuple(self.replicas), cut_us=cut)

    async def _report(self, _replica: str, notices: Sequence[Notice], _lost: int) -> None:
        self.notices += notices

    async def rows(self) -> list[tuple[str, str]]:
        """Id and outcome of every request in the ledger."""
        async with self._pool.connection() as db:
            cursor = await db.execute("SELECT id::text, outcome FROM ledger_requests ORDER BY id")
            return [(str(row[0]), str(row[1])) for row in await cursor.fetchall()]
