"""Ledger rows between the generated messages and `tollway.core.ledger`.

A row is written once, in MessagePack, and stays these bytes in the journal, in its second copy and on the wire.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

import msgspec

from tollway.core.ledger import RequestRow
from tollway.wire.gen.tollway.usage.v1 import usage_pb2 as pb

encode_row = msgspec.msgpack.Encoder().encode
"""A request with its attempts as bytes."""
_decode = msgspec.msgpack.Decoder(RequestRow).decode


class IngestResult(msgspec.Struct, frozen=True):
    """How many rows of a batch were new, and how many could not be stored as they were. All are committed."""

    inserted: int
    quarantined: int


def decode_row(data: bytes) -> RequestRow:
    """A request with its attempts; nothing is checked here.

    Of bytes that are no row one is made that cannot be stored: so it is kept, whole, among those of its kind.
    """
    try:
        return _decode(data)
    except msgspec.DecodeError as error:
        name = f"unreadable {hashlib.sha256(data).hexdigest()[:16]}"
        tags = {"error": str(error), "row": base64.b64encode(data).decode()}
        return RequestRow(
            id=name, organisation="", business_unit="", project="", key_id="", key_public_id="", endpoint="", model="",
            started_ms=0, tags=tags,
        )  # fmt: skip


def encode_batch(replica: str, rows: Sequence[bytes]) -> pb.IngestRequest:
    """A batch of rows as it is sent."""
    return pb.IngestRequest(replica=replica, rows=rows)


def decode_batch(message: pb.IngestRequest) -> tuple[str, list[RequestRow]]:
    """The sender and the rows of a batch."""
    return message.replica, [decode_row(row) for row in message.rows]
