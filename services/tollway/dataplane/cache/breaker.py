"""Leaves a store alone that does not answer, so that an outage costs one wait and not one for each request."""

from __future__ import annotations

from collections.abc import Callable

FIRST_SECONDS = 1.0
LAST_SECONDS = 30.0


class Breaker:
    """Opens on a failure; after a pause, which doubles with each failure, one call is let through to try."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` tells monotonic seconds."""
        self._now = now
        self._pause = 0.0
        self._retry_at = 0.0
        self._trying = False

    def allows(self) -> bool:
        """Whether to call. While open, one caller is told so at the end of each pause."""
        if not self._pause:
            return True
        now = self._now()
        if now < self._retry_at:
            return False
        self._retry_at = now + self._pause
        self._trying = True
        return True

    def failed(self) -> bool:
        """A call failed; whether that is news. Of several that were under way together, the first one counts."""
        if self._pause and not self._trying:
            return False
        self._trying = False
        self._pause = min(self._pause * 2 or FIRST_SECONDS, LAST_SECONDS)
        self._retry_at = self._now() + self._pause
        return True

    def worked(self) -> None:
        """A call was answered."""
        self._pause = 0.0
        self._trying = False
