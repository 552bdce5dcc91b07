"""Server-sent events (WHATWG HTML, 9.2): bytes in any pieces to events, and back.

Owns framing alone: it never looks into the data. Lines end in LF, CRLF or CR; an event ends with a blank line.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tollway.core.errors import Code, TollwayError

MAX_EVENT_BYTES = 16 * 1024 * 1024

_BLANK_LINE = re.compile(rb"\n\n|\n\r\n?|\r\r\n?")
_FIELDS = frozenset({b"data", b"event", b"id", b"retry"})
_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event. `data` None: the block had no data line (a comment, say). `junk`: a line that is no event stream."""

    name: str
    data: bytes | None
    junk: bool = False


class Framer:
    """Cuts a byte stream into whole raw events, terminators included; the concatenation equals what was fed."""

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        """`limit`: the most bytes that one event may have before `feed` refuses."""
        self._buffer = bytearray()
        self._searched = 0
        self._limit = limit

    @property
    def idle(self) -> bool:
        """Whether no event has begun."""
        return not self._buffer

    def feed(self, data: bytes) -> list[bytes]:
        """The events that `data` completed. Raises TollwayError(provider_error) on one over the limit."""
        buffer = self._buffer
        if not buffer and data.endswith(b"\n\n") and b"\r" not in data:
            *whole, rest = data.split(b"\n\n")
            if not rest:
                return [data] if len(whole) == 1 else [block + b"\n\n" for block in whole]
        buffer += data
        blocks: list[bytes] = []
        start = 0
        for match in _BLANK_LINE.finditer(buffer, max(0, self._searched - 2)):
            end = match.end()
            if end == len(buffer) and buffer[-1] == 0x0D:
                break  # the LF of this CRLF may still come
            blocks.append(bytes(buffer[start:end]))
            start = end
        if start:
            del buffer[:start]
        self._searched = max(0, len(buffer) - 2)
        if len(buffer) > self._limit and not blocks:
            raise TollwayError(Code.PROVIDER_ERROR, f"The provider sent an event of more than {self._limit} bytes.")
        return blocks

    def rest(self) -> bytes:
        """What came after the last complete event; empties the buffer."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        return rest


def lone_data(data: bytes) -> bytes | None:
    """The payload when `data` is exactly one event of one data line in the usual spelling; else None. Costs little."""
    if data.startswith(b"data: ") and data.find(b"\n") == len(data) - 2 and data.endswith(b"\n") and b"\r" not in data:
        return data[6:-2]
    return None


def read_event(block: bytes) -> Event:
    """The event of one raw block. Several data lines are joined with LF, as the standard says."""
    payload = lone_data(block)
    if payload is not None:
        return Event("", payload)
    name, junk = "", False
    data: list[bytes] = []
    for raw in block.removeprefix(_BOM).splitlines():
        if not raw or raw.startswith(b":"):
            continue
        field, _, value = raw.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        elif field not in _FIELDS:
            junk = True
    return Event(name, b"\n".join(data) if data else None, junk)


class Parser:
    """Bytes in any pieces to parsed events."""

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        """`limit` as for `Framer`."""
        self._framer = Framer(limit)

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completed. Raises as `Framer.feed`."""
        return [read_event(block) for block in self._framer.feed(data)]

    def rest(self) -> Event | None:
        """The unterminated event at the end of the stream, if any."""
        rest = self._framer.rest()
        return read_event(rest) if rest.strip() else None


def data_event(data: bytes) -> bytes:
    """One event with `data`, which must hold no line end (JSON text has none)."""
    return b"data: " + data + b"\n\n"
