"""Alerts of one control-plane process: the evaluator, the deliverer, the ear for notices, the methods.

Several control planes run this side by side. One evaluates at a time (an advisory lock), any may be told of a notice,
each delivers what it claims; what fires once is decided by a unique key in the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg

from tollway.controlplane.alerts import api, intake, postgres, sources
from tollway.controlplane.alerts.budgets import BudgetWatch
from tollway.controlplane.alerts.delivery import Deliverer, Retry
from tollway.controlplane.alerts.model import AlertKind, Firing, Severity
from tollway.controlplane.alerts.reading import ChannelTest
from tollway.controlplane.alerts.sending import Mailer, WebhookSender
from tollway.controlplane.call import Method
from tollway.controlplane.credentials.vault import Vault
from tollway.controlplane.db.pool import OUTAGE, Pool
from tollway.controlplane.db.statements import Database
from tollway.controlplane.resources import from_ms
from tollway.core.notices import Notice
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
INTERVAL_SECONDS = 10.0
HOUR_MS = 3_600_000
MAX_AN_HOUR = 1_000
"""Alerts in an hour; one more says that further ones are left out."""
Source = Callable[[Database, datetime], Awaitable[list[Firing]]]


@dataclass
class AlertCounters:
    """Totals since the process started, ready to be shown as metrics."""

    passes: int = 0
    fired: int = 0
    suppressed: int = 0
    notices: int = 0
    failures: int = 0


class Alerts:
    """`open` and `start` it, tell it notices with `report`, `close` it."""

    def __init__(
        self,
        pool: Pool,
        vault: Vault,
        clock: Clock,
        webhooks: WebhookSender,
        mailer: Mailer,
        *,
        retry: Retry | None = None,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._webhooks = webhooks
        self._interval = interval_seconds
        self._tasks = Tasks()
        self._budgets = BudgetWatch()
        self.deliverer = Deliverer(pool, vault, clock, webhooks, mailer, retry or Retry())
        self.counters = AlertCounters()

    async def open(self) -> None:
        """Makes what sends."""
        await self._webhooks.open()

    def start(self) -> None:
        """Evaluates and delivers in the background."""
        self._tasks.keep(self._evaluate_forever, "alerts-evaluate", restart_seconds=self._interval)
        self._tasks.keep(self._deliver_forever, "alerts-deliver", restart_seconds=5.0)

    async def close(self) -> None:
        """Ends the background work; a message under way is sent again by whoever claims it next."""
        await self._tasks.close()
        await self._webhooks.close()

    def methods(self) -> Mapping[str, Method]:
        """The methods of `AlertService`."""
        return api.methods(ChannelTest(self.deliverer))

    async def _evaluate_forever(self) -> None:
        while True:
            try:
                await self.evaluate()
            except OUTAGE as error:
                self.counters.failures += 1
                _log.warning("alerts could not be evaluated", reason=type(error).__name__)
            await asyncio.sleep(self._interval)

    async def _deliver_forever(self) -> None:
        while True:
            try:
                await self.deliverer.run()
            except OUTAGE as error:
                _log.warning("alerts could not be delivered", reason=type(error).__name__)
                await asyncio.sleep(self._interval)

    async def evaluate(self) -> int:
        """One pass, if no other process is at it; returns how many alerts fired."""
        now_ms = self._clock.now_ms()
        fired = 0
        async with self._pool.connection() as db, db.transaction():
            if not await postgres.elect(db):
                return 0
            self.counters.passes += 1
            for source in (self._crossed, *sources.ALL):
                fired += await self._from(db, source, now_ms)
            await postgres.forget(db, from_ms(now_ms))
        self._fired(fired)
        return fired

    async def _crossed(self, db: Database, now: datetime) -> list[Firing]:
        return await self._budgets.look(db, int(now.timestamp() * 1000))

    async def _from(self, db: Database, source: Source, now_ms: int) -> int:
        """Fires what a source finds; one that fails keeps no other from being heard."""
        try:
            async with db.transaction():
                return await self._fire(db, await source(db, from_ms(now_ms)), now_ms, count=False)
        except (psycopg.DataError, psycopg.ProgrammingError, psycopg.errors.QueryCanceled) as error:
            self.counters.failures += 1
            name = getattr(source, "__name__", "")
            _log.error("a source of alerts failed", source=name, reason=f"{type(error).__name__} {error.sqlstate}")
            return 0

    async def report(self, replica: str, notices: Sequence[Notice], lost: int) -> None:
        """Fires what a data plane tells; returns after the commit."""
        now_ms = self._clock.now_ms()
        async with self._pool.connection() as db, db.transaction():
            found = await intake.firings(db, notices, replica, lost, now_ms)
            fired = await self._fire(db, found, now_ms, count=True)
        self.counters.notices += len(notices)
        self._fired(fired)

    def _fired(self, fired: int) -> None:
        self.counters.fired += fired
        if fired:
            self.deliverer.wake()

    async def _fire(self, db: Database, firings: Sequence[Firing], now_ms: int, *, count: bool) -> int:
        """Fires what has not fired; with `count`, what has is counted once more. Returns how many fired."""
        if not firings:
            return 0
        known = await postgres.known_crossings(db, [firing.crossing for firing in firings])
        at = from_ms(now_ms)
        fresh = [firing for firing in firings if firing.crossing not in known]
        room = 0
        if fresh:
            # Ids of alerts begin with their time (UUIDv7).
            hour_ago = UUID(int=max(now_ms - HOUR_MS, 0) << 80)
            room = max(MAX_AN_HOUR - await postgres.fired_since(db, hour_ago, MAX_AN_HOUR), 0)
        fired = 0
        # In one order for everyone: two that fire the same wait for each other and never in a circle.
        for firing in sorted(fresh[:room], key=lambda one: one.crossing):
            if await postgres.fire(db, firing, at) is not None:
                fired += 1
                _log.warning("alert", kind=firing.kind.value, scope=firing.scope, subject=firing.subject)
            elif count:
                await postgres.count_again(db, firing, at)
        if count:
            for firing in sorted(firings, key=lambda one: one.crossing):
                if firing.crossing in known:
                    await postgres.count_again(db, firing, at)
        if len(fresh) > room:
            self.counters.suppressed += len(fresh) - room
            fired += await postgres.fire(db, _suppressed(now_ms), at) is not None
        return fired


def _suppressed(now_ms: int) -> Firing:
    start = now_ms - now_ms % HOUR_MS
    return Firing(
        kind=AlertKind.ALERTS_SUPPRESSED,
        severity=Severity.CRITICAL,
        crossing=f"{AlertKind.ALERTS_SUPPRESSED}|{start}",
        summary=f"more than {MAX_AN_HOUR} alerts fired in an hour: further ones are left out",
        forget_ms=start + int(sources.KEEP.total_seconds() * 1000),
    )
