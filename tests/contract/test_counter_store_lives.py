"""The store of counters when its server dies, forgets, freezes or comes back: nothing is granted from an old life."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from tollway.core.leases import Ask, Told
from tollway.dataplane.admission.ports import Answer, Life, PoolAsk
from tollway.dataplane.admission.redis_counters import TIMEOUT_SECONDS, RedisCounters
from tollway.dataplane.stores.ports import StoreUnavailable
from tollway.testkit.servers import ValkeyServer

LATER_MS = 1 << 50
BOUND_SECONDS = 4 * TIMEOUT_SECONDS
"""A call finds out who is there and runs a script: each within twice the timeout."""
SLACK_SECONDS = 0.3


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """A server of this module, which may be killed."""
    server = ValkeyServer(tmp_path_factory.mktemp("mortal") / "data").start()
    yield server
    server.stop()


@pytest.fixture
async def store(mortal: ValkeyServer) -> AsyncIterator[RedisCounters]:
    counters = RedisCounters(mortal.url)
    yield counters
    await counters.close()


@pytest.fixture
def organisation() -> str:
    return uuid.uuid4().hex


def ask(seq: int, want: int = 10, spent: int = 0, held: int = 0) -> PoolAsk:
    return PoolAsk("b1:0", Ask(seq, spent, held, unit=1, want=want), 100, LATER_MS)


async def ready(store: RedisCounters, organisation: str, epoch: str) -> None:
    assert await store.begin(organisation, epoch) == Life(epoch, ready=False)
    assert await store.ready(organisation, epoch, 1)


async def persistent(call: Any) -> Any:
    """What a call answers once the store does: a process asks again, too."""
    deadline = time.monotonic() + 5
    while True:
        try:
            return await call()
        except StoreUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


async def restart(server: ValkeyServer, *, data: bool) -> None:
    """Idle connections see the end of the old server before they are used again, as they mostly do."""
    server.kill()
    await asyncio.sleep(0.02)
    if not data:
        for kept in sorted(server.folder.rglob("*"), reverse=True):
            if kept.is_dir():
                kept.rmdir()
            else:
                kept.unlink()
    server.start()


@pytest.mark.parametrize("data", [True, False], ids=["with its data", "without its data"])
@pytest.mark.parametrize("fresh", [True, False], ids=["new connection", "connection from before"])
async def test_a_server_that_was_restarted_grants_nothing_of_its_old_life(
    mortal: ValkeyServer, store: RedisCounters, organisation: str, data: bool, fresh: bool
) -> None:
    """Its data may be older than what was granted from it: only a new life is exact."""
    await ready(store, organisation, "old")
    assert (await store.ask(organisation, "old", "h", [ask(1)])).told[0].told.granted == 10
    await restart(mortal, data=data)
    asking = RedisCounters(mortal.url) if fresh else store
    answer = await persistent(lambda: asking.ask(organisation, "old", "h", [ask(2, want=20)]))
    assert answer == Answer(None)
    life = await persistent(lambda: asking.begin(organisation, "new"))
    assert life == Life("new", ready=False)
    assert (await asking.ask(organisation, "old", "h", [ask(3)])).life is None
    told = (await asking.ask(organisation, "new", "h", [ask(4, want=20, held=10)])).told[0].told
    assert told == Told(0, 0, 10, 100, tight=False)
    if fresh:
        await asking.close()


@pytest.mark.parametrize("call", ["begin", "ready", "close"])
async def test_no_other_script_takes_a_restarted_server_for_the_old_one(
    mortal: ValkeyServer, store: RedisCounters, organisation: str, call: str
) -> None:
    await ready(store, organisation, "old")
    await store.ask(organisation, "old", "h", [ask(1)])
    await restart(mortal, data=True)
    if call == "begin":
        assert await persistent(lambda: store.begin(organisation, "new")) == Life("new", ready=False)
    elif call == "ready":
        assert await persistent(lambda: store.ready(organisation, "old", 5)) is False
    else:
        assert await persistent(lambda: store.close_holder(organisation, "old", "h", {})) is False


@pytest.mark.parametrize("first", ["ask", "members", "lead", "join", "leave"])
async def test_whatever_call_meets_the_dead_server_the_next_one_knows_the_new(
    mortal: ValkeyServer, store: RedisCounters, organisation: str, first: str
) -> None:
    await ready(store, organisation, "old")
    await store.ask(organisation, "old", "h", [ask(1)])
    mortal.kill()
    await asyncio.sleep(0.02)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "ask": lambda: store.ask(organisation, "old", "h", [ask(2)]),
        "members": lambda: store.members(organisation, "old"),
        "lead": lambda: store.lead(organisation, "h", 1.0),
        "join": lambda: store.join(organisation, "old", "h", "r"),
        "leave": lambda: store.leave(organisation, "old", "another"),
    }
    with pytest.raises(StoreUnavailable):
        await calls[first]()
    mortal.start()
    assert await persistent(lambda: store.ask(organisation, "old", "h", [ask(3, want=20)])) == Answer(None)


async def test_a_flush_ends_the_life(mortal: ValkeyServer, store: RedisCounters, organisation: str) -> None:
    await ready(store, organisation, "old")
    await store.ask(organisation, "old", "h", [ask(1)])
    mortal.command("FLUSHALL")
    assert await store.ask(organisation, "old", "h", [ask(2)]) == Answer(None)
    assert not await store.ready(organisation, "old", 5)
    assert await store.close_holder(organisation, "old", "h", {}) is False
    await ready(store, organisation, "new")
    assert (await store.ask(organisation, "new", "h", [ask(3, want=95)])).told[0].told.granted == 95


async def test_scripts_that_the_server_forgot_are_sent_again(
    mortal: ValkeyServer, store: RedisCounters, organisation: str
) -> None:
    await ready(store, organisation, "e")
    for seq in range(1, 4):
        mortal.command("SCRIPT", "FLUSH")
        told = (await store.ask(organisation, "e", "h", [ask(seq, want=1, held=seq - 1)])).told[0].told
        assert (told.granted, told.held) == (1, seq)


async def test_a_frozen_server_is_noticed_in_time_and_its_late_answer_is_nobodys(
    mortal: ValkeyServer, store: RedisCounters, organisation: str
) -> None:
    await ready(store, organisation, "e")
    await store.ask(organisation, "e", "h", [ask(1)])
    mortal.freeze()
    try:
        for seq in (2, 3):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await store.ask(organisation, "e", "h", [ask(seq, want=7, held=10)])
            assert time.monotonic() - began < BOUND_SECONDS + SLACK_SECONDS
    finally:
        mortal.freeze(frozen=False)
    answer = await persistent(lambda: store.ask(organisation, "e", "h", [ask(4, want=5, held=10)]))
    assert answer.told[0].told == Told(5, 0, 15, 100, tight=False)  # what came late was granted to nobody
    assert (await store.ask(organisation, "e", "h", [ask(3, want=7)])).told[0].told.stale


async def test_many_callers_of_a_frozen_server_do_not_queue_behind_each_other(
    mortal: ValkeyServer, store: RedisCounters, organisation: str
) -> None:
    await ready(store, organisation, "e")
    mortal.freeze()
    try:
        began = time.monotonic()
        calls = (store.ask(organisation, "e", f"h{n}", [ask(1)]) for n in range(2))
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(result, StoreUnavailable) for result in results)
        assert time.monotonic() - began < 2 * BOUND_SECONDS + SLACK_SECONDS
    finally:
        mortal.freeze(frozen=False)


async def test_nobody_there_is_said_at_once(organisation: str) -> None:
    store = RedisCounters("redis://127.0.0.1:1/0")
    began = time.monotonic()
    for call in (
        lambda: store.ask(organisation, "e", "h", [ask(1)]),
        lambda: store.begin(organisation, "e"),
        lambda: store.ready(organisation, "e", 1),
        lambda: store.join(organisation, "e", "h", "r"),
        lambda: store.members(organisation, "e"),
        lambda: store.lead(organisation, "h", 1.0),
        lambda: store.close_holder(organisation, "e", "h", {}),
        lambda: store.leave(organisation, "e", "h"),
    ):
        with pytest.raises(StoreUnavailable):
            await call()
    assert time.monotonic() - began < BOUND_SECONDS
    await store.close()


async def test_one_process_leads_until_its_time_is_over(store: RedisCounters, organisation: str) -> None:
    assert await store.lead(organisation, "one", 30)
    assert not await store.lead(organisation, "two", 30)
    assert await store.lead(organisation, "one", 30)
    assert await store.lead(uuid.uuid4().hex, "two", 30)
