"""Ledger rows as the database takes them: checked, flattened and packed. Pure.

What comes in was made by a data plane, perhaps of another version, perhaps from a damaged journal: nothing is believed.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid5

import msgspec

from tollway.controlplane.ledger.packing import (
    EPOCH_DAY,
    EPOCH_MS,
    NULL,
    integer_field,
    jsonb_field,
    text_field,
    time_field,
)
from tollway.core.ledger import AttemptRow, RequestRow
from tollway.core.usage import Usage

MAX_BIGINT = (1 << 63) - 1
MAX_INTEGER = (1 << 31) - 1
MAX_TEXT = 2_000
"""Characters in one text field: well below what an index entry can hold."""
_DAY_MS = 86_400_000
_LAST_DAY = (date(9999, 12, 30) - date(1970, 1, 1)).days
_LAST_MS = _LAST_DAY * _DAY_MS
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_UNITS = frozenset({"images", "audio_ms", "characters", "searches"})
_KINDS = Usage.__struct_fields__
COLUMNS = tuple(name if name in _UNITS else f"{name}_tokens" for name in _KINDS)
"""The ledger's column of every kind of usage, in the order of `Usage`."""
_NO_TAGS = jsonb_field(b"{}")
_QUARANTINE = UUID("6f6b7a43-1d4f-5a0e-9d1e-3f5c5f0a7c11")
"""Namespace of quarantined rows' ids."""


class Unstorable(ValueError):
    """The row cannot be stored as it is; the message says which field and why, never its value."""


class FlatAttempt(msgspec.Struct, frozen=True, gc=False):
    """An attempt as a row of the ledger's attempts, see `late_row` for the table `sent_attempts`."""

    key: bytes
    packed: bytes


class FlatRow(msgspec.Struct, frozen=True, gc=False):
    """A request and its attempts as packed columns, with the row they came from. `day` counts from 1970-01-01."""

    row: RequestRow
    id: str
    day: int
    packed: bytes
    attempts: tuple[FlatAttempt, ...]


_REQUEST = struct.Struct(">h ii i16s iq iq i?")
_ATTEMPT = struct.Struct(">h ii i16s i16s ii iq iq iq iq i?" + "iq" * len(COLUMNS))
_LATE = struct.Struct(">h i16s")
_COUNTS = [8, 0] * len(COLUMNS)
"""Each count with its length before it."""
_REQUEST_COLUMNS = 19
_ATTEMPT_COLUMNS = 25 + len(COLUMNS)


def flatten(row: RequestRow) -> FlatRow:
    """The columns of a row and of its attempts, in the order in which `copy_requests` and `copy_attempts` name them.

    Raises Unstorable.
    """
    identifier, key, day = _identity(row.id, "id")
    started = _time(row.started_ms, "started_ms")
    ended = _time(row.ended_ms or row.started_ms, "ended_ms")
    client_request_id = row.client_request_id
    shared = _belonging(row.organisation, row.business_unit, row.project, row.key_id, row.model, row.user)
    packed = (
        _REQUEST.pack(_REQUEST_COLUMNS, 4, day - EPOCH_DAY, 16, key, 8, started, 8, ended, 1, row.stream),
        _status(row.status),
        shared,
        _request_texts(row.key_public_id, row.endpoint, row.outcome, row.error_code),
        NULL if client_request_id is None else text_field(_checked(client_request_id, "client_request_id")),
        jsonb_field(msgspec.json.encode(_tags(row.tags))) if row.tags else _NO_TAGS,
        _cache_text(row.cache),
    )
    attempts = tuple([_attempt(key, started, shared, attempt) for attempt in row.attempts])
    return FlatRow(row, identifier, day, b"".join(packed), attempts)


def _attempt(request: bytes, request_started: int, shared: bytes, attempt: AttemptRow) -> FlatAttempt:
    _, key, day = _identity(attempt.id, "attempt.id")
    counts = _COUNTS.copy()
    counts[1::2] = _usage(attempt.usage)
    first_byte = attempt.first_byte_ms
    provider_request_id = attempt.provider_request_id
    number = _number(attempt.number, "attempt.number", MAX_INTEGER)
    started = _time(attempt.started_ms, "attempt.started_ms")
    ended = _time(attempt.ended_ms or attempt.started_ms, "attempt.ended_ms")
    cost = _number(attempt.cost_nano, "attempt.cost_nano")
    packed = (
        _ATTEMPT.pack(
            _ATTEMPT_COLUMNS,
            4,
            day - EPOCH_DAY,
            16,
            key,
            16,
            request,
            4,
            number,
            8,
            request_started,
            8,
            started,
            8,
            ended,
            8,
            cost,
            1,
            attempt.estimated,
            *counts,
        ),
        NULL if first_byte is None else time_field(_time(first_byte, "attempt.first_byte_ms")),
        _status(attempt.status),
        shared,
        _attempt_texts(
            attempt.provider,
            attempt.provider_kind,
            attempt.target_model,
            attempt.credential,
            attempt.outcome,
            attempt.error_code,
            attempt.price_version,
        ),
        NULL if provider_request_id is None else text_field(_checked(provider_request_id, _PROVIDER_REQUEST_ID)),
    )
    return FlatAttempt(key, b"".join(packed))


