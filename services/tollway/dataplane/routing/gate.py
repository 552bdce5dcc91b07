"""A bounded place of work with a queue in front of it: who comes when it is full waits, or is told when to come again.

Owns the count of what is inside and the order of those who wait: interactive before batch, first come first served
within. Whoever cannot be served in time is refused at once, so that a client learns early what it would learn late.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple, Protocol

from tollway.core.catalog import Priority
from tollway.core.errors import Code, TollwayError

MOST_WAITING = 1000
WAIT_SECONDS = 10.0
LEAST_RETRY_SECONDS = 1.0
MOST_RETRY_SECONDS = 60.0
NEWEST = 0.1
"""Weight of one departure in the pace of departures."""

_UNKNOWN = -1.0

Waiting = asyncio.Future[None]


class Limit(Protocol):
    """How many may be inside at once; it may change at any time."""

    @property
    def limit(self) -> float:
        """At least 1."""


class _Waiter(NamedTuple):
    future: Waiting
    timer: asyncio.TimerHandle


class Gate:
    """Lets in as many as its limit says.

    `acquire` returns None when there is a place, else a future to await; `release` is called once for each `acquire`
    that did not raise, with what it returned, whatever became of it.
    """

    __slots__ = ("_interval", "_left_at", "_queues", "in_flight", "limit", "most_waiting", "name")

    def __init__(self, limit: Limit, name: str, *, most_waiting: int = MOST_WAITING) -> None:
        """`name` is what is overloaded, in the words of the error."""
        self.limit = limit
        self.name = name
        self.in_flight = 0
        self.most_waiting = most_waiting
        self._queues: dict[Priority, deque[_Waiter]] = {Priority.INTERACTIVE: deque(), Priority.BATCH: deque()}
        self._left_at = _UNKNOWN
        self._interval = 0.0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queues[Priority.INTERACTIVE]) + len(self._queues[Priority.BATCH])

    def full(self) -> bool:
        """Whether the next one would have to wait."""
        return self.in_flight >= self.limit.limit

    def acquire(self, priority: Priority, wait_seconds: float = WAIT_SECONDS) -> Waiting | None:
        """A place at once (None), or a future that is done when there is one.

        Raises TollwayError(overloaded), or the future does: the queue is full, or `wait_seconds` would not be enough.
        """
        queues = self._queues
        if self.in_flight < self.limit.limit and not queues[Priority.INTERACTIVE] and not queues[Priority.BATCH]:
            self.in_flight += 1
            return None
        ahead = len(queues[Priority.INTERACTIVE])
        if priority is Priority.BATCH:
            ahead += len(queues[Priority.BATCH])
        if self._interval * (ahead + 1) > wait_seconds or (
            self.waiting >= self.most_waiting and not self._evict(priority)
        ):
            raise self._refusal(ahead)
        loop = asyncio.get_running_loop()
        future: Waiting = loop.create_future()
        if not self.waiting:
            self._left_at = _UNKNOWN  # who left before the queue began says nothing of its pace
        queues[priority].append(_Waiter(future, loop.call_later(wait_seconds, self._expire, future, ahead)))
        self.wake()  # the limit may have risen while nobody left
        return future

    def _evict(self, priority: Priority) -> bool:
        """Makes room in the queue for an interactive request: the batch request that came last is refused."""
        batch = self._queues[Priority.BATCH]
        if priority is Priority.BATCH or not batch:
            return False
        waiter = batch.pop()
        waiter.timer.cancel()
        if not waiter.future.done():
            waiter.future.set_exception(self._refusal(self.waiting))
        return True

    def _expire(self, future: Waiting, ahead: int) -> None:
        self._remove(future)
        if not future.done():
            future.set_exception(self._refusal(ahead))

    def _remove(self, future: Waiting) -> None:
        for queue in self._queues.values():
            for waiter in queue:
                if waiter.future is future:
                    waiter.timer.cancel()
                    queue.remove(waiter)
                    return

    def release(self, waiting: Waiting | None, now: float) -> None:
        """What `acquire` gave is over: the place is free again, or the wait is given up."""
        if waiting is not None:
            if not waiting.done():
                waiting.cancel()
            if waiting.cancelled():
                self._remove(waiting)
                return
            if waiting.exception() is not None:
                return
        self.in_flight -= 1
        if self._queues[Priority.INTERACTIVE] or self._queues[Priority.BATCH]:
            if self._left_at != _UNKNOWN:
                gap = min(max(now - self._left_at, 0.0), MOST_RETRY_SECONDS)
                self._interval += (gap - self._interval) * NEWEST
            self.wake()
        else:
            self._interval = 0.0
        self._left_at = now

    def wake(self) -> None:
        """Lets in whom there is room for."""
        for queue in self._queues.values():
            while queue and self.in_flight < self.limit.limit:
                waiter = queue.popleft()
                waiter.timer.cancel()
                if not waiter.future.done():
                    self.in_flight += 1
                    waiter.future.set_result(None)

    def _refusal(self, ahead: int) -> TollwayError:
        seconds = min(max(self._interval * (ahead + 1), LEAST_RETRY_SECONDS), MOST_RETRY_SECONDS)
        return TollwayError(
            Code.OVERLOADED,
            f"{self.name} has more requests than it can serve at the moment. Please retry later.",
            retry_after_seconds=seconds,
            operator_note=f"{self.in_flight} under way, {self.waiting} waiting, limit {self.limit.limit:.0f}",
        )
