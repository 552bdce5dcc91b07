"""What is written to a journal, and how an unfinished call is booked from it.

An `Intent` is written before an upstream call, `Progress` while a stream is under way, `Final` when the request is
over: it holds the whole row. A process that died left intents without a final; `settle_lost` turns them into rows.
Every segment begins with the `Totals` that the process had spent of each budget, and `Acknowledged` marks say what the
ledger has: so its successor knows to the nano-dollar what is to be charged, though older segments are gone. Pure.
"""

from __future__ import annotations

import mmap
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from tollway.core.ledger import AttemptRow, Outcome, RequestRow
from tollway.core.pricing import Price, cost
from tollway.core.usage import Usage

HEADER = struct.Struct("<II")  # length and CRC-32 of the payload
CHARACTERS_PER_TOKEN = 4
_FINAL = b"\xa1f"
"""The tag of a `Final`, behind the byte that begins its array."""
_ACKNOWLEDGED = b"\xa1a"
"""That of an `Acknowledged`."""
BUDGET = "b"
"""How the names of accounts of budgets begin."""


Charges = tuple[tuple[str, int], ...]
"""Accounts of budgets and limits (`tollway.dataplane.admission`), each with an amount of it."""


class Intent(msgspec.Struct, frozen=True, tag="i", array_like=True):
    """An upstream call is about to be made: `request` as far as it is known, its last attempt being this one.

    `reserved`: what it may cost of each account. `known_input` is read by nobody: it keeps the place that it has in the
    array, for journals that other releases wrote or will read.
    """

    request: RequestRow
    price: Price | None
    input_estimate: int
    known_input: bool = False
    reserved: Charges = ()


class Begun(msgspec.Struct, frozen=True, tag="o", array_like=True):
    """An `Intent` in short: the first call of a request that is like many others of the same caller.

    `common` is the MessagePack of an Intent in which what differs is left empty: ids, times, the client's own words,
    the estimate of the input, the amounts of `reserved`. To write it whole for each request would cost several times
    as much.
    """

    common: bytes
    request_id: str
    attempt_id: str
    started_ms: int
    attempt_ms: int
    client_request_id: str | None
    tags: dict[str, str] | None
    input_estimate: int
    reserved: tuple[int, ...]

    def intent(self) -> Intent:
        """The same in full."""
        common = _decode_intent(self.common)
        request = common.request
        (attempt,) = request.attempts
        attempt = msgspec.structs.replace(
            attempt, id=self.attempt_id, started_ms=self.attempt_ms, ended_ms=self.attempt_ms
        )
        request = msgspec.structs.replace(
            request,
            id=self.request_id,
            started_ms=self.started_ms,
            client_request_id=self.client_request_id,
            tags=request.tags if self.tags is None else self.tags,
            attempts=(attempt,),
        )
        accounts = [account for account, _ in common.reserved]
        reserved = tuple(zip(accounts, self.reserved, strict=True))
        return msgspec.structs.replace(common, request=request, input_estimate=self.input_estimate, reserved=reserved)


def common_of(intent: Intent) -> bytes:
    """What `intent` has in common with others of the same caller, model and target, for `Begun`."""
    (attempt,) = intent.request.attempts
    attempt = msgspec.structs.replace(attempt, id="", started_ms=0, ended_ms=0)
    request = msgspec.structs.replace(intent.request, id="", started_ms=0, client_request_id=None, attempts=(attempt,))
    reserved = tuple([(account, 0) for account, _ in intent.reserved])
    return _encode(msgspec.structs.replace(intent, request=request, input_estimate=0, reserved=reserved))


class Progress(msgspec.Struct, frozen=True, tag="p", array_like=True):
    """How far the stream of a request has come."""

    request_id: str
    at_ms: int
    output_chars: int
    usage: Usage | None = None
    output_events: int = 0


class Final(msgspec.Struct, frozen=True, tag="f", array_like=True):
    """The request is over: the row as it goes into the ledger, and what it was charged to."""

    request: RequestRow
    charges: Charges = ()


class Finished(msgspec.Struct, frozen=True, tag="f", array_like=True):
    """A `Final` whose row stays the bytes that it is."""

    request: msgspec.Raw
    charges: Charges = ()


class Totals(msgspec.Struct, frozen=True, tag="t", array_like=True):
    """What this process has spent of each budget since the life `epoch` of the counters began."""

    epoch: str
    spent: dict[str, int]


class Acknowledged(msgspec.Struct, frozen=True, tag="a", array_like=True):
    """The ledger has everything before `position` of the segment with this number."""

    segment: int
    position: int


