"""Rows are checked and flattened before the database sees them."""

from __future__ import annotations

from uuid import UUID, uuid5

import msgspec
import pytest

from tollway.controlplane.ledger.rows import Unstorable, flatten, late_id, quarantined
from tollway.testkit.ledger_rows import NOON_MS, attempt_row, request_row


def test_the_day_comes_from_the_id_and_not_from_the_times() -> None:
    flat = flatten(request_row(NOON_MS, started_ms=NOON_MS + 90_000_000, ended_ms=NOON_MS + 90_000_001))
    assert flat.day == NOON_MS // 86_400_000


def test_an_id_has_one_form() -> None:
    row = request_row()
    upper = msgspec.structs.replace(row, id=row.id.upper())
    assert flatten(upper).id == row.id
    assert flatten(upper).packed == flatten(row).packed


def test_an_end_that_is_not_known_is_the_beginning() -> None:
    attempt = attempt_row(ended_ms=0)
    row = request_row(ended_ms=0, attempts=(attempt,))
    known = msgspec.structs.replace(
        row, ended_ms=NOON_MS, attempts=(msgspec.structs.replace(attempt, ended_ms=NOON_MS),)
    )
    assert flatten(row).packed == flatten(known).packed
    assert flatten(row).attempts == flatten(known).attempts


def test_the_id_of_an_adjustment_is_a_uuid5_of_its_attempt() -> None:
    attempt = attempt_row()
    assert late_id(UUID(attempt.id).bytes) == uuid5(UUID(attempt.id), "late").bytes


def test_an_error_names_the_field_and_not_the_value() -> None:
    with pytest.raises(Unstorable) as caught:
        flatten(request_row(client_request_id="sensitive\0"))
    assert str(caught.value) == "client_request_id has a NUL character"


def test_an_adjustment_has_one_id_for_each_attempt() -> None:
    first, second = attempt_row(), attempt_row()
    ids = [late_id(UUID(attempt.id).bytes) for attempt in (first, first, second)]
    assert ids[0] == ids[1] != ids[2]
    assert UUID(bytes=ids[0]).version == 5


def test_a_row_has_the_same_id_in_quarantine_each_time() -> None:
    row = request_row(model="\ud800\0", attempts=(attempt_row(cost_nano=2**70),))
    kept = quarantined(row, "why")
    assert kept["id"] == quarantined(row, "why")["id"] != quarantined(request_row(), "why")["id"]
    stored = msgspec.json.decode(kept["row"])
    assert stored["model"] == "\ufffd\u2400"
    assert stored["attempts"][0]["cost_nano"] == str(2**70)
