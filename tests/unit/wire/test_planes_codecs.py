"""Ledger rows and config events between messages and values: nothing is lost on the way."""

from __future__ import annotations

import base64

import msgspec
import pytest

from tollway.controlplane.ledger.rows import Unstorable, flatten
from tollway.core.ledger import AttemptRow, RequestRow
from tollway.core.usage import Usage
from tollway.wire.config_codec import (
    CatalogSnapshot,
    ConfigEvent,
    Heartbeat,
    KeyChange,
    KeyChanges,
    Position,
    Subscription,
    decode_event,
    decode_subscription,
    encode_event,
    encode_subscription,
)
from tollway.wire.usage_codec import decode_batch, decode_row, encode_batch, encode_row

AT = Position("e1", 2**53 + 1)
USAGE = msgspec.convert({name: number for number, name in enumerate(Usage.__struct_fields__, 1)}, Usage)
FULL = AttemptRow(
    id="a1", number=2, provider="p", provider_kind="openai", target_model="m", credential="c", started_ms=1, ended_ms=2,
    first_byte_ms=3, status=502, outcome="error", error_code="x", usage=USAGE, cost_nano=2**62,
    price_version="v", estimated=True, provider_request_id="r",
)  # fmt: skip
BARE = AttemptRow(id="a2", number=1, provider="p", provider_kind="vllm", target_model="m", started_ms=1)


def row(**changed: object) -> RequestRow:
    known: dict[str, object] = {
        "id": "r1", "organisation": "default", "business_unit": "u", "project": "p", "key_id": "k",
        "key_public_id": "AbCd1234", "endpoint": "chat.completions", "model": "m", "started_ms": 2**53 + 1,
    }  # fmt: skip
    return RequestRow(**known | changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "request_row",
    [
        row(),
        row(attempts=(BARE, FULL), tags={"team": "ü"}, stream=True, status=502, error_code="x", client_request_id="x"),
    ],
)
def test_rows_come_back_as_they_went(request_row: RequestRow) -> None:
    """An absent value stays absent."""
    sent = encode_batch("dp-1", [encode_row(request_row)] * 2).SerializeToString()
    message = encode_batch("", [])
    message.ParseFromString(sent)
    assert decode_batch(message) == ("dp-1", [request_row, request_row])


def test_an_older_control_plane_passes_over_what_it_does_not_know() -> None:
    """A newer data plane has further fields, of a row, of an attempt and of its usage."""
    told = msgspec.msgpack.decode(encode_row(row(attempts=(FULL,))))
    told["newer"] = {"x": [1]}
    told["attempts"][0]["newer"] = 7
    told["attempts"][0]["usage"]["newer"] = 7
    assert decode_row(msgspec.msgpack.encode(told)) == row(attempts=(FULL,))


@pytest.mark.parametrize("data", [b"", b"\xc1", msgspec.msgpack.encode({"id": 7}), encode_row(row())[:-1]])
def test_what_is_no_row_is_kept_as_one_that_cannot_be_stored(data: bytes) -> None:
    kept = decode_row(data)
    assert kept == decode_row(data)
    assert kept.id.startswith("unreadable ")
    assert base64.b64decode(kept.tags["row"]) == data
    with pytest.raises(Unstorable, match="id is not a UUIDv7"):
        flatten(kept)


@pytest.mark.parametrize(
    "event",
    [
        Heartbeat(AT),
        CatalogSnapshot(AT, b"\0sealed"),
        KeyChanges(AT, (KeyChange("k1", 7, b"x"), KeyChange("k2", 8, b"")), snapshot=True, complete=True),
        KeyChanges(AT, ()),
    ],
)
def test_events_come_back_as_they_went(event: ConfigEvent) -> None:
    assert decode_event(encode_event(event)) == event


def test_an_event_of_a_newer_version_is_passed_over() -> None:
    message = encode_event(Heartbeat(AT))
    message.Clear()
    assert decode_event(message) is None


@pytest.mark.parametrize(
    "subscription",
    [
        Subscription(replica="dp"),
        Subscription(replica="dp", catalog=Position("", 0), directory=AT, want_directory_snapshot=True),
    ],
)
def test_subscriptions_come_back_as_they_went(subscription: Subscription) -> None:
    assert decode_subscription(encode_subscription(subscription)) == subscription


def test_absent_and_zero_are_told_apart() -> None:
    row = AttemptRow(
        id="a", number=1, provider="p", provider_kind="k", target_model="t", started_ms=1, status=0, first_byte_ms=0
    )
    request = RequestRow(
        id="r", organisation="o", business_unit="b", project="p", key_id="k", key_public_id="kk", endpoint="e",
        model="m", started_ms=1, error_code="", attempts=(row,),
    )  # fmt: skip
    found = decode_row(encode_row(request))
    assert found == request
    assert found.client_request_id is None
