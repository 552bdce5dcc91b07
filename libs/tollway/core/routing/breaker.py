"""When a target is left alone: a circuit breaker over its calls.

Owns the states and their times. Only failures of the target's own making are told to it, and only what began after it
opened can close it or open it again: calls from before say nothing new. It counts in whole intervals of its window, so
that a call costs a few additions.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

CONSECUTIVE = 5
"""So many failures in a row open it."""
LEAST_CALLS = 20
FAILURE_SHARE = 0.5
"""This share of at least `LEAST_CALLS` calls in the window opens it."""
INTERVAL_SECONDS = 3.0
INTERVALS = 10
FIRST_SECONDS = 2.0
MOST_SECONDS = 60.0
PROBES = 2
"""Calls that a half-open breaker lets through at the same time."""


class State(IntEnum):
    """Closed lets everything through, open nothing, half-open a few calls that find out."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """The breaker of one target. `by_rate`: it is open for its failure rate, not for failures in a row."""

    __slots__ = (
        "_calls",
        "_calls_by",
        "_closed_at",
        "_failures",
        "_failures_by",
        "_interval",
        "_openings",
        "by_rate",
        "consecutive",
        "opened_at",
        "probing",
        "state",
        "until",
    )

    def __init__(self) -> None:
        self.state = State.CLOSED
        self.by_rate = False
        self.consecutive = 0
        self.opened_at = 0.0
        self.until = 0.0
        self.probing = 0
        self._openings = 0
        self._closed_at = float("-inf")
        self._forget(0)

    def _forget(self, interval: int) -> None:
        self._interval = interval
        self._calls = self._failures = 0
        self._calls_by = [0] * INTERVALS
        self._failures_by = [0] * INTERVALS

    def _turn(self, interval: int) -> None:
        """Lets go of the intervals that have left the window."""
        if interval - self._interval >= INTERVALS:
            self._forget(interval)
            return
        while self._interval < interval:
            self._interval += 1
            slot = self._interval % INTERVALS
            self._calls -= self._calls_by[slot]
            self._failures -= self._failures_by[slot]
            self._calls_by[slot] = self._failures_by[slot] = 0

    def succeeded(self, started: float, now: float) -> None:
        """A call that began at `started` was answered."""
        if self.state:
            if started >= self.opened_at:
                self._close(now)
            return
        self.consecutive = 0
        interval = int(now / INTERVAL_SECONDS)
        if interval > self._interval:
            self._turn(interval)
        self._calls += 1
        self._calls_by[self._interval % INTERVALS] += 1

    def failed(self, started: float, now: float, roll: Callable[[], float]) -> None:
        """A call that began at `started` failed by the target's own fault."""
        if self.state:
            if self.state is State.HALF_OPEN and started >= self.opened_at:
                self._open(now, roll, by_rate=self.by_rate)
            return
        if started < self._closed_at:  # it began while the breaker was open, or before
            return
        interval = int(now / INTERVAL_SECONDS)
        if interval > self._interval:
            self._turn(interval)
        slot = self._interval % INTERVALS
        self.consecutive += 1
        self._calls += 1
        self._calls_by[slot] += 1
        self._failures += 1
        self._failures_by[slot] += 1
        if self.consecutive >= CONSECUTIVE:
            self._open(now, roll, by_rate=False)
        elif self._calls >= LEAST_CALLS and self._failures >= FAILURE_SHARE * self._calls:
            self._open(now, roll, by_rate=True)

    def _open(self, now: float, roll: Callable[[], float], *, by_rate: bool) -> None:
        if now - self._closed_at > MOST_SECONDS and self.state is State.CLOSED:
            self._openings = 0  # it was well for long: this is a new failure, not the same again
        seconds = min(FIRST_SECONDS * 2.0**self._openings, MOST_SECONDS)
        self._openings = min(self._openings + 1, 16)
        self.state, self.by_rate, self.opened_at = State.OPEN, by_rate, now
        self.until = now + seconds * (0.5 + 0.5 * roll())  # not all processes at the same moment

    def _close(self, now: float) -> None:
        self.state, self.by_rate, self.consecutive = State.CLOSED, False, 0
        self._closed_at = now
        self._forget(int(now / INTERVAL_SECONDS))

    def lets_through(self, now: float) -> bool:
        """Whether a call may be made. An open breaker whose time is over becomes half-open."""
        if self.state is State.CLOSED:
            return True
        if self.state is State.OPEN:
            if now < self.until:
                return False
            self.state = State.HALF_OPEN
        return self.probing < PROBES

    def half_open(self) -> None:
        """A probe was answered: calls may find out at once whether the target works."""
        if self.state is State.OPEN:
            self.state = State.HALF_OPEN

    def began(self, now: float) -> bool:
        """A call begins; True when it is one of those that find out, which `ended_probe` must be told of."""
        if self.state is State.OPEN and now >= self.until:
            self.state = State.HALF_OPEN
        if self.state is State.HALF_OPEN:
            self.probing += 1
            return True
        return False

    def ended_probe(self) -> None:
        """A call for which `began` said True is over, however it ended."""
        self.probing -= 1
