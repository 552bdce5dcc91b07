"""What one data plane keeps in memory after the same work again and again: not one object more for each request.

It runs in this process, where the garbage collector can be asked; what it ships is taken and forgotten.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tollway.core.catalog import ProviderKind
from tollway.core.rules import Budget, Limit, Measure, Rules
from tollway.testkit.forgetful_control import ForgetfulControl
from tollway.testkit.load import HANG_UP, Clients
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.simulator import SimulatorServer

REQUESTS = 200
WARM_UP, ROUNDS = 2, 5
KEYS = 40
LEAK = 5
"""A type of which each round adds as many leaks: ten requests of a round leave by the rarest way out. What rises once
and then stays is a cache that came to its size."""
CONTAINERS = frozenset({dict, list, set, deque, OrderedDict, defaultdict})
MEBIBYTE = 1 << 20
SPOOL_BYTES, MEMORY_BYTES = 8 * MEBIBYTE, 6 * MEBIBYTE
HOUR = 3600


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorServer]:
    """A simulator of our own, which may say in its log that clients left."""
    server = SimulatorServer(tmp_path_factory.mktemp("simulator")).start()
    yield server
    server.service.kill()


@pytest.fixture
async def control() -> AsyncIterator[ForgetfulControl]:
    async with ForgetfulControl() as service:
        yield service
        assert service.defects == []


@pytest.fixture
async def plane(
    tmp_path: Path, valkey: ValkeyServer, upstream: SimulatorServer, control: ForgetfulControl
) -> AsyncIterator[LoneDataPlane]:
    """Budgets at three levels, a limit of each kind, whole bodies, and small queues for them."""
    valkey.flush()
    plane = LoneDataPlane(
        tmp_path / "data",
        valkey.url,
        control_grpc=control.address,
        bodies_spool_bytes=SPOOL_BYTES,
        bodies_memory_bytes=MEMORY_BYTES,
    )
    plane.add_provider("sim", ProviderKind.SIMULATOR, upstream.openai_url)
    plane.add_model("m", ("sim", "sim-fast"))
    plane.add_model("slow", ("sim", "sim-fast/rate=500,tokens=200"))
    plane.rules["organisation:default"] = Rules(budget=budget("b-o", "organisation"))
    plane.rules["project:p1"] = Rules(
        budget=budget("b-p", "project"),
        limits=(limit("l-r", Measure.REQUESTS), limit("l-t", Measure.TOKENS), limit("l-c", Measure.CONCURRENT)),
    )
    for number in range(KEYS):
        rules = Rules(budget=budget(f"b-{number}", "key"), limits=(limit(f"l-{number}", Measure.REQUESTS),))
        plane.keys[str(number)] = plane.add_key(rules=rules)
    plane.keys["poor"] = plane.add_key(rules=Rules(budget=budget("b-poor", "key", 0)))
    async with plane:
        control.replicas = (plane.process.replica,)
        yield plane


def budget(identifier: str, scope: str, limit_nano: int = 1 << 50) -> Budget:
    """A hard budget."""
    return Budget(id=identifier, scope=scope, subject="shown", limit_nano=limit_nano)


def limit(identifier: str, measure: Measure) -> Limit:
    """A limit that is not reached."""
    window = 0 if measure is Measure.CONCURRENT else HOUR
    return Limit(
        id=identifier, scope="project", subject="p1", measure=measure, amount=1_000_000_000, window_seconds=window
    )


async def one(plane: LoneDataPlane, clients: Clients, number: int) -> str:
    """One request of a round; each kind of way out is among them."""
    key = plane.keys[str(number % KEYS)]
    match number % 20:
        case 3:
            sent = await clients.chat("sk-tw-unknown", model="m")
        case 5:
            sent = await clients.chat(plane.keys["poor"], model="m", max_tokens=50)
        case 7:
            sent = await clients.chat(key, model="no-such-model")
        case 9 | 11:
            sent = await clients.chat(key, model="slow", max_tokens=300, stream=True, hang_up=True)
        case 13:
            content = {"messages": [{"role": "user", "content": "x" * MEBIBYTE}], "model": "m", "max_tokens": 50}
            sent = await clients.post("/chat/completions", key, json.dumps(content).encode())
        case 15:
            sent = await clients.post("/chat/completions", key, b'{"model": "m", "messages": ')
        case _:
            sent = await clients.chat(key, model="m", max_tokens=50, stream=bool(number % 2))
    return sent.outcome


async def work(plane: LoneDataPlane) -> Counter[str]:
    """A round, after which nothing is under way or waiting."""
    outcomes: Counter[str] = Counter()
    async with Clients([plane.base_url]) as clients:
        for start in range(0, REQUESTS, 20):
            outcomes.update(await asyncio.gather(*(one(plane, clients, n) for n in range(start, start + 20))))
    await quiet(plane)
    return outcomes


async def quiet(plane: LoneDataPlane) -> None:
    """Waits until all was settled, written and shipped."""
    process = plane.process
    async with asyncio.timeout(15):
        while (
            process.routes.in_flight
            or process.journal.unshipped(1)[0]
            or not process.bodies.writer.idle
            or process.bodies.spool.backlog_bytes
        ):
            await asyncio.sleep(0.05)
    await asyncio.sleep(1.2)  # the metrics were handed over, and closed connections are gone


def objects() -> Counter[str]:
    """How many objects of each type are alive, and how many entries containers have.

    The collector does not list texts and numbers, nor containers of nothing else; it lists what refers to these.
    """
    gc.collect()
    found: Counter[str] = Counter()
    alive = gc.get_objects()
    aside = {id(held): held for each in alive for held in gc.get_referents(each) if not gc.is_tracked(held)}
    for each in (*alive, *aside.values()):
        kind = type(each)
        if kind in CONTAINERS and each is not aside and each is not alive:
            found[f"entries of {kind.__qualname__}"] += len(each)
    found.update(f"{type(each).__module__}.{type(each).__qualname__}" for each in alive)
    return found


@pytest.mark.chaos
async def test_the_same_work_again_leaves_no_more_objects(
    plane: LoneDataPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    gc.unfreeze()  # the process had set aside what is alive from its beginning
    counts = []
    for number in range(WARM_UP + ROUNDS):
        outcomes = await work(plane)
        assert outcomes == {"200": 140, "400": 10, "401": 10, "404": 10, "429": 10, HANG_UP: 20}
        if number >= WARM_UP:
            counts.append(objects())
    grown = {
        name: [found[name] for found in counts]
        for name in counts[-1]
        if min(after[name] - before[name] for before, after in pairwise(counts)) >= LEAK
    }
    totals = [sum(number for name, number in found.items() if " " not in name) for found in counts]
    with capsys.disabled():
        print("\nobjects after each round:", ", ".join(f"{total:,}" for total in totals))
    assert grown == {}, "objects of a type after each round"
    assert min(after - before for before, after in pairwise(totals)) < LEAK
    assert plane.process.admission.counters("default").outstanding() == 0


@pytest.mark.chaos
async def test_queues_are_bounded_while_nobody_takes_what_they_hold(
    plane: LoneDataPlane, control: ForgetfulControl
) -> None:
    """Bodies beyond the bounds are dropped and counted; requests go on, and no row of the ledger is lost."""
    log = plane.process.bodies
    body = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": ""}]}
    most_held = most_disk = 0
    async with Clients([plane.base_url]) as clients:
        for number in range(12):  # so that budgets and limits are known before
            assert (await clients.chat(plane.keys[str(number)], model="m", max_tokens=50)).admitted
        await quiet(plane)
        control.away = True
        for number in range(10):
            content = "".join(chr(33 + (n * n * 7919 + number) % 90) for n in range(300_000)) * 3
            sent = json.dumps({**body, "messages": [{"role": "user", "content": content}]}).encode()
            answers = await asyncio.gather(
                *(clients.post("/chat/completions", plane.keys[str(n)], sent) for n in range(12))
            )
            assert {answer.outcome for answer in answers} == {"200"}
            most_held = max(most_held, log.memory.held)
            most_disk = max(most_disk, log.spool.disk_bytes)
    assert 0 < most_held <= MEMORY_BYTES
    assert most_disk <= SPOOL_BYTES
    assert log.counts.dropped > 0
    assert len(plane.rows()) == 120
    control.away = False
    await quiet(plane)
    assert control.rows == 132
    assert control.bodies + log.counts.dropped == 132
    assert control.dropped == log.counts.dropped
    assert log.memory.held == 0
