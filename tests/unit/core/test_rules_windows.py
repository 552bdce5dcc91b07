"""The windows of budgets on a frozen clock: what the calendar does, told by hand, case by case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tollway.core.rules import Budget, Limit, Measure, Period, Window, budget_window, limit_window, window_before


def ms(text: str, zone: str = "UTC", fold: int = 0) -> int:
    """Unix milliseconds of a local time."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def budget(period: Period, zone: str = "UTC", fiscal_start: str = "01-01", since_ms: int = 0) -> Budget:
    return Budget(
        id="b1",
        scope="project",
        subject="demo",
        limit_nano=1,
        period=period,
        timezone=zone,
        fiscal_start=fiscal_start,
        since_ms=since_ms,
    )


NEW_YORK, BERLIN, SAO_PAULO, HAVANA, APIA = (
    "America/New_York",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "America/Havana",
    "Pacific/Apia",
)
# period, zone, fiscal start, moment, first local day of the window, first local day after it
CASES = [
    (Period.DAY, "UTC", "01-01", "2026-01-31T23:59:59.999", "2026-01-31", "2026-02-01"),
    (Period.MONTH, "UTC", "01-01", "2026-01-31T23:59:59.999", "2026-01-01", "2026-02-01"),
    (Period.MONTH, "UTC", "01-01", "2026-02-01T00:00:00", "2026-02-01", "2026-03-01"),
    # A month that begins on the 31st begins on its last day where it has none.
    (Period.MONTH, "UTC", "01-31", "2026-01-31T00:00:00", "2026-01-31", "2026-02-28"),
    (Period.MONTH, "UTC", "01-31", "2026-02-28T00:00:00", "2026-02-28", "2026-03-31"),
    (Period.MONTH, "UTC", "01-31", "2026-03-30T23:59:59", "2026-02-28", "2026-03-31"),
    (Period.MONTH, "UTC", "01-31", "2026-04-30T00:00:00", "2026-04-30", "2026-05-31"),
    (Period.MONTH, "UTC", "01-31", "2024-02-29T00:00:00", "2024-02-29", "2024-03-31"),
    # Leap days.
    (Period.DAY, "UTC", "01-01", "2024-02-29T12:00:00", "2024-02-29", "2024-03-01"),
    (Period.MONTH, "UTC", "01-01", "2024-02-29T12:00:00", "2024-02-01", "2024-03-01"),
    (Period.YEAR, "UTC", "02-29", "2024-02-29T00:00:00", "2024-02-29", "2025-02-28"),
    (Period.YEAR, "UTC", "02-29", "2025-02-28T00:00:00", "2025-02-28", "2026-02-28"),
    (Period.YEAR, "UTC", "02-29", "2028-02-28T23:59:59", "2027-02-28", "2028-02-29"),
    # Weeks begin on Monday, also over the end of a year.
    (Period.WEEK, "UTC", "01-01", "2026-01-01T00:00:00", "2025-12-29", "2026-01-05"),
    (Period.WEEK, "UTC", "07-01", "2026-01-05T00:00:00", "2026-01-05", "2026-01-12"),
    # Fiscal years and quarters.
    (Period.YEAR, "UTC", "04-06", "2026-04-05T23:59:59", "2025-04-06", "2026-04-06"),
    (Period.YEAR, "UTC", "04-06", "2026-04-06T00:00:00", "2026-04-06", "2027-04-06"),
    (Period.QUARTER, "UTC", "01-01", "2026-05-15T00:00:00", "2026-04-01", "2026-07-01"),
    (Period.QUARTER, "UTC", "02-01", "2026-01-31T23:59:59", "2025-11-01", "2026-02-01"),
    (Period.QUARTER, "UTC", "11-30", "2026-02-27T12:00:00", "2025-11-30", "2026-02-28"),
    (Period.QUARTER, "UTC", "11-30", "2026-02-28T12:00:00", "2026-02-28", "2026-05-30"),
    # Both changes to and from daylight-saving time: days of 23 and 25 hours.
    (Period.DAY, NEW_YORK, "01-01", "2026-03-08T12:00:00", "2026-03-08", "2026-03-09"),
    (Period.DAY, NEW_YORK, "01-01", "2026-11-01T12:00:00", "2026-11-01", "2026-11-02"),
    (Period.DAY, BERLIN, "01-01", "2026-03-29T01:59:59", "2026-03-29", "2026-03-30"),
    (Period.DAY, BERLIN, "01-01", "2026-10-25T23:59:59", "2026-10-25", "2026-10-26"),
    (Period.MONTH, BERLIN, "01-01", "2026-03-31T23:59:59", "2026-03-01", "2026-04-01"),
]


@pytest.mark.parametrize(("period", "zone", "fiscal", "moment", "first", "after"), CASES)
def test_a_moment_is_in_its_window(period: Period, zone: str, fiscal: str, moment: str, first: str, after: str) -> None:
    window = budget_window(budget(period, zone, fiscal), ms(moment, zone))
    assert window == Window(ms(first, zone), ms(after, zone))


def test_days_have_the_hours_that_the_clock_gives_them() -> None:
    def hours(zone: str, moment: str) -> float:
        start, end = budget_window(budget(Period.DAY, zone), ms(moment, zone))
        assert end is not None
        return (end - start) / 3_600_000

    assert hours(NEW_YORK, "2026-03-08T12:00:00") == 23
    assert hours(NEW_YORK, "2026-11-01T12:00:00") == 25
    assert hours(BERLIN, "2026-03-29T12:00:00") == 23
    assert hours(BERLIN, "2026-10-25T12:00:00") == 25
    assert hours("Australia/Lord_Howe", "2026-10-04T12:00:00") == 23.5
    assert hours("UTC", "2026-03-29T12:00:00") == 24


