"""A world of processes that hold shares of common counts, for tests: what is true, beside what the pools believe.

Owns the truth (money spent, requests under way, rows that the ledger has or has not) and moves it along with
`tollway.core.leases`. Draws nothing at random and asserts what must hold at every single step; the tests choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tollway.core.leases import Account, Ask, Pool, Told

GIVEN_BACK_AFTER = 40
"""After this many rounds without a request a process holds nothing of small amounts any more."""


class Request(NamedTuple):
    """A request that has reserved `amount` of each of `accounts`."""

    accounts: tuple[int, ...]
    amount: int


class Message(NamedTuple):
    """An ask that is somewhere on its way."""

    life: int
    holder: str
    account: int
    ask: Ask


class Process:
    """One holder: its side of every account, what it does, and what its journal knows."""

    def __init__(self, name: str, accounts: int, floor_units: int) -> None:
        self.name = name
        self.floor_units = floor_units
        self.accounts = [Account(floor_units) for _ in range(accounts)]
        self.running: list[Request] = []
        self.waiting: list[Request] = []
        self.unshipped = [0] * accounts
        self.alive = True
        self.life = 0

    def take(self, request: Request) -> bool:
        """Reserves of all accounts or of none."""
        if any(self.accounts[index].free < request.amount for index in request.accounts):
            return False
        for index in request.accounts:
            assert self.accounts[index].take(request.amount)
        self.running.append(request)
        return True

    def want(self, request: Request) -> None:
        """Takes what is held here, or waits."""
        if self.take(request):
            return
        self.waiting.append(request)
        for index in request.accounts:
            self.accounts[index].waiting.append(request.amount)

    def admit(self) -> int:
        """Admits of those that wait whom it can; returns how many."""
        admitted = [request for request in self.waiting if self.take(request)]
        for request in admitted:
            self.give_up(request)
        return len(admitted)

    def give_up(self, request: Request) -> None:
        """It waits no longer."""
        self.waiting.remove(request)
        for index in request.accounts:
            self.accounts[index].waiting.remove(request.amount)

    def settle(self, request: Request, spent: int) -> None:
        """A request is over."""
        self.running.remove(request)
        for index in request.accounts:
            self.accounts[index].settle(request.amount, spent)
            self.unshipped[index] += spent

    def reserved(self, account: int) -> int:
        """What its requests under way have reserved of one account."""
        return sum(request.amount for request in self.running if account in request.accounts)


class World:
    """Pools, the processes that share them, and the ledger. One pool for each account; a window is an account."""

    def __init__(self, limits: Sequence[int]) -> None:
        self.limits = list(limits)
        self.peaks = list(limits)
        self.pools = [Pool() for _ in limits]
        self.ledger = [0] * len(limits)
        self.surplus = [0] * len(limits)
        """What pools count as spent though nobody spent it: the price of a holder that was closed unknown. Below zero
        after one that had never told what it overdrew."""
        self.processes: list[Process] = []
        self.gone: set[str] = set()
        self.late: list[Message] = []
        self.costs: dict[str, list[int]] = {}
        """What the journals of dead processes say of their calls under way, in turn."""
        self.life = 0
        self.gathering = False

    # -- processes --------------------------------------------------------------------------------------------------

    def start(self, floor_units: int) -> Process:
        """A new process, which knows the present life."""
        made = Process(f"h{len(self.processes)}", len(self.limits), floor_units)
        made.life = self.life
        self.processes.append(made)
        return made

    @property
    def living(self) -> list[Process]:
        """Those that run."""
        return [process for process in self.processes if process.alive]

    @property
    def dead(self) -> list[Process]:
        """Those that died and were not booked."""
        return [process for process in self.processes if not process.alive and process.name not in self.gone]

    def add_account(self, limit: int) -> None:
        """A new window begins: the old account stays for what is settled late."""
        self.limits.append(limit)
        self.peaks.append(limit)
        self.pools.append(Pool(known=not self.gathering))
        self.ledger.append(0)
        self.surplus.append(0)
        for process in self.processes:
            process.accounts.append(Account(process.floor_units))
            process.unshipped.append(0)

    def set_limit(self, account: int, limit: int) -> None:
        """The limit of an account changes."""
        self.limits[account] = limit
        self.peaks[account] = max(self.peaks[account], limit)

    # -- asks -------------------------------------------------------------------------------------------------------

    def deliver(self, message: Message) -> Told | None:
        """What a pool answers; None: another life, or a holder that was closed (the store refuses both)."""
        if message.life != self.life or message.holder in self.gone:
            return None
        pool, limit = self.pools[message.account], self.limits[message.account]
        before = _sums(pool)
        told = pool.answer(message.holder, message.ask, limit, self.holders(message.holder))
        if told.stale:
            assert told.granted == 0
            assert _sums(pool) == before, "an old ask changed a pool"
        if told.granted:
            assert pool.known, "granted before it is known what was spent"
            assert pool.spent + pool.held <= limit, "granted more than there is"
        return told

    def holders(self, asking: str) -> int:  # noqa: ARG002 - a store knows only who has asked
        """How many share what is free."""
        return max(1, len(self.living))

    def ask(self, process: Process, account: int) -> Message:
        """A process asks; what becomes of it is another's to say."""
        return Message(process.life, process.name, account, process.accounts[account].ask())

    def exchange(self, process: Process, account: int, *, copies: int = 0) -> None:
        """An ask that is delivered and answered; `copies` of it arrive behind it."""
        message = self.ask(process, account)
        told = self.deliver(message)
        assert told is not None
        assert not told.stale
        for _ in range(copies):
            again = self.deliver(message)
            assert again is not None
            assert again.stale
        held = process.accounts[account]
        held.told(told)
        known = self.pools[account].holders[process.name]
        assert (known.spent, known.held) == (held.spent, held.reserved + held.free)

    def lose(self, process: Process, account: int, *, answered: bool) -> None:
        """An ask whose answer never comes; it may still arrive at the pool, sooner or later."""
        message = self.ask(process, account)
        if answered:
            self.deliver(message)
        self.late.append(message)
        process.accounts[account].unanswered()

    # -- ends -------------------------------------------------------------------------------------------------------

    def ship(self, process: Process) -> None:
        """Rows come into the ledger; not while counters are built anew."""
        assert not self.gathering
        self._book(process)

    def _book(self, process: Process) -> None:
        for account, amount in enumerate(process.unshipped):
            self.ledger[account] += amount
            process.unshipped[account] = 0

    def die(self, process: Process, costs: Sequence[int]) -> None:
        """It is killed; its journal will say of each call under way what it costs (at most what was reserved)."""
        process.alive = False
        process.waiting.clear()
        self.costs[process.name] = list(costs)

    def _inherit(self, process: Process) -> list[int]:
        """Books the calls of a dead process from its journal; its totals in this life."""
        totals = [account.spent for account in process.accounts]
        costs = self.costs[process.name]
        for number, request in enumerate(list(process.running)):
            cost = min(request.amount, costs[number % len(costs)] if costs else 0)
            for account in request.accounts:
                totals[account] += cost
                process.unshipped[account] += cost
            process.running.remove(request)
        return totals

    def close(self, process: Process, *, known: bool) -> None:
        """A dead process is booked, by its journal or (it is lost) by what it held."""
        totals = self._inherit(process)
        for account, pool in enumerate(self.pools):
            before = pool.spent
            mine = pool.holders.get(process.name)
            told = mine.spent if mine is not None else 0
            pool.close(process.name, totals[account] if known and not self.forgotten(account) else None)
            self.surplus[account] += pool.spent - before - (totals[account] - told)
            pool.close(process.name, None)  # once is once
        self._book(process)
        self.gone.add(process.name)

    def forgotten(self, account: int) -> bool:  # noqa: ARG002 - for those who keep several kinds of accounts
        """Whether a journal has no totals of an account: then all that was held counts as spent."""
        return False

    # -- lives ------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """The pools are lost. Dead processes are booked before the ledger is asked; nobody ships meanwhile."""
        for process in self.dead:
            self._inherit(process)
            self._book(process)
            self.gone.add(process.name)
        self.life += 1
        self.gathering = True
        self.pools = [Pool(known=False) for _ in self.limits]
        self.surplus = [0] * len(self.limits)

    def rebase(self, process: Process) -> None:
        """A process tells the new life what it holds and what it spent that the ledger does not have."""
        process.life = self.life
        for account, owed in enumerate(process.unshipped):
            process.accounts[account].spent = owed
            self.exchange(process, account)

    def begin(self) -> None:
        """All have told: what the ledger has was spent before."""
        for process in self.dead:  # they died while they told, or before: their rows are with the ledger by now
            if process.life != self.life:
                self._inherit(process)
                self._book(process)
                self.gone.add(process.name)
        for account, pool in enumerate(self.pools):
            pool.begin(self.ledger[account])
            pool.begin(self.ledger[account] + 1)  # once is once
        self.gathering = False

    # -- the truth --------------------------------------------------------------------------------------------------

    def spent(self, account: int) -> int:
        """True money: what the ledger has, and what it does not have yet."""
        return self.ledger[account] + sum(process.unshipped[account] for process in self.processes)

    def reserved(self, account: int) -> int:
        """What requests under way may still cost, those of dead processes included until they are booked."""
        return sum(process.reserved(account) for process in self.processes)

    def free(self, account: int) -> int:
        """What the living hold in advance."""
        return sum(process.accounts[account].free for process in self.living)

    def end(self) -> None:
        """Everything is settled, told and closed: the pools are exact to the unit."""
        if self.gathering:
            for process in self.living:
                if process.life != self.life:
                    self.rebase(process)
            self.begin()
        for process in self.living:
            for request in list(process.waiting):
                process.give_up(request)
            for request in list(process.running):
                process.settle(request, request.amount)
        self.limits = [0] * len(self.limits)  # so that nobody gets anything in advance any more
        for process in self.living:
            for account in range(len(self.pools)):
                self.exchange(process, account)
                self.exchange(process, account)
                assert process.accounts[account].idle
        for process in self.dead:
            self.close(process, known=True)
        for message in self.late:
            self.deliver(message)
        for account, pool in enumerate(self.pools):
            assert pool.held == 0, f"account {account} holds {pool.held} for nobody"
            assert pool.spent == self.spent(account) + self.surplus[account]


def _sums(pool: Pool) -> tuple[int, int, bool]:
    """A pool's sums."""
    return pool.spent, pool.held, pool.known
