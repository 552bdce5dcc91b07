"""Idempotency keys: a call that changes something has the same one each time it is sent, so that it is done once.

Without a key of one's own, the client makes one for each call and repeats the call under it when the connection breaks.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

HEADER = "Idempotency-Key"
MAX_KEY = 240


class _Block:
    """A key for the calls of one block; the first has it as it is, the others with their number."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._calls = 0
        self._lock = threading.Lock()

    def take(self) -> str:
        with self._lock:
            self._calls += 1
            return self._key if self._calls == 1 else f"{self._key}-{self._calls}"


_BLOCK: ContextVar[_Block | None] = ContextVar("tollway_idempotency_block", default=None)


@contextmanager
def idempotency_key(key: str) -> Iterator[None]:
    """Calls in the block are done once, however often and wherever the block runs within 24 hours.

        with idempotency_key(f"order-{order}"):
            tollway.keys.create("retail-bot", "web")

    Of several calls in a block the second gets `KEY-2` and so on, so let them come in the same order each time. Raises
    ValueError for a key that is not 1 to 240 visible ASCII characters.
    """
    if not 0 < len(key) <= MAX_KEY or not all("!" <= character <= "~" for character in key):
        raise ValueError(f"an idempotency key has 1 to {MAX_KEY} visible ASCII characters without spaces")
    token = _BLOCK.set(_Block(key))
    try:
        yield
    finally:
        _BLOCK.reset(token)


def next_key() -> str:
    """The key of the next call: that of the block around it, or a new one."""
    block = _BLOCK.get()
    return str(uuid.uuid4()) if block is None else block.take()
