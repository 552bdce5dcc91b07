"""How a period is answered: whole days and hours from the roll-ups, the rest of an hour at either end from the rows.

Pure. Everything is in UTC; a span is [begin, end), and an empty one begins where it ends.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
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


def widen(span: Span, kept_from: datetime) -> Span:
    """A span whose ends lie on whole hours where the rows before `kept_from` are gone."""
    begin, end = span
    if begin < kept_from:
        begin = hour_of(begin)
    if end < kept_from:
        end = hour_of(end + HOUR - timedelta(microseconds=1))
    return Span(begin, end)
