"""Notices of this process to the control plane: counted in a bounded table, sent in the background.

`tell` is for the path of requests: it costs a look into a dictionary, never waits and never fails. What happens again
before the next report is counted onto what is there already; what finds the table full is lost, and the loss counted.
A report that is not answered stays in the table and is sent again: an alert fires once however often it is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tollway.core.notices import Notice, NoticeKind
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
CAPACITY = 1_000
"""Different notices between two reports, at most."""
BATCH = 200
PAUSE_SECONDS = 1.0
BACKOFF_SECONDS = (1.0, 2.0, 5.0, 10.0)
REMIND_SECONDS = 60.0
MAX_TEXT = 500
PRESSURE_PERCENT = (50, 90)
RELIEF_PERCENT = 10
"""How far below its mark a level must fall before the mark can be passed again."""


class NoticeClient(Protocol):
    """The control plane's ear; the real one is `tollway.wire.notices_client.NoticeIngestClient`."""

    async def report(self, replica: str, notices: Sequence[Notice], lost: int) -> None:
        """Returns when the notices are stored; raises ConnectionError otherwise."""


class _Key(NamedTuple):
    kind: str
    scope: str
    subject: str
    provider: str
    credential: str
    code: str


class _Told:
    """What is known of one key since its last report."""

    __slots__ = ("amount_nano", "at_ms", "count", "detail")

    def __init__(self, at_ms: int, detail: str) -> None:
        self.at_ms = at_ms
        self.detail = detail
        self.count = 0
        self.amount_nano = 0


class Notices:
    """One for each process."""

    def __init__(self, replica: str, client: NoticeClient, clock: Clock, *, capacity: int = CAPACITY) -> None:
        self._replica = replica
        self._client = client
        self._clock = clock
        self._capacity = capacity
        self._waiting: dict[_Key, _Told] = {}
        self._passed: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._sending = asyncio.Lock()
        self._unreported_loss = 0
        self.lost = 0
        """Notices that found the table full, since the process started."""

    def start(self, tasks: Tasks) -> None:
        """Sends in the background for the life of the process."""
        tasks.keep(self._send_forever, "notices")

    def tell(
        self,
        kind: NoticeKind,
        *,
        scope: str = "",
        subject: str = "",
        provider: str = "",
        credential: str = "",
        code: str = "",
        detail: str = "",
        count: int = 1,
        amount_nano: int = 0,
    ) -> None:
        """Notes that something happened, see `tollway.core.notices`. `detail` is kept of the first between reports."""
        key = _Key(kind.value, scope, subject, provider, credential, code)
        told = self._waiting.get(key)
        if told is None:
            if len(self._waiting) >= self._capacity:
                self._lose()
                return
            told = self._waiting[key] = _Told(self._clock.now_ms(), detail[:MAX_TEXT])
            self._wake.set()
        told.count += count
        told.amount_nano += amount_nano

    def _lose(self) -> None:
        self.lost += 1
        self._unreported_loss += 1

    def pressure(self, what: str, used: int, capacity: int) -> None:
        """Tells when `what` (a journal, a spool) passes 50 % or 90 % of its capacity in bytes; called every second.

        Each mark is told once, and again only after the level was well below it.
        """
        percent = used * 100 // max(capacity, 1)
        passed = self._passed.get(what, 0)
        while passed and percent < PRESSURE_PERCENT[passed - 1] - RELIEF_PERCENT:
            passed -= 1
        while passed < len(PRESSURE_PERCENT) and percent >= PRESSURE_PERCENT[passed]:
            mark = PRESSURE_PERCENT[passed]
            passed += 1
            self.tell(
                NoticeKind.SPOOL_PRESSURE,
                subject=f"{self._replica} {what}",
                code=str(mark),
                detail=f"the {what} of {self._replica} holds {used} of {capacity} bytes",
            )
        self._passed[what] = passed

    async def _send_forever(self) -> None:
        failures = 0
        reminded = -REMIND_SECONDS
        while True:
            await self._wake.wait()
            await asyncio.sleep(BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS)) - 1] if failures else PAUSE_SECONDS)
            try:
                await self.flush()
                failures = 0
            except (ConnectionError, TimeoutError) as error:
                failures += 1
                now = self._clock.monotonic()
                if now - reminded >= REMIND_SECONDS:
                    reminded = now
                    _log.warning("notices wait", reason=str(error), waiting=len(self._waiting), lost=self.lost)

    async def close(self, deadline_seconds: float) -> bool:
        """Sends what waits before the process ends; false when it could not be done in time: then it is lost."""
        try:
            async with asyncio.timeout(deadline_seconds):
                await self.flush()
        except (ConnectionError, TimeoutError):
            return False
        return True

    async def flush(self) -> None:
        """Sends what waits. Raises ConnectionError when the control plane could not take it; then it still waits."""
        async with self._sending:  # what is under way is waited for: it may come back
            await self._flush()

    async def _flush(self) -> None:
        self._wake.clear()
        taken, self._waiting = list(self._waiting.items()), {}
        sent = 0
        try:
            while sent < len(taken):
                batch = taken[sent : sent + BATCH]
                loss = self._unreported_loss
                await self._client.report(self._replica, [_notice(key, told) for key, told in batch], loss)
                self._unreported_loss -= loss
                sent += len(batch)
        finally:
            for key, told in taken[sent:]:
                self._put_back(key, told)

    def _put_back(self, key: _Key, told: _Told) -> None:
        self._wake.set()
        later = self._waiting.get(key)
        if later is not None:
            told.count += later.count
            told.amount_nano += later.amount_nano
        elif len(self._waiting) >= self._capacity:  # others took its place while it was being sent
            self._lose()
            return
        self._waiting[key] = told


def _notice(key: _Key, told: _Told) -> Notice:
    return Notice(**key._asdict(), at_ms=told.at_ms, detail=told.detail, count=told.count, amount_nano=told.amount_nano)
