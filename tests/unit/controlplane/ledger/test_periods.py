"""A period falls into parts that meet, of whole days, whole hours, and what is left."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tollway.controlplane.ledger.periods import (
    DAY,
    FIRST,
    LAST,
    WEEK,
    Span,
    by_weeks,
    clip,
    day_of,
    hour_of,
    shorten,
    split,
    week_of,
    widen,
)

MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 9), timezones=st.just(UTC))  # noqa: DTZ001 - given a zone


@given(MOMENTS, MOMENTS, st.booleans())
def test_parts_meet_and_lie_on_their_grid(one: datetime, other: datetime, days: bool) -> None:
    span = Span(min(one, other), max(one, other))
    parts = split(span, days=days)
    filled = [part for part in parts if part.begin < part.end]
    assert all(part.begin <= part.end for part in parts)
    assert sum((part.end - part.begin for part in filled), timedelta()) == span.end - span.begin
    assert all(left.end == right.begin for left, right in itertools.pairwise(filled))
    if filled:
        assert (filled[0].begin, filled[-1].end) == span
    for part in (parts.early, parts.late, parts.days):
        if part.begin < part.end:
            assert (hour_of(part.begin), hour_of(part.end)) == part
    if parts.days.begin < parts.days.end:
        assert days
        assert (day_of(parts.days.begin), day_of(parts.days.end)) == parts.days
    for part in (parts.first, parts.last):
        assert part.end - part.begin < timedelta(hours=1)


@given(MOMENTS, MOMENTS, MOMENTS)
def test_what_is_shortened_counts_every_moment_as_often(one: datetime, other: datetime, moment: datetime) -> None:
    span = Span(min(one, other), max(one, other))
    parts, early, late = shorten(split(span))
    signs = (early, early, 1, late, late)
    counted = sum(sign for sign, part in zip(signs, parts, strict=True) if part.begin <= moment < part.end)
    assert counted == (span.begin <= moment < span.end)
    assert all(part.begin <= part.end for part in parts)
    if parts.days.begin < parts.days.end:
        assert max(part.end - part.begin for part in (parts.early, parts.late)) <= timedelta(hours=12)
    for part in (parts.early, parts.late):
        assert (hour_of(part.begin), hour_of(part.end)) == part or part.begin == part.end
    assert all(part.end - part.begin < timedelta(hours=1) for part in (parts.first, parts.last))


@given(MOMENTS, MOMENTS, MOMENTS)
def test_only_what_has_no_rows_is_widened(one: datetime, other: datetime, kept_from: datetime) -> None:
    span = Span(min(one, other), max(one, other))
    wide = widen(span, day_of(kept_from))
    assert wide.begin <= span.begin
    assert wide.end >= span.end
    parts = split(wide)
    assert all(part.begin >= day_of(kept_from) for part in (parts.first, parts.last) if part.begin < part.end)


def test_what_lies_beyond_the_calendar_is_cut_off() -> None:
    far = datetime.max.replace(tzinfo=UTC)
    assert clip(datetime.min.replace(tzinfo=UTC), far) == (FIRST, LAST)
    assert clip(far, FIRST) == (LAST, LAST)


@given(MOMENTS, st.integers(0, 120), MOMENTS, st.integers(-30, 150))
def test_weeks_count_every_day_once_and_leave_little(begin: datetime, length: int, now: datetime, offset: int) -> None:
    days = Span(day_of(begin), day_of(begin) + length * DAY)
    found = by_weeks(days, now)
    moment = days.begin + offset * DAY
    counted = sum(
        sign
        for span, sign in ((found.head, found.head_sign), (found.weeks, 1), (found.tail, found.tail_sign))
        if span.begin <= moment < span.end
    )
    assert counted == (days.begin <= moment < days.end)
    assert week_of(found.weeks.begin) == found.weeks.begin or found.weeks.begin == found.weeks.end
    if length > 13:
        assert found.head.end - found.head.begin <= WEEK / 2
        assert found.tail.end - found.tail.begin <= WEEK / 2 or found.tail.end > now


def test_the_last_days_there_are_fall_into_weeks_too() -> None:
    assert by_weeks(Span(LAST - 30 * DAY, LAST), LAST).weeks.end <= LAST + 6 * DAY
