"""The pools in a real Valkey do what the model of them does, to the unit, up to the largest amounts."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core.leases import Told
from tollway.dataplane.admission.ports import Answer, Life, PoolAsk
from tollway.dataplane.admission.redis_counters import RedisCounters
from tollway.testkit.lease_machine import Message, Process, Request, World

LARGEST = 2**53 - 1
LATER_MS = 1 << 50
"""A window that begins after the life: nothing was used before."""
SCALES = (1, 10**9 + 7, 10**11, LARGEST // 3000)


class Twin(World):
    """Whatever is told to the pools of the model is told to those of the store; both must answer the same."""

    def __init__(self, limits: Sequence[int], store: RedisCounters, runner: asyncio.Runner, valkey: Any) -> None:
        super().__init__(limits)
        self.store = store
        self.runner = runner
        self.valkey = valkey
        self.organisation = uuid.uuid4().hex
        self.starts = [LATER_MS] * len(limits)
        self.heard: set[str] = set()
        self.cuts: list[int] = []
        self._new_life()
        self._ready()

    def _new_life(self) -> None:
        self.epoch = uuid.uuid4().hex
        begun = self.runner.run(self.store.begin(self.organisation, self.epoch))
        assert begun == Life(self.epoch, ready=False)

    def _ready(self) -> None:
        self.cuts = list(self.ledger)
        assert self.runner.run(self.store.ready(self.organisation, self.epoch, 77))

    def holders(self, asking: str) -> int:
        """The store knows those that it has heard in this life."""
        self.heard.add(asking)
        return len(self.heard - self.gone)

    def forgotten(self, account: int) -> bool:
        """Of limits of a rate the journal has no totals."""
        return account % 2 == 1

    def name(self, account: int) -> str:
        """Budgets and rates in turn."""
        return f"{'br'[account % 2]}{account}:{self.starts[account]}"

    def deliver(self, message: Message) -> Told | None:
        """To both."""
        told = super().deliver(message)
        if message.life != self.life:
            return None
        account = message.account
        before = None if self.gathering or self.starts[account] else self.cuts[account]
        ask = PoolAsk(self.name(account), message.ask, self.limits[account], self.starts[account], before=before)
        answer = self.runner.run(self.store.ask(self.organisation, self.epoch, message.holder, [ask]))
        if told is None:
            assert answer == Answer(None, closed=True)
            return None
        assert answer.life == Life(self.epoch, not self.gathering, 0 if self.gathering else 77)
        assert answer.holders == len(self.heard - self.gone)
        assert answer.told[0].told == told
        return told

    def close(self, process: Process, *, known: bool) -> None:
        """Books it on both; a second time changes nothing."""
        assert known
        touched = any(process.name in pool.holders for pool in self.pools)
        super().close(process, known=True)
        totals = {self.name(i): account.spent for i, account in enumerate(process.accounts)}
        totals |= {name: total for name, total in self._totals.pop(process.name).items() if name in totals}
        for _ in range(2):
            done = self.runner.run(self.store.close_holder(self.organisation, self.epoch, process.name, totals))
            assert done is (True if touched or _ else None)

    def _inherit(self, process: Process) -> list[int]:
        totals = super()._inherit(process)
        self._totals = getattr(self, "_totals", {})
        self._totals[process.name] = {self.name(i): total for i, total in enumerate(totals) if total}
        return totals

    def add_account(self, limit: int) -> None:
        """A window that nobody used yet, unless that cannot be known."""
        super().add_account(limit)
        self.starts.append(0 if self.gathering else LATER_MS)

    def flush(self) -> None:
        """The store loses this organisation's life; what is left of it lies about."""
        super().flush()
        self.valkey.command("DEL", f"tw:{{o:{self.organisation}}}:life")
        self.starts = [0] * len(self.starts)
        self.heard.clear()
        self._new_life()

    def begin(self) -> None:
        """Ready."""
        super().begin()
        self._ready()


def play(world: Twin, steps: Sequence[tuple[str, int, int, int]], scale: int) -> None:
    """Plays a script of disorder."""
    for kind, who, which, much in steps:
        living = world.living
        account = which % len(world.pools)
        process = living[who % len(living)]
        knows = process.life == world.life
        if kind == "want":
            accounts = tuple(range(len(world.pools))) if which % 3 else (account,)
            process.want(Request(accounts, much % 1000 * scale + which % 2))
        elif kind == "settle" and process.running:
            request = process.running[which % len(process.running)]
            process.settle(request, request.amount * (much % 101) // 100)
        elif kind == "ask" and knows:
            world.exchange(process, account, copies=much % 2)
            process.admit()
        elif kind == "lose" and knows:
            world.lose(process, account, answered=bool(much % 2))
        elif kind == "late" and world.late:
            world.deliver(world.late[which % len(world.late)])
        elif kind == "limit":
            world.set_limit(account, min(LARGEST, much % 3001 * scale + which % 3))
        elif kind == "ship" and not world.gathering:
            world.ship(process)
        else:
            upheaval(world, kind, process, much, scale)
    world.end()


def upheaval(world: Twin, kind: str, process: Process, much: int, scale: int) -> None:
    """What changes who is there and what they share."""
    if kind == "start" and len(world.processes) < 6:
        world.start(much % 10)
    elif kind == "die" and len(world.living) > 1:
        world.die(process, [much % 1000 * scale])
    elif kind == "close" and world.dead and not world.gathering:
        world.close(world.dead[0], known=True)
    elif kind == "window" and len(world.pools) < 4:
        world.add_account(much % 3001 * scale)
    elif kind == "flush" and world.life < 3:
        world.flush()
    elif kind == "tell" and world.gathering:
        missing = [one for one in world.living if one.life != world.life]
        for one in missing[: 1 + much % 4]:
            world.rebase(one)
        if len(missing) <= 1 + much % 4:
            world.begin()


NUMBER = st.integers(0, 1 << 16)
OFTEN = ("want", "ask", "settle") * 4 + ("lose", "late", "tell") * 2
SELDOM = ("limit", "ship", "start", "die", "close", "window", "flush")
STEPS = st.lists(st.tuples(st.sampled_from(OFTEN + SELDOM), NUMBER, NUMBER, NUMBER), max_size=60)


def test_any_script_has_the_answers_of_the_model(valkey: Any) -> None:
    with asyncio.Runner() as runner:
        store = RedisCounters(valkey.url, timeout_seconds=10)

        @settings(max_examples=40, deadline=None)
        @given(
            limits=st.lists(st.integers(0, 3000), min_size=1, max_size=2), scale=st.sampled_from(SCALES), steps=STEPS
        )
        def same(limits: list[int], scale: int, steps: list[tuple[str, int, int, int]]) -> None:
            world = Twin([limit * scale for limit in limits], store, runner, valkey)
            for _ in range(2):
                world.start(3)
            play(world, steps, scale)

        try:
            same()
        finally:
            runner.run(store.close())
