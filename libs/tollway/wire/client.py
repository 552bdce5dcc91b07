"""gRPC clients of the planes' own services: config push and usage ingest.

Failures come out as ConnectionError with a short reason, so that callers need not know gRPC.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import grpc
import grpc.aio

from tollway.wire.config_codec import ConfigEvent, Position, Subscription, decode_event, encode_subscription
from tollway.wire.gen.tollway.config.v1 import config_pb2_grpc
from tollway.wire.gen.tollway.usage.v1 import usage_pb2_grpc
from tollway.wire.usage_codec import IngestResult, encode_batch

MAX_MESSAGE_BYTES = 64 << 20
INGEST_SECONDS = 10.0
OPTIONS = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


def connect(address: str, *, ca: bytes | None = None) -> grpc.aio.Channel:
    """A channel to the control plane; it connects when it is first used and reconnects by itself.

    With `ca` (PEM) the channel is TLS and trusts that authority alone; without, it is plain.
    """
    if ca is None:
        return grpc.aio.insecure_channel(address, options=OPTIONS)
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(ca), options=OPTIONS)


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def _reason(error: grpc.aio.AioRpcError) -> ConnectionError:
    return ConnectionError(f"{error.code().name}: {error.details()}")


class ConfigPushClient:
    """The subscriber's end of the push stream."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        stub: Any = config_pb2_grpc.ConfigPushStub  # generated without types
        self._stub = stub(channel)
        self._metadata = _bearer(token)

    async def subscribe(
        self, replica: str, catalog: Position | None, directory: Position | None, *, want_directory_snapshot: bool
    ) -> AsyncGenerator[ConfigEvent, None]:
        """Events until the stream ends. Raises ConnectionError when it breaks or cannot be opened."""
        subscription = Subscription(
            replica=replica, catalog=catalog, directory=directory, want_directory_snapshot=want_directory_snapshot
        )
        call = self._stub.Subscribe(encode_subscription(subscription), metadata=self._metadata)
        try:
            async for message in call:
                event = decode_event(message)
                if event is not None:
                    yield event
        except grpc.aio.AioRpcError as error:
            raise _reason(error) from error
        finally:
            call.cancel()


class UsageIngestClient:
    """The sender's end of the ledger."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        stub: Any = usage_pb2_grpc.UsageIngestStub  # generated without types
        self._stub = stub(channel)
        self._metadata = _bearer(token)

    async def ingest(self, replica: str, rows: Sequence[bytes]) -> IngestResult:
        """Returns when the rows (`usage_codec.encode_row`) are committed. Raises ConnectionError otherwise."""
        try:
            answer = await self._stub.Ingest(
                encode_batch(replica, rows), metadata=self._metadata, timeout=INGEST_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            raise _reason(error) from error
        return IngestResult(answer.inserted, answer.quarantined)
