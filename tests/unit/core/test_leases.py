"""The arithmetic of leases under every disorder: lost, late and repeated asks, deaths, flushes, changes of limits."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tollway.testkit.lease_machine import Process, Request, World

AMOUNTS = st.one_of(st.integers(0, 30), st.integers(0, 1000))
LIMITS = st.one_of(st.integers(0, 100), st.integers(0, 3000))
PICK = st.integers(0, 1 << 16)


class Shared(RuleBasedStateMachine):
    """Processes that share one or two pools. What every rule leaves behind is checked by the invariants."""

    exact = True
    """Whether nothing costs more than was reserved."""

    @initialize(limits=st.lists(LIMITS, min_size=1, max_size=2), processes=st.integers(1, 4), floor=st.integers(0, 9))
    def begin(self, limits: list[int], processes: int, floor: int) -> None:
        self.world = World(limits)
        self.current = list(range(len(limits)))
        self.floor = floor
        for _ in range(processes):
            self.world.start(floor)

    def _living(self, pick: int) -> Process | None:
        living = self.world.living
        return living[pick % len(living)] if living else None

    def _asking(self, pick: int) -> Process | None:
        """One that knows the present life: the others ask nothing."""
        knowing = [process for process in self.world.living if process.life == self.world.life]
        return knowing[pick % len(knowing)] if knowing else None

    def _account(self, pick: int) -> int:
        return pick % len(self.world.pools)

    # -- requests ---------------------------------------------------------------------------------------------------

    @rule(who=PICK, amount=AMOUNTS, narrow=st.booleans())
    def request(self, who: int, amount: int, narrow: bool) -> None:
        accounts = self.current[:1] if narrow else self.current
        if process := self._living(who):
            process.want(Request(tuple(accounts), amount))

    @rule(who=PICK, amount=st.integers(1, 20), count=st.integers(2, 8))
    def burst(self, who: int, amount: int, count: int) -> None:
        if process := self._living(who):
            for _ in range(count):
                process.want(Request(tuple(self.current), amount))

    @rule(who=PICK, which=PICK, part=st.integers(0, 100))
    def settle(self, who: int, which: int, part: int) -> None:
        process = self._living(who)
        if process and process.running:
            request = process.running[which % len(process.running)]
            process.settle(request, request.amount * part // 100)
            process.admit()

    @rule(who=PICK, which=PICK)
    def give_up(self, who: int, which: int) -> None:
        process = self._living(who)
        if process and process.waiting:
            process.give_up(process.waiting[which % len(process.waiting)])

    # -- asks -------------------------------------------------------------------------------------------------------

    @rule(who=PICK, copies=st.integers(0, 2))
    def round(self, who: int, copies: int) -> None:
        """All accounts at once, as a process does; perhaps everything arrives more than once."""
        if process := self._asking(who):
            for account in range(len(self.world.pools)):
                self.world.exchange(process, account, copies=copies)
            process.admit()

    @rule()
    def all_tell(self) -> None:
        """Then the pools are exact, but for what processes were charged that were closed unknown."""
        for process in self.world.living:
            if process.life == self.world.life:
                for account in range(len(self.world.pools)):
                    self.world.exchange(process, account)
        if not self.world.dead and not self.world.gathering:
            for account, pool in enumerate(self.world.pools):
                assert pool.spent == self.world.spent(account) + self.world.surplus[account]
                assert pool.held == self.world.reserved(account) + self.world.free(account)

    @rule(who=PICK, which=PICK)
    def ask(self, who: int, which: int) -> None:
        if process := self._asking(who):
            self.world.exchange(process, self._account(which))
            process.admit()

    @rule(who=PICK, which=PICK, answered=st.booleans())
    def lose(self, who: int, which: int, answered: bool) -> None:
        if process := self._asking(who):
            self.world.lose(process, self._account(which), answered=answered)

    @precondition(lambda self: self.world.late)
    @rule(which=PICK, keep=st.booleans())
    def late(self, which: int, keep: bool) -> None:
        message = self.world.late[which % len(self.world.late)]
        self.world.deliver(message)
        if not keep:
            self.world.late.remove(message)

    # -- processes --------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.world.processes) < 8)
    @rule()
    def start(self) -> None:
        self.world.start(self.floor)

    @rule(who=PICK, costs=st.lists(AMOUNTS, max_size=3))
    def die(self, who: int, costs: list[int]) -> None:
        if process := self._living(who):
            self.world.die(process, costs)

    @precondition(lambda self: self.world.dead and not self.world.gathering)
    @rule(who=PICK, known=st.booleans())
    def close(self, who: int, known: bool) -> None:
        dead = self.world.dead
        self.world.close(dead[who % len(dead)], known=known)

    @precondition(lambda self: not self.world.gathering)
    @rule(who=PICK)
    def ship(self, who: int) -> None:
        if process := self._living(who):
            self.world.ship(process)

    # -- rules and lives --------------------------------------------------------------------------------------------

    @rule(which=PICK, limit=LIMITS)
    def change_limit(self, which: int, limit: int) -> None:
        self.world.set_limit(self.current[which % len(self.current)], limit)

    @precondition(lambda self: len(self.world.pools) < 5)
    @rule(which=PICK, limit=LIMITS)
    def next_window(self, which: int, limit: int) -> None:
        self.world.add_account(limit)
        self.current[which % len(self.current)] = len(self.world.pools) - 1

    @precondition(lambda self: self.world.life < 3)
    @rule()
    def flush(self) -> None:
        self.world.flush()

    @precondition(lambda self: self.world.gathering)
    @rule(count=st.integers(1, 8))
    def tell(self, count: int) -> None:
        """Some processes find the new life; with the last of them it is ready."""
        missing = [process for process in self.world.living if process.life != self.world.life]
        for process in missing[:count]:
            self.world.rebase(process)
        if not missing[count:]:
            self.world.begin()

    # -- what must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def never_more_than_the_limit(self) -> None:
        for account, peak in enumerate(self.world.peaks):
            if self.exact:
                assert self.world.spent(account) + self.world.reserved(account) <= peak
                assert self.world.surplus[account] >= 0

    @invariant()
    def pools_know_of_everything(self) -> None:
        if not self.exact or self.world.gathering:
            return
        for account, pool in enumerate(self.world.pools):
            true = self.world.spent(account) + self.world.reserved(account) + self.world.free(account)
            assert pool.spent + pool.held >= true

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.end()


class Dearer(Shared):
    """The same where calls cost more than was reserved: the pools know with the next ask that arrives."""

    exact = False

    @rule(who=PICK, which=PICK, more=AMOUNTS)
    def cost_more(self, who: int, which: int, more: int) -> None:
        process = self._living(who)
        if process and process.running:
            request = process.running[which % len(process.running)]
            process.settle(request, request.amount + more)

    @rule(who=PICK, which=PICK, amount=AMOUNTS)
    def overdraw(self, who: int, which: int, amount: int) -> None:
        """What a limit allows by itself while the counters are away."""
        if process := self._living(who):
            account = self.current[which % len(self.current)]
            process.accounts[account].overdraw(amount)
            process.running.append(Request((account,), amount))


TestShared = Shared.TestCase
TestShared.settings = settings(max_examples=35, stateful_step_count=30, deadline=None)
TestDearer = Dearer.TestCase
TestDearer.settings = settings(max_examples=35, stateful_step_count=30, deadline=None)
