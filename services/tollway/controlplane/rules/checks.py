"""What budgets and limits must be like in themselves. Pure; errors name the field and the remedy."""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib import resources

from tollway.controlplane.call import ApiCode, ApiError
from tollway.controlplane.rules.model import WINDOWS, Limit, Scope
from tollway.controlplane.rules.rows import IncreaseRow, Terms
from tollway.core.money import MAX_NANO, NANO_PER_DOLLAR, parse_dollars
from tollway.core.rules import Measure, Outage

MAX_INCREASES = 100
"""Increases of one budget that are in force or to come."""
MAX_ALERTS = 10
_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_MONTH_DAY = re.compile(r"([0-9]{2})-([0-9]{2})")
_LEAP_YEAR = 2024
LimitKey = tuple[str, int, str]
"""What tells limits of one subject apart: measure, seconds of the window, model."""


def invalid(field: str, message: str) -> ApiError:
    """The value of a field is refused."""
    return ApiError(ApiCode.INVALID, f"{field} {message}", field=field)


@cache
def timezones() -> frozenset[str]:
    """The names that every process of an installation knows: those of the time zone database that is installed with it,
    whatever the machine has besides.
    """
    return frozenset((resources.files("tzdata") / "zones").read_text(encoding="utf-8").split())


def amount(text: str, field: str) -> int:
    """Nano-dollars of an amount from 0 to the largest that is accepted."""
    # The form alone, or an exponent would make a number of any length.
    if not _AMOUNT.fullmatch(text):
        what = f'{text!r} must be an amount of US dollars such as "25.00", with at most 9 decimal places'
        raise ApiError(ApiCode.INVALID, f"{field}: {what}", field=field)
    nano = parse_dollars(text)
    if nano > MAX_NANO:
        raise invalid(field, f"must not be over {MAX_NANO // NANO_PER_DOLLAR} US dollars")
    return nano


def timezone(text: str, field: str = "timezone") -> str:
    """The name of a time zone."""
    if text not in timezones():
        raise invalid(field, f"{text!r} is not a time zone; use a name such as UTC or Europe/Berlin")
    return text


def fiscal_start(text: str, field: str = "fiscal_start") -> str:
    """The day on which the year begins; 29 February is one."""
    match = _MONTH_DAY.fullmatch(text)
    if match is None:
        raise invalid(field, f"{text!r} must be a day of the year as MM-DD, for example 04-01")
    month, day = int(match[1]), int(match[2])
    if not 1 <= month <= 12 or not 1 <= day <= calendar.monthrange(_LEAP_YEAR, month)[1]:
        raise invalid(field, f"{text!r} is not a day of the year; write MM-DD, for example 04-01")
    return text


def alerts(given: Sequence[float], field: str = "alerts") -> list[float]:
    """Shares of the limit in ascending order, each once."""
    if len(given) > MAX_ALERTS:
        raise invalid(field, f"must have at most {MAX_ALERTS} entries")
    for index, share in enumerate(given):
        if not 0 < share <= 10:
            raise invalid(f"{field}[{index}]", "must be a share of the limit above 0 and at most 10, for example 0.8")
    return sorted(set(given))


def fits(terms: Terms, increases: Sequence[IncreaseRow], field: str) -> None:
    """Refuses what could add up to more than counters compare exactly."""
    total = terms.limit_nano * (2 if terms.carry_over else 1) + sum(row.amount_nano for row in increases)
    if total > MAX_NANO:
        what = "limit, what may be carried over and increases" if terms.carry_over else "limit and increases"
        raise invalid(field, f"is too large: {what} must not add up to over {MAX_NANO // NANO_PER_DOLLAR} US dollars")


def increase_amount(text: str) -> int:
    """Nano-dollars of an increase, more than 0."""
    nano = amount(text, "amount")
    if not nano:
        raise invalid("amount", "must be more than 0")
    return nano


def span(starts_at: datetime | None, ends_at: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """Beginning and end of an increase."""
    if ends_at is None:
        raise invalid("ends_at", "is required: an increase is temporary")
    if ends_at <= now:
        raise invalid("ends_at", "must be in the future")
    start = starts_at or now
    if start >= ends_at:
        raise invalid("starts_at", "must be before ends_at")
    return start, ends_at


class CheckedLimit(Limit, frozen=True, kw_only=True):
    """A limit with every default filled in."""

    amount: int

    @property
    def key(self) -> LimitKey:
        """What tells it from the other limits of its subject."""
        return self.measure, WINDOWS[self.window], self.model


def limits(given: Sequence[Limit], scope: Scope, field: str = "limits") -> list[CheckedLimit]:
    """The limits of a subject with their defaults, in a fixed order. Refuses one that is there twice."""
    found: dict[LimitKey, CheckedLimit] = {}
    for index, limit in enumerate(given):
        where = f"{field}[{index}]"
        checked = _limit(limit, scope, where)
        if checked.key in found:
            raise invalid(where, "repeats a limit of the same measure, window and model")
        found[checked.key] = checked
    return [found[key] for key in sorted(found)]


def _limit(limit: Limit, scope: Scope, where: str) -> CheckedLimit:
    if limit.measure not in frozenset(Measure):
        raise invalid(f"{where}.measure", f"must be one of {', '.join(Measure)}")
    if limit.amount is None:
        raise invalid(f"{where}.amount", "is required; 0 refuses everything")
    if limit.measure == Measure.CONCURRENT and limit.window:
        raise invalid(f"{where}.window", "must be left out: concurrent counts calls at the same moment")
    if limit.measure != Measure.CONCURRENT and not limit.window:
        raise invalid(f"{where}.window", "is required: minute, hour or day")
    model = limit.model or "*"
    if scope is Scope.MODEL and model != "*":
        raise invalid(f"{where}.model", "must be left out: the subject is a model already")
    if not model.isprintable() or model != model.strip():
        raise invalid(f"{where}.model", "must be a glob of model names, for example gpt-4o*")
    return CheckedLimit(
        measure=limit.measure,
        window=limit.window,
        amount=limit.amount,
        model=model,
        on_outage=limit.on_outage or Outage.LOCAL.value,
    )


def user_name(text: str, field: str) -> str:
    """The name of a user, as keys have it."""
    if not 1 <= len(text) <= 200 or not text.isprintable() or text != text.strip():
        raise invalid(field, "must name a user with 1 to 200 printable characters, without spaces around them")
    return text
