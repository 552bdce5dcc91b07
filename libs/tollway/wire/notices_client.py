"""The sender's end of notices. Failures come out as ConnectionError, so that callers need not know gRPC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc.aio

from tollway.core.notices import Notice
from tollway.wire.gen.tollway.usage.v1 import notices_pb2_grpc
from tollway.wire.notices_codec import encode_report

REPORT_SECONDS = 10.0


class NoticeIngestClient:
    """Sends notices over a channel made with `tollway.wire.client.connect`."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        stub: Any = notices_pb2_grpc.NoticeIngestStub  # generated without types
        self._stub = stub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def report(self, replica: str, notices: Sequence[Notice], lost: int) -> None:
        """Returns when the notices are stored. Raises ConnectionError otherwise."""
        request = encode_report(replica, notices, lost)
        try:
            await self._stub.Report(request, metadata=self._metadata, timeout=REPORT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise ConnectionError(f"{error.code().name}: {error.details()}") from error
