"""The time limits of one upstream call: connect, first byte, between chunks, total; each fires under its own name.

One timer serves all of them: moving to the next phase or receiving a chunk only moves a number, and the timer re-arms
itself when it finds that its time has not come.
"""

from __future__ import annotations

import asyncio

from tollway.core.catalog import Timeouts
from tollway.core.errors import Code
from tollway.dataplane.providers.port import ProviderFault

CONNECT = "connect"
FIRST_BYTE = "first_byte"
BETWEEN_CHUNKS = "between_chunks"
TOTAL = "total"
_WORDS = {
    CONNECT: "connecting to the provider took longer than {:g} s",
    FIRST_BYTE: "the provider sent nothing for {:g} s",
    BETWEEN_CHUNKS: "the provider's stream paused for longer than {:g} s",
    TOTAL: "the request took longer than {:g} s in total",
}


class Watchdog:
    """Cancels the running task when a limit is reached; use as a context manager around the call."""

    __slots__ = ("_chunks", "_handle", "_limit", "_loop", "_phase", "_task", "_timeouts", "_total_at", "expired")

    def __init__(self, timeouts: Timeouts, started: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeouts = timeouts
        self._chunks = timeouts.between_chunks
        self._total_at = started + timeouts.total
        self.expired: str | None = None

    def __enter__(self) -> Watchdog:
        self._task = asyncio.current_task()
        self._phase = CONNECT
        self._limit = self._loop.time() + self._timeouts.connect
        self._handle = self._loop.call_at(min(self._limit, self._total_at), self._look)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._handle.cancel()
        if self.expired is not None and kind is not None and issubclass(kind, asyncio.CancelledError):
            assert self._task is not None
            if self._task.uncancel() <= 0:
                raise timeout_fault(self.expired, self._timeouts) from None

    def sent(self) -> None:
        """The request is on its way: from now on the provider's first byte is awaited."""
        self._enter(FIRST_BYTE, self._timeouts.first_byte)

    def _enter(self, phase: str, seconds: float) -> None:
        self._phase = phase
        self._limit = self._loop.time() + seconds
        if self._limit < self._handle.when():
            self._handle.cancel()
            self._handle = self._loop.call_at(self._limit, self._look)

    def streaming(self) -> None:
        """The first byte is here: from now on the pauses count."""
        self._enter(BETWEEN_CHUNKS, self._chunks)

    def beat(self) -> None:
        """Something arrived, or the client took what was waiting for it."""
        self._limit = self._loop.time() + self._chunks

    def hold(self) -> None:
        """The client is being waited for: only the total counts."""
        self._limit = self._total_at

    def _look(self) -> None:
        now = self._loop.time()
        due = min(self._limit, self._total_at)
        if now < due:
            self._handle = self._loop.call_at(due, self._look)
            return
        self.expired = TOTAL if now >= self._total_at else self._phase
        assert self._task is not None
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