def late_row(attempt: FlatAttempt) -> bytes:
    """An attempt as a row of `sent_attempts`: the id of its adjustment, should there be one, before its columns."""
    return _LATE.pack(_ATTEMPT_COLUMNS + 1, 16, late_id(attempt.key)) + attempt.packed[2:]


@lru_cache(maxsize=4096)
def _belonging(organisation: str | None, business_unit: str, project: str, key_id: str, model: str, user: str) -> bytes:
    """What a request and its attempts belong to. The same ones come again and again, as do the texts below."""
    named = (organisation, "organisation"), (business_unit, "business_unit"), (project, "project"), (key_id, "key_id")
    return _texts(*named, (model, "model"), (user, "user"))


@lru_cache(maxsize=4096)
def _request_texts(key_public_id: str, endpoint: str, outcome: str, error_code: str | None) -> bytes:
    return _texts(
        (key_public_id, "key_public_id"), (endpoint, "endpoint"), (outcome, "outcome"), (error_code, "error_code")
    )


@lru_cache(maxsize=4096)
def _attempt_texts(*values: str | None) -> bytes:
    return _texts(*zip(values, _ATTEMPT_TEXTS, strict=True))


@lru_cache(maxsize=64)
def _cache_text(value: str) -> bytes:
    return _texts((value, "cache"))


_PROVIDER_REQUEST_ID = "attempt.provider_request_id"
_ATTEMPT_TEXTS = tuple(
    f"attempt.{name}"
    for name in ("provider", "provider_kind", "target_model", "credential", "outcome", "error_code", "price_version")
)


def _texts(*named: tuple[str | None, str]) -> bytes:
    return b"".join([text_field(_checked(value, field)) for value, field in named])


def _usage(usage: Usage) -> tuple[int, ...]:
    counts: tuple[int, ...] = msgspec.structs.astuple(usage)
    if min(counts) < 0 or max(counts) > MAX_BIGINT:
        for name, count in zip(_KINDS, counts, strict=True):
            _number(count, f"attempt.usage.{name}")
    return counts


def late_id(attempt: bytes) -> bytes:
    """The id of the adjustment that a true row makes after an estimate of the same attempt: always the same one.

    uuid5(attempt, "late"), RFC 9562, 5.5, without the detour over UUID objects.
    """
    digest = bytearray(hashlib.sha1(attempt + b"late", usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return bytes(digest)


def quarantined(row: RequestRow, reason: str) -> dict[str, Any]:
    """A row as the quarantine keeps it: whole, under an id that a replay gives it again.

    What text cannot be stored (NUL, lone surrogates) is shown as U+2400 and U+FFFD.
    """
    kept = msgspec.json.encode(_storable(msgspec.to_builtins(row)))
    return {"id": str(uuid5(_QUARANTINE, hashlib.sha256(kept).hexdigest())), "reason": reason, "row": msgspec.Raw(kept)}


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        clean = value.replace("\0", "\u2400")
        return clean.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(item) for item in value]
    if isinstance(value, int) and abs(value) > MAX_BIGINT:
        return str(value)
    return value


def _identity(text: str, field: str) -> tuple[str, bytes, int]:
    """The id in its one form and as bytes, and the UTC day it was made on (RFC 9562, 5.7: milliseconds in the first
    48 bits), counted from 1970-01-01.
    """
    lowered = text.lower()
    if _UUID7.fullmatch(lowered) is None:
        raise Unstorable(f"{field} is not a UUIDv7")
    key = bytes.fromhex(lowered.replace("-", ""))
    day = int.from_bytes(key[:6]) // _DAY_MS
    if day > _LAST_DAY:
        raise Unstorable(f"{field} lies beyond the calendar")
    return lowered, key, day


def _checked(value: str | None, field: str) -> str | None:
    if value is None or (value.isascii() and "\0" not in value and len(value) <= MAX_TEXT):
        return value
    if len(value) > MAX_TEXT:
        raise Unstorable(f"{field} is longer than {MAX_TEXT} characters")
    if "\0" in value:
        raise Unstorable(f"{field} has a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unstorable(f"{field} is not valid Unicode") from None
    return value


def _tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    for key, value in tags.items():
        _checked(key, "tags")
        _checked(value, "tags")
    return tags


def _number(value: int, field: str, largest: int = MAX_BIGINT) -> int:
    if not 0 <= value <= largest:
        raise Unstorable(f"{field} is negative or too large")
    return value


@lru_cache(maxsize=1024)
def _status(value: int | None) -> bytes:
    return integer_field(value if value is None else _number(value, "status", MAX_INTEGER))


def _time(milliseconds: int, field: str) -> int:
    """A `timestamptz` of Unix milliseconds."""
    if not 0 <= milliseconds < _LAST_MS:
        raise Unstorable(f"{field} lies beyond the calendar")
    return (milliseconds - EPOCH_MS) * 1000
