"""JSON to dataclasses and back."""

from datetime import UTC, datetime

import pytest

from tollway.sdk import models
from tollway.sdk.codec import decode, encode, timestamp


def test_decodes_nested_objects_times_and_big_integers() -> None:
    row = decode(
        models.LedgerRequest,
        {
            "id": "r",
            "started_at": "2026-01-31T12:00:00.123456789Z",
            "attempts": [{"number": 1, "input_tokens": "9007199254740993", "estimated": True}],
            "tags": {"team": "web"},
            "of_a_later_version": 1,
        },
    )
    assert row.started_at == datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
    assert row.attempts[0].input_tokens == 9007199254740993
    assert row.attempts[0].estimated
    assert row.tags == {"team": "web"}


def test_decodes_optional_numbers_as_absent_not_zero() -> None:
    assert decode(models.Target, {"provider": "p"}).weight is None
    assert decode(models.Target, {"provider": "p", "weight": 0}).weight == 0


def test_refuses_another_shape() -> None:
    with pytest.raises(ValueError, match="expected list"):
        decode(models.Project, {"models": "gpt"})


def test_encodes_without_absent_fields() -> None:
    assert encode(models.Timeouts(connect_seconds=5.0)) == {"connect_seconds": 5.0}


def test_refuses_times_without_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        timestamp(datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test


@pytest.mark.parametrize(
    "thing",
    [
        models.KeyWithSecret(secret="sk-canary"),
        models.GeneratedKey(secret="sk-canary"),
        models.NewCredential(name="main", api_key="sk-canary"),
    ],
)
def test_reprs_have_no_secrets(thing: object) -> None:
    assert "canary" not in repr(thing)
