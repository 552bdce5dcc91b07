"""When an hour's spend is unusual. Pure arithmetic on integers of nano-dollars.

The same hour of the days before is the measure, because spend follows the day: what is usual at ten in the morning is
not at four at night.
"""

from __future__ import annotations

from collections.abc import Sequence

DAYS = 14
FACTOR = 4
FLOOR_NANO = 1_000_000_000
"""Hours of at most this much are never unusual: 1 US dollar."""


def usual(before: Sequence[int]) -> int:
    """The median of the same hour of the `DAYS` days before; days that are missing in `before` had no spend.

    Of two in the middle it is the mean, rounded down.
    """
    spent = sorted([*before[:DAYS], *[0] * (DAYS - len(before))])
    return (spent[DAYS // 2 - 1] + spent[DAYS // 2]) // 2


def is_anomaly(spent_nano: int, before: Sequence[int]) -> bool:
    """Whether an hour's spend is over `FACTOR` times what is usual, and over the floor."""
    return spent_nano > FLOOR_NANO and spent_nano > FACTOR * usual(before)
