"""When an hour's spend is unusual: over four times the median of 14 days, and over a dollar."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.controlplane.alerts.anomaly import DAYS, FACTOR, FLOOR_NANO, is_anomaly, usual

DOLLAR = 1_000_000_000


@pytest.mark.parametrize(
    ("spent", "before", "expected"),
    [
        (DOLLAR, [], False),  # a dollar is not over a dollar
        (DOLLAR + 1, [], True),  # nothing is usual: anything over the floor is not
        (4 * DOLLAR, [DOLLAR] * 14, False),  # four times is not over four times
        (4 * DOLLAR + 1, [DOLLAR] * 14, True),
        (900_000_000, [1] * 14, False),  # a large factor of little
        (5 * DOLLAR, [100 * DOLLAR] * 7 + [0] * 7, False),  # the median is in the middle of the two
        (201 * DOLLAR, [100 * DOLLAR] * 7 + [0] * 7, True),
        (2 * DOLLAR, [DOLLAR] * 6, True),  # six days of fourteen: most days had nothing
    ],
)
def test_cases(spent: int, before: list[int], expected: bool) -> None:
    assert is_anomaly(spent, before) is expected


@given(st.lists(st.integers(0, 10**15), max_size=DAYS), st.integers(0, 10**17))
def test_it_is_the_median_of_fourteen_days(before: list[int], spent: int) -> None:
    filled = before + [0] * (DAYS - len(before))
    assert usual(before) == int(sum(sorted(filled)[6:8])) // 2
    assert abs(usual(before) - statistics.median(filled)) <= 0.5 or max(filled) > 2**52
    assert is_anomaly(spent, before) == (spent > FACTOR * usual(before) and spent > FLOOR_NANO)
