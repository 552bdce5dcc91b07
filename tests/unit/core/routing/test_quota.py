"""A quota of a minute: no sixty seconds hold more than it, and what is promised to be ready is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core.routing.quota import PART_SECONDS, MinuteWindow

NOW = 1000.0


def test_it_is_full_at_its_limit_and_ready_a_minute_later() -> None:
    window = MinuteWindow(3)
    for _ in range(3):
        assert window.ready_at(1, NOW) <= NOW
        window.add(1, NOW)
    ready = window.ready_at(1, NOW)
    assert NOW + 60 <= ready <= NOW + 60 + PART_SECONDS
    assert window.ready_at(1, ready) <= ready


@pytest.mark.parametrize(
    ("used", "wanted", "ready"), [(0, 999, True), (1, 999, False), (40, 60, True), (41, 60, False)]
)
def test_amounts(used: int, wanted: int, ready: bool) -> None:
    window = MinuteWindow(100)
    window.add(used, NOW)
    assert (window.ready_at(wanted, NOW) <= NOW) is ready


def test_what_was_estimated_too_high_is_given_back() -> None:
    window = MinuteWindow(100)
    window.add(90, NOW)
    window.add(-80, NOW + 1)
    assert window.ready_at(90, NOW + 1) <= NOW + 1
    window.add(-500, NOW + 1)
    assert window.ready_at(100, NOW + 1) <= NOW + 1
    window.add(100, NOW + 1)
    assert window.ready_at(1, NOW + 1) > NOW + 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 90), st.integers(1, 40)), max_size=60))
def test_no_minute_holds_more_than_the_limit(steps: list[tuple[float, int]]) -> None:
    window, now = MinuteWindow(100), NOW
    taken: list[tuple[float, int]] = []
    for pause, amount in steps:
        now += pause
        ready = window.ready_at(amount, now)
        if ready > now:
            assert ready <= now + 60 + 2 * PART_SECONDS
            now = ready
            assert window.ready_at(amount, now) <= now
        window.add(amount, now)
        taken.append((now, amount))
        assert sum(size for at, size in taken if at > now - 60) <= 100