Record = Intent | Progress | Final | Totals | Acknowledged
Written = Record | Begun
"""What is in a journal; who reads one gets an `Intent` for each `Begun`."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Written).decode
_decode_intent = msgspec.msgpack.Decoder(Intent).decode
_decode_finished = msgspec.msgpack.Decoder(Finished).decode
_decode_acknowledged = msgspec.msgpack.Decoder(Acknowledged).decode


class Framed(NamedTuple):
    """A record and the offset behind it."""

    record: Record
    end: int


def frame(record: Written) -> bytes:
    """A record as it is written: header, then MessagePack."""
    payload = _encode(record)
    return HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def frames(buffer: memoryview | bytes, start: int, end: int) -> Iterator[Framed]:
    """The records between two offsets. Stops at the first that is torn or unwritten: nothing after it was finished."""
    for payload, stop in _payloads(buffer, start, end):
        record = _decode(payload)
        yield Framed(record.intent() if isinstance(record, Begun) else record, stop)


def last_acknowledged(buffer: bytes) -> Acknowledged | None:
    """The last mark of what the ledger has; nothing else is decoded."""
    found = None
    for payload, _ in _payloads(buffer, 0, len(buffer)):
        if payload[1 : 1 + len(_ACKNOWLEDGED)] == _ACKNOWLEDGED:
            found = payload
    return None if found is None else _decode_acknowledged(found)


def _payloads(buffer: memoryview | bytes, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """Payloads that are whole, and the offset behind each."""
    position = start
    while position + HEADER.size <= end:
        length, checksum = HEADER.unpack_from(buffer, position)
        stop = position + HEADER.size + length
        if not length or stop > end:
            return
        payload = bytes(buffer[position + HEADER.size : stop])
        if zlib.crc32(payload) != checksum:
            return
        yield payload, stop
        position = stop


def finished_frames(buffer: bytes | mmap.mmap, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """The frames of finished requests between two offsets as they are, and the offset behind each.

    For what this process wrote itself: nothing is checked or decoded.
    """
    position = start
    while position < end:
        length, _checksum = HEADER.unpack_from(buffer, position)
        payload = position + HEADER.size
        stop = payload + length
        if buffer[payload + 1 : payload + 1 + len(_FINAL)] == _FINAL:
            yield buffer[position:stop], stop
        position = stop


def read_finished(data: bytes) -> Finished:
    """What a frame of `finished_frames` holds."""
    return _decode_finished(memoryview(data)[HEADER.size :])


def estimate(usage: Usage | None, input_estimate: int, output_chars: int, output_events: int = 0) -> Usage:
    """Usage when the provider's own never came: all input, and the larger of what is known and what was delivered.

    Delivered are a token for each event of a stream that brought content, or one for every four characters.
    """
    known = usage if usage is not None else Usage()
    delivered = max(-(-output_chars // CHARACTERS_PER_TOKEN), output_events)
    return msgspec.structs.replace(known, input=known.input or input_estimate, output=max(known.output, delivered))


def settle_lost(intent: Intent, progress: Progress | None, now_ms: int) -> RequestRow:
    """The row of a request whose process died: its last attempt is estimated from the journal.

    It costs what was reserved at most.
    """
    request = intent.request
    *before, last = request.attempts
    known = progress.usage if progress is not None else None
    used = estimate(
        known, intent.input_estimate, *((progress.output_chars, progress.output_events) if progress else (0,))
    )
    ended = progress.at_ms if progress is not None else now_ms
    amount = cost(used, intent.price) if intent.price is not None else 0
    if progress is None and not request.stream and any(is_budget(account) for account, _ in intent.reserved):
        amount = sys.maxsize  # nobody knows how long the answer became: what was reserved is booked
    lost: AttemptRow = msgspec.structs.replace(
        last,
        ended_ms=max(ended, last.started_ms),
        outcome=Outcome.LOST,
        usage=used,
        cost_nano=min(amount, _left(intent, before)),
        price_version=intent.price.version if intent.price is not None else None,
        estimated=True,
    )
    return msgspec.structs.replace(
        request, ended_ms=max(ended, request.started_ms), outcome=Outcome.LOST, attempts=(*before, lost)
    )


def _left(intent: Intent, before: Sequence[AttemptRow]) -> int:
    """What the last attempt can have cost of what was reserved for the whole request."""
    reserved = [amount for account, amount in intent.reserved if is_budget(account)]
    if not reserved:
        return sys.maxsize
    return max(0, min(reserved) - sum(attempt.cost_nano for attempt in before))


def is_budget(account: str) -> bool:
    """Whether an account is a budget's: its amounts are nano-dollars."""
    return account.startswith(BUDGET)


def lost_charges(intent: Intent, row: RequestRow) -> Charges:
    """What a request whose process died is charged to: budgets by its cost, limits by what was reserved."""
    amount = sum(attempt.cost_nano for attempt in row.attempts)
    return tuple((account, amount if is_budget(account) else reserved) for account, reserved in intent.reserved)
