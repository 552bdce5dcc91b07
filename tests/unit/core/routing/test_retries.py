"""What happens after a failure, as a table; the budget of further tries; pauses."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.errors import Code, Fault
from tollway.core.routing.retries import (
    MOST_DELAY_SECONDS,
    MOST_SAVED,
    Failure,
    Kind,
    Left,
    RetryBudget,
    backoff,
    next_kind,
)

NOW = 1000.0
UP = Fault.UPSTREAM
BROKEN = Failure(Code.PROVIDER_ERROR, UP, True)
AWAY = Failure(Code.PROVIDER_UNAVAILABLE, UP, True, 0.5)
AWAY_LONG = Failure(Code.PROVIDER_UNAVAILABLE, UP, True, 30.0)
LIMITED = Failure(Code.PROVIDER_RATE_LIMITED, UP, True)
LIMITED_SOON = Failure(Code.PROVIDER_RATE_LIMITED, UP, True, 0.5)
REFUSED = Failure(Code.PROVIDER_AUTH_FAILED, UP, False)
WRONG = Failure(Code.PROVIDER_ERROR, UP, False)
SLOW = Failure(Code.PROVIDER_TIMEOUT, UP, True)
NO_TIME = Failure(Code.PROVIDER_TIMEOUT, UP, False)
BAD = Failure(Code.INVALID_REQUEST, Fault.CLIENT, False)
LONG = Failure(Code.CONTEXT_LENGTH_EXCEEDED, Fault.CLIENT, False)
FILTERED = Failure(Code.CONTENT_FILTER, Fault.CLIENT, False)
OURS = Failure(Code.OVERLOADED, Fault.US, False)
POLICY = Failure(Code.BUDGET_EXCEEDED, Fault.POLICY, False)


def left(**has: Any) -> Left:
    budget = has.pop("budget", True)
    nothing = dict.fromkeys(("credential", "target", "same", "fallback", "context_fallback", "filter_fallback"), False)
    return Left(**{"tries": 2, **nothing, **has, "budget": lambda: budget})


ALL = {"credential": True, "target": True, "same": True, "fallback": True}
EVERYTHING = ALL | {"context_fallback": True, "filter_fallback": True}


@pytest.mark.parametrize(
    ("failure", "has", "kind"),
    [
        (BROKEN, EVERYTHING, Kind.TARGET),
        (BROKEN, {"same": True, "fallback": True}, Kind.SAME),
        (BROKEN, {"fallback": True}, Kind.FALLBACK),
        (BROKEN, {}, Kind.GIVE_UP),
        (BROKEN, EVERYTHING | {"tries": 0}, Kind.FALLBACK),
        (BROKEN, ALL | {"tries": 0, "fallback": False}, Kind.GIVE_UP),
        (BROKEN, EVERYTHING | {"budget": False}, Kind.FALLBACK),
        (BROKEN, {"same": True, "budget": False}, Kind.GIVE_UP),
        (AWAY, {"same": True}, Kind.SAME),
        (AWAY_LONG, {"same": True}, Kind.GIVE_UP),
        (AWAY_LONG, ALL, Kind.TARGET),
        (LIMITED, EVERYTHING, Kind.CREDENTIAL),
        (LIMITED, EVERYTHING | {"budget": False}, Kind.CREDENTIAL),
        (LIMITED, {"target": True, "same": True}, Kind.TARGET),
        (LIMITED, {"same": True}, Kind.GIVE_UP),
        (LIMITED_SOON, {"same": True}, Kind.SAME),
        (REFUSED, EVERYTHING, Kind.CREDENTIAL),
        (REFUSED, {"target": True}, Kind.TARGET),
        (REFUSED, {"same": True}, Kind.GIVE_UP),
        (REFUSED, {"same": True, "fallback": True}, Kind.FALLBACK),
        (WRONG, EVERYTHING, Kind.TARGET),
        (WRONG, {"same": True}, Kind.GIVE_UP),
        (SLOW, EVERYTHING, Kind.TARGET),
        (SLOW, {"same": True}, Kind.GIVE_UP),
        (NO_TIME, EVERYTHING, Kind.GIVE_UP),
        (BAD, EVERYTHING, Kind.GIVE_UP),
        (OURS, EVERYTHING, Kind.GIVE_UP),
        (POLICY, EVERYTHING, Kind.GIVE_UP),
        (LONG, EVERYTHING, Kind.CONTEXT_FALLBACK),
        (LONG, ALL, Kind.GIVE_UP),
        (FILTERED, EVERYTHING, Kind.FILTER_FALLBACK),
        (FILTERED, ALL | {"context_fallback": True}, Kind.GIVE_UP),
    ],
)
def test_what_is_done_next(failure: Failure, has: dict[str, Any], kind: Kind) -> None:
    assert next_kind(failure, left(**has)) is kind


@pytest.mark.parametrize("failure", [BROKEN, LIMITED, REFUSED, SLOW, LONG, FILTERED])
def test_after_the_first_byte_nothing_is_tried(failure: Failure) -> None:
    assert next_kind(failure._replace(committed=True), left(**EVERYTHING)) is Kind.GIVE_UP


def test_the_budget_is_asked_only_for_what_it_is_meant_for() -> None:
    asked: list[int] = []

    def budget() -> bool:
        asked.append(1)
        return True

    for failure in (LIMITED, REFUSED, NO_TIME, BAD, LONG, FILTERED):
        next_kind(failure, left(**EVERYTHING)._replace(budget=budget))
    assert asked == []
    next_kind(BROKEN, left(**EVERYTHING)._replace(budget=budget))
    assert asked == [1]


def test_further_tries_are_a_share_of_requests() -> None:
    budget = RetryBudget(0.1, NOW, reserve=0.0)
    taken = 0
    for _ in range(1000):
        budget.request()
        taken += budget.take(NOW)
    assert 99 <= taken <= 100


def test_quiet_models_have_a_reserve() -> None:
    budget = RetryBudget(0.0, NOW, reserve=2.0)
    assert [budget.take(NOW) for _ in range(3)] == [True, True, False]
    assert budget.take(NOW + 0.5)
    assert not budget.take(NOW + 0.5)
    assert sum(budget.take(NOW + 3600) for _ in range(1000)) == 20


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 30), st.integers(0, 30)), max_size=40))
def test_never_more_than_earned(steps: list[tuple[float, int, int]]) -> None:
    budget, now, requests, taken = RetryBudget(0.2, NOW, reserve=1.0), NOW, 0, 0
    for pause, come, wanted in steps:
        now += pause
        requests += come
        for _ in range(come):
            budget.request()
        got = sum(budget.take(now) for _ in range(wanted))
        assert got <= MOST_SAVED
        taken += got
        assert taken <= 0.2 * requests + 1.0 * (now - NOW) + 1.0 + 1e-6


def test_pauses_grow_to_their_most_with_full_jitter() -> None:
    assert [backoff(again, lambda: 1.0) for again in range(1, 8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    roll = random.Random(1).random
    pauses = [backoff(9, roll) for _ in range(2000)]
    assert min(pauses) < 0.02 * MOST_DELAY_SECONDS
    assert sum(pauses) / 2000 == pytest.approx(MOST_DELAY_SECONDS / 2, rel=0.05)
