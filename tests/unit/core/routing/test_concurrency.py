"""Adaptive limits: always within bounds, and near the knee of a server that has one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core.routing.concurrency import Gradient, LagLimit


def serve(gradient: Gradient, knee: int, calls: int, *, noise: float = 0.0, base: float = 0.1) -> list[float]:
    """A server that is as quick as it can be up to `knee` calls at once, and queues the rest; always as many callers
    as the limit lets in. Returns the limits of the last half of the calls."""
    dice = random.Random(3)
    limits = []
    for call in range(calls):
        inside = max(int(gradient.limit), 1)
        seconds = base * max(1.0, inside / knee) * (1.0 + noise * dice.random())
        gradient.answered(seconds, inside)
        if call >= calls / 2:
            limits.append(gradient.limit)
    return limits


@pytest.mark.parametrize("knee", [5, 50, 300])
@pytest.mark.parametrize("initial", [1, 20, 1000])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_it_settles_at_the_knee(knee: int, initial: int, noise: float) -> None:
    limits = serve(Gradient(initial=initial, most=10_000), knee, 30_000, noise=noise)
    average = sum(limits) / len(limits)
    assert 0.8 * knee <= average <= 3.0 * knee + 5


def test_it_follows_a_server_that_becomes_slower() -> None:
    gradient = Gradient(initial=20)
    serve(gradient, 50, 10_000)
    limits = serve(gradient, 50, 30_000, base=0.5)
    assert sum(limits) / len(limits) >= 0.8 * 50


def test_a_limit_that_nobody_reaches_stays() -> None:
    gradient = Gradient(initial=1000)
    dice = random.Random(1)
    for _ in range(5000):
        gradient.answered(dice.lognormvariate(0, 1.5), dice.randint(1, 400))
    assert gradient.limit == 1000


@settings(deadline=None)
@given(
    st.integers(1, 100),
    st.integers(1, 100),
    st.lists(st.tuples(st.floats(0, 1e4), st.integers(0, 200), st.booleans()), max_size=200),
)
def test_it_stays_within_its_bounds(initial: int, most: int, calls: list[tuple[float, int, bool]]) -> None:
    gradient = Gradient(initial=initial, most=most)
    for seconds, in_flight, overloaded in calls:
        if overloaded:
            gradient.refused()
        else:
            gradient.answered(seconds, in_flight)
        assert 1.0 <= gradient.limit <= most


def test_refusals_bring_it_down_to_one() -> None:
    gradient = Gradient(initial=1000)
    gradient.refused()
    assert gradient.limit == 900.0
    for _ in range(100):
        gradient.refused()
    assert gradient.limit == 1.0


@given(st.integers(1, 50), st.integers(0, 50), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 200)), max_size=100))
def test_the_limit_of_a_process_stays_within_its_bounds(least: int, more: int, looks: list[tuple[float, int]]) -> None:
    limit = LagLimit(initial=least, most=least + more, least=least)
    for lag, in_flight in looks:
        limit.look(lag, in_flight)
        assert least <= limit.limit <= least + more


def test_a_late_loop_lowers_the_limit_and_a_punctual_one_raises_it() -> None:
    limit = LagLimit(initial=1000, most=2000)
    for burst in (0.5, 0.0, 0.5):
        limit.look(burst, 990)
    assert limit.limit == 1050.0, "a moment is no overload; the punctual look between raised it"
    limit.look(0.5, 400)
    assert limit.limit == 360.0
    limit.look(0.0, 10)
    assert limit.limit == 360.0
    limit.look(0.0, 350)
    assert limit.limit == 378.0
