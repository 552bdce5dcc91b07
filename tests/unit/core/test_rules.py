"""Windows as properties over all zones and periods; limits with increases; what is carried over."""

from __future__ import annotations

import itertools
from datetime import datetime
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core.rules import (
    Budget,
    Increase,
    Limit,
    Measure,
    Period,
    Rules,
    budget_window,
    carried_over,
    limit_at,
    limit_window,
    window_before,
)

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Havana",
    "America/St_Johns",
    "Atlantic/Azores",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "America/Godthab",
    "Asia/Gaza",
]
MOMENTS = st.integers(0, 7_258_118_400_000)  # 1970 to 2200
HALF_HOUR = 1_800_000
LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
DAYS = [(month, day) for month, length in enumerate(LENGTHS, 1) for day in range(1, length + 1)]
DAY_MS = 86_400_000


def changes(zone: str) -> list[int]:
    """Midnights UTC of the days between 1990 and 2037 on which a zone changes its clock."""
    offsets = [(day, datetime.fromtimestamp(day * 86_400, ZoneInfo(zone)).utcoffset()) for day in range(7305, 24_837)]
    return [day * DAY_MS for (day, now), (_, then) in itertools.pairwise(offsets) if now != then]


@st.composite
def near_changes(draw: st.DrawFn) -> tuple[str, int]:
    """A zone and a moment within two days of a change of its clock."""
    zone = draw(st.sampled_from(CHANGING))
    return zone, draw(st.sampled_from(CHANGES[zone])) + draw(st.integers(-DAY_MS // HALF_HOUR, 3 * 48)) * HALF_HOUR


def make(limit_nano: int = 1, **fields: object) -> Budget:
    known: dict[str, object] = {"id": "b1", "scope": "project", "subject": "demo", "limit_nano": limit_nano}
    return Budget(**(known | fields))  # type: ignore[arg-type]


CHANGES = {zone: changes(zone) for zone in ZONES}
CHANGING = [zone for zone in ZONES if CHANGES[zone]]
BUDGETS = st.builds(
    make,
    period=st.sampled_from([period for period in Period if period is not Period.NONE]),
    timezone=st.sampled_from(ZONES),
    fiscal_start=st.sampled_from([f"{month:02}-{day:02}" for month, day in DAYS]),
)


@settings(max_examples=300, deadline=None)
@given(BUDGETS, MOMENTS)
def test_every_moment_is_in_its_window_and_windows_meet(budget: Budget, at_ms: int) -> None:
    window = budget_window(budget, at_ms)
    assert window.end_ms is not None
    assert window.start_ms <= at_ms < window.end_ms
    assert budget_window(budget, window.start_ms) == budget_window(budget, window.end_ms - 1) == window
    following = budget_window(budget, window.end_ms)
    assert following.start_ms == window.end_ms
    assert window_before(budget, following) == window
    assert budget_window(budget, window.start_ms - 1).end_ms == window.start_ms


@settings(max_examples=300, deadline=None)
@given(near_changes(), st.sampled_from([Period.DAY, Period.WEEK, Period.MONTH]), st.integers(-1, 1))
def test_windows_meet_where_clocks_change(near: tuple[str, int], period: Period, nudge: int) -> None:
    zone, at_ms = near
    budget = make(period=period, timezone=zone)
    window = budget_window(budget, at_ms + nudge)
    assert window.end_ms is not None
    assert window.start_ms <= at_ms + nudge < window.end_ms
    assert budget_window(budget, window.start_ms) == budget_window(budget, window.end_ms - 1) == window
    assert budget_window(budget, window.end_ms).start_ms == window.end_ms
    assert budget_window(budget, window.start_ms - 1).end_ms == window.start_ms


@settings(max_examples=60, deadline=None)
@given(near_changes())
def test_time_goes_through_windows_in_order(near: tuple[str, int]) -> None:
    """Half hour by half hour over three days: each window is the one before, or begins where that ended."""
    budget, at_ms = make(period=Period.DAY, timezone=near[0]), near[1]
    window = budget_window(budget, at_ms)
    for step in range(1, 145):
        found = budget_window(budget, at_ms + step * HALF_HOUR)
        assert found == window or found.start_ms == window.end_ms
        window = found


@settings(max_examples=200, deadline=None)
@given(near_changes())
def test_a_window_begins_when_the_wall_first_shows_its_day(near: tuple[str, int]) -> None:
    zone, at_ms = near
    start = budget_window(make(period=Period.DAY, timezone=zone), at_ms).start_ms
    shown = datetime.fromtimestamp(start / 1000, ZoneInfo(zone))
    before = datetime.fromtimestamp((start - 1) / 1000, ZoneInfo(zone))
    assert shown.date() > before.date()
    assert (shown.hour, shown.minute) in ((0, 0), (0, 30), (1, 0))


@given(st.sampled_from([60, 3600, 86400]), MOMENTS)
def test_windows_of_limits_are_aligned_and_meet(seconds: int, at_ms: int) -> None:
    limit = Limit(id="l1", scope="key", subject="k", measure=Measure.TOKENS, amount=1, window_seconds=seconds)
    window = limit_window(limit, at_ms)
    assert window.end_ms is not None
    assert window.start_ms <= at_ms < window.end_ms == window.start_ms + seconds * 1000
    assert window.start_ms % (seconds * 1000) == 0
    assert limit_window(limit, window.end_ms).start_ms == window.end_ms


def test_increases_hold_from_their_beginning_up_to_their_end() -> None:
    budget = make(
        100,
        increases=(
            Increase(amount_nano=10, from_ms=1000, until_ms=2000),
            Increase(amount_nano=5, from_ms=1500, until_ms=1600),
        ),
    )
    expected = {999: 100, 1000: 110, 1499: 110, 1500: 115, 1599: 115, 1600: 110, 1999: 110, 2000: 100}
    assert {at: limit_at(budget, at) for at in expected} == expected


@given(st.integers(0, 10**16), st.integers(0, 10**17))
def test_what_is_carried_over_is_what_was_left_and_at_most_one_limit(limit: int, used: int) -> None:
    carried = carried_over(make(limit, carry_over=True), used)
    assert carried == max(0, limit - used)
    assert carried <= limit
    assert carried_over(make(limit), used) == 0


def test_an_adjustment_below_zero_carries_no_more_than_a_limit() -> None:
    assert carried_over(make(100, carry_over=True), -50) == 100


def test_no_rules_are_no_rules() -> None:
    assert Rules() == Rules(budget=None, limits=())
