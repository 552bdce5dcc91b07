"""The orders of targets: who comes first, how often, and that nobody is lost on the way."""

from __future__ import annotations

import random
from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.routing import strategies


class Place(NamedTuple):
    name: str
    weight: int = 1
    priority: int = 0


A, B, C = Place("a"), Place("b"), Place("c")
DRAWS = 4000


@pytest.mark.parametrize("others", [1, 2, 4])
def test_the_heavy_one_is_first_by_its_share(others: int) -> None:
    roll = random.Random(1).random
    places = [Place("heavy", 3 * others), *(Place(str(i), 1) for i in range(others))]
    firsts = Counter(strategies.weighted(places, roll)[0].name for _ in range(DRAWS))
    assert 0.72 < firsts["heavy"] / DRAWS < 0.78


def test_priority_goes_before_weight() -> None:
    roll = random.Random(2).random
    places = [Place("spare", 100, 1), Place("x", 3, 0), Place("y", 1, 0)]
    orders = [strategies.by_priority(places, roll) for _ in range(DRAWS)]
    assert {order[2].name for order in orders} == {"spare"}
    assert 0.72 < sum(order[0].name == "x" for order in orders) / DRAWS < 0.78


def test_the_least_loaded_is_first_and_equals_take_turns() -> None:
    roll = random.Random(3).random
    orders = [strategies.least_loaded([A, B, C], [2.0, 1.0, 1.0], roll) for _ in range(DRAWS)]
    assert {order[2].name for order in orders} == {"a"}
    assert 0.46 < sum(order[0].name == "b" for order in orders) / DRAWS < 0.54


def test_two_choices_avoid_the_worst_and_spread_over_the_rest() -> None:
    roll = random.Random(4).random
    places = [Place(name) for name in "abcd"]
    firsts = Counter(strategies.two_choices(places, [1.0, 2.0, 3.0, 9.0], roll)[0].name for _ in range(DRAWS))
    assert "d" not in firsts
    for name, share in {"a": 1 / 2, "b": 1 / 3, "c": 1 / 6}.items():  # of six pairs, those that it wins
        assert abs(firsts[name] / DRAWS - share) < 0.03


def test_the_cheapest_is_first_and_the_unpriced_last() -> None:
    roll = random.Random(5).random
    rates = [strategies.UNKNOWN_RATE, 5.0, 1.0]
    assert {tuple(p.name for p in strategies.cheapest([A, B, C], rates, roll)) for _ in range(50)} == {("c", "b", "a")}


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 3), st.floats(0, 1e6)), min_size=1, max_size=8),
    st.integers(0, 2**32),
)
def test_every_order_holds_everybody_once(rows: list[tuple[int, int, float]], seed: int) -> None:
    roll = random.Random(seed).random
    places = [Place(str(i), weight, priority) for i, (weight, priority, _) in enumerate(rows)]
    loads = [load for _, _, load in rows]
    for order in (
        strategies.weighted(places, roll),
        strategies.by_priority(places, roll),
        strategies.least_loaded(places, loads, roll),
        strategies.two_choices(places, loads, roll),
        strategies.cheapest(places, loads, roll),
    ):
        assert sorted(order) == sorted(places)
