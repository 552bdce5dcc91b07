"""A hard budget of one dollar over three data planes while parts are killed, frozen and flushed: never a cent too much.

TOLLWAY_RACES sets how many of each kind (1 by default; `make soak` takes more).
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import aiohttp
import pytest
from redis import Redis

from tollway.testkit.stack import Stack, until

RACES = int(os.environ.get("TOLLWAY_RACES", "1"))
CLIENTS = 200
TOKENS = 50
FIT = 10
"""Requests of ten cents in a dollar."""
DOLLAR = 1_000_000_000
MODEL = "ten-cents"
Trouble = Callable[[Stack, random.Random], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Three data planes and a model of which every request costs ten cents."""
    running = Stack(tmp_path_factory.mktemp("races"))
    try:
        running.start(dataplanes=3)
        model = {
            "name": MODEL,
            "targets": [{"provider": "sim", "model": f"sim-fast/tokens={TOKENS},rate=100"}],
            "price": {"input": "0", "output": "2000"},
        }
        running.api("POST", "models", model)
        yield running
    finally:
        running.stop()


async def no_trouble(_stack: Stack, _dice: random.Random) -> None:
    """Concurrency alone."""


async def kill_a_data_plane(stack: Stack, dice: random.Random) -> None:
    """One dies in mid-stream and is replaced."""
    await asyncio.sleep(dice.uniform(0.05, 0.7))
    service = dice.choice(stack.dataplanes)
    service.kill()
    await asyncio.to_thread(service.start)


async def kill_valkey(stack: Stack, dice: random.Random) -> None:
    """It comes back without data."""
    await asyncio.sleep(dice.uniform(0.05, 0.7))
    stack.valkey.kill()
    await asyncio.sleep(dice.uniform(0.1, 1.0))
    await asyncio.to_thread(stack.valkey.start)
    await asyncio.to_thread(stack.valkey.flush)


async def flush_valkey(stack: Stack, dice: random.Random) -> None:
    """Its data are gone from one moment to the next."""
    await asyncio.sleep(dice.uniform(0.05, 0.7))
    stack.valkey.flush()


async def freeze_valkey(stack: Stack, dice: random.Random) -> None:
    """It does not answer for two seconds."""
    await asyncio.sleep(dice.uniform(0.05, 0.7))
    stack.valkey.freeze()
    await asyncio.sleep(2)
    stack.valkey.freeze(False)


async def kill_control(stack: Stack, dice: random.Random) -> None:
    """Neither the control plane nor Postgres is needed by a request."""
    await asyncio.sleep(dice.uniform(0.0, 0.3))
    stack.control.kill()
    stack.postgres.kill()
    await asyncio.sleep(1)
    await asyncio.to_thread(stack.postgres.start)
    await asyncio.to_thread(stack.control.start)


TROUBLES: tuple[Trouble, ...] = (
    no_trouble, kill_a_data_plane, kill_valkey, flush_valkey, freeze_valkey, kill_control,
)  # fmt: skip


async def chat(stack: Stack, session: aiohttp.ClientSession, key: str, number: int) -> str:
    """One request; how it ended."""
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": TOKENS,
        "stream": bool(number % 2),
    }
    url = f"{stack.base_url(number % 3)}/chat/completions"
    try:
        async with session.post(url, json=body, headers={"Authorization": f"Bearer {key}"}) as answer:
            text = await answer.text()
    except aiohttp.ClientError as error:
        return type(error).__name__
    if answer.status == 200 and number % 2 and "[DONE]" not in text:
        return "cut"
    return answer.headers.get("x-tollway-error-code", str(answer.status))


async def race(stack: Stack, key: str, trouble: Trouble, dice: random.Random) -> Counter[str]:
    """All at once with the trouble among them, then retries until what is left is drained."""
    outcomes: Counter[str] = Counter()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
        among = asyncio.ensure_future(trouble(stack, dice))
        outcomes.update(await asyncio.gather(*(chat(stack, session, key, n) for n in range(CLIENTS))))
        await among
        for service in stack.dataplanes:
            await asyncio.to_thread(until, partial(stack.ready, service), 20, "readiness")
        quiet = 0
        for _ in range(40):
            again = Counter(await asyncio.gather(*(chat(stack, session, key, n) for n in range(12))))
            outcomes.update(again)
            quiet = quiet + 1 if set(again) == {"budget_exceeded"} else 0
            if quiet >= 6:
                break
            await asyncio.sleep(0.5)
    return outcomes


def settled(stack: Stack, project: str) -> int:
    """What the ledger has booked, once the simulator's calls and the ledger's attempts agree."""
    until(lambda: not owed(stack), 40, "nothing held or reserved")
    found = stack.sql(f"SELECT coalesce(sum(cost_nano), 0)::bigint FROM ledger_attempts WHERE project = '{project}'")
    return int(found[0][0])


def owed(stack: Stack) -> bool:
    """Whether any process still holds something of a budget, or a journal still has rows."""
    store = Redis.from_url(stack.valkey.url)
    held = sum(int(store.hget(key, "o") or 0) for key in store.scan_iter("tw:{o:default}:*:a:b*"))
    attempts = int(stack.sql("SELECT count(*) FROM ledger_attempts")[0][0])
    return held != 0 or attempts < int(stack.simulate("GET", "counts")["received"])


@pytest.mark.chaos
@pytest.mark.timeout(120 + 120 * RACES * len(TROUBLES))
@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
async def test_one_dollar_is_never_exceeded(stack: Stack, trouble: Trouble, capsys: pytest.CaptureFixture[str]) -> None:
    dice = random.Random(trouble.__name__)
    for number in range(RACES):
        name = f"race-{trouble.__name__.replace('_', '-')}-{number}"
        budget = {"limit": "1", "period": "month", "mode": "hard"}
        applied = {"projects": [{"name": name, "budget": budget, "keys": [{"name": "key"}]}]}
        key = (await asyncio.to_thread(stack.apply, applied, set=name))[0]["secret"]
        await asyncio.sleep(1.0)
        outcomes = await race(stack, key, trouble, dice)
        project = stack.api("GET", f"projects/{name}")["id"]
        spent = await asyncio.to_thread(settled, stack, project)
        used = stack.api("GET", f"budgets/project:{name}")
        with capsys.disabled():
            print(f"\n{name}: {spent / DOLLAR:.4f} USD, {dict(outcomes)}")
        assert spent <= DOLLAR
        assert spent > DOLLAR - DOLLAR // FIT * 2, "what is left was drained by retries"
        assert round(float(used["used"]) * DOLLAR) == spent
        assert "500" not in outcomes
        if trouble is kill_control:
            assert set(outcomes) <= {"200", "budget_exceeded"}, "nobody waits for Postgres or the control plane"
