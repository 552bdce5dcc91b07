"""A ledger that says what a test wants it to: the services `Balances` and `UsageIngest` over real gRPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tollway.core.catalog import glob_match
from tollway.core.ledger import RequestRow
from tollway.wire.balances_codec import BalanceQuery, BalancesAsked, BalancesRead
from tollway.wire.server import Unavailable, add_balances, add_usage_ingest, listen, make_server
from tollway.wire.usage_codec import IngestResult

MICROSECOND_STEP = 1_000


class BalanceService:
    """`used` says what was spent beside the rows that came here, which count up to the cut.

    `replicas` are the data planes that the control plane would know; `asked` is what was asked, `rows` what came.
    """

    def __init__(self, token: str = "join") -> None:
        self._token = token
        self.used: Callable[[BalanceQuery], int] = lambda _query: 0
        self.replicas: list[str] = []
        self.asked: list[BalanceQuery] = []
        self.rows: dict[str, tuple[int, RequestRow]] = {}
        self.defects: list[object] = []
        self.away = False
        self._now_us = 1

    async def __aenter__(self) -> BalanceService:
        self._server = make_server()
        add_balances(self._server, self._read, self._token, lambda *defect: self.defects.append(defect))
        add_usage_ingest(self._server, self._ingest, self._token, lambda *defect: self.defects.append(defect))
        self.address = f"127.0.0.1:{listen(self._server, '127.0.0.1', 0)}"
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(0)

    async def _ingest(self, _replica: str, rows: Sequence[RequestRow]) -> IngestResult:
        if self.away:
            raise Unavailable("away")
        self._now_us += MICROSECOND_STEP
        fresh = [row for row in rows if row.id not in self.rows]
        self.rows.update({row.id: (self._now_us, row) for row in fresh})
        return IngestResult(len(fresh), 0)

    async def _read(self, asked: BalancesAsked) -> BalancesRead:
        if self.away:
            raise Unavailable("away")
        self.asked += asked.queries
        self._now_us += MICROSECOND_STEP
        cut = self._now_us if asked.cut_us is None else asked.cut_us
        used = tuple(self.used(query) + self._counted(query, cut) for query in asked.queries)
        return BalancesRead(used=used, replicas=tuple(self.replicas), cut_us=cut)

    def _counted(self, query: BalanceQuery, cut_us: int) -> int:
        """What the rows of the query's window that came by the cut add up to; of subjects, models are told apart."""
        end = query.end_ms if query.end_ms is not None else float("inf")
        model = query.subject if query.scope == "model" else query.model
        rows = [
            row
            for came, row in self.rows.values()
            if came <= cut_us and query.start_ms <= row.started_ms < end and glob_match(model, row.model)
        ]
        if query.measure == "requests":
            return len(rows)
        attempts = [attempt for row in rows for attempt in row.attempts]
        if query.measure == "tokens":
            return sum(attempt.usage.input + attempt.usage.output for attempt in attempts)
        return sum(attempt.cost_nano for attempt in attempts)
