"""The cache by meaning: which kept answers were given to a question that means the same.

Off unless a project asks for it and the process has an `Embedder`. Two requests can only meet in one place: everything
but the last user message is equal, as in the exact key, and the marks of that message are too (`core.caching.guard`).
What is known of a place is a list of (marks, vector, key), bounded, kept beside the answers and sealed like them.
"""

from __future__ import annotations

import asyncio
import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from tollway.core.caching.guard import similarity
from tollway.dataplane.cache.plan import Meaning

EMBED_SECONDS = 0.5
"""A request does not wait longer for its meaning."""
PLACE_ENTRIES = 64
"""How many questions are known of one place; the oldest go first."""
PLACE_BYTES, KNOWN_BYTES = 400, 300
"""What a place and a question take beside their bytes, roughly."""
FRESH_SECONDS = 5.0
"""For so long a process does not ask again what others have learnt of a place."""
MAX_DIMENSIONS = 4096


class Embedder(Protocol):
    """Something that turns texts into vectors whose cosine says how alike their meanings are."""

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """A vector for each text, all of one length. Raises OSError when it cannot."""


class Known(msgspec.Struct, frozen=True, array_like=True):
    """One question of a place: its marks, vector (16-bit floats), the key of its answer, and until when it holds."""

    marks: bytes
    vector: bytes
    key: bytes
    until_ms: int

    @property
    def size(self) -> int:
        """Bytes in memory, roughly."""
        return KNOWN_BYTES + len(self.marks) + len(self.vector) + len(self.key)

    def near(self, vector: Sequence[float]) -> float:
        """How alike another question is."""
        return similarity(struct.unpack(f"<{len(self.vector) // 2}e", self.vector), vector)


class _Place(NamedTuple):
    known: tuple[Known, ...]
    read_at: float

    @property
    def size(self) -> int:
        return PLACE_BYTES + sum(each.size for each in self.known)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Known, ...]).decode


def pack(known: tuple[Known, ...]) -> bytes:
    """What is known of a place, as bytes."""
    return _encode(known)


def unpack(raw: bytes) -> tuple[Known, ...]:
    """The reverse. Raises msgspec.DecodeError."""
    return _decode(raw)


def merged(first: Sequence[Known], second: Sequence[Known], now_ms: int) -> tuple[Known, ...]:
    """Two lists as one: each key once, nothing that is over, the latest that are not."""
    by_key = {each.key: each for each in (*first, *second) if each.until_ms > now_ms}
    return tuple(sorted(by_key.values(), key=lambda each: each.until_ms)[-PLACE_ENTRIES:])


class Places:
    """What this process knows of each place, in at most `capacity` bytes: what was learnt longest ago goes first."""

    def __init__(self, now: Callable[[], float], capacity: int) -> None:
        """`now` tells monotonic seconds."""
        self._now = now
        self._capacity = capacity
        self.held_bytes = 0
        self._places: OrderedDict[bytes, _Place] = OrderedDict()

    def known(self, place: bytes) -> tuple[Known, ...]:
        """What is known here and now."""
        found = self._places.get(place)
        return found.known if found is not None else ()

    def is_fresh(self, place: bytes) -> bool:
        """Whether what others know was read a moment ago."""
        found = self._places.get(place)
        return found is not None and self._now() - found.read_at < FRESH_SECONDS

    def learn(self, place: bytes, known: tuple[Known, ...], *, read: bool = False) -> None:
        """Knows this of a place from now on; `read`: what others know is in it."""
        before = self._places.pop(place, None)
        read_at = self._now() if read else before.read_at if before is not None else float("-inf")
        made = self._places[place] = _Place(known, read_at)
        self.held_bytes += made.size - (before.size if before is not None else 0)
        while self.held_bytes > self._capacity:
            _, gone = self._places.popitem(last=False)
            self.held_bytes -= gone.size


async def vector_of(embedder: Embedder, text: str) -> list[float] | None:
    """The vector of a text; None when it does not come in time, or is none."""
    try:
        async with asyncio.timeout(EMBED_SECONDS):
            (vector,) = await embedder.embed([text])
    except (OSError, TimeoutError, ValueError):
        return None
    return list(vector) if 0 < len(vector) <= MAX_DIMENSIONS else None


def known_of(meaning: Meaning, vector: Sequence[float], key: bytes, until_ms: int) -> Known:
    """A question with its answer's key, as it is remembered."""
    length = sum(x * x for x in vector) ** 0.5 or 1.0
    packed = struct.pack(f"<{len(vector)}e", *(x / length for x in vector))
    return Known(meaning.marks, packed, key, until_ms)
