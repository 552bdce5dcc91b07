"""Amounts are exact, and rounding happens once."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.money import MAX_NANO, divide_half_even, format_dollars, parse_dollars
from tollway.core.pricing import Price, cost
from tollway.core.usage import Usage


@given(st.integers(0, 10**19))
def test_text_and_back(nano: int) -> None:
    assert parse_dollars(format_dollars(nano)) == nano


@given(st.integers(-(10**19), -1))
def test_negative_amounts_are_shown_but_not_accepted(nano: int) -> None:
    text = format_dollars(nano)
    assert Decimal(text) * 10**9 == nano
    with pytest.raises(ValueError):
        parse_dollars(text)


@pytest.mark.parametrize("text", ["", "x", "1.0000000001", "NaN", "Infinity", "-1", "1e400x"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_dollars(text)


@given(st.integers(-(10**24), 10**24), st.integers(1, 10**9))
def test_division_rounds_half_even(numerator: int, denominator: int) -> None:
    exact = (
        (Decimal(numerator) / Decimal(denominator)) if numerator % denominator else Decimal(numerator // denominator)
    )
    if abs(numerator) < 10**18:
        assert divide_half_even(numerator, denominator) == int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
    assert abs(divide_half_even(numerator, denominator) * denominator - numerator) * 2 <= denominator


def test_a_limit_compares_exactly_in_the_counter_store() -> None:
    assert MAX_NANO < 2**53


# Rates in nano-dollars per million tokens; the sums were worked out by hand from the providers' published formulas.
GPT_4O_MINI = Price(version="t", input=150_000_000, cached_input=75_000_000, output=600_000_000)
SONNET = Price(
    version="t",
    input=3_000_000_000,
    cached_input=300_000_000,
    cache_write_5m=3_750_000_000,
    cache_write_1h=6_000_000_000,
    output=15_000_000_000,
)


@pytest.mark.parametrize(
    ("usage", "price", "dollars"),
    [
        (Usage(input=1000, output=500), GPT_4O_MINI, "0.00045"),
        (Usage(input=2006, cached_input=1920, output=300), GPT_4O_MINI, "0.0003369"),
        (Usage(input=2048 + 100, cache_write_5m=2048, output=10), SONNET, "0.00813"),
        (Usage(input=2048 + 100, cache_write_1h=2048, output=10), SONNET, "0.012738"),
        (Usage(input=2048 + 100, cached_input=2048, output=10, reasoning=8), SONNET, "0.0010644"),
    ],
)
def test_the_golden_table_of_providers_formulas(usage: Usage, price: Price, dollars: str) -> None:
    assert format_dollars(cost(usage, price)) == dollars


def test_one_token_is_rounded_once_and_not_per_component() -> None:
    price = Price(version="t", input=500_000, output=500_000)  # half a nano-dollar a token
    assert cost(Usage(input=1, output=1), price) == 1
    assert cost(Usage(input=1), price) == 0
    assert cost(Usage(input=3), price) == 2
