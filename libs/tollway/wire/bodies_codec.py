"""Bodies for the request log as they lie in a spool and travel: many in one frame, for together they pack well."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import zstandard

from tollway.core.requestlog import LoggedBody
from tollway.wire.gen.tollway.usage.v1 import bodies_pb2 as pb

LEVEL = 1
MAX_PLAIN_BYTES = 128 << 20
"""What a batch may be unpacked."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[LoggedBody]).decode


class Unreadable(ValueError):
    """What came is no batch of bodies."""


class BatchPacker:
    """Packs batches. Keeps the compressor, which is costly to make; for one thread."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)

    def pack(self, bodies: Sequence[LoggedBody]) -> bytes:
        """A batch in its packed form."""
        return self._compressor.compress(_encode(bodies))


def unpack(batch: bytes) -> list[LoggedBody]:
    """The bodies of a batch; nothing of them is checked here. Raises Unreadable."""
    try:
        size = zstandard.frame_content_size(batch)
        if not 0 <= size <= MAX_PLAIN_BYTES:
            raise Unreadable("a batch does not say its size, or is too large")
        return _decode(zstandard.ZstdDecompressor().decompress(batch, max_output_size=MAX_PLAIN_BYTES))
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise Unreadable("a batch is damaged") from error


def encode_bodies(replica: str, batches: Sequence[bytes], dropped: int) -> pb.StoreBodiesRequest:
    """Packed batches as they are sent; `dropped` counts the bodies that the sender had to drop since its last answered
    call.
    """
    return pb.StoreBodiesRequest(replica=replica, batches=batches, dropped=dropped)


def decode_bodies(message: pb.StoreBodiesRequest) -> tuple[str, list[LoggedBody], int]:
    """The sender, the bodies, and how many it dropped. Raises Unreadable."""
    return message.replica, [body for batch in message.batches for body in unpack(batch)], message.dropped
