"""What an operator says that a credential may use: requests and tokens of a minute.

Owns the count over a sliding minute. It is kept in parts of five seconds and never forgets a part too early, so that no
sixty seconds, wherever they begin, hold more than the limit.
"""

from __future__ import annotations

PART_SECONDS = 5.0
PARTS = 13
"""Twelve make a minute; with the part that is not over yet, one more."""


class MinuteWindow:
    """What was used in the last minute, against a limit."""

    __slots__ = ("_by", "_part", "_used", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._part = 0
        self._used = 0
        self._by = [0] * PARTS

    def _turn(self, now: float) -> None:
        part = int(now / PART_SECONDS)
        if part - self._part >= PARTS:
            self._by = [0] * PARTS
            self._used, self._part = 0, part
            return
        while self._part < part:
            self._part += 1
            slot = self._part % PARTS
            self._used -= self._by[slot]
            self._by[slot] = 0

    def add(self, amount: int, now: float) -> None:
        """So much more was used; less than 0 gives back what was estimated too high."""
        self._turn(now)
        slot = self._part % PARTS
        if amount < 0:  # what was counted in an earlier part cannot be found any more: the count may be too high
            amount = -min(-amount, self._by[slot])
        self._by[slot] += amount
        self._used += amount

    def ready_at(self, amount: int, now: float) -> float:
        """When `amount` more may be used: `now` or before, else the time at which enough is forgotten.

        An amount above the whole limit is let through when nothing else was used: to refuse it for ever helps nobody.
        """
        self._turn(now)
        excess = self._used + min(amount, self.limit) - self.limit
        if excess <= 0:
            return now
        for step in range(1, PARTS + 1):  # the oldest part first
            excess -= self._by[(self._part + step) % PARTS]
            if excess <= 0:
                return (self._part + step) * PART_SECONDS
        return now + PART_SECONDS * PARTS
