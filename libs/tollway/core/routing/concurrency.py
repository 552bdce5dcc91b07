"""How much at once is good for a server: limits that find it out from latency alone.

`Gradient` is for a server behind us: where latency grows beyond what it is without a queue, more at once brings nothing
but waiting. In the manner of Netflix's Gradient2 (https://github.com/Netflix/concurrency-limits), with one difference:
there the baseline drifts up with a queue that stays, here it is measured anew with fewer calls every while, as Envoy's
adaptive concurrency filter does. `LagLimit` is for a process itself, by how late its event loop is. No limit is ever
below 1 or above its most.
"""

from __future__ import annotations

from math import sqrt

TOLERANCE = 2.0
"""Latency may grow so much before it means a queue."""
SMOOTHING = 0.2
SHORT = 0.1
"""Weight of one call in the recent latency."""
LONG = 0.02
"""Weight of one call without a queue in the baseline."""
LEAST_GRADIENT = 0.5
OVERLOADED = 0.9
"""What remains of a limit when a server says that it is overloaded."""
MEASURE_AFTER = 1000
"""Calls near the limit after which the baseline is measured anew."""
FIRST_MEASURE_AFTER = 100
MEASURE_CALLS = 20
QUEUED = 0.8
"""Half as many calls at once that take less than this share of the time: the other half were a queue."""


class Gradient:
    """The limit of one server."""

    __slots__ = ("_base", "_before", "_left", "_most", "_near", "_recent", "_skip", "_sum", "_then", "limit")

    def __init__(self, *, initial: int = 1000, most: int = 10_000) -> None:
        """`initial` is where it begins, `most` where it ends."""
        self._most = float(max(most, 1))
        self.limit = min(float(max(initial, 1)), self._most)
        self._base = 0.0
        self._recent = 0.0
        self._near = MEASURE_AFTER - FIRST_MEASURE_AFTER
        self._left = 0
        self._skip = 0
        self._sum = 0.0
        self._before = 0.0
        self._then = 0.0

    def answered(self, seconds: float, in_flight: int) -> None:
        """A call was answered in so long, while `in_flight` calls (with it) were under way."""
        if seconds <= 0.0:
            return
        if self._base == 0.0:
            self._base = self._recent = seconds
        self._recent += (seconds - self._recent) * SHORT
        if self._left:
            self._measure(seconds, in_flight)
            return
        if in_flight < self.limit / 2:  # there is no queue of our making: this is how long it takes
            self._base += (seconds - self._base) * LONG
            return
        if self._recent < self._base:
            self._base = self._recent
        self._near += 1
        if self._near >= MEASURE_AFTER:
            self._before, self._then = self.limit, self._recent
            self._halve(in_flight)
            return
        gradient = max(LEAST_GRADIENT, min(1.0, TOLERANCE * self._base / self._recent))
        wanted = self.limit * gradient + (sqrt(self.limit) if gradient == 1.0 else 0.0)
        self.limit = min(max(1.0, self.limit + (wanted - self.limit) * SMOOTHING), self._most)

    def _halve(self, in_flight: int) -> None:
        """Looks how long calls take with half as many, once those under way, which may have queued, are over."""
        self._near, self._left, self._sum, self._skip = 0, MEASURE_CALLS, 0.0, in_flight
        self.limit = max(1.0, self.limit / 2)

    def _measure(self, seconds: float, in_flight: int) -> None:
        if self._skip > 0:
            self._skip -= 1
            return
        self._sum += seconds
        self._left -= 1
        if self._left:
            return
        self._base = self._recent = self._sum / MEASURE_CALLS
        if self._base < QUEUED * self._then and self.limit > 1.0:
            self._then = self._base
            self._halve(in_flight)
        else:  # it is no quicker: the half before was the first without a queue, or there never was one
            self.limit = min(self.limit * 2, self._before)

    def refused(self) -> None:
        """The server said that it is overloaded, or did not answer in time."""
        self.limit = max(1.0, self.limit * OVERLOADED)


LAG_SECONDS = 0.1
RISE = 0.05
"""The share by which a limit that is needed and does no harm rises at each look."""


class LagLimit:
    """The limit of a process: additive increase, multiplicative decrease by the lateness of its event loop.

    It is too late when it was at two looks in a row: a burst that is worked off in a moment is no overload (as CoDel
    goes by the least delay of an interval, RFC 8289).
    """

    __slots__ = ("_before", "_lag", "_least", "_most", "limit")

    def __init__(self, *, initial: int, most: int, least: int = 1, lag_seconds: float = LAG_SECONDS) -> None:
        """It stays between `least` and `most`; `lag_seconds` is the lateness that is too much."""
        self._least, self._most = float(max(least, 1)), float(max(most, least, 1))
        self._lag = lag_seconds
        self._before = 0.0
        self.limit = min(max(float(initial), self._least), self._most)

    def look(self, lag: float, in_flight: int) -> None:
        """Called at a steady pace with the loop's lateness in seconds and what is under way."""
        before, self._before = self._before, lag
        if min(lag, before) > self._lag:
            # Down from what is really under way: a limit far above it would have to fall for long before it says a
            # thing.
            self.limit = max(self._least, min(self.limit, max(float(in_flight), self._least)) * OVERLOADED)
        elif lag <= self._lag and in_flight > self.limit * 0.8:
            self.limit = min(self._most, self.limit + max(1.0, self.limit * RISE))
