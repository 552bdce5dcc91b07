"""Processes that share a budget over a real Valkey, with journals, kills, flushes and restarts: what is billed fits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from tollway.core.errors import Code, TollwayError
from tollway.core.ledger import AttemptRow, RequestRow
from tollway.core.notices import Notice
from tollway.core.pricing import Price
from tollway.core.rules import Budget, Limit, Measure, Mode, Period
from tollway.dataplane.admission.counters import Counters
from tollway.dataplane.admission.gate import admit, look
from tollway.dataplane.admission.holding import REFUSAL_SECONDS
from tollway.dataplane.admission.permit import Permit
from tollway.dataplane.admission.redis_counters import RedisCounters
from tollway.dataplane.admission.service import Admission
from tollway.dataplane.notices import Notices
from tollway.dataplane.outbox.journal import Journal
from tollway.dataplane.outbox.records import Intent
from tollway.dataplane.outbox.shipper import Shipper
from tollway.runtime.tasks import Tasks
from tollway.testkit.fakes.clock import FakeClock
from tollway.testkit.servers import ValkeyServer
from tollway.wire.balances_codec import BalanceQuery, BalancesRead
from tollway.wire.usage_codec import decode_row, encode_row

PRICE = Price(version="v1", input=1_000_000_000, output=0)  # a token costs 1000
AMOUNT = 10_000
DAY_MS = 86_400_000


class Ledger:
    """What the control plane would have: rows by id with the moment at which each was committed."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, RequestRow]] = {}
        self.replicas: set[str] = set()
        self.pause: Callable[[], Awaitable[None]] | None = None

    async def ingest(self, replica: str, rows: Sequence[bytes]) -> None:
        for row in map(decode_row, rows):
            self.rows.setdefault(row.id, (time.time_ns() // 1000, row))

    async def read(
        self, replica: str, organisation: str, epoch: str, queries: Sequence[BalanceQuery], *, cut_us: int | None = None
    ) -> BalancesRead:
        cut = time.time_ns() // 1000 if cut_us is None else cut_us
        used = tuple(self.used(query, cut) for query in queries)
        if self.pause is not None and queries:
            await self.pause()
        return BalancesRead(used=used, replicas=tuple(self.replicas), cut_us=cut)

    def used(self, query: BalanceQuery, cut_us: int) -> int:
        return sum(
            sum(attempt.cost_nano for attempt in row.attempts) if query.measure == "cost" else 1
            for at, row in self.rows.values()
            if at <= cut_us
            and row.started_ms >= query.start_ms
            and (query.end_ms is None or row.started_ms < query.end_ms)
        )

    @property
    def billed(self) -> int:
        return sum(attempt.cost_nano for _, row in self.rows.values() for attempt in row.attempts)

    async def report(self, replica: str, notices: Sequence[Notice], lost: int) -> None:
        """Nobody reads them here."""


class Process:
    """One data plane's admission, journal and shipper, without the HTTP before it."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.tasks = Tasks()
        self.work: list[asyncio.Task[None]] = []
        self.journal = Journal(world.root, f"{name}-{uuid.uuid4().hex[:6]}", segment_bytes=1 << 15, capacity=1 << 22)
        self.store = RedisCounters(world.valkey.url)
        self.shipper = Shipper(name, self.journal, world.root, world.ledger, world.clock)
        notices = Notices(name, world.ledger, world.clock)
        self.admission = Admission(
            name, self.journal, self.shipper, self.store, world.ledger, notices, world.clock, self.tasks, self._closed
        )
        self.closed = False

    def _closed(self) -> None:
        self.closed = True

    def start(self) -> Process:
        self.world.ledger.replicas.add(self.name)
        self.tasks.keep(self.shipper._ship_forever, "ship")
        self.tasks.spawn(self._begin(), "begin")
        return self

    async def _begin(self) -> None:
        assert self.counters.life is None  # from here on it has rounds, and soon a life

    @property
    def counters(self) -> Counters:
        return self.admission.counters(self.world.organisation)

    async def ready(self) -> Process:
        await self.world.until(lambda: self.counters.ready)
        return self

    async def permit(self, rule: Budget | Limit, amount: int) -> Permit:
        holding = self.counters.holding(rule, "p", self.world.clock.now_ms())
        needs = [(holding, amount)]
        await admit(self.counters, needs, self.world.clock)
        permit = Permit(self.counters)
        permit.add(needs)
        return permit

    async def call(self, amount: int, cost: int, seconds: float = 0.0) -> bool:
        """A request from end to end; whether it was admitted."""
        try:
            permit = await self.permit(self.world.budget, amount)
        except TollwayError as error:
            if error.code not in (Code.BUDGET_EXCEEDED, Code.OVERLOADED):
                raise
            return False
        name = uuid.uuid4().hex
        self.journal.intend(Intent(self.row(name, cost), PRICE, cost // 1000, reserved=permit.charges()))
        await asyncio.sleep(seconds)
        done = self.row(name, cost)
        self.journal.finish(done, permit.bill(done.attempts))
        permit.settle(done.attempts, sent=True)
        return True

    def row(self, name: str, cost: int) -> RequestRow:
        now = self.world.clock.now_ms()
        attempt = AttemptRow(
            id=f"{name}-1", number=1, provider="p", provider_kind="openai", target_model="m", started_ms=now,
            cost_nano=cost,
        )  # fmt: skip
        return RequestRow(
            id=name, organisation=self.world.organisation, business_unit="b", project="p", key_id="k",
            key_public_id="kk", endpoint="/v1/chat/completions", model="m", started_ms=now, attempts=(attempt,),
        )  # fmt: skip

    async def kill(self) -> None:
        """Its work stops where it is; its journal is left for another."""
        for task in self.work:
            task.cancel()
        await asyncio.gather(*self.work, return_exceptions=True)
        await self.tasks.close()
        await self.store.close()
        os.close(self.journal._lock)
        self.world.ledger.replicas.discard(self.name)

    async def stop(self) -> None:
        """An orderly end."""
        assert await self.shipper.flush(5)
        await self.admission.leave()
        await self.tasks.close()
        await self.store.close()
        self.journal.close()
        self.world.ledger.replicas.discard(self.name)


class World:
    """One organisation with one hard budget, its ledger and its processes."""

    def __init__(self, root: Path, valkey: ValkeyServer, limit: int) -> None:
        self.root = root / "journals"
        self.valkey = valkey
        self.organisation = uuid.uuid4().hex
        self.ledger = Ledger()
        self.clock = FakeClock(now_ms=int(time.time() * 1000) // DAY_MS * DAY_MS + 1000)
        self.budget = Budget(
            id="b1", scope="project", subject="p", limit_nano=limit, period=Period.DAY, mode=Mode.HARD, since_ms=0
        )
        self.processes: list[Process] = []

    async def start(self, name: str) -> Process:
        made = Process(self, name).start()
        self.processes.append(made)
        return await made.ready()

    async def kill(self, process: Process) -> None:
        self.processes.remove(process)
        await process.kill()

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            await asyncio.sleep(0.01)

    def pool(self) -> tuple[int, int]:
        """What the store has as spent and as held of the budget."""
        epoch = self.valkey.command("HGET", f"tw:{{o:{self.organisation}}}:life", "e").decode()
        start = self.clock.now_ms() // DAY_MS * DAY_MS
        key = f"tw:{{o:{self.organisation}}}:{epoch}:a:b1:{start}"
        spent, held = self.valkey.command("HMGET", key, "s", "o")
        return int(spent or 0), int(held or 0)

    def flush(self) -> None:
        """All that the server knows of this organisation is lost."""
        for key in self.valkey.command("KEYS", f"tw:{{o:{self.organisation}}}:*"):
            self.valkey.command("DEL", key)


@pytest.fixture
async def world(tmp_path: Path, valkey: ValkeyServer) -> AsyncIterator[World]:
    made = World(tmp_path, valkey, 40 * AMOUNT)
    yield made
    for process in made.processes:
        await process.kill()


async def drain(world: World, shuffle: random.Random) -> None:
    """Clients that try again until nobody is admitted any more."""
    while True:
        attempts = [process.call(AMOUNT, AMOUNT) for process in world.processes for _ in range(4)]
        shuffle.shuffle(attempts)
        if not any(await asyncio.gather(*attempts)):
            return


@pytest.mark.parametrize("trouble", ["none", "kill", "flush", "kill and flush"])
async def test_what_is_billed_fits_and_nothing_is_left_over(world: World, trouble: str) -> None:
    chance = random.Random(trouble)
    for name in ("one", "two", "three"):
        await world.start(name)
    for process in world.processes:
        for _ in range(8):
            cost = chance.randrange(AMOUNT // 2, AMOUNT, 1000)
            process.work.append(asyncio.create_task(_quiet(process.call(AMOUNT, cost, chance.random() / 5))))
    await asyncio.sleep(0.1)
    if "kill" in trouble:
        await world.kill(world.processes[1])
    if "flush" in trouble:
        if "kill" in trouble:  # its rows must be with somebody before the cut: they are taken over at once
            await world.processes[0].shipper.adopt()
        world.flush()
    await asyncio.gather(*(task for process in world.processes for task in process.work))
    for process in world.processes:
        await process.ready()
    await world.processes[0].shipper.adopt()
    await drain(world, chance)
    for process in list(world.processes):
        world.processes.remove(process)
        await process.stop()
    assert list(world.root.iterdir()) == []
    assert world.ledger.billed <= world.budget.limit_nano
    assert world.ledger.billed > world.budget.limit_nano - 2 * AMOUNT
    assert world.pool() == (world.ledger.billed, 0)


async def _quiet(call: Awaitable[bool]) -> None:
    await call


async def test_an_orderly_end_leaves_nothing_held(world: World) -> None:
    """However busy the process was a moment before."""
    world.budget = Budget(id="b1", scope="project", subject="p", limit_nano=10**9, period=Period.DAY, mode=Mode.HARD)
    process = await world.start("one")
    for _ in range(20):
        assert await process.call(AMOUNT, 3000)
    world.processes.remove(process)
    await process.stop()
    assert world.pool() == (20 * 3000, 0)


async def test_a_clock_that_steps_back_over_a_window_forgives_nothing(world: World) -> None:
    start = world.clock.now_ms() // DAY_MS * DAY_MS
    world.clock.jump((start + DAY_MS - 200 - world.clock.now_ms()) / 1000)  # 200 ms before midnight
    process = await world.start("one")
    for _ in range(30):
        assert await process.call(AMOUNT, AMOUNT)
    await asyncio.sleep(0.6)  # everything was told
    world.clock.jump(0.3)
    assert await process.call(AMOUNT, AMOUNT)
    await asyncio.sleep(0.6)  # the day before is over
    world.clock.jump(-0.3)
    for _ in range(60):
        await process.call(AMOUNT, AMOUNT)
        await asyncio.sleep(0.01)
    assert await process.shipper.flush(5)
    of_the_day = BalanceQuery("cost", "project", "p", "*", start, start + DAY_MS)
    assert world.ledger.used(of_the_day, 1 << 62) <= world.budget.limit_nano


async def test_a_reading_of_the_ledger_is_not_told_to_the_next_life(world: World) -> None:
    """Rows that came between two cuts would be forgiven."""
    process = await world.start("one")
    for _ in range(10):
        assert await process.call(AMOUNT, AMOUNT)
    world.flush()
    await world.until(lambda: not process.counters.ready)
    first = await process.ready()
    epoch = first.counters.life
    asked, go = asyncio.Event(), asyncio.Event()

    async def pause() -> None:
        asked.set()
        await go.wait()

    world.ledger.pause = pause
    (holding,) = process.counters.holdings.values()
    await world.until(lambda: not holding.known)
    learning = asyncio.create_task(process.counters.learn([holding]))
    await asyncio.wait_for(asked.wait(), 5)
    # Meanwhile another process spends in this life, and its rows reach the ledger before the next.
    other = Process(world, "two")
    world.processes.append(other)
    await world.ledger.ingest("two", [encode_row(other.row(uuid.uuid4().hex, AMOUNT)) for _ in range(20)])
    await asyncio.sleep(0.01)
    world.flush()
    await world.until(lambda: process.counters.life not in (None, epoch) and process.counters.ready)
    world.ledger.pause = None
    go.set()
    await learning
    await look(process.counters, [holding])
    assert world.pool()[0] >= 30 * AMOUNT


async def test_a_successor_books_the_dead_into_a_life_that_began_after_them(world: World) -> None:
    """The dead process told only the life before; its rows come to the ledger after the cut of the present one."""
    dead = await world.start("dead")
    for _ in range(5):
        dead.work.append(asyncio.create_task(_quiet(dead.call(AMOUNT, AMOUNT, 60))))
    await world.until(lambda: sum(one.account.reserved for one in dead.counters.holdings.values()) == 5 * AMOUNT)
    await world.kill(dead)
    world.flush()
    witness = await world.start("witness")
    assert await witness.call(AMOUNT, AMOUNT)
    successor = Process(world, "dead").start()
    world.processes.append(successor)
    await successor.shipper.adopt()  # it begins with this, before it knows the life
    await successor.ready()
    await successor.shipper.adopt()
    assert await witness.shipper.flush(5)
    await world.until(lambda: world.ledger.billed == 6 * AMOUNT)
    await asyncio.sleep(0.6)  # everything was told
    assert world.pool()[0] == 6 * AMOUNT


async def test_what_is_owed_of_a_window_that_is_over_is_told_to_the_next_life(world: World) -> None:
    """Its rest may be carried over: rows that wait for the ledger are not forgiven with it."""
    world.budget = Budget(
        id="b1", scope="project", subject="p", limit_nano=40 * AMOUNT, period=Period.DAY, mode=Mode.HARD,
        carry_over=True,
    )  # fmt: skip
    process = await world.start("one")

    async def unavailable(replica: str, rows: Sequence[bytes]) -> None:
        raise ConnectionError("the control plane is away")

    arrive = world.ledger.ingest
    world.ledger.ingest = unavailable  # type: ignore[method-assign]
    for _ in range(25):
        assert await process.call(AMOUNT, AMOUNT)
    world.clock.jump(DAY_MS / 1000)
    await asyncio.sleep(0.6)  # everything was told, and the day before is over
    world.flush()
    await world.until(lambda: not process.counters.ready)
    await process.ready()
    assert await process.call(AMOUNT, AMOUNT)
    today = process.counters.holding(world.budget, "p", world.clock.now_ms())
    assert today.pool is not None
    assert today.pool.told.limit == (40 + 15) * AMOUNT
    world.ledger.ingest = arrive  # type: ignore[method-assign]


async def test_a_limit_by_itself_holds_over_processes(world: World) -> None:
    limit = Limit(id="r1", scope="project", subject="p", measure=Measure.CONCURRENT, amount=7)
    first, second = await world.start("one"), await world.start("two")
    permits: list[Permit] = []

    async def enter(process: Process) -> None:
        with contextlib.suppress(TollwayError):
            permits.append(await process.permit(limit, 1))

    await asyncio.gather(*(enter(process) for process in (first, second) for _ in range(10)))
    assert len(permits) == 7
    for permit in permits:
        permit.settle((), sent=True)
    permits.clear()
    await asyncio.sleep(2 * REFUSAL_SECONDS)
    await asyncio.gather(*(enter(second) for _ in range(10)))
    assert len(permits) == 7
