"""Values as PostgreSQL's binary COPY takes them. Pure; knows nothing of the ledger.

Layout (PostgreSQL documentation, COPY, binary format): a header, then for each row the number of its columns as 16 bits
and for each column its length as 32 bits (-1 for null) and its bytes, then 16 bits -1. Times count from 2000-01-01.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
TRAILER = struct.pack(">h", -1)
NULL = struct.pack(">i", -1)
EPOCH_MS = 946_684_800_000
"""2000-01-01 in Unix milliseconds."""
EPOCH_DAY = 10_957
"""2000-01-01 in days since 1970-01-01."""
_INTEGER = struct.Struct(">ii")
_TIME = struct.Struct(">iq")
_LENGTH = struct.Struct(">i")
_JSONB_VERSION = b"\x01"


def time_field(microseconds: int) -> bytes:
    """A `timestamptz` column, of microseconds since 2000-01-01."""
    return _TIME.pack(8, microseconds)


def integer_field(value: int | None) -> bytes:
    """An `integer` column."""
    return NULL if value is None else _INTEGER.pack(4, value)


def text_field(value: str | None) -> bytes:
    """A `text` column."""
    if value is None:
        return NULL
    encoded = value.encode()
    return _LENGTH.pack(len(encoded)) + encoded


def jsonb_field(encoded: bytes) -> bytes:
    """A `jsonb` column of JSON text."""
    return _LENGTH.pack(len(encoded) + 1) + _JSONB_VERSION + encoded


def copy_data(rows: Iterable[bytes]) -> bytes:
    """A whole COPY of packed rows."""
    return b"".join((HEADER, *rows, TRAILER))
