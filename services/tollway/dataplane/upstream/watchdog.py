"""The time limits of one upstream call: connect, first byte, between chunks, total; each fires under its own name.

Moving to the next phase or receiving a chunk only moves a number; one ticker for all calls looks at the numbers.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Any

from tollway.core.catalog import Timeouts
from tollway.core.errors import Code, TollwayError
from tollway.dataplane.providers.port import ProviderFault

TICK_SECONDS = 0.01
CONNECT = "connect"
FIRST_BYTE = "first_byte"
BETWEEN_CHUNKS = "between_chunks"
TOTAL = "total"
ENDED = "ended"
_WORDS = {
    CONNECT: "connecting to the provider took longer than {:g} s",
    FIRST_BYTE: "the provider sent nothing for {:g} s",
    BETWEEN_CHUNKS: "the provider's stream paused for longer than {:g} s",
    TOTAL: "the request took longer than {:g} s in total",
}


class Ticker:
    """Looks after all watchdogs of an event loop with one timer: a timer of its own for each call would cost more than
    everything else here. Limits fire up to `TICK_SECONDS` late.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due: list[tuple[float, int, Watchdog]] = []
        self._order = itertools.count()
        self._ticking = False

    def watch(self, watchdog: Watchdog, due: float) -> None:
        """Has the watchdog look at the time when `due` (loop time) has come."""
        heapq.heappush(self._due, (due, next(self._order), watchdog))
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(TICK_SECONDS, self._tick)

    def end(self, fault: TollwayError) -> None:
        """Ends every call under way with this error."""
        for _due, _order, watchdog in list(self._due):
            watchdog.end(fault)

    def _tick(self) -> None:
        now = self._loop.time()
        due = self._due
        while due and due[0][0] <= now:
            watchdog = heapq.heappop(due)[2]
            again = watchdog.look(now)
            if again is not None:
                heapq.heappush(due, (again, next(self._order), watchdog))
        self._ticking = bool(due)
        if due:
            self._loop.call_later(TICK_SECONDS, self._tick)


class Watchdog:
    """Cancels the running task when a limit is reached; use as a context manager around the call."""

    __slots__ = (
        "_chunks",
        "_fault",
        "_limit",
        "_phase",
        "_task",
        "_ticker",
        "_time",
        "_timeouts",
        "_total_at",
        "_watched_at",
        "expired",
    )

    def __init__(self, ticker: Ticker, timeouts: Timeouts, started: float, time: Callable[[], float]) -> None:
        self._ticker = ticker
        self._time = time
        self._timeouts = timeouts
        self._chunks = timeouts.between_chunks
        self._total_at = started + timeouts.total
        self._task: asyncio.Task[Any] | None = None
        self._watched_at = float("inf")
        self._fault: TollwayError | None = None
        self.expired: str | None = None

    def __enter__(self) -> Watchdog:
        self._task = asyncio.current_task()
        self._watched_at = float("inf")
        self._enter(CONNECT, self._timeouts.connect)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        task, self._task = self._task, None
        if self.expired is not None and kind is not None and issubclass(kind, asyncio.CancelledError):
            assert task is not None
            if task.uncancel() <= 0:
                raise self._fault or timeout_fault(self.expired, self._timeouts) from None

    def sent(self) -> None:
        """The request is on its way: from now on the provider's first byte is awaited."""
        self._enter(FIRST_BYTE, self._timeouts.first_byte)

    def _enter(self, phase: str, seconds: float) -> None:
        self._phase = phase
        self._limit = self._time() + seconds
        due = min(self._limit, self._total_at)
        if due < self._watched_at:  # else the look that is planned finds the new limit
            self._watched_at = due
            self._ticker.watch(self, due)

    def streaming(self) -> None:
        """The first byte is here: from now on the pauses count."""
        self._enter(BETWEEN_CHUNKS, self._chunks)

    def beat(self) -> None:
        """Something arrived, or the client took what was waiting for it."""
        self._limit = self._time() + self._chunks

    def hold(self) -> None:
        """The client is being waited for: only the total counts."""
        self._limit = self._total_at

    def look(self, now: float) -> float | None:
        """Fires when its limit has come; else returns when to look again, or None when the call is over."""
        if self._task is None or self.expired is not None:
            return None
        due = min(self._limit, self._total_at)
        if now < due:
            self._watched_at = due
            return due
        self.expired = TOTAL if now >= self._total_at else self._phase
        self._task.cancel()
        return None

    def end(self, fault: TollwayError) -> None:
        """Ends the call with this error, unless it is over or ending."""
        if self._task is not None and self.expired is None:
            self._fault, self.expired = fault, ENDED
            self._task.cancel()


def timeout_fault(phase: str, timeouts: Timeouts) -> ProviderFault:
    """The error of a limit that was reached; `param` names it."""
    seconds = getattr(timeouts, phase)
    return ProviderFault(
        Code.PROVIDER_TIMEOUT,
        f"The provider timed out: {_WORDS[phase].format(seconds)} ({phase} timeout).",
        param=phase,
        retryable=phase != TOTAL,
    )
