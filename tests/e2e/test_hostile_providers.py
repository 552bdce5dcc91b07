"""A model most of whose targets do harm, on data planes half of which are killed: its clients do not notice.

TOLLWAY_HOSTILE_SECONDS sets for how long (40 by default); TOLLWAY_HOSTILE_KINDS, names with commas, which of the
harmful targets there are (all by default), to find the one that a failure is due to.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

from tollway.testkit.hostile_providers import BREAKS_LATE, COUNTS, FLAPPING, KINDS, POISON, TLS, TLS_JUNK
from tollway.testkit.load import paced
from tollway.testkit.stack import Service, Stack, http, until
from tollway.testkit.steadfast_clients import CHAT, CUT, ERROR_EVENT, MESSAGES, OK, Seen, SteadfastClients

SECONDS = float(os.environ.get("TOLLWAY_HOSTILE_SECONDS", "40"))
HARMFUL = [*KINDS, *FLAPPING, TLS, TLS_JUNK]
CHOSEN = [kind for kind in os.environ.get("TOLLWAY_HOSTILE_KINDS", ",".join(HARMFUL)).split(",") if kind]
RATE = 30
"""Requests a second, over all data planes."""
PLANES = 4
DOWN_SECONDS = 2.0
SUCCESS = 0.999
MEBIBYTE = 1 << 20
ANSWER_BYTES = 16 * MEBIBYTE
SETTLED_MIB = 140
"""What a data plane holds when all is over: the answers of 100 MB are gone."""
MOST_MIB = SETTLED_MIB + 8 * ANSWER_BYTES // MEBIBYTE
"""What it holds at any moment: some answers that are read, up to the limit of an answer, and are put together."""
TIMEOUTS = {"connect_seconds": 1, "first_byte_seconds": 1, "between_chunks_seconds": 0.8, "total_seconds": 20}
GOOD = ("steady-1", "steady-2")
NOT_CALLS = ("strange", "crossed", "handshakes")


class Fleet:
    """A stack with the harmful providers and the data planes that are killed; memory is sampled all the time."""

    def __init__(self, folder: Path) -> None:
        self.stack = Stack(folder)
        self.memory: dict[int, list[float]] = {number: [] for number in range(PLANES)}
        self.down: list[tuple[int, float, float]] = []
        """Who was killed, when, and until when it was away."""
        self._stop = threading.Event()
        self._sampler = threading.Thread(target=self._sample)

    def start(self) -> None:
        """Everything up, ruled by a hard budget and limits that are never reached."""
        stack = self.stack
        stack.start(dataplanes=0)
        folder = stack.folder / "hostile"
        folder.mkdir()
        self.hostile = Service(
            "hostile", ["tollway.testkit.hostile_providers", str(folder)], stack.environment, stack.folder
        ).start()
        stack.apply(self._configuration())
        stack.api("PATCH", "budgets/project:demo", {"limit": "100000", "period": "month"})
        limits = [
            {"measure": "requests", "window": "minute", "amount": 1_000_000},
            {"measure": "concurrent", "amount": 5_000},
        ]
        stack.api("PUT", "limits/project:demo", {"limits": limits})
        for _ in range(PLANES):
            stack.add_dataplane(SSL_CERT_FILE=str(folder / "authority.pem"), TOLLWAY_MAX_ANSWER_BYTES=str(ANSWER_BYTES))
        self._sampler.start()

    def _configuration(self) -> dict[str, Any]:
        providers: list[dict[str, Any]] = [
            {"name": name, "kind": "simulator", "base_url": self._simulator(), "credentials": [_KEY]} for name in GOOD
        ]
        for kind in CHOSEN:
            host = "https://localhost" if kind in (TLS, TLS_JUNK) else "http://127.0.0.1"
            url = f"{host}:{self.hostile.ports[kind]}/v1"
            made = {"name": kind, "kind": "openai_compatible", "base_url": url, "credentials": [_KEY]}
            providers.append({**made, "timeouts": TIMEOUTS})
        good = [{"provider": name, "model": "sim-fast/rate=200,tokens=20", "weight": 5} for name in GOOD]
        return {
            "providers": providers,
            "models": [
                {
                    "name": "many",
                    "targets": [*good, *({"provider": kind, "model": "up"} for kind in CHOSEN)],
                    "retries": {"attempts": 10, "budget": 1.0},
                    "price": {"input": "1", "output": "2"},
                }
            ],
        }

    def _simulator(self) -> str:
        return f"http://127.0.0.1:{self.stack.simulator.ports['simulator']}/v1"

    def kill(self, numbers: tuple[int, ...]) -> None:
        """SIGKILL to these data planes; they are back a moment later."""
        began = time.monotonic()
        for number in numbers:
            self.stack.dataplanes[number].kill()
        time.sleep(DOWN_SECONDS)
        for number in numbers:
            service = self.stack.dataplanes[number].start()
            until(lambda up=service: self.stack.ready(up), 20, "readiness after a kill")  # type: ignore[misc]
        self.down += [(number, began, time.monotonic()) for number in numbers]

    def was_down(self, number: int, begin: float, end: float) -> bool:
        """Whether a data plane was killed, or away, at some time of this span."""
        return any(plane == number and begin <= back and gone <= end for plane, gone, back in self.down)

    def _sample(self) -> None:
        while not self._stop.wait(0.2):
            for number, service in enumerate(self.stack.dataplanes[:PLANES]):
                try:
                    found = psutil.Process(service.pid).memory_info()
                    # Without the journal's segment, a mapped file that fills and is replaced by an empty one.
                    self.memory[number].append((found.rss - found.shared) / MEBIBYTE)
                except psutil.Error:
                    continue  # killed

    def counted(self) -> dict[str, int]:
        """Whole requests at each provider; under `strange` those over a certificate that is not in order, under
        `crossed` those that were under way when a provider sent an answer that nobody had asked for.
        """
        shown = http("GET", f"http://127.0.0.1:{self.hostile.ports[COUNTS]}/")[2]
        by_model = self.stack.simulate("GET", "counts")["by_model"]
        good = {"simulator": sum(sums["received"] for sums in by_model.values())}
        return {**shown.pop("requests"), **good, **shown}

    def stop(self) -> None:
        """Ends everything."""
        self._stop.set()
        if self._sampler.is_alive():
            self._sampler.join()
        if hasattr(self, "hostile"):
            self.hostile.kill()
        self.stack.stop()


_KEY = {"name": "main", "api_key": "sk-hostile-provider"}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Started."""
    made = Fleet(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()


async def load(fleet: Fleet) -> list[Seen]:
    """Steady requests of all sorts, while one half of the data planes is killed, and later the other."""
    stack = fleet.stack

    def kills() -> None:
        time.sleep(SECONDS / 4)
        fleet.kill((0, 1))
        time.sleep(SECONDS / 4)
        fleet.kill((2, 3))

    urls = [stack.base_url(number) for number in range(PLANES)]
    async with SteadfastClients(urls, stack.key) as clients:
        killing = asyncio.ensure_future(asyncio.to_thread(kills))
        try:
            return await paced(
                round(SECONDS * RATE),
                SECONDS,
                lambda n: clients.ask(n, MESSAGES if n % 3 == 0 else CHAT, streamed=n // 4 % 2 == 0, model="many"),
                most_open=200,
            )
        finally:
            await killing


def excused(fleet: Fleet, seen: Seen) -> bool:
    """Whether a failure was one that cannot be hidden: a stream that had begun, of a killed process or a broken one."""
    if not seen.streamed:
        return False
    if seen.outcome == ERROR_EVENT:
        return seen.provider in BREAKS_LATE and b"w0" in seen.text
    return seen.outcome == CUT and fleet.was_down(seen.plane, seen.began, seen.ended)


@pytest.mark.chaos
@pytest.mark.timeout(int(SECONDS) + 90)
def test_clients_do_not_notice_harmful_providers(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    answers = asyncio.run(load(fleet))
    stack, ended = fleet.stack, time.monotonic()
    until(lambda: rows_of(stack) >= sum(each.outcome == OK for each in answers), 20, "the rows of the answers")
    until(lambda: not outstanding(stack), 20, "nothing reserved any more")
    time.sleep(1.5)  # what is not to come has time to come
    counted, booked = fleet.counted(), attempts(stack)
    failed = [each for each in answers if each.outcome != OK and not excused(fleet, each)]
    settled = [samples[-1] for samples in fleet.memory.values()]
    most = [max(samples) for samples in fleet.memory.values()]
    with capsys.disabled():
        print(f"\n{len(answers)} requests in {SECONDS:.0f} s: {dict(Counter(each.outcome for each in answers))}")
        print(f"not excused: {Counter((each.outcome, each.provider, each.streamed) for each in failed)}")
        print(f"sent again after a kill: {sum(len(each.broken) for each in answers)}; calls {counted}")
        print(f"the books agreed {time.monotonic() - ended:.1f} s after the last answer")
        print(f"memory (MiB) at most {[round(n) for n in most]}, at the end {[round(n) for n in settled]}")
    assert len(failed) <= (1 - SUCCESS) * len(answers), failed[:5]
    assert sum(POISON.encode() in each.text for each in answers) <= counted["crossed"], "an idle connection's answer"
    broken = [(each.began, one) for each in answers for one in each.broken]
    unexplained = [one for began, one in broken if not fleet.was_down(one.plane, began, one.at)]
    assert not unexplained, ("a data plane that was up left requests without an answer", fleet.down)
    assert broken, "the kills hit requests"
    assert fleet.down
    assert not {kind for kind in CHOSEN if kind != TLS_JUNK and not counted.get(kind)}, "all of them were called"
    assert counted["strange"] == 0, "a request left for a provider whose certificate is not in order"
    one_row_for_each_request(stack, answers)
    attempts_are_calls(booked, counted)
    assert stack.api("GET", "ledger:verify")["clean"]
    assert max(settled) < SETTLED_MIB
    assert max(most) < MOST_MIB


def one_row_for_each_request(stack: Stack, answers: list[Seen]) -> None:
    """Every answered sending is one row; one that a kill left without an answer is one at most; nothing else is."""
    rows = Counter(
        str(row[0]) for row in stack.sql("SELECT client_request_id FROM ledger_requests WHERE model = 'many'")
    )
    assert not [name for name, count in rows.items() if count != 1]
    answered = {each.sent[-1] for each in answers if each.outcome == OK or each.text}
    assert not answered - rows.keys(), "answered and not booked"
    assert not rows.keys() - {name for each in answers for name in each.sent}


def attempts(stack: Stack) -> dict[str, Counter[str]]:
    """By provider, how its attempts ended: `ok`, `lost`, or the error's code."""
    rows = stack.sql(
        "SELECT provider, coalesce(error_code, outcome), count(*) FROM ledger_attempts"
        " WHERE kind = 'attempt' GROUP BY 1, 2"
    )
    found: dict[str, Counter[str]] = {}
    for provider, ended, count in rows:
        name = "simulator" if provider in (*GOOD, "sim") else str(provider)
        found.setdefault(name, Counter())[str(ended)] += int(count)
    return found


def attempts_are_calls(booked: dict[str, Counter[str]], counted: dict[str, int]) -> None:
    """A counted call is an attempt; an attempt that no provider counted was lost, or cut before it was read."""
    for provider, ended in booked.items():
        calls, total = counted.get(provider, 0), ended.total()
        unread = ended["lost"] + ended["client_closed"] + ended["provider_unavailable"]
        assert calls <= total <= calls + unread, (provider, calls, ended)
    assert not {name for name, calls in counted.items() if calls} - {*booked, *NOT_CALLS}


def rows_of(stack: Stack) -> int:
    """Requests in the ledger."""
    return int(stack.sql("SELECT count(*) FROM ledger_requests")[0][0])


def outstanding(stack: Stack) -> int:
    """What processes still hold of budgets, in nano-dollars."""
    store = Redis.from_url(stack.valkey.url)
    found: Any = store.hget("tw:{o:default}:life", "e")
    keys = store.scan_iter(f"tw:{{o:default}}:{(found or b'').decode()}:a:b*")
    return sum(int(store.hget(key, "o") or 0) for key in keys)
