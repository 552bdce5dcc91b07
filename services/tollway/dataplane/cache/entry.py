"""A kept answer: its shape, its sealed form, and how it is given again.

Sealed, it is bound to its key: it cannot be put in another's place, and nothing of it can be read where it rests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import zstandard

from tollway.core.usage import ZERO, Usage
from tollway.runtime.seal import Sealer, SealError

PIECE_BYTES = 64 << 10
"""How much of a kept stream is written at once."""
OVERHEAD_BYTES = 512
"""What an entry takes beside its body, roughly."""
_LEVEL = 1
_PLAIN, _PACKED = b"\0", b"\1"
_WORTH_PACKING = 256


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What is kept. `body` is what the client got, byte for byte: a whole answer, or all events of a stream.

    `model` and `provider` are who answered, `dropped` the fields that it was not told. `usage` and `cost_nano` (what
    the call was charged) say what a hit saves. `stored_ms` is Unix milliseconds, `seconds` how long it is kept.
    """

    body: bytes
    content_type: str
    model: str
    provider: str
    dropped: tuple[str, ...] = ()
    usage: Usage = ZERO
    cost_nano: int = 0
    stored_ms: int = 0
    seconds: int = 0

    @property
    def size(self) -> int:
        """Bytes in memory, roughly."""
        return len(self.body) + OVERHEAD_BYTES

    def pieces(self) -> Iterator[bytes]:
        """The body as a stream is written: whole events, as many as fit into a piece."""
        body, start = self.body, 0
        while len(body) - start > PIECE_BYTES:
            end = body.rfind(b"\n\n", start, start + PIECE_BYTES) + 2
            if end < start + 2:
                end = start + PIECE_BYTES
            yield body[start:end]
            start = end
        if start < len(body):
            yield body[start:]


class Hit(NamedTuple):
    """An answer that was found. `age` is in seconds; `similar`: the request was not the same, but meant the same."""

    answer: Answer
    age: int
    similar: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Answer).decode


def seal(sealer: Sealer, key: bytes, answer: Answer) -> bytes:
    """The form that may leave the process."""
    return seal_bytes(sealer, _place(b"answer", key), _encode(answer))


def open_sealed(sealer: Sealer, key: bytes, sealed: bytes, limit: int) -> Answer:
    """The answer in its sealed form, of at most `limit` bytes. Raises SealError for what is not one of this key."""
    try:
        return _decode(open_bytes(sealer, _place(b"answer", key), sealed, limit + 4096))
    except (msgspec.DecodeError, zstandard.ZstdError) as error:
        raise SealError("the value is no answer") from error


def seal_bytes(sealer: Sealer, place: bytes, plain: bytes) -> bytes:
    """Packed where that helps, and sealed."""
    if len(plain) >= _WORTH_PACKING:
        packed = zstandard.ZstdCompressor(level=_LEVEL).compress(plain)
        if len(packed) < len(plain):
            return sealer.seal(_PACKED + packed, place)
    return sealer.seal(_PLAIN + plain, place)


def open_bytes(sealer: Sealer, place: bytes, sealed: bytes, limit: int) -> bytes:
    """The reverse of `seal_bytes`. Raises SealError, or ZstdError for more than `limit` bytes."""
    opened = sealer.open(sealed, place)
    if opened[:1] != _PACKED:
        return opened[1:]
    packed = opened[1:]
    if zstandard.frame_content_size(packed) > limit:
        raise zstandard.ZstdError("larger than any value that is kept")
    return zstandard.ZstdDecompressor().decompress(packed, max_output_size=limit)


def _place(kind: bytes, key: bytes) -> bytes:
    return b"cache|" + kind + b"|" + key