def test_a_midnight_that_does_not_exist_is_the_moment_of_the_change() -> None:
    """São Paulo, 4 November 2018: the clock goes from 23:59:59 to 01:00."""
    change = ms("2018-11-04T03:00:00")
    before = budget_window(budget(Period.DAY, SAO_PAULO), change - 1)
    after = budget_window(budget(Period.DAY, SAO_PAULO), change)
    assert before == Window(ms("2018-11-03T03:00:00"), change)
    assert after == Window(change, ms("2018-11-05T02:00:00"))


def test_a_midnight_in_a_gap_that_begins_before_it_is_as_the_clock_before_had_it() -> None:
    """Toronto, 30 March 1919: the clock goes from 23:30 to 00:30. For half an hour it is still the day before."""
    zone = "America/Toronto"
    change = ms("1919-03-31T04:30:00")
    assert datetime.fromtimestamp(change / 1000, ZoneInfo(zone)).day == 31
    begins = change + 1_800_000
    for moment in (change - 1, change, begins - 1):
        assert budget_window(budget(Period.DAY, zone), moment).end_ms == begins
    assert budget_window(budget(Period.DAY, zone), begins).start_ms == begins


def test_a_midnight_that_comes_twice_begins_the_day_once() -> None:
    """Havana, 1 November 2026: at 01:00 the clock goes back to 00:00, so that 00:00 to 01:00 comes twice."""
    first, again = ms("2026-11-01T00:00:00", HAVANA), ms("2026-11-01T00:00:00", HAVANA, fold=1)
    assert again - first == 3_600_000
    for moment in (first, first + 1_800_000, again, again + 1_800_000):
        assert budget_window(budget(Period.DAY, HAVANA), moment) == Window(first, ms("2026-11-02T00:00:00", HAVANA))


def test_after_midnight_the_clock_may_go_back_to_the_day_before() -> None:
    """St. John's, 7 November 2010: at 00:01 the clock goes back to 23:01. What began stays begun."""
    zone = "America/St_Johns"
    midnight = ms("2010-11-07T00:00:00", zone)
    next_midnight = ms("2010-11-08T00:00:00", zone)
    for minutes in (0, 1, 30, 60, 90):
        moment = midnight + minutes * 60_000
        assert budget_window(budget(Period.DAY, zone), moment) == Window(midnight, next_midnight)
    assert datetime.fromtimestamp((midnight + 60_000) / 1000, ZoneInfo(zone)).day == 6


def test_a_day_that_a_country_left_out_has_no_length() -> None:
    """Samoa went from 29 to 31 December 2011."""
    change = ms("2011-12-30T10:00:00")
    assert budget_window(budget(Period.DAY, APIA), change - 1).end_ms == change
    new = budget_window(budget(Period.DAY, APIA), change)
    assert new.start_ms == change
    assert window_before(budget(Period.DAY, APIA), new) == budget_window(budget(Period.DAY, APIA), change - 1)


def test_midnight_belongs_to_the_window_that_begins() -> None:
    month = budget(Period.MONTH)
    boundary = ms("2026-02-01T00:00:00")
    assert budget_window(month, boundary - 1).end_ms == boundary == budget_window(month, boundary).start_ms


def test_a_reset_that_nobody_saw_applies_once_whatever_the_silence() -> None:
    """Three months without a process: the window is the present one, and the one before it ended where it begins."""
    month = budget(Period.MONTH, BERLIN)
    now = ms("2026-07-15T08:00:00", BERLIN)
    window = budget_window(month, now)
    assert window == Window(ms("2026-07-01", BERLIN), ms("2026-08-01", BERLIN))
    assert window_before(month, window) == Window(ms("2026-06-01", BERLIN), ms("2026-07-01", BERLIN))


def test_there_is_nothing_before_a_budget_was_made() -> None:
    made = ms("2026-02-10T12:00:00")
    month = budget(Period.MONTH, since_ms=made)
    assert window_before(month, budget_window(month, made)) is None
    march = budget_window(month, ms("2026-03-05T00:00:00"))
    assert window_before(month, march) == Window(ms("2026-02-01"), ms("2026-03-01"))
    at_the_boundary = budget(Period.MONTH, since_ms=ms("2026-03-01"))
    assert window_before(at_the_boundary, march) is None
    forever = budget(Period.NONE)
    assert budget_window(forever, made) == Window(0, None)
    assert window_before(forever, Window(0, None)) is None


def test_limits_have_aligned_windows() -> None:
    at = ms("2026-01-31T23:59:59.999")
    for seconds, start in ((60, "2026-01-31T23:59:00"), (3600, "2026-01-31T23:00:00"), (86400, "2026-01-31T00:00:00")):
        limit = Limit(id="l1", scope="key", subject="k", measure=Measure.REQUESTS, amount=1, window_seconds=seconds)
        assert limit_window(limit, at) == Window(ms(start), ms(start) + seconds * 1000)
    at_once = Limit(id="l2", scope="key", subject="k", measure=Measure.CONCURRENT, amount=1)
    assert limit_window(at_once, at) == Window(0, None)


def test_a_clock_that_steps_back_finds_the_window_of_its_time() -> None:
    day = budget(Period.DAY)
    later = datetime(2026, 3, 1, tzinfo=UTC)
    earlier = later - timedelta(seconds=1)
    assert budget_window(day, round(later.timestamp() * 1000)) != budget_window(day, round(earlier.timestamp() * 1000))
    assert budget_window(day, round(later.timestamp() * 1000)).start_ms == ms("2026-03-01")
