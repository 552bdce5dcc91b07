"""Ledger rows between the generated messages and `tollway.core.ledger`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tollway.core.ledger import AttemptRow, RequestRow
from tollway.core.usage import Usage
from tollway.wire.gen.tollway.usage.v1 import usage_pb2 as pb

_USAGE_FIELDS = tuple(field.name for field in msgspec.structs.fields(Usage))
_ATTEMPT_PLAIN = tuple(f.name for f in msgspec.structs.fields(AttemptRow) if f.name != "usage")
_REQUEST_PLAIN = tuple(f.name for f in msgspec.structs.fields(RequestRow) if f.name not in ("tags", "attempts"))


class IngestResult(msgspec.Struct, frozen=True):
    """How many rows of a batch were new, and how many could not be stored as they were. All are committed."""

    inserted: int
    quarantined: int


def _set(row: AttemptRow | RequestRow | Usage, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields that differ from the message's defaults; an absent field reads as its default."""
    return {name: value for name in names if (value := getattr(row, name))}


def encode_row(row: RequestRow) -> pb.Request:
    """A request with its attempts."""
    attempts = [
        pb.Attempt(**_set(attempt, _ATTEMPT_PLAIN), usage=pb.Usage(**_set(attempt.usage, _USAGE_FIELDS)))
        for attempt in row.attempts
    ]
    return pb.Request(**_set(row, _REQUEST_PLAIN), tags=row.tags, attempts=attempts)


def _decode_plain(message: Any, names: tuple[str, ...]) -> dict[str, Any]:
    fields = message.DESCRIPTOR.fields_by_name
    return {name: getattr(message, name) for name in names if not fields[name].has_presence or message.HasField(name)}


def decode_row(message: Any) -> RequestRow:
    """A request with its attempts; nothing is checked here."""
    attempts = tuple(
        AttemptRow(
            **_decode_plain(attempt, _ATTEMPT_PLAIN),
            usage=Usage(**{name: getattr(attempt.usage, name) for name in _USAGE_FIELDS}),
        )
        for attempt in message.attempts
    )
    return RequestRow(**_decode_plain(message, _REQUEST_PLAIN), tags=dict(message.tags), attempts=attempts)


def encode_batch(replica: str, rows: Sequence[RequestRow]) -> pb.IngestRequest:
    """A batch as it is sent."""
    return pb.IngestRequest(replica=replica, requests=[encode_row(row) for row in rows])


def decode_batch(message: pb.IngestRequest) -> tuple[str, list[RequestRow]]:
    """The sender and the rows of a batch."""
    return message.replica, [decode_row(request) for request in message.requests]
