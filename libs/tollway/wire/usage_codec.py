"""Ledger rows between the generated messages and `tollway.core.ledger`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tollway.core.ledger import AttemptRow, RequestRow
from tollway.core.usage import Usage
from tollway.wire.gen.tollway.usage.v1 import usage_pb2 as pb

_USAGE = tuple(field.name for field in msgspec.structs.fields(Usage))


def _names(struct: type[AttemptRow | RequestRow], message: Any, *left_out: str) -> tuple[tuple[str, ...], ...]:
    """Names of the plain fields: those with a default on the wire, and those that tell absent from zero."""
    fields = message.DESCRIPTOR.fields_by_name
    names = [field.name for field in msgspec.structs.fields(struct) if field.name not in left_out]
    return (
        tuple(name for name in names if not fields[name].has_presence),
        tuple(name for name in names if fields[name].has_presence),
    )


_ATTEMPT = _names(AttemptRow, pb.Attempt, "usage")
_REQUEST = _names(RequestRow, pb.Request, "tags", "attempts")


class IngestResult(msgspec.Struct, frozen=True):
    """How many rows of a batch were new, and how many could not be stored as they were. All are committed."""

    inserted: int
    quarantined: int


def encode_row(row: RequestRow) -> pb.Request:
    """A request with its attempts; what has its default is left out, as on the wire.

    The structs leave out their own defaults, of which `outcome` alone is not the wire's.
    """
    found = msgspec.to_builtins(row)
    found["outcome"] = row.outcome
    for told, attempt in zip(found.get("attempts", ()), row.attempts, strict=True):
        told["outcome"] = attempt.outcome
    return pb.Request(**found)


def _get(message: Any, names: tuple[tuple[str, ...], ...]) -> dict[str, Any]:
    plain, optional = names
    found = {name: getattr(message, name) for name in plain}
    return found | {name: getattr(message, name) for name in optional if message.HasField(name)}


def decode_row(message: Any) -> RequestRow:
    """A request with its attempts; nothing is checked here."""
    attempts = tuple(
        AttemptRow(**_get(attempt, _ATTEMPT), usage=Usage(**{name: getattr(attempt.usage, name) for name in _USAGE}))
        for attempt in message.attempts
    )
    return RequestRow(**_get(message, _REQUEST), tags=dict(message.tags), attempts=attempts)


def encode_batch(replica: str, rows: Sequence[RequestRow]) -> pb.IngestRequest:
    """A batch as it is sent."""
    return pb.IngestRequest(replica=replica, requests=[encode_row(row) for row in rows])


def decode_batch(message: pb.IngestRequest) -> tuple[str, list[RequestRow]]:
    """The sender and the rows of a batch."""
    return message.replica, [decode_row(request) for request in message.requests]
