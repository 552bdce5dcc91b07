"""The receiving end of a data plane that takes everything and keeps nothing: for what is measured in one process.

Rows and bodies are counted alone, so that their memory is not taken for the data plane's.
"""

from __future__ import annotations

from collections.abc import Sequence

from tollway.core.ledger import RequestRow
from tollway.core.requestlog import LoggedBody
from tollway.wire.balances_codec import BalancesAsked, BalancesRead
from tollway.wire.server import Unavailable, add_balances, add_body_ingest, add_usage_ingest, listen, make_server
from tollway.wire.usage_codec import IngestResult


class ForgetfulControl:
    """Serves ledger, balances (nothing was spent before) and request log on one gRPC port, or is `away`."""

    def __init__(self, token: str = "join") -> None:
        self._token = token
        self.rows = 0
        self.bodies = 0
        self.dropped = 0
        self.defects: list[object] = []
        self.replicas: tuple[str, ...] = ()
        self.away = False
        self._cut_us = 0

    async def __aenter__(self) -> ForgetfulControl:
        def defect(*what: object) -> None:
            self.defects.append(what)

        self._server = make_server()
        add_balances(self._server, self._read, self._token, defect)
        add_usage_ingest(self._server, self._ingest, self._token, defect)
        add_body_ingest(self._server, self._store, self._token, defect)
        self.address = f"127.0.0.1:{listen(self._server, '127.0.0.1', 0)}"
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(0)

    def _check(self) -> None:
        if self.away:
            raise Unavailable("away")

    async def _ingest(self, _replica: str, rows: Sequence[RequestRow]) -> IngestResult:
        self._check()
        self.rows += len(rows)
        return IngestResult(len(rows), 0)

    async def _store(self, _replica: str, bodies: Sequence[LoggedBody], dropped: int) -> int:
        self._check()
        self.bodies += len(bodies)
        self.dropped += dropped
        return len(bodies)

    async def _read(self, asked: BalancesAsked) -> BalancesRead:
        self._check()
        self._cut_us += 1_000
        cut = self._cut_us if asked.cut_us is None else asked.cut_us
        return BalancesRead(used=(0,) * len(asked.queries), replicas=self.replicas, cut_us=cut)
