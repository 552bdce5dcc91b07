"""What a hard budget reserves is never less than any bill within the bound, and what it affords is paid for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tollway.core.bounds import UNLIMITED, Bound, affordable_output, most
from tollway.core.pricing import INPUT_PARTS, OUTPUT_PARTS, TOKEN_RATES, UNIT_RATES, Price, Tier, cost
from tollway.core.usage import Usage

RATE = st.integers(0, 10**12)
COUNT = st.integers(0, 10**7)
GROUPS = (
    ("input", ("cached_input", "cache_write_5m", "cache_write_1h")),
    ("input", ("audio_input", "image_input")),
    ("output", ("reasoning", "audio_output", "image_output")),
    ("output", ("prediction_accepted", "prediction_rejected")),
)
UNITS = ("images", "audio_ms", "characters", "searches")


@st.composite
def prices(draw: st.DrawFn) -> Price:
    """Any price: parts cheaper and dearer than their whole, tiers in any order, some of them unreachable."""
    optional = st.none() | RATE
    rates: dict[str, Any] = {"input": draw(RATE), "output": draw(RATE)}
    rates |= {name: draw(optional) for name in (*INPUT_PARTS, *OUTPUT_PARTS, *UNIT_RATES, "request")}
    starts = draw(st.lists(st.integers(0, 10**7), max_size=3, unique=True))
    tiers = tuple(Tier(above=above, **{name: draw(optional) for name in TOKEN_RATES}) for above in starts)
    return Price(version="t", tiers=tiers, **rates)


@st.composite
def bounds(draw: st.DrawFn) -> Bound:
    counts = {name: draw(COUNT) for name in ("input", *UNITS)}
    parts = st.sampled_from((*INPUT_PARTS, *OUTPUT_PARTS))
    return Bound(
        output=draw(st.none() | COUNT),
        choices=draw(st.integers(1, 8)),
        absent=frozenset(draw(st.lists(parts, max_size=4))),
        **counts,
    )


@st.composite
def usages(draw: st.DrawFn, bound: Bound, output: int) -> Usage:
    """A usage within the bound, often at its very edge."""
    counts = {"input": _at_most(draw, bound.input), "output": _at_most(draw, output)}
    for whole, group in GROUPS:
        left = counts[whole]
        for name in draw(st.permutations(group)):
            counts[name] = 0 if name in bound.absent else _at_most(draw, left)
            left -= counts[name]
    counts |= {name: _at_most(draw, getattr(bound, name)) for name in UNITS}
    return msgspec.convert(counts, Usage)


def _at_most(draw: st.DrawFn, limit: int) -> int:
    return draw(st.sampled_from((0, limit)) | st.integers(0, limit))


@given(bounds(), prices(), COUNT, st.data())
def test_no_usage_within_the_bound_costs_more(bound: Bound, price: Price, output: int, data: st.DataObject) -> None:
    usage = data.draw(usages(bound, output))
    assert bound.admits(usage, output)
    assert cost(usage, price) <= most(bound, price, output)


@given(bounds(), prices(), COUNT)
def test_the_bound_is_reached(bound: Bound, price: Price, output: int) -> None:
    """Without parts and tiers, and with some output, the bound is what the dearest usage costs: nothing is added."""
    assume(output)
    plain = Price(version="t", input=price.input, output=price.output, request=price.request)
    assert cost(Usage(input=bound.input, output=output), plain) == most(bound, plain, output)


@given(bounds(), prices(), st.integers(0, 10**16))
def test_what_is_affordable_is_paid_for_and_no_more(bound: Bound, price: Price, nano: int) -> None:
    output = affordable_output(bound, price, nano)
    limit = UNLIMITED if bound.total_output is None else bound.total_output
    assert 0 <= output <= limit
    if most(bound, price, 0) > nano:
        assert output == 0
        return
    assert most(bound, price, output) <= nano
    if output < limit:
        assert most(bound, price, output + 1) > nano


def test_the_limit_of_the_request_counts_for_each_choice() -> None:
    price = Price(version="t", input=1_000_000_000, output=2_000_000_000)
    bound = Bound(input=1000, output=100, choices=3)
    assert most(bound, price) == 1000 * 1000 + 3 * 100 * 2000
    assert affordable_output(bound, price, 10**12) == 300
    assert not bound.admits(Usage(input=1000, output=301))
    assert not bound.admits(Usage(input=1001))


def test_a_bound_without_output_asks_for_a_limit() -> None:
    with pytest.raises(ValueError, match="no limit of output"):
        most(Bound(input=1, output=None), Price(version="t", input=1, output=1))


def test_the_dearest_kind_of_input_and_the_dearest_tier_count() -> None:
    """Claude's cache writes for an hour cost twice the input; long contexts more still, where they can be reached."""
    tier = Tier(above=200_000, input=6_000_000_000)
    price = Price(version="t", input=3_000_000_000, cache_write_1h=6_000_000_000, output=0, tiers=(tier,))
    assert most(Bound(input=1000), price) == 6_000_000
    assert most(Bound(input=1000, absent=frozenset({"cache_write_1h"})), price) == 3_000_000
    assert most(Bound(input=200_001, absent=frozenset({"cache_write_1h"})), price) == 200_001 * 6000


def test_a_cheaper_tier_does_not_hide_the_one_below_it() -> None:
    price = Price(version="t", input=2_000_000_000, output=0, tiers=(Tier(above=1000, input=1),))
    assert most(Bound(input=1001), price) == 1000 * 2000
