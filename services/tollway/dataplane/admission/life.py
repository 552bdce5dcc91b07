"""Brings lost counters back: after a flush, a restart without data, or a failover, nothing is forgiven or lost.

Every process tells the new life what it holds and what it spent that the ledger does not have yet; while it tells, and
until the life is ready, it ships no rows, so that there is one moment, the cut, at which each row is either in the
ledger or told by somebody. One process leads: when all have told (or the slowest had its time) it asks the ledger for
the cut and makes the life ready. What was spent before is then read from the ledger as of the cut, account by account,
when it is first needed. Meanwhile each process goes on with what it holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

import uuid_utils

from tollway.core.notices import NoticeKind
from tollway.dataplane.admission.counters import LEASE_SECONDS, Counters
from tollway.dataplane.admission.ports import BalanceSource, CounterStore, Life
from tollway.dataplane.notices import Notices
from tollway.dataplane.stores.ports import StoreUnavailable
from tollway.runtime import log
from tollway.runtime.clock import Clock

_log = log.get(__name__)
STEP_SECONDS = 0.1
AWAY_SECONDS = 5.0
"""Counters that do not answer for longer are worth an alert."""
REMIND_SECONDS = 30.0
LEAD_SECONDS = 2.0
STRAGGLER_SECONDS = LEASE_SECONDS + 1.0
"""How long a life waits for a replica that the control plane knows and that has not told: it takes nothing any more."""
ATTEMPT_SECONDS = 15.0
"""After this long without a ready life rows are shipped again, and the telling begins anew."""


class Outbox(Protocol):
    """The rows of this process on their way to the ledger."""

    async def hold(self) -> None:
        """Stops shipping; returns when no batch is under way."""

    def release(self) -> None:
        """Ships again."""

    def owed(self) -> Mapping[str, int]:
        """What the rows that were not acknowledged charge, by account."""

    def acknowledged_since(self) -> Mapping[str, int]:
        """What the rows charge that were acknowledged since the pools were last told everything."""


class Reviver:
    """Keeps one organisation's counters in a life."""

    def __init__(
        self,
        replica: str,
        counters: Counters,
        store: CounterStore,
        ledger: BalanceSource,
        outbox: Outbox,
        notices: Notices,
        clock: Clock,
        mark: Callable[[str, Mapping[str, int]], None],
    ) -> None:
        """`mark` writes the totals of a new life to the journal."""
        self._replica = replica
        self._counters = counters
        self._store = store
        self._ledger = ledger
        self._outbox = outbox
        self._notices = notices
        self._clock = clock
        self._mark = mark
        self._last = ""
        self._lives = 0
        self._reminded = -REMIND_SECONDS

    async def run(self) -> None:
        """Background work: whenever the counters are without a life, brings them into one."""
        while not self._counters.closed:
            if self._counters.away_seconds > AWAY_SECONDS:
                organisation = self._counters.organisation
                self._notices.tell(NoticeKind.COUNTERS_AWAY, scope="organisation", subject=organisation)
            if self._counters.life is None:
                try:
                    await self._enter()
                except StoreUnavailable as error:
                    self._counters.unavailable(str(error))
            await asyncio.sleep(STEP_SECONDS)

    async def _enter(self) -> None:
        counters = self._counters
        life = await self._store.begin(counters.organisation, str(uuid_utils.uuid4()))
        counters.reviving = True
        if life.epoch == self._last and life.ready:
            counters.life = life
            return
        await self._outbox.hold()
        try:
            life = await self._store.begin(counters.organisation, life.epoch)  # ready by now, perhaps
            counters.rebase(self._untold(late=life.ready), late=life.ready)
            self._mark(life.epoch, counters.totals())
            counters.life = life
            self._last = life.epoch
            self._lives += 1
            if not await counters.tell(everything=True):
                return
            await self._store.join(counters.organisation, life.epoch, counters.holder, self._replica)
            if not life.ready:
                await self._until_ready(life)
        except StoreUnavailable:
            counters.life, self._last = None, ""  # all is told anew
            raise
        finally:
            self._outbox.release()

    def _untold(self, *, late: bool) -> Mapping[str, int]:
        """What the new life must be told of what was spent.

        Who comes late cannot know which rows came before the cut: all count that were acknowledged since the pools were
        last told, which may be too much and is never too little.
        """
        owed = dict(self._outbox.owed())
        if late:
            for account, amount in self._outbox.acknowledged_since().items():
                owed[account] = owed.get(account, 0) + amount
        return owed

    async def _until_ready(self, life: Life) -> None:
        """Helps the life to become ready, or sees it become so."""
        began = self._clock.monotonic()
        counters = self._counters
        while counters.life is not None and not counters.life.ready:
            waited = self._clock.monotonic() - began
            if waited > ATTEMPT_SECONDS:
                _log.warning("the counters wait for the ledger", organisation=counters.organisation)
                await self._store.part(counters.organisation, life.epoch, counters.holder)
                counters.life, self._last = None, ""  # rows go on; then everything is told anew
                return
            if await self._store.lead(counters.organisation, counters.holder, LEAD_SECONDS):
                await self._bring_up(life, waited)
            await counters.tell(everything=True)
            await asyncio.sleep(STEP_SECONDS)
        if counters.life is not None:
            _log.info("the counters begin anew", organisation=counters.organisation, epoch=life.epoch)

    async def _bring_up(self, life: Life, waited: float) -> None:
        """Makes the life ready when every replica that is known has told, or had its time."""
        organisation = self._counters.organisation
        try:
            known = (await self._ledger.read(self._replica, organisation, life.epoch, ())).replicas
            missing = frozenset(known) - await self._store.members(organisation, life.epoch)
            if missing and waited < STRAGGLER_SECONDS:
                return
            cut = (await self._ledger.read(self._replica, organisation, life.epoch, ())).cut_us
        except (ConnectionError, TimeoutError) as error:
            now = self._clock.monotonic()
            if now - self._reminded > REMIND_SECONDS:
                self._reminded = now
                _log.warning("counters wait for the ledger to say what was spent", reason=str(error))
            return
        if await self._store.ready(organisation, life.epoch, cut):
            if missing:
                _log.warning("counters begin anew without some replicas", missing=sorted(missing))
            if self._lives > 1:
                self._notices.tell(NoticeKind.COUNTERS_REBUILT, scope="organisation", subject=organisation)
