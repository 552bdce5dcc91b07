"""Journals outlive the release that wrote them: records of the release before are read, and it reads the newer ones."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import msgspec
import pytest

from tollway.core.ledger import AttemptRow, RequestRow
from tollway.core.pricing import Price, Tier
from tollway.core.usage import Usage
from tollway.dataplane.outbox.records import Begun, Final, Framed, Intent, Progress, common_of, frame, frames

OLD_USAGE = {"input": 100, "cached_input": 40, "cache_write_5m": 1, "cache_write_1h": 2, "audio_input": 3}
OLD_USAGE |= {"output": 10, "reasoning": 4, "audio_output": 5}
OLD_PRICE = {"version": "v1", "input": 7, "output": 8, "cached_input": 1, "audio_output": 9}
ATTEMPT: dict[str, Any] = {"id": "a", "number": 1, "provider": "p", "provider_kind": "openai", "target_model": "m"}
ATTEMPT |= {"started_ms": 10}
REQUEST: dict[str, Any] = {"id": "r", "organisation": "o", "business_unit": "b", "project": "p", "key_id": "k"}
REQUEST |= {"key_public_id": "kk", "endpoint": "chat.completions", "model": "m", "started_ms": 10}
OLD_REQUEST: dict[str, Any] = {**REQUEST, "attempts": [{**ATTEMPT, "usage": OLD_USAGE}]}


class OldUsage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The kinds that were counted in version 0.1.0."""

    input: int = 0
    cached_input: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    audio_input: int = 0
    output: int = 0
    reasoning: int = 0
    audio_output: int = 0


class OldPrice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rates of version 0.1.0."""

    version: str
    input: int
    output: int
    cached_input: int | None = None
    audio_output: int | None = None


def written(*fields: Any) -> bytes:
    """A record as it lies in a journal."""
    payload = msgspec.msgpack.encode(fields)
    return struct.pack("<II", len(payload), zlib.crc32(payload)) + payload


def read(record: bytes) -> Any:
    (found,) = frames(record, 0, len(record))
    assert isinstance(found, Framed)
    return found.record


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (written("p", "r", 5, 41, OLD_USAGE, 3), Progress("r", 5, 41, Usage(**OLD_USAGE), 3)),
        (
            written("i", OLD_REQUEST, OLD_PRICE, 5, True),
            Intent(msgspec.convert(OLD_REQUEST, RequestRow), msgspec.convert(OLD_PRICE, Price), 5, True),
        ),
        (
            written("f", OLD_REQUEST),
            Final(RequestRow(**REQUEST, attempts=(AttemptRow(**ATTEMPT, usage=Usage(**OLD_USAGE)),))),
        ),
    ],
)
def test_records_of_the_release_before(record: bytes, expected: Any) -> None:
    assert read(record) == expected


def test_the_release_before_reads_what_it_knows() -> None:
    counts = {name: number for number, name in enumerate(Usage.__struct_fields__, 1)}
    usage = msgspec.convert(counts, Usage)
    price = Price(version="v", input=1, output=2, image=3, audio_output=4, tiers=(Tier(above=1, input=2),))
    assert read(frame(Progress("r", 5, 41, usage, 3))).usage == usage
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode([usage, price]))
    older = msgspec.convert(fields, tuple[OldUsage, OldPrice])
    assert older[0] == OldUsage(**{name: counts[name] for name in OldUsage.__struct_fields__})
    assert older[1] == OldPrice(version="v", input=1, output=2, audio_output=4)


@pytest.mark.parametrize("tags", [None, {"team": "web"}])
def test_an_intent_in_short_is_read_as_the_whole(tags: dict[str, str] | None) -> None:
    attempt = AttemptRow(**{**ATTEMPT, "started_ms": 12, "ended_ms": 12, "credential": "main"})
    tagged = {"key": "mine"} if tags is None else tags
    request = RequestRow(**REQUEST, stream=True, client_request_id="c", tags=tagged, user="u", attempts=(attempt,))
    price = msgspec.convert(OLD_PRICE, Price)
    intent = Intent(request, price, 5, reserved=(("b1:0", 70), ("r1:0", 1)))
    other = msgspec.structs.replace(
        intent,
        request=msgspec.structs.replace(request, id="r2", started_ms=1, client_request_id=None, tags={"key": "mine"}),
        input_estimate=9,
        reserved=(("b1:0", 1), ("r1:0", 2)),
    )
    common = common_of(other)
    begun = Begun(common, "r", "a", request.started_ms, 12, "c", tags, 5, (70, 1))
    assert read(frame(begun)) == intent
    assert len(frame(begun)) < len(frame(intent)) * 1.3
