"""Ledger rows as the database takes them: checked, and flattened. Pure.

What comes in was made by a data plane, perhaps of another version, perhaps from a damaged journal: nothing is believed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid5

import msgspec

from tollway.core.ledger import AttemptRow, RequestRow
from tollway.core.usage import Usage

MAX_BIGINT = (1 << 63) - 1
MAX_INTEGER = (1 << 31) - 1
MAX_TEXT = 2_000
"""Characters in one text field: well below what an index entry can hold."""
_DAY_MS = 86_400_000
_LAST_DAY = (date(9999, 12, 30) - date(1970, 1, 1)).days
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_UNITS = frozenset({"images", "audio_ms", "characters", "searches"})
_USAGE = {name: name if name in _UNITS else f"{name}_tokens" for name in Usage.__struct_fields__}
COLUMNS = tuple(_USAGE.values())
"""The ledger's column of every kind of usage, in the order of `Usage`."""
_QUARANTINE = UUID("6f6b7a43-1d4f-5a0e-9d1e-3f5c5f0a7c11")
"""Namespace of quarantined rows' ids."""


class Unstorable(ValueError):
    """The row cannot be stored as it is; the message says which field and why, never its value."""


class FlatRow(msgspec.Struct, frozen=True):
    """A request and its attempts as column values, with the row they came from."""

    row: RequestRow
    request: dict[str, Any]
    attempts: list[dict[str, Any]]


def flatten(row: RequestRow) -> FlatRow:
    """The columns of a row and of its attempts. Raises Unstorable."""
    identifier, day = _identity(row.id, "id")
    request = {
        "day": day,
        "id": identifier,
        "organisation": _text(row.organisation, "organisation"),
        "business_unit": _text(row.business_unit, "business_unit"),
        "project": _text(row.project, "project"),
        "key_id": _text(row.key_id, "key_id"),
        "key_public_id": _text(row.key_public_id, "key_public_id"),
        "endpoint": _text(row.endpoint, "endpoint"),
        "model": _text(row.model, "model"),
        "stream": row.stream,
        "started_at": _time(row.started_ms, "started_ms"),
        "ended_at": _time(row.ended_ms or row.started_ms, "ended_ms"),
        "status": _status(row.status),
        "outcome": _text(row.outcome, "outcome"),
        "error_code": _text(row.error_code, "error_code"),
        "client_request_id": _text(row.client_request_id, "client_request_id"),
        "tags": _tags(row.tags),
    }
    return FlatRow(row, request, [_attempt(request, attempt) for attempt in row.attempts])


def _attempt(request: Mapping[str, Any], attempt: AttemptRow) -> dict[str, Any]:
    identifier, day = _identity(attempt.id, "attempt.id")
    columns = {
        "day": day,
        "id": identifier,
        "late_id": str(late_id(identifier)),
        "request_id": request["id"],
        "number": _number(attempt.number, "attempt.number", MAX_INTEGER),
        "business_unit": request["business_unit"],
        "project": request["project"],
        "key_id": request["key_id"],
        "model": request["model"],
        "provider": _text(attempt.provider, "attempt.provider"),
        "provider_kind": _text(attempt.provider_kind, "attempt.provider_kind"),
        "target_model": _text(attempt.target_model, "attempt.target_model"),
        "credential": _text(attempt.credential, "attempt.credential"),
        "started_at": _time(attempt.started_ms, "attempt.started_ms"),
        "ended_at": _time(attempt.ended_ms or attempt.started_ms, "attempt.ended_ms"),
        "first_byte_at": None,
        "status": _status(attempt.status),
        "outcome": _text(attempt.outcome, "attempt.outcome"),
        "error_code": _text(attempt.error_code, "attempt.error_code"),
        "cost_nano": _number(attempt.cost_nano, "attempt.cost_nano"),
        "price_version": _text(attempt.price_version, "attempt.price_version"),
        "estimated": attempt.estimated,
        "provider_request_id": _text(attempt.provider_request_id, "attempt.provider_request_id"),
    }
    if attempt.first_byte_ms is not None:
        columns["first_byte_at"] = _time(attempt.first_byte_ms, "attempt.first_byte_ms")
    for name, column in _USAGE.items():
        columns[column] = _number(getattr(attempt.usage, name), f"attempt.usage.{name}")
    return columns


def late_id(attempt_id: str) -> UUID:
    """The id of the adjustment that a true row makes after an estimate of the same attempt: always the same one."""
    return uuid5(UUID(attempt_id), "late")


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


def _identity(text: str, field: str) -> tuple[str, str]:
    """The id in its one form, and the UTC day it was made on (RFC 9562, 5.7: milliseconds in the first 48 bits)."""
    lowered = text.lower()
    if _UUID7.fullmatch(lowered) is None:
        raise Unstorable(f"{field} is not a UUIDv7")
    number = int(lowered[:8] + lowered[9:13], 16) // _DAY_MS
    if number > _LAST_DAY:
        raise Unstorable(f"{field} lies beyond the calendar")
    return lowered, _iso_day(number)


@lru_cache(maxsize=64)
def _iso_day(number: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()


def _text(value: str | None, field: str) -> str | None:
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
        _text(key, "tags")
        _text(value, "tags")
    return tags


def _number(value: int, field: str, largest: int = MAX_BIGINT) -> int:
    if not 0 <= value <= largest:
        raise Unstorable(f"{field} is negative or too large")
    return value


def _status(value: int | None) -> int | None:
    return value if value is None else _number(value, "status", MAX_INTEGER)


def _time(milliseconds: int, field: str) -> int:
    if not 0 <= milliseconds < _LAST_DAY * _DAY_MS:
        raise Unstorable(f"{field} lies beyond the calendar")
    return milliseconds
