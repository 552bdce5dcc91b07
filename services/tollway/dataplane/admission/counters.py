"""The counts of one organisation as one process has them: takes from what it holds, asks for more in rounds.

A round is one atomic step for all accounts that need it: those that somebody waits for at once, the others a few times
a second. While the store is away nothing waits for it; what a rule does then is its own to say. This module keeps
count; who is refused, and in which words, is `admission.gate`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from tollway.core.rules import Budget, Limit
from tollway.dataplane.admission.holding import PLACES, Holding, window_of
from tollway.dataplane.admission.ports import Answer, BalanceSource, CounterStore, Life
from tollway.dataplane.stores.ports import StoreUnavailable
from tollway.runtime import log
from tollway.runtime.clock import Clock

_log = log.get(__name__)
ROUND_SECONDS = 0.25
HEARTBEAT_SECONDS = 1.0
LEASE_SECONDS = 8.0
"""For how long after the store was last heard a process takes from what it holds: then others may be told to go on."""
FORGET_SECONDS = 10.0
RETRY_SECONDS = 0.2
REMIND_SECONDS = 30.0
BATCH = 500
Need = tuple[Holding, int]
"""An account and how much of it."""


class HolderClosed(Exception):
    """This process counts as gone: its accounts were booked. It must end, and a successor begin."""


class Counters:
    """One organisation's accounts in this process."""

    def __init__(
        self,
        organisation: str,
        holder: str,
        store: CounterStore,
        ledger: BalanceSource,
        clock: Clock,
        on_heard: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_heard` is called whenever the pools have been told all that there is to tell."""
        self.organisation = organisation
        self.holder = holder
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._on_heard = on_heard
        self._loop = asyncio.get_running_loop()
        self.holdings: dict[str, Holding] = {}
        self._by_rule: dict[str, Holding] = {}
        self.life: Life | None = None
        self.holders = 1
        self.generation = 0
        """Changes whenever an account that was found before may not be the one to find now."""
        self.available = False
        """Whether the last round was answered: else nobody need wait."""
        self.reviving = True
        """Whether the store answers, but its counters are being built anew."""
        self.away_since = self._loop.time()
        """Since when the store does not answer, by the loop's time; of interest while it does not."""
        self._away = False
        self._wake = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._dirty: set[Holding] = set()
        """Accounts of which the pool must be told, or that hold something that is free."""
        self.closed = False
        """Whether the accounts of this process were booked as those of a dead one."""
        self._forgot_at = 0.0
        self._reminded = -REMIND_SECONDS
        self._heard = -LEASE_SECONDS
        self._rounds = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Whether the pools grant what is asked."""
        return self.available and self.life is not None and self.life.ready

    @property
    def leased(self) -> bool:
        """Whether what this process holds is still its own to take."""
        return self._loop.time() - self._heard <= LEASE_SECONDS

    # -- taking -----------------------------------------------------------------------------------------------------

    def holding(self, rule: Budget | Limit, subject: str, at_ms: int) -> Holding:
        """The account of a rule for a request that begins at `at_ms`."""
        latest = self._by_rule.get(rule.id)
        if latest is not None and (latest.rule is rule or latest.rule == rule):
            latest.rule = rule  # every catalog brings the same rule as another object
            start, end = latest.window
            if start <= at_ms and (end is None or at_ms < end):
                return latest
        made = Holding(rule, subject, window_of(rule, at_ms), self._dirty)
        found = self.holdings.setdefault(made.key, made)
        if found.rule is not rule:
            found.change(rule)  # a change of the rule counts from now on
            self.generation += 1
        if latest is None or latest.rule is not rule or latest.window.start_ms < found.window.start_ms:
            self._by_rule[rule.id] = found
        return found

    def take(self, needs: Sequence[Need], *, in_turn: bool = False) -> bool:
        """Reserves all or nothing of what this process holds. Never waits.

        `in_turn`: nothing where others wait for more than there is.
        """
        if not self.leased:
            return False
        for holding, amount in needs:
            account = holding.account
            if account.free < amount or (in_turn and account.waiting):
                return False
        for holding, amount in needs:
            holding.take(amount)
        return True

    async def round(self) -> bool:
        """Waits for the next round that takes in what is asked now; whether it was answered."""
        if self.closed:
            return False
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(done)
        self._wake.set()
        await done
        return self.available

    def nudge(self) -> None:
        """Something changed that others wait for: the next round shall not be long in coming."""
        self._wake.set()

    # -- rounds -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Rounds for the life of the process. Raises HolderClosed when this process counts as gone."""
        while True:
            await self._pause()
            try:
                await self.tell()
            except StoreUnavailable as error:
                self.unavailable(str(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _pause(self) -> None:
        """Until somebody waits, or it is time to tell what changed."""
        self._wake.clear()
        if self._waiting:
            return
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(0)  # the others of this tick come along

    async def tell(self, *, everything: bool = False) -> bool:
        """One round; returns whether this life goes on. Raises StoreUnavailable, HolderClosed."""
        async with self._rounds:
            waiting, self._waiting = self._waiting, []
            try:
                return await self._tell(everything)
            finally:
                for done in waiting:
                    if not done.done():
                        done.set_result(None)
                # Those that waited take what was granted before the next round gives it back.
                await asyncio.sleep(0)

    async def _tell(self, everything: bool) -> bool:
        life = self.life
        if life is None:
            self.available = False
            await asyncio.sleep(0)
            return False
        due = self._due(everything)
        if not due and self._loop.time() - self._heard < HEARTBEAT_SECONDS:
            return True
        done = False
        try:
            for start in range(0, max(1, len(due)), BATCH):
                if not await self._ask(life, due[start : start + BATCH]):
                    return False
            done = True
            self._on_heard()
        finally:
            if not done:
                for holding in due:
                    holding.touch()
        self._forget()
        return True

    async def _ask(self, life: Life, due: Sequence[Holding]) -> bool:
        now_ms = self._clock.now_ms()
        asks = [holding.ask(now_ms) for holding in due]
        try:
            answer = await self._store.ask(self.organisation, life.epoch, self.holder, asks)
        except StoreUnavailable:
            for holding in due:
                holding.account.unanswered()
            raise
        return self._hear(due, answer)

    def _hear(self, due: Sequence[Holding], answer: Answer) -> bool:
        if answer.closed:
            self._end()
            raise HolderClosed(self.holder)
        if answer.life is None:
            self.life = None
            self.available = False
            self.reviving = True
            return False
        at = self._heard = self._loop.time()
        for holding, told in zip(due, answer.told, strict=True):
            holding.hear(told, at)
        self.reviving = not answer.life.ready
        self._away = False
        if not self.available:
            _log.info("the counters answer", organisation=self.organisation, holders=answer.holders)
        self.life, self.holders, self.available = answer.life, answer.holders, True
        return True

    def _due(self, everything: bool) -> list[Holding]:
        if everything:
            return list(self.holdings.values())
        due = list(self._dirty)
        self._dirty.clear()  # who still holds something, or is waited for, comes again with the answer
        return due

    def _forget(self) -> None:
        """Accounts whose window is over and whose last word was said."""
        if self._loop.time() - self._forgot_at < FORGET_SECONDS:
            return
        self._forgot_at = self._loop.time()
        now_ms = self._clock.now_ms()
        for key in [key for key, holding in self.holdings.items() if holding.over(now_ms)]:
            gone = self.holdings.pop(key)
            self.generation += 1
            self._dirty.discard(gone)
            if self._by_rule.get(gone.rule.id) is gone:
                del self._by_rule[gone.rule.id]

    def _end(self) -> None:
        """What this process held was booked: nothing of it may be taken any more."""
        self.closed = True
        self.available = self.reviving = False
        self.life = None
        for holding in self.holdings.values():
            holding.account.free = 0

    def unavailable(self, reason: str) -> None:
        """The store does not answer: nobody waits for it, and it is said once in a while."""
        self.available = self.reviving = False
        if not self._away:
            self._away = True
            self.away_since = self._loop.time()
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            if not done.done():
                done.set_result(None)
        now = self._clock.monotonic()
        if now - self._reminded >= REMIND_SECONDS:
            self._reminded = now
            _log.warning(
                "the counters of budgets and limits do not answer", organisation=self.organisation, reason=reason
            )

    # -- what was spent before --------------------------------------------------------------------------------------

    async def learn(self, holdings: Sequence[Holding]) -> None:
        """Asks the ledger what was spent before of accounts that the pools do not know. Raises ConnectionError."""
        life = self.life
        if life is None or not life.ready:
            return
        unknown = [holding for holding in holdings if not holding.known and holding.before is None]
        earlier = [
            Holding(holding.rule, holding.subject, holding.previous, self._dirty)
            for holding in unknown
            if holding.previous is not None and holding.pool is not None and holding.pool.previous_unknown
        ]
        for before in earlier:
            self.holdings.setdefault(before.key, before)
        asked = unknown + [self.holdings[before.key] for before in earlier]
        # What processes told when the life began is not in the ledger at the cut, and may be by now. Of an account that
        # nobody told of, a budget that is new, say, everything is in the ledger.
        told = [holding for holding in asked if holding.was_told]
        await self._read(life, told, life.cut_us or None)
        await self._read(life, [holding for holding in asked if not holding.was_told], None)

    async def _read(self, life: Life, asked: Sequence[Holding], cut_us: int | None) -> None:
        for start in range(0, len(asked), BATCH):
            part = asked[start : start + BATCH]
            questions = [holding.question() for holding in part]
            found = await self._ledger.read(self.holder, self.organisation, life.epoch, questions, cut_us=cut_us)
            if self.life is None or self.life.epoch != life.epoch:
                return  # the cut was another life's
            for holding, used in zip(part, found.used, strict=True):
                holding.before = used
                holding.touch()

    # -- lives ------------------------------------------------------------------------------------------------------

    def rebase(self, owed: Mapping[str, int], *, late: bool) -> None:
        """A new life begins: of what was spent only what the ledger does not have yet is still ours to tell.

        `late`: it is ready already, so that what is free here may have been granted to others.
        """
        for key, holding in self.holdings.items():
            account = holding.account
            if late:
                account.free = min(0, account.free)
            account.spent = owed.get(key, 0)
            holding.known = holding.places
            holding.before = None
            holding.touch()

    def totals(self) -> dict[str, int]:
        """What this process spent of each budget in this life, for its journal."""
        return {
            key: holding.account.spent
            for key, holding in self.holdings.items()
            if isinstance(holding.rule, Budget) and holding.account.spent
        }

    @property
    def away_seconds(self) -> float:
        """For how long the store has not answered; zero while it does."""
        return self._loop.time() - self.away_since if self._away else 0.0

    def outstanding(self) -> int:
        """How many accounts have something reserved; a metric."""
        return sum(1 for h in self.holdings.values() if h.account.reserved and not h.key.endswith(PLACES))
