"""Virtual keys as text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tollway.core import ids

entropy8 = st.binary(min_size=8, max_size=8)
entropy32 = st.binary(min_size=32, max_size=32)


@given(entropy8, entropy32)
def test_a_native_key_reads_back(public: bytes, secret: bytes) -> None:
    key = ids.native_key(public, secret)
    assert ids.parse_native(key.text) == key
    assert len(key.public_id) == 8
    assert key.text.startswith(f"sk-tw-{key.public_id}-")


@given(entropy8, entropy32, st.integers(6, 63), st.sampled_from("0123456789ABCXYZabcxyz"))
def test_one_wrong_character_is_noticed(public: bytes, secret: bytes, position: int, character: str) -> None:
    text = ids.native_key(public, secret).text
    changed = text[:position] + character + text[position + 1 :]
    assert changed == text or ids.parse_native(changed) is None


def test_all_256_bits_of_the_secret_are_in_the_key() -> None:
    highest = ids.native_key(b"\x00" * 8, b"\xff" * 32).text
    assert highest != ids.native_key(b"\x00" * 8, b"\x7f" + b"\xff" * 31).text


@given(st.text(max_size=200))
def test_any_text_can_be_presented(text: str) -> None:
    ids.parse_native(text)
    assert len(ids.secret_digest(b"p" * 32, text)) == 32
    assert ids.imported_lookup(b"p" * 32, text).startswith("i")


@given(st.text(max_size=50), st.text(max_size=50))
def test_different_values_have_different_lookups(one: str, two: str) -> None:
    assert (one == two) == (ids.imported_lookup(b"p" * 32, one) == ids.imported_lookup(b"p" * 32, two))
