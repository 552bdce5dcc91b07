"""Bodies as the database takes them: checked, and made to fit. Pure.

What comes in was made by a data plane, perhaps of another version, perhaps from a damaged spool. Words that describe a
request are cut and cleaned where they do not fit; only what has no place at all is refused. Raises only Unstorable.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import zstandard

from tollway.controlplane.resources import as_uuid
from tollway.core.requestlog import RETENTION_CLASSES, LoggedBody
from tollway.wire.bodies_client import MAX_BODY_BYTES

MAX_TEXT = 1_000
"""Characters of one text: well below what an index entry can hold."""
MAX_TAGS = 50
MAX_BIGINT = (1 << 63) - 1
MAX_INTEGER = (1 << 31) - 1
CLOCK_MS = 60_000
"""How far the start of a request may lie from the time in its id; beyond it, the id is believed."""
LEVEL = 3
_ZSTD = b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 221_845_392_000_000  # the year 9000: a day and its retention must fit into the calendar
_TEXTS = (
    "organisation",
    "business_unit",
    "project",
    "key_id",
    "key_public_id",
    "endpoint",
    "model",
    "provider",
    "outcome",
    "error_code",
    "client_request_id",
    "client_address",
    "user_agent",
)


class Unstorable(ValueError):
    """The body cannot be stored; the message says which field and why, never its value."""


class FlatBody(msgspec.Struct, frozen=True):
    """A body as column values (`columns`, JSON-ready), with its packed content beside them."""

    id: UUID
    day: date
    retention_days: int
    columns: dict[str, Any]
    content: bytes


def flatten(body: LoggedBody) -> FlatBody:
    """The columns of a body. Raises Unstorable."""
    identifier = as_uuid(body.request_id)
    if identifier is None or identifier.version != 7:
        raise Unstorable("request_id is not a UUIDv7")
    made_ms = identifier.int >> 80
    if made_ms >= _LAST_MS:
        raise Unstorable("request_id lies beyond the calendar")
    if body.retention_days not in RETENTION_CLASSES:
        raise Unstorable(f"retention_days is not one of {', '.join(map(str, RETENTION_CLASSES))}")
    content = _packed(body.content)
    day = day_of(identifier)
    started_ms = body.started_ms if abs(body.started_ms - made_ms) <= CLOCK_MS else made_ms
    columns: dict[str, Any] = {name: clean(getattr(body, name)) for name in _TEXTS}
    columns |= {
        "id": str(identifier),
        "day": day.isoformat(),
        "retention_days": body.retention_days,
        "client_user": clean(body.user),
        "stream": body.stream,
        "status": _within(body.status, MAX_INTEGER),
        "tags": _tags(body.tags),
        "started_ms": started_ms,
        "duration_ms": _within(body.duration_ms, MAX_BIGINT),
        "masked": body.masked,
        "truncated": body.truncated,
        "plain_bytes": _within(body.plain_bytes, MAX_BIGINT),
        "stored_bytes": len(content),
    }
    return FlatBody(identifier, day, body.retention_days, columns, content)


def _packed(content: bytes) -> bytes:
    """Content as it is stored: each body is a zstd frame of its own, so that one can be read without the others."""
    if content.startswith(b"{"):
        content = zstandard.ZstdCompressor(level=LEVEL).compress(content)
    if not content.startswith(_ZSTD):
        raise Unstorable("content is neither JSON nor a zstd frame")
    if len(content) > MAX_BODY_BYTES:
        raise Unstorable(f"content is longer than {MAX_BODY_BYTES} bytes")
    return content


def day_of(identifier: UUID) -> date:
    """The UTC day on which a UUIDv7 was made (RFC 9562, 5.7: milliseconds in the first 48 bits)."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC).date()


def bound(at: datetime, slack: timedelta = timedelta()) -> UUID:
    """The smallest id that could have been made at a time; what lies outside of the calendar is brought to its edge."""
    milliseconds = (at + slack - _EPOCH) // timedelta(milliseconds=1)
    return UUID(int=min(max(milliseconds, 0), (1 << 48) - 1) << 80)


def clean(text: str) -> str:
    """A text that can be stored: without NUL and lone surrogates, cut to `MAX_TEXT` characters."""
    if text.isascii() and "\0" not in text:
        return text[:MAX_TEXT]
    whole = text[:MAX_TEXT].replace("\0", "\u2400")
    return whole.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {clean(name): clean(value) for name, value in list(tags.items())[:MAX_TAGS]}


def _within(value: int, largest: int) -> int:
    return min(max(value, 0), largest)
