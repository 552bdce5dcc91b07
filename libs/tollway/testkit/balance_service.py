"""A ledger that says what a test wants it to: the service `Balances` over real gRPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc.aio

from tollway.wire.balances_codec import BalanceQuery, BalancesRead, decode_balances_request, encode_balances
from tollway.wire.gen.tollway.usage.v1 import balances_pb2_grpc


class BalanceService:
    """`used` answers each question; `replicas` are those that the control plane would know; `asked` is what came."""

    def __init__(self) -> None:
        self.used: Callable[[BalanceQuery], int] = lambda _query: 0
        self.replicas: list[str] = []
        self.asked: list[BalanceQuery] = []
        self.cut_us = 1

    async def Read(self, request: Any, context: Any) -> Any:  # noqa: ARG002 - gRPC's names
        """The method of the contract."""
        asked = decode_balances_request(request)
        self.asked += asked.queries
        self.cut_us += 1
        used = tuple(self.used(query) for query in asked.queries)
        cut = self.cut_us if asked.cut_us is None else asked.cut_us
        return encode_balances(BalancesRead(used=used, replicas=tuple(self.replicas), cut_us=cut))

    async def __aenter__(self) -> BalanceService:
        self._server = grpc.aio.server()
        add: Any = balances_pb2_grpc.add_BalancesServicer_to_server
        add(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._server.stop(None)
