"""Admission of one process: the counters of every organisation, started when first needed, and their orderly end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tollway.core.leases import Ask
from tollway.core.rules import Mode
from tollway.dataplane.admission.counters import Counters, HolderClosed
from tollway.dataplane.admission.life import Reviver
from tollway.dataplane.admission.ports import BalanceSource, CounterStore, Life, PoolAsk, WrittenOff
from tollway.dataplane.config.holder import Routes
from tollway.dataplane.notices import Notices
from tollway.dataplane.outbox.journal import Journal
from tollway.dataplane.outbox.orphans import Orphan
from tollway.dataplane.outbox.records import Totals
from tollway.dataplane.outbox.shipper import Shipper
from tollway.dataplane.stores.ports import StoreUnavailable
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
OWED_MS = 400 * 86_400_000
"""How long a pool stays that only a dead process told of; whoever uses it says when it really ends."""
AWAY_SECONDS = 30.0
"""Rows of dead processes do not wait longer for counters that do not answer."""


class Levels(NamedTuple):
    """Since when the store does not answer (0: it does), accounts that are known, and those with something reserved."""

    away_seconds: float
    accounts: int
    reserved: int


class Admission:
    """One for each process; it holds budgets and limits under the name of the process's journal."""

    def __init__(
        self,
        replica: str,
        journal: Journal,
        shipper: Shipper,
        store: CounterStore,
        ledger: BalanceSource,
        notices: Notices,
        clock: Clock,
        tasks: Tasks,
        on_closed: Callable[[], None],
    ) -> None:
        """`on_closed` ends the process: its accounts were booked as those of a dead one."""
        self._replica = replica
        self.holder = journal.folder.name
        self._journal = journal
        self._shipper = shipper
        self._store = store
        self._ledger = ledger
        self._notices = notices
        self._clock = clock
        self._tasks = tasks
        self._on_closed = on_closed
        self._counters: dict[str, Counters] = {}
        journal.totals = self._totals
        shipper.executor = self

    def counters(self, organisation: str) -> Counters:
        """The counters of an organisation."""
        found = self._counters.get(organisation)
        if found is None:
            found = self._counters[organisation] = Counters(
                organisation, self.holder, self._store, self._ledger, self._clock, self._journal.heard
            )
            reviver = Reviver(
                self._replica, found, self._store, self._ledger, self._shipper, self._notices, self._clock, self._mark
            )
            self._tasks.keep(lambda: self._run(found), f"counters-{organisation}")
            self._tasks.keep(reviver.run, f"counters-life-{organisation}")
        return found

    def levels(self) -> Levels:
        """How the counters of this process are, for metrics."""
        found = list(self._counters.values())
        return Levels(
            away_seconds=max((counters.away_seconds for counters in found), default=0.0),
            accounts=sum(len(counters.holdings) for counters in found),
            reserved=sum(counters.outstanding() for counters in found),
        )

    async def _run(self, counters: Counters) -> None:
        try:
            await counters.run()
        except HolderClosed:
            _log.error("this process was taken for dead and its accounts were booked: it ends", holder=self.holder)
            self._on_closed()

    def prepare(self, routes: Routes) -> None:
        """A catalog is in force: its budgets are looked up before they are needed, while the ledger is at hand."""
        catalog = routes.catalog
        counters = self.counters(catalog.organisation)
        now_ms = self._clock.now_ms()
        for key, rules in catalog.rules.items():
            budget = rules.budget
            if budget is not None and budget.mode is Mode.HARD:
                _, _, subject = key.partition(":")
                holding = counters.holding(budget, subject or catalog.organisation, now_ms)
                if holding.pool is None:
                    holding.touch()
        self._tasks.spawn(self._learn(counters), "counters-prepare")

    async def _learn(self, counters: Counters) -> None:
        if not await counters.round() or not counters.ready:
            return
        unknown = [holding for holding in counters.holdings.values() if not holding.known]
        with contextlib.suppress(ConnectionError, TimeoutError):  # then the first request that needs it asks again
            await counters.learn(unknown)

    def _mark(self, epoch: str, totals: Mapping[str, int]) -> None:
        self._journal.mark(Totals(epoch, dict(totals)))

    def _totals(self) -> Totals:
        """All budgets' totals. Rule ids are unique over organisations; the life named is of the one that has spent."""
        spent: dict[str, int] = {}
        epoch = ""
        for counters in self._counters.values():
            spent |= counters.totals()
            epoch = counters.life.epoch if counters.life is not None else epoch
        return Totals(epoch, spent)

    # -- dead processes ---------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> str:
        """As `Executor.epoch`."""
        for counters in self._counters.values():
            if counters.ready and counters.life is not None:
                return counters.life.epoch
        return ""

    @property
    def settled(self) -> bool:
        """As `Executor.settled`."""
        away = [counters.away_seconds > AWAY_SECONDS for counters in self._counters.values()]
        return bool(self.epoch) or (bool(away) and all(away))

    async def close(self, orphan: Orphan) -> bool:
        """As `Executor.close`."""
        try:
            for counters in list(self._counters.values()):
                if not await self._close(counters, orphan):
                    return False
        except StoreUnavailable:
            return False
        return bool(self._counters)

    async def _close(self, counters: Counters, orphan: Orphan) -> bool:
        life = counters.life
        if life is None or not counters.ready:
            return False
        estate = orphan.estate
        if estate.epoch != life.epoch and orphan.shipped_in == life.epoch:
            # It never told this life anything, and its rows came after the cut: they are told in its name.
            await self._tell_for(counters, life, orphan.holder, estate.owed)
        totals = estate.totals if estate.epoch == life.epoch else {}
        return await self._store.close_holder(counters.organisation, life.epoch, orphan.holder, totals) is not False

    async def _tell_for(self, counters: Counters, life: Life, holder: str, owed: Mapping[str, int]) -> None:
        """Tells, in the name of a dead process, what it spent of accounts of which it told this life nothing."""
        until = self._clock.now_ms() + OWED_MS
        asks = [PoolAsk(account, Ask(1, amount, 0), 0, _start_of(account), until) for account, amount in owed.items()]
        await self._store.ask(counters.organisation, life.epoch, holder, asks)

    async def close_lost(
        self, holder: str, owed: Mapping[str, Mapping[str, int]], shipped_in: str
    ) -> WrittenOff | None:
        """Closes the accounts of a process whose journal is lost: all that it held counts as spent.

        `owed`: what the rows that came of its copy charge, by organisation and account; the ledger got them in the life
        `shipped_in` of the counters. None: it cannot be done now. Done again it answers the same.
        """
        amounts: dict[str, int] = {}
        ended = True
        try:
            for counters in list(self._counters.values()):
                life = counters.life
                if life is None or not counters.ready:
                    return None
                if shipped_in == life.epoch:
                    await self._tell_for(counters, life, holder, owed.get(counters.organisation, {}))
                closed = await self._store.close_holder(counters.organisation, life.epoch, holder, {}, lost=True)
                if closed is None:
                    return None
                amounts |= closed.amounts
                ended = ended and closed.ended
        except StoreUnavailable:
            return None
        return WrittenOff(amounts, ended) if self._counters else None

    def budget_of(self, account: str) -> tuple[str, str]:
        """Scope and subject of a budget's account, as the ledger calls them; empty where this process never met it."""
        for counters in self._counters.values():
            holding = counters.holdings.get(account)
            if holding is not None:
                return holding.rule.scope, holding.subject
        return "", ""

    # -- the end ----------------------------------------------------------------------------------------------------

    async def leave(self) -> bool:
        """Gives everything back; false when that cannot be told now: then the journal must stay for a successor."""
        left = True
        for counters in self._counters.values():
            life = counters.life
            for holding in counters.holdings.values():
                holding.account.retire()
            try:
                told = life is not None and await counters.tell(everything=True) and not counters.outstanding()
                if life is not None and told:
                    await self._store.leave(counters.organisation, life.epoch, self.holder)
                left = left and (told or not counters.holdings)
            except (StoreUnavailable, HolderClosed):
                left = left and not counters.holdings
        return left


def _start_of(account: str) -> int:
    return int(account.rpartition(":")[2])
