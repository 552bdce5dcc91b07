"""Charts as numbers for a drawing: where bars stand and how high they are. Pure; the template draws them as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

WIDTH, HEIGHT = 720.0, 160.0
GAP = 0.25
"""The share of a bar's place that stays empty."""
LEAST = 1.5
"""What is not nothing is seen."""


@dataclass(frozen=True)
class Bar:
    """One bar in the units of the drawing, with what it stands for; `shown` is its value in words.

    An `expected` one is no fact but a forecast.
    """

    label: str
    shown: str
    x: float
    y: float
    width: float
    height: float
    expected: bool = False


@dataclass(frozen=True)
class Chart:
    """A drawing of `WIDTH` by `HEIGHT`, and its title, its highest value and its ends in words."""

    title: str
    bars: Sequence[Bar]
    highest: str
    first: str
    last: str
    empty: bool


def bars(title: str, points: Iterable[tuple[str, Decimal, str]], *, expected: int = 0) -> Chart:
    """Upright bars from the left to the right, of (label, value, value in words). Values are never negative.

    The last `expected` of them are a forecast.
    """
    known = list(points)
    top = max((value for _, value, _ in known), default=Decimal(0))
    place = WIDTH / max(len(known), 1)
    made = []
    for number, (label, value, shown) in enumerate(known):
        height = max(float(value / top) * HEIGHT, LEAST) if top and value > 0 else 0.0
        made.append(
            Bar(
                label,
                shown,
                round((number + GAP / 2) * place, 2),
                round(HEIGHT - height, 2),
                round(place * (1 - GAP), 2),
                round(height, 2),
                expected=number >= len(known) - expected,
            )
        )
    highest = next((shown for _, value, shown in known if value == top and top > 0), "")
    ends = (known[0][0], known[-1][0]) if known else ("", "")
    return Chart(title, made, highest, *ends, empty=not top)


def days(first: date, last: date) -> list[str]:
    """Every day of a period, both ends included, as ISO dates."""
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]


def month(now: datetime) -> tuple[date, date]:
    """The first and the last day of a month."""
    first = now.date().replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def forecast(spent: Decimal, lately: Decimal, lately_days: Decimal, now: datetime) -> Decimal:
    """What a month will have cost at its end, when it goes on as in the last days.

    `spent` is the month's cost so far, `lately` that of the last `lately_days`.
    """
    following = (now.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)).replace(day=1)
    left = Decimal((following - now).total_seconds()) / 86_400
    return spent + (lately / lately_days * left if lately_days > 0 else Decimal(0))
