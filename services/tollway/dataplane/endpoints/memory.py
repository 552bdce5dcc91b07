"""What the gateway keeps of a response, so that a later request can go on from it or read it again.

Owns the shape of what is kept. Provider-side ids and storage are not used: whoever answers the next turn is told the
earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One stored response: the items that were new in it, and the responses that it goes on from, oldest first.

    Items and `response` are JSON text.
    """

    ancestors: tuple[str, ...]
    input: tuple[bytes, ...]
    output: tuple[bytes, ...]
    response: bytes

    def items(self) -> list[Raw]:
        """Input and output, as a later request is to repeat them."""
        return [Raw(item) for item in (*self.input, *self.output)]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Kept).decode


def encode_kept(kept: Kept) -> bytes:
    """The stored form (MessagePack), before sealing."""
    return _encode(kept)


def decode_kept(raw: bytes) -> Kept:
    """A kept response from its stored form."""
    return _decode(raw)


class Memory:
    """What one request goes on from, and what its whole answer leaves to be kept: `response` and `output`.

    `known` has stored items that the request only names, by id.
    """

    __slots__ = ("ancestors", "earlier", "known", "output", "previous_response_id", "response", "response_id", "store")

    def __init__(self, response_id: str, *, store: bool, previous_response_id: str | None) -> None:
        """`store`: whether the client wants the response kept."""
        self.response_id = response_id
        self.store = store
        self.previous_response_id = previous_response_id
        self.ancestors: tuple[str, ...] = ()
        self.earlier: Sequence[Raw] = ()
        self.known: Mapping[str, Raw] = {}
        self.response: bytes | None = None
        self.output: Sequence[Raw] = ()
