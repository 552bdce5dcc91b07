"""How a period is answered: whole days and hours from the roll-ups, the rest of an hour at either end from the rows.

Pure. Everything is in UTC; a span is [begin, end), and an empty one begins where it ends.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
DAYS_BEFORE = timedelta(days=2)
DAYS_AFTER = timedelta(days=3)
"""How far the day of a row's id may lie from the day its request began: clocks err, and attempts come later."""
FIRST = datetime(1970, 1, 5, tzinfo=UTC)
LAST = datetime(9999, 12, 25, tzinfo=UTC)


class Span(NamedTuple):
    """From `begin` until before `end`."""

    begin: datetime
    end: datetime


class Parts(NamedTuple):
    """Spans that meet without gap or overlap: rows, hours, days, hours, rows."""

    first: Span
    early: Span
    days: Span
    late: Span
    last: Span

    def parameters(self) -> dict[str, Any]:
        """As the statements take them: `first_from`, `first_to` and so on, and the days of the rows' ids."""
        found: dict[str, Any] = {}
        for name, span in self._asdict().items():
            found[f"{name}_from"], found[f"{name}_to"] = span
        for name, span in (("first", self.first), ("last", self.last)):
            found[f"{name}_from_day"], found[f"{name}_to_day"] = id_days(span)
        return found


def id_days(span: Span) -> tuple[Any, Any]:
    """The days, both included, on which the ids of rows were made whose requests began in a span."""
    return (span.begin - DAYS_BEFORE).date(), (span.end + DAYS_AFTER).date()


def hour_of(moment: datetime) -> datetime:
    """The hour that a moment is in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def day_of(moment: datetime) -> datetime:
    """The UTC day that a moment is in."""
    return hour_of(moment).replace(hour=0)


def week_of(moment: datetime) -> datetime:
    """The Monday of the UTC week that a moment is in."""
    day = day_of(moment)
    return day - day.weekday() * DAY


def clip(begin: datetime, end: datetime) -> Span:
    """A span inside the calendar; an end before the beginning is the beginning."""
    begin = min(max(begin, FIRST), LAST).astimezone(UTC)
    return Span(begin, max(min(end, LAST).astimezone(UTC), begin))


def split(span: Span, *, days: bool = True) -> Parts:
    """The parts of a span; without `days`, hours take their place."""
    begin, end = span
    first_hour = hour_of(begin + HOUR - timedelta(microseconds=1))
    last_hour = hour_of(end)
    if first_hour > last_hour:  # within one hour
        nothing = Span(end, end)
        return Parts(span, nothing, nothing, nothing, nothing)
    first_day = day_of(first_hour + DAY - timedelta(microseconds=1))
    last_day = day_of(last_hour)
    if not days or first_day > last_day:
        first_day = last_day = last_hour
    return Parts(
        Span(begin, first_hour),
        Span(first_hour, first_day),
        Span(first_day, last_day),
        Span(last_day, last_hour),
        Span(last_hour, end),
    )


class Shortened(NamedTuple):
    """Parts that cost less to add up. Where a sign is -1, the days go beyond the period at that end, and its hours and
    rows are those that are too much: they are to be taken off.
    """

    parts: Parts
    early_sign: int
    late_sign: int

    def parameters(self) -> dict[str, Any]:
        """Those of the parts, and the signs."""
        return self.parts.parameters() | {"early_sign": self.early_sign, "late_sign": self.late_sign}


def shorten(parts: Parts) -> Shortened:
    """The same period with at most half a day of hours at either end, if it has a whole day at all."""
    first, early, days, late, last = parts
    signs = [1, 1]
    if days.begin < days.end:
        begin, end = first.begin, last.end
        if days.begin - begin > DAY / 2:
            signs[0], days = -1, Span(day_of(begin), days.end)
            early, first = Span(days.begin, hour_of(begin)), Span(hour_of(begin), begin)
        if end - days.end > DAY / 2:
            hour = hour_of(end + HOUR - timedelta(microseconds=1))
            signs[1], days = -1, Span(days.begin, days.end + DAY)
            last, late = Span(end, hour), Span(hour, days.end)
    return Shortened(Parts(first, early, days, late, last), *signs)


class Weeks(NamedTuple):
    """Days told as whole weeks, which begin on Mondays, and days at both ends. A sign of -1: the weeks go beyond the
    period at that end, and these days are too much: they are to be taken off.
    """

    head: Span
    weeks: Span
    tail: Span
    head_sign: int
    tail_sign: int

    def parameters(self) -> dict[str, Any]:
        """As the statements take them: `head_from`, `head_to`, `head_sign` and so on."""
        found: dict[str, Any] = {"head_sign": self.head_sign, "tail_sign": self.tail_sign}
        for name, span in (("head", self.head), ("weeks", self.weeks), ("tail", self.tail)):
            found[f"{name}_from"], found[f"{name}_to"] = span
        return found


def by_weeks(days: Span, now: datetime) -> Weeks:
    """Whole days with at most half a week of days at either end.

    The week of `now` is told whole when the period reaches beyond now: hardly anything lies after it.
    """
    begin, end = days
    if begin >= end:
        return only_days(days)
    monday, following = week_of(begin), week_of(end + (WEEK - DAY))
    head, head_sign, tail, tail_sign = Span(monday, begin), -1, Span(end, following), -1
    if begin - monday > WEEK / 2:
        monday += WEEK
        head, head_sign = Span(begin, monday), 1
    if following - end > WEEK / 2 and end <= now:
        following -= WEEK
        tail, tail_sign = Span(following, end), 1
    if monday >= following:
        return only_days(days)
    return Weeks(head, Span(monday, following), tail, head_sign, tail_sign)


def only_days(days: Span) -> Weeks:
    """The same without weeks, for who wants to know the days."""
    nothing = Span(days.end, days.end)
    return Weeks(days, nothing, nothing, 1, 1)


def widen(span: Span, kept_from: datetime) -> Span:
    """A span whose ends lie on whole hours where the rows before `kept_from` are gone."""
    begin, end = span
    if begin < kept_from:
        begin = hour_of(begin)
    if end < kept_from:
        end = hour_of(end + HOUR - timedelta(microseconds=1))
    return Span(begin, end)
