"""Budgets and limits as values, and the calendar windows in which they hold.

Owns what a rule is and which window a moment belongs to; who keeps count is `tollway.dataplane.admission`. Pure: the
moment is always an argument. A window is [start, end): consecutive windows meet without gap or overlap, whatever the
calendar does (months of different length, leap days, changes to and from daylight-saving time).
"""

from __future__ import annotations

import calendar
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec


class Period(StrEnum):
    """How often a budget begins anew."""

    NONE = "none"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class Mode(StrEnum):
    """What happens at the limit of a budget."""

    HARD = "hard"
    """Cost is reserved before the call; a request that could exceed the limit is refused."""
    SOFT = "soft"
    """Nothing is refused; alerts tell."""


class Increase(msgspec.Struct, frozen=True, kw_only=True):
    """A temporary addition to a limit, in nano-dollars, for requests that begin in [`from_ms`, `until_ms`)."""

    amount_nano: int
    from_ms: int
    until_ms: int


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A spending limit on one subject. `scope` and `subject` name it for people ("project", "demo").

    `fiscal_start` is "MM-DD": the day on which the year begins; quarters begin every third month from it, months on its
    day. A day that a month does not have is the month's last. Weeks begin on Monday. With `carry_over`, what the window
    before left unspent, at most one limit, is added. `since_ms`: when the budget was made; nothing is carried from
    before. Times are Unix milliseconds.
    """

    id: str
    scope: str
    subject: str
    limit_nano: int
    period: Period = Period.MONTH
    timezone: str = "UTC"
    fiscal_start: str = "01-01"
    mode: Mode = Mode.HARD
    carry_over: bool = False
    increases: tuple[Increase, ...] = ()
    alerts: tuple[float, ...] = ()
    since_ms: int = 0


class Measure(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENT = "concurrent"


class Outage(StrEnum):
    """What a limit does while the counters cannot be reached."""

    LOCAL = "local"
    """Each process allows its share: the amount divided by the processes last known."""
    CLOSED = "closed"
    """Requests are refused with 503."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """At most `amount` of `measure` in each aligned window of `window_seconds` (0 for `concurrent`: at any moment).

    `model` is a glob of model names: the limit counts the requests for them alone, in one count.
    """

    id: str
    scope: str
    subject: str
    measure: Measure
    amount: int
    window_seconds: int = 0
    model: str = "*"
    on_outage: Outage = Outage.LOCAL


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for one subject."""

    budget: Budget | None = None
    limits: tuple[Limit, ...] = ()


class Chain(NamedTuple):
    """The rules that hold for whatever one key asks for, each with what the ledger calls whom it is for.

    Soft budgets are not among them: they refuse nothing.
    """

    budgets: tuple[tuple[Budget, str], ...]
    limits: tuple[tuple[Limit, str], ...]


class Window(NamedTuple):
    """Unix milliseconds, the end not included; None: it never ends."""

    start_ms: int
    end_ms: int | None


def budget_window(budget: Budget, at_ms: int) -> Window:
    """The window of a budget that a request that begins at `at_ms` belongs to."""
    return _calendar_window(budget.period, budget.timezone, budget.fiscal_start, at_ms)


def window_before(budget: Budget, window: Window) -> Window | None:
    """The window that ends where `window` begins; None when there is none, or it ended before the budget was made."""
    if window.end_ms is None or window.start_ms <= budget.since_ms:
        return None
    return budget_window(budget, window.start_ms - 1)


def limit_window(limit: Limit, at_ms: int) -> Window:
    """The aligned window of a limit; concurrency has one without end."""
    if not limit.window_seconds:
        return Window(0, None)
    length = limit.window_seconds * 1000
    start = at_ms - at_ms % length
    return Window(start, start + length)


def limit_at(budget: Budget, at_ms: int) -> int:
    """The limit with the temporary increases in force, in nano-dollars, without what is carried over."""
    return budget.limit_nano + sum(i.amount_nano for i in budget.increases if i.from_ms <= at_ms < i.until_ms)


def carried_over(budget: Budget, used_before_nano: int) -> int:
    """What the window before left unspent of the limit itself, from 0 to one limit; increases are not carried."""
    return max(0, min(budget.limit_nano, budget.limit_nano - used_before_nano)) if budget.carry_over else 0


@lru_cache(maxsize=4096)
def _bounds(period: Period, timezone: str, fiscal_start: str, local_day: date) -> Window:
    zone = ZoneInfo(timezone)
    month, _, day = fiscal_start.partition("-")
    first, after = _local_bounds(period, local_day, int(month), int(day))
    return Window(_instant(first, zone), _instant(after, zone))


def _calendar_window(period: Period, timezone: str, fiscal_start: str, at_ms: int) -> Window:
    if period is Period.NONE:
        return Window(0, None)
    moment = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(timezone))
    window = _bounds(period, timezone, fiscal_start, moment.date())
    # Where midnight is skipped or comes twice, the day of the clock on the wall and that of the window differ.
    while at_ms < window.start_ms:
        window = _bounds(period, timezone, fiscal_start, _day_before(window.start_ms, timezone))
    while window.end_ms is not None and at_ms >= window.end_ms:
        window = _bounds(period, timezone, fiscal_start, _day_of(window.end_ms, timezone))
    return window


def _day_of(at_ms: int, timezone: str) -> date:
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(timezone)).date()


def _day_before(at_ms: int, timezone: str) -> date:
    return _day_of(at_ms, timezone) - timedelta(days=1)


def _instant(day: date, zone: ZoneInfo) -> int:
    """The first moment of a day: of two midnights the earlier; of one that is skipped, as the clock before had it."""
    return int(datetime.combine(day, time(), zone).timestamp() * 1000)


def _local_bounds(period: Period, day: date, month: int, start_day: int) -> tuple[date, date]:
    if period is Period.DAY:
        return day, day + timedelta(days=1)
    if period is Period.WEEK:
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    months = {Period.MONTH: 1, Period.QUARTER: 3, Period.YEAR: 12}[period]
    index = day.year * 12 + day.month - 1
    if day < _on(index, start_day):
        index -= 1
    index -= (index - (month - 1)) % months
    return _on(index, start_day), _on(index + months, start_day)


def _on(month_index: int, day: int) -> date:
    """A day of the month number `month_index` (year times 12 plus month from 0), at most the month's last."""
    year, month = divmod(month_index, 12)
    return date(year, month + 1, min(day, calendar.monthrange(year, month + 1)[1]))
