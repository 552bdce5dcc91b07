"""Which thresholds of a budget its use has reached, with increases, carry-over and windows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tollway.controlplane.alerts.crossings import Watched, crossed, exhausted, in_force
from tollway.controlplane.alerts.model import AlertKind, Concern, Severity
from tollway.core.rules import Budget, Increase, Mode, Period

DOLLAR = 1_000_000_000
NOON = int(datetime(2026, 3, 15, 12, tzinfo=UTC).timestamp() * 1000)


def watched(**changed: Any) -> Watched:
    known: dict[str, Any] = {
        "id": "b1", "scope": "project", "subject": "demo", "limit_nano": 10 * DOLLAR, "alerts": (0.5, 0.8)
    }  # fmt: skip
    concern = Concern(organisation="default", business_unit="u", project="demo")
    return Watched(budget=Budget(**known | changed), concern=concern)


def test_each_threshold_that_is_reached_and_no_other() -> None:
    assert [*crossed(watched(), NOON, 5 * DOLLAR - 1)] == []
    (half,) = crossed(watched(), NOON, 5 * DOLLAR)
    assert half.kind is AlertKind.BUDGET_THRESHOLD
    assert half.summary == "project demo has used 50 % of its budget: 5 of 10 US dollars"
    assert half.details["threshold"] == "0.5"
    found = [*crossed(watched(), NOON, 10 * DOLLAR)]
    assert [one.kind for one in found] == [AlertKind.BUDGET_THRESHOLD] * 2 + [AlertKind.BUDGET_EXHAUSTED]
    assert found[2].severity is Severity.CRITICAL


def test_soft_budgets_warn_and_say_that_requests_go_on() -> None:
    *_, last = crossed(watched(mode=Mode.SOFT), NOON, 11 * DOLLAR)
    assert last.severity is Severity.WARNING
    assert "requests go on" in last.summary


def test_a_crossing_is_one_of_its_window() -> None:
    def keys(at_ms: int) -> set[str]:
        return {one.crossing for one in crossed(watched(), at_ms, 10 * DOLLAR)}

    assert keys(NOON) == keys(NOON + 86_400_000)
    assert keys(NOON).isdisjoint(keys(NOON + 31 * 86_400_000))
    assert exhausted(watched(), NOON).crossing in keys(NOON)


def test_a_budget_without_period_is_never_forgotten() -> None:
    (half,) = crossed(watched(period=Period.NONE, alerts=(0.5,)), NOON, 5 * DOLLAR)
    assert half.forget_ms is None


def test_increases_count_while_they_last() -> None:
    more = (Increase(amount_nano=10 * DOLLAR, from_ms=NOON, until_ms=NOON + 1000),)
    budget = watched(increases=more)
    assert [*crossed(budget, NOON, 5 * DOLLAR)] == []
    assert len([*crossed(budget, NOON + 1000, 5 * DOLLAR)]) == 1


@given(st.integers(0, 50), st.integers(0, 10**6))
def test_carried_is_what_was_left_and_at_most_one_limit(dollars: int, extra: int) -> None:
    used_before = dollars * DOLLAR + extra
    budget = watched(carry_over=True).budget
    carried = in_force(budget, NOON, used_before) - budget.limit_nano
    assert carried == max(budget.limit_nano - used_before, 0)
    assert in_force(watched().budget, NOON, used_before) == 10 * DOLLAR


def test_a_limit_of_nothing_has_no_thresholds() -> None:
    assert [*crossed(watched(limit_nano=0), NOON, 0)] == []
