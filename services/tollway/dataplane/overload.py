"""What protects a process from more than it can do: a limit of requests under way, and of the bytes of their bodies.

The limit of requests follows how late the event loop is. Who comes when it is reached waits a moment, interactive
requests before batch; who would wait too long is told at once when to come again. What is refused has cost nothing yet:
its body is not read.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Gauge

from tollway.core.catalog import Priority
from tollway.core.errors import Code, TollwayError
from tollway.core.routing.concurrency import LagLimit
from tollway.dataplane.routing.gate import Gate, Waiting

LOOK_SECONDS = 0.1
WAIT_SECONDS = 2.0
FIRST_LIMIT = 1024
LEAST_LIMIT = 64
"""Fewer requests at once are no overload, whatever else makes the loop late."""


class Load(NamedTuple):
    """Of one process: requests that may be under way, that are and that wait; the loop's lateness in seconds; bytes."""

    limit: float
    in_flight: int
    waiting: int
    lag_seconds: float
    body_bytes: int


class Overload:
    """One for each process. `watch` must run for the limit to follow the event loop."""

    def __init__(self, most_requests: int, most_body_bytes: int) -> None:
        least = min(LEAST_LIMIT, most_requests)
        self._limit = LagLimit(initial=min(FIRST_LIMIT, most_requests), most=most_requests, least=least)
        self._gate = Gate(self._limit, "The gateway")
        self._most_bytes = most_body_bytes
        self._bytes = 0
        self._lag = 0.0

    def enter(self, priority: Priority) -> Waiting | None:
        """A place at once (None), or a future that is done when there is one. Raises TollwayError(overloaded)."""
        return self._gate.acquire(priority, WAIT_SECONDS)

    def leave(self, waiting: Waiting | None, now: float) -> None:
        """The request is over, or gave up; `waiting` is what `enter` gave, `now` the loop's time."""
        self._gate.release(waiting, now)

    def take_bytes(self, size: int) -> None:
        """Room for so much of a body. Raises TollwayError(overloaded) when there is none."""
        if self._bytes + size > self._most_bytes:
            raise TollwayError(
                Code.OVERLOADED,
                "The gateway is receiving more large requests than it has memory for. Please retry later.",
                retry_after_seconds=1,
                operator_note=f"{self._bytes} bytes of bodies are held, {size} more were asked for",
            )
        self._bytes += size

    def give_back_bytes(self, size: int) -> None:
        """A body is not held any more."""
        self._bytes -= size

    @property
    def load(self) -> Load:
        """How it stands."""
        return Load(self._limit.limit, self._gate.in_flight, self._gate.waiting, self._lag, self._bytes)

    async def watch(self) -> None:
        """Looks at the event loop's lateness for the life of the process."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
            self._lag = max(loop.time() - due, 0.0)
            self._limit.look(self._lag, self._gate.in_flight)
            self._gate.wake()


class OverloadMetrics:
    """`update` brings them to what is the case."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, mode: str = "livesum") -> Gauge:
            return Gauge(name, text, registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]

        self._limit = gauge("tollway_requests_limit", "Requests that may be under way.")
        self._waiting = gauge("tollway_requests_waiting", "Requests that wait to begin.")
        self._lag = gauge("tollway_loop_lag_seconds", "Lateness of the event loop.", "livemax")
        self._bytes = gauge("tollway_request_body_bytes", "Bytes of large request bodies that are held.")

    def update(self, load: Load) -> None:
        """Called every second and before a scrape."""
        self._limit.set(load.limit)
        self._waiting.set(load.waiting)
        self._lag.set(load.lag_seconds)
        self._bytes.set(load.body_bytes)
