"""What masking recognises and what it leaves alone; that no planted secret survives; that its time is linear."""

from __future__ import annotations

import random
import string
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.ids import native_key
from tollway.core.masking import find, mask

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\nabc+/=\n-----END RSA PRIVATE KEY-----"

FOUND = [
    ("write to bob.smith+x@example.co.uk, now", "write to [EMAIL], now"),
    ("<ann@münchen.de>", "<[EMAIL]>"),
    ("?to=ann%40example.com&x=1", "?to=[EMAIL]&x=1"),
    ("bob@example.com-then", "[EMAIL]-then"),
    ("call +49 (0) 30 1234567.", "call [PHONE]."),
    ("+14155552671", "[PHONE]"),
    ("0049 30 12345678", "[PHONE]"),
    ("(030) 1234567 or Tel:030/1234567", "[PHONE] or Tel:[PHONE]"),
    ("0171-2345678 0171 2345679", "[PHONE] [PHONE]"),
    ("06 12 34 56 78; 020 7946 0958", "[PHONE]; [PHONE]"),
    ("(415) 555-2671 and 415.555.2671 and 1-800-555-2671", "[PHONE] and [PHONE] and [PHONE]"),
    ("138 1234 5678, 98765 43210", "[PHONE], [PHONE]"),
    ("4111 1111 1111 1111", "[CARD]"),
    ("4111-1111-1111-1111 123 12/30", "[CARD] 123 12/30"),
    ("12 4111111111111111 2nd", "12 [CARD] 2nd"),
    ("378282246310005 5555555555554444", "[CARD] [CARD]"),
    ("DE89 3704 0044 0532 0130 00 and more", "[IBAN] and more"),
    ("gb82west12345698765432", "[IBAN]"),
    ("XX12 DE89370400440532013000", "XX12 [IBAN]"),
    ("key sk-abcdefghij1234567890.", "key [API_KEY]."),
    ("sk-proj-Ab3dEf_gh-IjKlmnop sk-ant-api03-abcDEF123456_-x", "[API_KEY] [API_KEY]"),
    ("hf_abcdefghijklmnopqrstuvwxyz123456", "[API_KEY]"),
    ("AKIAIOSFODNN7EXAMPLE", "[API_KEY]"),
    ("ghp_abcdefghijklmnopqrst1234567890abcd", "[API_KEY]"),
    ("sk_live_" + "a1B2c3D4e5F6g7H8", "[API_KEY]"),
    (f"own: {native_key(b'8bytes!!', b'x' * 32).text}", "own: [API_KEY]"),
    ("Authorization: Bearer abcdef0123456789abcdef", "Authorization: Bearer [TOKEN]"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc_DEF-123", "[TOKEN]"),
    (f"{PEM}\nThe end.", "[PRIVATE_KEY]\nThe end."),
    (PEM[:50], "[PRIVATE_KEY]"),
]

LEFT = [
    "",
    "2024-01-02 12:30:11, 01.02.2024 12:30, 07/08/1990",
    "1700000000 1700000000000 1700000000000000 12345678901234567890",
    "0.4111111111111111 -3.0123456789 1,234,567.89",
    "0190a7b2-1234-7000-8123-012345678901",
    "192.168.10.12:8080, version 1.2.3, chapter 10.1.2",
    "4111 1111 1111 1112",
    "DE88370400440532013000",
    "risk-assessment-of-something sk-learn-compatible-estimators",
    "npm @scope/package, python@3.11.1, @mention, a @ b",
    "Bearer of good news; the bearer authenticates",
    "tokens 12345 12345, 200 OK, 10 000 000",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
]


@pytest.mark.parametrize(("text", "masked"), FOUND)
def test_what_is_recognised(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize("text", LEFT)
def test_what_is_left_alone(text: str) -> None:
    assert mask(text) == text


def test_plain_numbers_are_seldom_taken_for_something() -> None:
    draw = random.Random(7)
    numbers = [str(draw.randrange(10**12)) for _ in range(2000)] + [f"{draw.random():.15f}" for _ in range(2000)]
    assert sum(bool(find(number)) for number in numbers) == 0


def card(digits: str) -> str:
    """`digits` with their check digit."""
    total = sum(
        int(d) if at % 2 else (int(d) * 2 if int(d) < 5 else int(d) * 2 - 9) for at, d in enumerate(reversed(digits))
    )
    return digits + str(-total % 10)


ALNUM = string.ascii_letters + string.digits
CARDS = st.text(string.digits, min_size=14, max_size=14).map(lambda rest: card("4" + rest))
SECRETS = st.one_of(
    CARDS,
    CARDS.map(lambda number: " ".join(number[at : at + 4] for at in range(0, 16, 4))),
    st.text(ALNUM, min_size=1, max_size=20).map(lambda name: f"{name}@example.com"),
    st.text(string.digits, min_size=9, max_size=9).map(lambda rest: f"+491{rest}"),
    st.text(ALNUM, min_size=20, max_size=60).map(lambda rest: f"sk-9{rest}"),
    st.text(ALNUM, min_size=30, max_size=40).map(lambda rest: f"hf_{rest}"),
    st.binary(min_size=40, max_size=40).map(lambda raw: native_key(raw[:8], raw[8:]).text),
)
AROUND = st.text(st.characters(exclude_characters="%@"), max_size=40)


@given(st.text(max_size=400))
def test_it_never_raises(text: str) -> None:
    spans = find(text)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    mask(text)


@given(AROUND, SECRETS, st.sampled_from([", ", "\n", "; ", '"', " <", "\t("]), AROUND)
def test_a_planted_secret_never_stays(before: str, secret: str, border: str, after: str) -> None:
    assert secret not in mask(f"{before}{border}{secret}{border[0]}{after}")


HOSTILE = [
    *("a", "a@", "a@b.", "a@a.aa ", "a.", "%40", "@a.a.a.a.a.", "1", "1 ", "4 ", "4111 ", "4111-", "0", "01-", "0 1"),
    *("+", "+1", "+1 (", "2( ", "200 300 ", "DE89", "DE89 ", "sk-", "sk-a ", "eyJ", "eyJaaaaaaaaaa.", "bearer "),
    *("-----BEGIN PRIVATE KEY-----", "-----", "0.1234567890123456,", "xn--", "a@xn--", "\\", '\\"', "{", '"', '["a",'),
]


def seconds_of(text: str) -> float:
    """The best of two runs."""
    best = float("inf")
    for _ in range(2):
        started = time.thread_time()
        mask(text)
        best = min(best, time.thread_time() - started)
    return best


def test_its_time_is_linear_whatever_the_text() -> None:
    slow = []
    for unit in HOSTILE:
        short, long = (seconds_of((unit * size)[:size]) for size in (2_000, 32_000))
        if long > 16 * 6 * max(short, 0.0005):
            slow.append((unit, short, long))
    assert slow == []
