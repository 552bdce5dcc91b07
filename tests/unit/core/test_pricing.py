"""Every kind of usage at its own rate: the sum is exact, and rounded once."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.pricing import INPUT_PARTS, OUTPUT_PARTS, TOKEN_RATES, UNIT_RATES, Price, Rates, Tier, cost
from tollway.core.usage import ZERO, Usage

RATE = st.integers(0, 10**12)
COUNT = st.integers(0, 10**7)
UNITS = {"image": ("images", 1), "audio_hour": ("audio_ms", 3_600_000), "characters": ("characters", 10**6)}
UNITS["search"] = ("searches", 1000)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Usage whose parts do not overlap."""
    counts: dict[str, int] = {}
    for whole, parts in (("input", INPUT_PARTS), ("output", OUTPUT_PARTS)):
        counts |= {name: draw(COUNT) for name in parts}
        counts[whole] = sum(counts[name] for name in parts) + draw(COUNT)
    counts |= {name: draw(COUNT) for name, _ in UNITS.values()}
    return msgspec.convert(counts, Usage)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    rates: dict[str, Any] = {"input": draw(RATE), "output": draw(RATE)}
    optional = st.none() | RATE
    rates |= {name: draw(optional) for name in (*INPUT_PARTS, *OUTPUT_PARTS, *UNIT_RATES, "request")}
    starts = draw(st.lists(st.integers(1, 10**8), max_size=3, unique=True))
    tiers = tuple(Tier(above=above, **{name: draw(optional) for name in TOKEN_RATES}) for above in starts)
    return Price(version="t", tiers=tiers, **rates)


def exact(usage: Usage, price: Price) -> Decimal:
    """The definition, kind by kind, in nano-dollars."""
    chosen = max((tier for tier in price.tiers if usage.input > tier.above), key=lambda t: t.above, default=None)
    rates = {name: getattr(price, name) for name in TOKEN_RATES}
    if chosen is not None:
        rates |= {name: rate for name in TOKEN_RATES if (rate := getattr(chosen, name)) is not None}
    total = Decimal(0)
    for whole, parts in (("input", INPUT_PARTS), ("output", OUTPUT_PARTS)):
        rest = getattr(usage, whole)
        for name in parts:
            count, rate = getattr(usage, name), rates[name]
            rest -= count
            total += Decimal(count * (rates[whole] if rate is None else rate)) / 10**6
        total += Decimal(rest * rates[whole]) / 10**6
    for name, (counted, per) in UNITS.items():
        total += Decimal(getattr(usage, counted) * (getattr(price, name) or 0)) / per
    return total + (price.request or 0) * (usage != ZERO)


@given(usages(), prices())
def test_the_cost_is_the_exact_sum_rounded_once(usage: Usage, price: Price) -> None:
    with localcontext() as context:
        context.prec = 60
        assert cost(usage, price) == int(exact(usage, price).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


@given(st.dictionaries(st.sampled_from(Usage.__struct_fields__), st.integers(0, 2**53)), prices())
def test_counts_that_contradict_each_other_never_cost_less_than_nothing(counts: dict[str, int], price: Price) -> None:
    assert cost(msgspec.convert(counts, Usage), price) >= 0


def test_a_call_that_used_nothing_costs_nothing() -> None:
    price = Price(version="t", input=1, output=1, request=5_000_000)
    assert cost(ZERO, price) == 0
    assert cost(Usage(input=1), price) == 5_000_000


@pytest.mark.parametrize(("size", "rate"), [(0, 1), (100, 1), (101, 2), (200, 2), (201, 4)])
def test_a_tier_is_for_the_whole_request_that_exceeds_it(size: int, rate: int) -> None:
    """In whatever order tiers are given; a rate that a tier does not name is that below every tier."""
    tiers = (Tier(above=200, input=4 * 10**6), Tier(above=100, input=2 * 10**6, cached_input=0))
    price = Price(version="t", input=10**6, output=10**6, cached_input=3 * 10**6, tiers=tiers)
    assert cost(Usage(input=size, output=7), price) == rate * size + 7
    cached = {1: 3, 2: 0, 4: 3}[rate]
    assert cost(Usage(input=size, cached_input=size), price) == cached * size


def test_what_is_worked_out_once_belongs_to_one_price() -> None:
    """It is neither compared nor written, and a changed copy has its own."""
    price = Price(version="t", input=10**6, output=0)
    assert cost(Usage(input=1), price) == 1
    assert cost(Usage(input=1), msgspec.structs.replace(price, input=2 * 10**6)) == 2
    assert price == Price(version="t", input=10**6, output=0)
    assert msgspec.to_builtins(price) == {"version": "t", "input": 10**6, "output": 0}


def test_every_kind_of_usage_is_priced_by_one_rate() -> None:
    priced = {*TOKEN_RATES, *(name for name, _ in UNIT_RATES.values())}
    assert priced == set(Usage.__struct_fields__)
    assert {*TOKEN_RATES, *UNIT_RATES, "request", "tiers"} == set(Rates.__struct_fields__)
