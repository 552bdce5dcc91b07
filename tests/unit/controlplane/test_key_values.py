"""Which values can be imported as keys, and how the status of a key comes about."""

from __future__ import annotations

import base64
import string
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.controlplane.keys.model import KeyRow, KeyStatus, estimated_bits, value_problem
from tollway.core.ids import native_key

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.integers(0, 2**64))
def test_random_values_of_common_forms_are_accepted(seed: int) -> None:
    random = Random(seed)
    raw = random.randbytes(32)
    base62 = "".join(random.choices(string.ascii_letters + string.digits, k=40))
    for value in (base64.urlsafe_b64encode(raw).decode().rstrip("="), raw.hex() + raw.hex()[::-1], "sk-" + base62):
        assert value_problem(value) is None, value


@pytest.mark.parametrize(
    "value",
    [
        "a" * 64,
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "1234567890123456789012345678901234567890",
        "abababababababababababababababababababab",
        "test-test-test-test-test-test-test",
        "correct-horse-battery-staple-again",
        "0123456789abcdef0123456789abcdef",
        "changeme-changeme-changeme-1",
        "sk-1234567890abcdef1234",
    ],
)
def test_values_that_can_be_guessed_are_refused(value: str) -> None:
    problem = value_problem(value)
    assert problem is not None
    assert value not in problem


@pytest.mark.parametrize(
    "value", ["x" * 21, "x" * 513, "with space in it 12345678", "ümläut" * 6, "line\nbreak" * 4, ""]
)
def test_values_that_cannot_be_sent_are_refused(value: str) -> None:
    assert value_problem(value) is not None


def test_native_forms() -> None:
    text = native_key(b"12345678", bytes(range(32))).text
    assert value_problem(text) is None
    assert "checksum" in str(value_problem(text[:-1] + ("0" if text[-1] != "0" else "1")))


@given(st.integers(0, 2**64), st.integers(0, 400))
def test_padding_with_one_character_adds_nothing(seed: int, count: int) -> None:
    text = "".join(Random(seed).choices(string.ascii_letters + string.digits, k=20)) + "aB3"
    assert estimated_bits(text + "aaa" + "a" * count) == estimated_bits(text + "aaa")


@given(st.text(max_size=600))
def test_any_text_gets_a_verdict_that_does_not_repeat_it(text: str) -> None:
    problem = value_problem(text)
    if problem is not None and len(text) >= 22:
        assert text not in problem


def _row(expires: timedelta | None, revoked: bool) -> KeyRow:
    return KeyRow(
        id=UUID(int=1),
        project_id=UUID(int=2),
        project="bot",
        project_archived=False,
        lookup="abcdefgh",
        public_id="abcdefgh",
        imported=False,
        name="main",
        user_name="",
        models=["*"],
        tags={},
        version=1,
        revision=1,
        created_at=NOW,
        updated_at=NOW,
        expires_at=None if expires is None else NOW + expires,
        revoked_at=NOW if revoked else None,
        grace_until=NOW + timedelta(seconds=5),
    )


def test_status() -> None:
    assert _row(None, False).status(NOW) is KeyStatus.ACTIVE
    assert _row(timedelta(seconds=1), False).status(NOW) is KeyStatus.ACTIVE
    assert _row(timedelta(0), False).status(NOW) is KeyStatus.EXPIRED
    assert _row(timedelta(0), True).status(NOW) is KeyStatus.REVOKED
    assert _row(None, False).view(NOW).previous_secret_valid_until == NOW + timedelta(seconds=5)
    assert _row(None, False).view(NOW + timedelta(seconds=5)).previous_secret_valid_until is None
    assert _row(None, True).view(NOW).previous_secret_valid_until is None
