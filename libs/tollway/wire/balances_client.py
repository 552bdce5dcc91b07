"""gRPC client of the ledger's balances. Failures come out as ConnectionError with a short reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio

from tollway.wire.balances_codec import (
    BalanceQuery,
    BalancesAsked,
    BalancesRead,
    decode_balances,
    encode_balances_request,
)
from tollway.wire.gen.tollway.usage.v1 import balances_pb2_grpc

READ_SECONDS = 20.0


class BalancesClient:
    """Asks the ledger what budgets and limits have used."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        stub: Any = balances_pb2_grpc.BalancesStub  # generated without types
        self._stub = stub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def read(
        self,
        replica: str,
        organisation: str,
        epoch: str,
        queries: Sequence[BalanceQuery],
        *,
        cut_us: int | None = None,
    ) -> BalancesRead:
        """One amount for each query, in their order. Raises ConnectionError."""
        asked = BalancesAsked(
            replica=replica, organisation=organisation, epoch=epoch, queries=tuple(queries), cut_us=cut_us
        )
        try:
            answer = await self._stub.Read(
                encode_balances_request(asked), metadata=self._metadata, timeout=READ_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            raise ConnectionError(f"{error.code().name}: {error.details()}") from error
        return decode_balances(answer)
