"""How quick a target has been lately, and which latency few calls exceed.

`PeakEwma` chooses among targets: it rises at once with a slow call and falls slowly. `Latencies` tells percentiles for
hedging. Seconds everywhere.
"""

from __future__ import annotations

from math import ceil, exp, log

DECAY_SECONDS = 10.0
"""After so long without a call, an estimate has fallen to 1/e."""
UNMEASURED_SECONDS = 10.0
"""What a call under way to a target without any measurement counts as: one is tried, not a hundred at once."""


class PeakEwma:
    """A moving average that a slow call raises at once (Finagle's peak EWMA): caution is quick, trust comes slowly."""

    __slots__ = ("_at", "_seconds")

    def __init__(self) -> None:
        self._seconds = 0.0
        self._at = 0.0

    def observe(self, seconds: float, now: float) -> None:
        """A call took so long."""
        elapsed = now - self._at
        share = exp(-elapsed / DECAY_SECONDS) if elapsed > 0.0 else 1.0
        known = self._seconds
        if seconds > known * share:
            self._seconds = seconds
        else:
            self._seconds = known * share + seconds * (1.0 - share)
        self._at = now

    def load(self, in_flight: int, now: float) -> float:
        """How long a further call would take: the estimate times all calls under way with it."""
        if self._seconds == 0.0:
            return UNMEASURED_SECONDS * in_flight
        return self._seconds * exp((self._at - now) / DECAY_SECONDS) * (in_flight + 1)


LEAST_SECONDS = 0.001
MOST_SECONDS = 3600.0
GROWTH = 1.05
"""Each bucket is so much wider than the one before: the middle of one is within 2.5 % of all in it."""
_LOG_GROWTH = log(GROWTH)
_BUCKETS = ceil(log(MOST_SECONDS / LEAST_SECONDS) / _LOG_GROWTH) + 1
HALF_LIFE_SECONDS = 60.0
LEAST_COUNT = 20.0
"""With fewer calls nothing is said about percentiles."""
FRESH_SECONDS = 1.0


class Latencies:
    """A histogram with buckets of equal ratio, of which half is forgotten every minute."""

    __slots__ = ("_counts", "_fresh_until", "_halve_at", "_share", "_told", "_total")

    def __init__(self) -> None:
        self._counts = [0.0] * _BUCKETS
        self._total = 0.0
        self._halve_at = float("-inf")
        self._fresh_until = float("-inf")
        self._share = 0.0
        self._told: float | None = None

    def observe(self, seconds: float, now: float) -> None:
        """A call took so long."""
        if now >= self._halve_at:
            self._halve(now)
        bucket = int(log(seconds / LEAST_SECONDS) / _LOG_GROWTH) if seconds > LEAST_SECONDS else 0
        self._counts[bucket if bucket < _BUCKETS else _BUCKETS - 1] += 1.0
        self._total += 1.0

    def _halve(self, now: float) -> None:
        if self._halve_at > float("-inf"):
            times = min(int((now - self._halve_at) / HALF_LIFE_SECONDS) + 1, 64)
            self._counts = [count * 0.5**times for count in self._counts]
            self._total = sum(self._counts)
        self._halve_at = now + HALF_LIFE_SECONDS

    def percentile(self, share: float, now: float) -> float | None:
        """The latency that this share of calls lately did not exceed, at most a second old; None: too few calls."""
        if self._told is not None and now < self._fresh_until and share == self._share:
            return self._told
        if now >= self._halve_at:
            self._halve(now)
        self._fresh_until, self._share = now + FRESH_SECONDS, share
        self._told = self._find(share)
        return self._told

    def _find(self, share: float) -> float | None:
        if self._total < LEAST_COUNT:
            return None
        wanted = share * self._total
        for bucket, count in enumerate(self._counts):
            wanted -= count
            if wanted <= 1e-9 * self._total:
                return LEAST_SECONDS * exp(_LOG_GROWTH * (bucket + 0.5))
        return MOST_SECONDS
