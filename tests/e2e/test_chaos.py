"""Minutes of load while everything is killed at random; at the end the books agree and memory has not grown.

TOLLWAY_CHAOS_SECONDS sets how long (180 by default; `make soak` takes longer).
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil
import pytest
from redis import Redis

from tollway.testkit.stack import SIMULATED, Stack, until

SECONDS = float(os.environ.get("TOLLWAY_CHAOS_SECONDS", "180"))
CLIENTS = 8
MEMORY_MIB = 120
GROWTH = 1.25
"""How much more memory a data plane may hold at its end than after its first quarter."""


class Load:
    """Clients that send streamed and unstreamed requests, and sometimes hang up."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.stop = threading.Event()
        self.outcomes: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(seed,)) for seed in range(CLIENTS)]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Ends and waits."""
        self.stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, seed: int) -> None:
        dice = random.Random(seed)
        while not self.stop.is_set():
            try:
                outcome = self.one(dice)
            except httpx.HTTPError as error:
                outcome = type(error).__name__
                time.sleep(0.02)
            with self._lock:
                self.outcomes[outcome] += 1

    def one(self, dice: random.Random) -> str:
        streamed = dice.random() < 0.5
        body = {
            "model": dice.choice([SIMULATED, "slow"]),
            "messages": [{"role": "user", "content": "word " * dice.randint(1, 40)}],
            "stream": streamed,
        }
        url = f"{self._stack.base_url(dice.randrange(2))}/chat/completions"
        headers = {"Authorization": f"Bearer {self._stack.key}"}
        with httpx.Client(timeout=20) as client, client.stream("POST", url, json=body, headers=headers) as answer:
            if dice.random() < 0.1:
                return "hung up"
            text = "".join(answer.iter_text())
        if answer.status_code == 200 and streamed and "[DONE]" not in text:
            return "cut"
        return answer.headers.get("x-tollway-error-code", str(answer.status_code))


def rule(stack: Stack) -> None:
    """Hard budgets at two levels and limits of every kind, none of which is reached: all of it is counted."""
    slow = [{"provider": "sim", "model": "sim-fast/rate=200,tokens=30"}]
    stack.api("POST", "models", {"name": "slow", "targets": slow, "price": {"input": "1", "output": "2"}})
    stack.api("PATCH", "budgets/organisation", {"limit": "1000000", "period": "year"})
    stack.api("PATCH", "budgets/project:demo", {"limit": "100000", "timezone": "Europe/Vienna"})
    limits = [
        {"measure": "requests", "window": "minute", "amount": 1_000_000},
        {"measure": "tokens", "window": "day", "amount": 1_000_000_000},
        {"measure": "concurrent", "amount": 500},
    ]
    stack.api("PUT", "limits/project:demo", {"limits": limits})


def kill_something(stack: Stack, dice: random.Random) -> None:
    """One part dies and comes back after a moment."""
    what = dice.choice(["dataplane", "dataplane", "control", "postgres", "valkey"])
    pause = dice.uniform(0.1, 2.0)
    if what == "postgres":
        stack.postgres.kill()
        time.sleep(pause)
        stack.postgres.start()
    elif what == "valkey":
        stack.valkey.kill()
        time.sleep(pause)
        stack.valkey.start()
    else:
        service = stack.control if what == "control" else dice.choice(stack.dataplanes)
        service.kill()
        time.sleep(pause)
        service.start()


@pytest.mark.chaos
@pytest.mark.timeout(int(SECONDS) + 180)
def test_the_books_agree_after_chaos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = Stack(tmp_path)
    dice = random.Random(int(time.time()))
    try:
        stack.start(dataplanes=2)
        steady = stack.add_dataplane()
        rule(stack)
        load = Load(stack)
        load.start()
        memory = []
        ends = time.monotonic() + SECONDS
        kills = 0
        while time.monotonic() < ends:
            time.sleep(dice.uniform(1.0, 4.0))
            for _ in range(5):
                stack.chat(number=2)
            memory.append(psutil.Process(steady.pid).memory_info().rss / (1 << 20))
            stack.dataplanes.remove(steady)  # it is never killed: its memory is watched
            kill_something(stack, dice)
            stack.dataplanes.append(steady)
            kills += 1
        load.finish()
        # In a life of the counters that has just begun, the ledger is asked for what was spent before by who needs it.
        until(lambda: load.one(dice) == "200", 30, "requests are served again")
        until(lambda: int(totals(stack)["requests"]) >= received(stack), 60, "all rows in the ledger")
        until(lambda: not outstanding(stack), 30, "no reservation outstanding")
        time.sleep(2)
        expected, found = received(stack), int(totals(stack)["requests"])
        with capsys.disabled():
            print(f"\nchaos: {SECONDS:.0f} s, {kills} kills, {expected} requests, outcomes {dict(load.outcomes)}")
            print(f"memory of an undisturbed data plane: {memory[0]:.0f} to {memory[-1]:.0f} MiB")
        assert load.outcomes["200"] > 100
        assert not load.outcomes.keys() & {"500", "internal_error", "budget_exceeded", "rate_limit_exceeded"}
        assert found == expected
        wrong = stack.sql(
            "SELECT count(*) FROM ledger_attempts WHERE NOT estimated AND price_version IS NOT NULL"
            " AND cost_nano <> input_tokens * 1000 + output_tokens * 2000"
        )
        assert wrong == [(0,)]
        attempts, estimates = stack.sql(
            "SELECT count(*), count(*) FILTER (WHERE estimated AND outcome NOT IN ('lost', 'client_closed', 'error'))"
            " FROM ledger_attempts WHERE kind = 'attempt'"
        )[0]
        assert attempts == expected, "one attempt for each call of the simulator"
        assert estimates == 0, "every estimate is traceable to a kill or a hang-up"
        spent = int(stack.sql("SELECT sum(cost_nano)::bigint FROM ledger_attempts")[0][0])
        counted = pools(stack, "s")
        assert counted, "the budgets were counted"
        assert set(counted.values()) == {spent}, "budgets agree with the ledger to the nano-dollar"
        verified = stack.api("GET", "ledger:verify")
        assert verified["clean"], verified
        assert memory[-1] < MEMORY_MIB
        assert memory[-1] < memory[len(memory) // 4] * GROWTH
    finally:
        stack.stop()


def pools(stack: Stack, field: str) -> dict[str, int]:
    """A field of every pool of a budget in the present life of the counters."""
    store = Redis.from_url(stack.valkey.url)
    found: Any = store.hget("tw:{o:default}:life", "e")
    epoch = (found or b"").decode()
    keys = store.scan_iter(f"tw:{{o:default}}:{epoch}:a:b*")
    return {key.decode(): int(store.hget(key, field) or 0) for key in keys}


def outstanding(stack: Stack) -> bool:
    """Whether any process still holds something of a budget."""
    return any(pools(stack, "o").values())


def totals(stack: Stack) -> dict[str, str]:
    """The ledger's sums."""
    found = stack.api("GET", "usage?by=project", expect=None)
    total: dict[str, str] = found.get("total") or {"requests": "0"}
    return total


def received(stack: Stack) -> int:
    """What the simulator got."""
    return int(stack.simulate("GET", "counts")["received"])
