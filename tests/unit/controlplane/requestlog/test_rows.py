"""Bodies as column values: what fits is kept, what does not is cut or refused, and nothing else is raised."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.controlplane.requestlog.partitions import DAYS_AHEAD, InUse, Slot, wanted
from tollway.controlplane.requestlog.rows import MAX_TEXT, Unstorable, bound, clean, day_of, flatten
from tollway.core.requestlog import RETENTION_CLASSES, LoggedBody
from tollway.testkit.ledger_rows import NOON_MS, uuid7
from tollway.testkit.logged_bodies import logged_body
from tollway.wire.bodies_codec import BatchPacker, Unreadable, decode_bodies, encode_bodies, unpack

BEYOND = "ffffffff-ffff-7fff-bfff-ffffffffffff"
TODAY = date(2026, 9, 21)
INTEGER = st.integers(-(1 << 63), (1 << 63) - 1)
SMALL = st.integers(-(1 << 31), (1 << 31) - 1)
TEXT = st.text(max_size=30)
BODIES = st.builds(
    logged_body,
    st.just(NOON_MS),
    started_ms=INTEGER,
    project=TEXT,
    user=TEXT,
    client_request_id=TEXT,
    tags=st.dictionaries(TEXT, TEXT, max_size=4),
    status=SMALL,
    duration_ms=INTEGER,
    plain_bytes=INTEGER,
    retention_days=st.sampled_from([*RETENTION_CLASSES, 0, 2, -7]),
    request_id=st.sampled_from([uuid7(), uuid7().upper(), "x", str(UUID(int=0)), BEYOND]),
    content=st.binary(max_size=8) | st.sampled_from([b"\x28\xb5\x2f\xfdrest", b"{}"]),
)


@settings(max_examples=60)
@given(BODIES)
def test_a_body_is_stored_or_refused_with_a_reason(body: LoggedBody) -> None:
    wrong = body.request_id in ("x", str(UUID(int=0)), BEYOND) or body.retention_days not in RETENTION_CLASSES
    if wrong or not body.content.startswith((b"\x28\xb5\x2f\xfd", b"{")):
        with pytest.raises(Unstorable, match=r"^(request_id|retention_days|content) "):
            flatten(body)
        return
    flat = flatten(body)
    columns: dict[str, Any] = json.loads(msgspec.json.encode(flat.columns))
    assert flat.content == body.content or zstandard.ZstdDecompressor().decompress(flat.content) == body.content
    assert columns["stored_bytes"] == len(flat.content)
    assert columns["retention_days"] in RETENTION_CLASSES
    assert abs(columns["started_ms"] - NOON_MS) <= 60_000
    assert min(columns["status"], columns["duration_ms"], columns["plain_bytes"]) >= 0
    assert "\0" not in json.dumps(columns, ensure_ascii=False)


@settings(max_examples=30)
@given(st.lists(BODIES, max_size=3), TEXT, st.integers(0, 1 << 40))
def test_the_wire_carries_everything(bodies: list[LoggedBody], replica: str, dropped: int) -> None:
    batches = [BatchPacker().pack(bodies[:1]), BatchPacker().pack(bodies[1:])]
    assert decode_bodies(encode_bodies(replica, batches, dropped)) == (replica, bodies, dropped)


@given(st.binary(max_size=64))
def test_what_is_no_batch_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(Unreadable):
        unpack(data)
    whole = BatchPacker().pack([logged_body(NOON_MS)])
    with pytest.raises(Unreadable):
        unpack(whole[: len(data) % len(whole)])


@given(st.text(max_size=2 * MAX_TEXT))
def test_a_cleaned_text_can_be_stored(text: str) -> None:
    cleaned = clean(text)
    assert "\0" not in cleaned
    assert len(cleaned) <= MAX_TEXT
    assert cleaned.encode().decode() == cleaned


def test_lone_surrogates_are_replaced() -> None:
    assert clean("a\ud800b") == "a�b"


@given(st.integers(86_400_000, 221_000_000_000_000))
def test_bounds_are_the_first_id_of_their_time(milliseconds: int) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    assert UUID(uuid7(milliseconds - 1)) < bound(at) < UUID(uuid7(milliseconds))
    assert day_of(bound(at)) == at.date()


@pytest.mark.parametrize("retention_days", RETENTION_CLASSES)
def test_partitions_of_a_class_in_use(retention_days: int) -> None:
    days = range(-1, DAYS_AHEAD + 1)
    expected = {Slot(retention_days, TODAY + timedelta(days=ahead)) for ahead in days}
    assert wanted([InUse(retention_days, None)], TODAY) == expected
    over = InUse(retention_days, TODAY - timedelta(days=retention_days + 1))
    ahead = InUse(retention_days, TODAY + timedelta(days=DAYS_AHEAD + 1))
    last = InUse(retention_days, TODAY - timedelta(days=retention_days))
    assert wanted([over, ahead, last], TODAY) == expected | {Slot(retention_days, TODAY - timedelta(retention_days))}
