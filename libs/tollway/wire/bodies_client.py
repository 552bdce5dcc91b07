"""The sender's end of the request log. Failures come out as ConnectionError, so that callers need not know gRPC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc.aio

from tollway.wire.bodies_codec import encode_bodies
from tollway.wire.gen.tollway.usage.v1 import bodies_pb2_grpc

STORE_SECONDS = 30.0
MAX_BODY_BYTES = 32 << 20
"""Packed bytes of one body, at most: a larger one is refused."""


class BodyIngestClient:
    """Sends bodies over a channel made with `tollway.wire.client.connect`."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        stub: Any = bodies_pb2_grpc.BodyIngestStub  # generated without types
        self._stub = stub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def store(self, replica: str, batches: Sequence[bytes], dropped: int) -> int:
        """Returns, when the bodies are stored, how many of them were new. Raises ConnectionError otherwise.

        `batches` are packed (`tollway.wire.bodies_codec`). `dropped` counts the bodies that this replica dropped since
        its last call that was answered. A batch may be sent again.
        """
        request = encode_bodies(replica, batches, dropped)
        try:
            answer = await self._stub.StoreBodies(request, metadata=self._metadata, timeout=STORE_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise ConnectionError(f"{error.code().name}: {error.details()}") from error
        stored: int = answer.stored
        return stored
