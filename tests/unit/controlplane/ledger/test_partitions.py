"""Which partitions are missing."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tollway.controlplane.ledger.partitions import Span, Width, missing, partition_name

DAYS = st.dates(date(2024, 1, 1), date(2030, 1, 1))


def test_months_begin_on_the_first() -> None:
    spans = missing([], date(2026, 12, 30), date(2027, 2, 3), Width.MONTH)
    assert [span.first for span in spans] == [date(2026, 12, 1), date(2027, 1, 1), date(2027, 2, 1)]
    assert spans[-1].end == date(2027, 3, 1)


def test_a_month_begins_after_the_days_that_are_there() -> None:
    days = [Span(date(2026, 9, day), date(2026, 9, day + 1)) for day in (1, 2, 20)]
    assert missing(days, date(2026, 9, 2), date(2026, 9, 25), Width.MONTH) == [
        Span(date(2026, 9, 3), date(2026, 9, 20)),
        Span(date(2026, 9, 21), date(2026, 10, 1)),
    ]


def test_the_name_tells_the_days() -> None:
    assert partition_name("t", Span(date(2026, 9, 3), date(2026, 10, 1))) == "t_20260903_20261001"


@given(st.lists(st.tuples(DAYS, st.sampled_from(Width), st.integers(0, 70)), min_size=1, max_size=5))
def test_every_day_ends_up_in_exactly_one(calls: list[tuple[date, Width, int]]) -> None:
    spans: list[Span] = []
    for first, width, days in calls:
        last = first + timedelta(days=days)
        spans += missing(spans, first, last, width)
        assert missing(spans, first, last, width) == []
        for offset in range(days + 1):
            day = first + timedelta(days=offset)
            assert sum(span.first <= day < span.end for span in spans) == 1
    ordered = sorted(spans)
    assert all(a.end <= b.first for a, b in itertools.pairwise(ordered))
