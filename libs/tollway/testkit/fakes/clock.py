"""A clock that stands still until a test moves it."""

from __future__ import annotations

NOON_MS = 1_767_268_800_000
"""2026-01-01 12:00:00 UTC."""


class FakeClock:
    """Implements `tollway.runtime.clock.Clock`. Wall time can jump, monotonic time only goes forward."""

    def __init__(self, now_ms: int = NOON_MS, monotonic: float = 1000.0) -> None:
        self._now_ms = now_ms
        self._monotonic = monotonic

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        return self._now_ms

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Both clocks go forward."""
        if seconds < 0:
            raise ValueError("monotonic time does not go back; use jump")
        self._now_ms += round(seconds * 1000)
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """The wall clock is set anew, forward or back, as by an operator or a time server."""
        self._now_ms += round(seconds * 1000)
