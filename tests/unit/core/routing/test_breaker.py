"""The circuit breaker: when it opens, for how long, who may find out, and what closes it."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tollway.core.routing.breaker import (
    CONSECUTIVE,
    FIRST_SECONDS,
    INTERVAL_SECONDS,
    INTERVALS,
    LEAST_CALLS,
    MOST_SECONDS,
    PROBES,
    Breaker,
    State,
)

NOW = 1000.0
WINDOW = INTERVAL_SECONDS * INTERVALS


def full() -> float:
    return 1.0


def broken(now: float = NOW) -> Breaker:
    breaker = Breaker()
    for _ in range(CONSECUTIVE):
        breaker.failed(now, now, full)
    return breaker


@pytest.mark.parametrize(
    ("calls", "state"),
    [
        ("x" * (CONSECUTIVE - 1), State.CLOSED),
        ("x" * CONSECUTIVE, State.OPEN),
        ("x" * (CONSECUTIVE - 1) + "." + "x" * (CONSECUTIVE - 1), State.CLOSED),
        ("x." * (LEAST_CALLS // 2 - 1) + "x", State.CLOSED),
        (".x" * (LEAST_CALLS // 2), State.OPEN),
        ("..x" * 30, State.CLOSED),
        ("." * 12 + "xxxx." * 10, State.OPEN),
    ],
)
def test_what_opens_it(calls: str, state: State) -> None:
    breaker = Breaker()
    for call in calls:
        if call == "x":
            breaker.failed(NOW, NOW, full)
        else:
            breaker.succeeded(NOW, NOW)
        if breaker.state:
            break
    assert breaker.state is state
    assert breaker.by_rate == (state is State.OPEN and "." in calls)


def test_failures_leave_the_window() -> None:
    breaker = Breaker()
    now = NOW
    for _ in range(9):
        breaker.failed(now, now, full)
        breaker.succeeded(now, now)
    now += WINDOW + INTERVAL_SECONDS
    for _ in range(9):
        breaker.succeeded(now, now)
        breaker.failed(now, now, full)
    states = [breaker.state]
    breaker.succeeded(now, now)
    breaker.failed(now, now, full)
    states.append(breaker.state)
    assert states == [State.CLOSED, State.OPEN]


def test_it_stays_open_for_its_time_and_then_lets_a_few_through() -> None:
    breaker = broken()
    assert not breaker.lets_through(NOW + FIRST_SECONDS - 0.01)
    later = NOW + FIRST_SECONDS
    for _ in range(PROBES):
        assert breaker.lets_through(later)
        assert breaker.began(later)
    assert not breaker.lets_through(later)
    breaker.ended_probe()
    assert breaker.lets_through(later)


def test_the_time_doubles_up_to_its_most_and_is_forgotten_after_a_good_while() -> None:
    breaker, now, times = broken(), NOW, []
    for _ in range(8):
        times.append(breaker.until - now)
        now = breaker.until
        assert breaker.lets_through(now)
        breaker.failed(now, now, full)
    assert times == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    now = breaker.until
    breaker.lets_through(now)
    breaker.succeeded(now, now)
    again = now + MOST_SECONDS + 1
    for _ in range(CONSECUTIVE):
        breaker.failed(again, again, full)
    assert breaker.until - again == FIRST_SECONDS


def test_the_time_is_spread_over_half_of_itself() -> None:
    roll = random.Random(1).random
    times = []
    for _ in range(200):
        breaker = Breaker()
        for _ in range(CONSECUTIVE):
            breaker.failed(NOW, NOW, roll)
        times.append(breaker.until - NOW)
    assert FIRST_SECONDS / 2 <= min(times) < FIRST_SECONDS * 0.55
    assert FIRST_SECONDS * 0.95 < max(times) <= FIRST_SECONDS


def test_calls_from_before_it_opened_neither_close_nor_prolong_it() -> None:
    breaker = broken()
    until = breaker.until
    breaker.succeeded(NOW - 1, NOW + 1)
    breaker.failed(NOW - 1, NOW + 1, full)
    assert (breaker.state, breaker.until) == (State.OPEN, until)
    breaker.succeeded(NOW + 0.5, NOW + 1)  # called for want of another
    assert breaker.state is State.CLOSED


def test_failures_that_began_before_it_closed_do_not_open_it() -> None:
    breaker = broken()
    breaker.succeeded(NOW + 1, NOW + 2)
    for _ in range(CONSECUTIVE):
        breaker.failed(NOW + 1, NOW + 3, full)
    assert breaker.state is State.CLOSED


def test_an_answered_probe_lets_calls_find_out_at_once() -> None:
    breaker = broken()
    breaker.half_open()
    assert breaker.lets_through(NOW)
    closed = Breaker()
    closed.half_open()
    assert closed.state is State.CLOSED


class BreakerMachine(RuleBasedStateMachine):
    """Calls that overlap, fail and succeed at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.now = Breaker(), NOW
        self.calls: list[tuple[float, bool]] = []

    @rule(seconds=st.floats(0, 70))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def begin(self) -> None:
        if self.breaker.lets_through(self.now):
            self.calls.append((self.now, self.breaker.began(self.now)))

    @precondition(lambda self: self.calls)
    @rule(ok=st.sampled_from([True, False, None]), which=st.integers(0, 99))
    def end(self, ok: bool | None, which: int) -> None:
        started, probe = self.calls.pop(which % len(self.calls))
        if probe:
            self.breaker.ended_probe()
        if ok:
            self.breaker.succeeded(started, self.now)
        elif ok is False:
            self.breaker.failed(started, self.now, full)

    @invariant()
    def probes_are_counted(self) -> None:
        assert self.breaker.probing == sum(probe for _, probe in self.calls)
        assert 0 <= self.breaker.probing <= PROBES

    @invariant()
    def it_opens_again_within_its_most(self) -> None:
        if self.breaker.state is State.OPEN:
            assert self.breaker.until <= self.now + MOST_SECONDS

    def teardown(self) -> None:
        """Whatever happened, a success in the end closes it."""
        while self.calls:
            self.end(None, 0)
        self.now += MOST_SECONDS
        assert self.breaker.lets_through(self.now)
        self.breaker.succeeded(self.now, self.now)
        assert self.breaker.state is State.CLOSED


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
