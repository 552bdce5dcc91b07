"""The request log under pressure and through deaths: requests and ledger never suffer, and losses are counted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from tollway.core.catalog import ProviderKind
from tollway.core.requestlog import LoggedBody
from tollway.testkit.body_receiver import BodyReceiver
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.upstream import Upstream, completion, event, stream, whole, words

AT_ONCE = 60
"""Long answers that are under way together: many times what there is memory for."""
VICTIM = """
import asyncio, sys
from pathlib import Path
from tollway.core.catalog import ProviderKind
from tollway.testkit.lone_dataplane import LoneDataPlane

async def main(folder, valkey, upstream):
    plane = LoneDataPlane(Path(folder), valkey)
    plane.add_provider("up", ProviderKind.OPENAI_COMPATIBLE, upstream)
    plane.add_model("m", ("up", "up-model"))
    async with plane:
        print("ready", plane.base_url, plane.key, flush=True)
        await asyncio.sleep(60)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def receiver() -> AsyncIterator[BodyReceiver]:
    async with BodyReceiver() as server:
        yield server


def plane_of(folder: Path, valkey: ValkeyServer, upstream: Upstream, **settings: object) -> LoneDataPlane:
    """A data plane with the model `m`."""
    plane = LoneDataPlane(folder, valkey.url, **settings)
    plane.add_provider("up", ProviderKind.OPENAI_COMPATIBLE, upstream.url)
    plane.add_model("m", ("up", "up-model"))
    return plane


async def until(done: Callable[[], bool], seconds: float = 10) -> None:
    """Returns once it is so."""
    async with asyncio.timeout(seconds):
        while not done():
            await asyncio.sleep(0.01)


def answer_of(body: LoggedBody) -> str:
    """What the client got."""
    told = json.loads(body.content)
    return str(told["response"]["body"])


async def test_bodies_are_shipped_and_the_spool_is_emptied(
    tmp_path: Path, valkey: ValkeyServer, upstream: Upstream, receiver: BodyReceiver
) -> None:
    plane = plane_of(tmp_path / "data", valkey, upstream, control_grpc=receiver.address)
    async with plane:
        for _ in range(30):
            await plane.chat()
        await until(lambda: len(receiver.bodies) == 30)
        await until(lambda: plane.process.bodies.spool.backlog_bytes == 0)
        metrics = plane.process.metrics().decode()
        assert "tollway_bodies_captured_total 30.0" in metrics
        assert "tollway_bodies_shipped_total 30.0" in metrics
        assert 'tollway_bodies_dropped_total{reason="spool_full"} 0.0' in metrics
        assert "tollway_bodies_spool_bytes 0.0" in metrics
        assert {row.id for row in plane.rows()} == set(receiver.bodies)
    assert not list((tmp_path / "data" / "bodies").glob("*"))


async def test_while_the_control_plane_is_away_bodies_wait_and_nothing_else_does(
    tmp_path: Path, valkey: ValkeyServer, upstream: Upstream, receiver: BodyReceiver
) -> None:
    receiver.away = True
    plane = plane_of(tmp_path / "data", valkey, upstream, control_grpc=receiver.address)
    async with plane:
        for _ in range(10):
            assert (await plane.chat()).status == 200
        log = plane.process.bodies
        await until(lambda: log.writer.idle and log.shipper.oldest_ms is not None)
        assert receiver.bodies == {}
        assert log.levels().spool_bytes > 0
        assert log.levels().oldest_seconds > 0
        receiver.away = False
        await until(lambda: len(receiver.bodies) == 10)
        assert (log.counts.dropped, receiver.dropped) == (0, 0)


async def test_a_full_spool_drops_and_tells_while_requests_and_ledger_go_on(
    tmp_path: Path, valkey: ValkeyServer, upstream: Upstream, receiver: BodyReceiver
) -> None:
    receiver.away = True
    plane = plane_of(tmp_path / "data", valkey, upstream, control_grpc=receiver.address, bodies_spool_bytes=20_000)
    async with plane:
        for _ in range(60):
            said = [{"role": "user", "content": os.urandom(500).hex()}]  # it packs badly
            assert (await plane.chat(messages=said)).status == 200
        await until(lambda: plane.process.bodies.writer.idle)
        log = plane.process.bodies
        dropped = log.counts.by_reason()["spool_full"]
        assert 0 < dropped < 60
        assert log.spool.disk_bytes <= 20_000
        assert len(await plane.wait_rows(60)) == 60
        assert f'tollway_bodies_dropped_total{{reason="spool_full"}} {dropped}.0' in plane.process.metrics().decode()
        receiver.away = False
        await until(lambda: receiver.dropped == dropped)
        await until(lambda: len(receiver.bodies) == 60 - dropped)
        assert set(receiver.bodies) <= {row.id for row in plane.rows()}


async def test_after_sigkill_a_successor_ships_what_was_written(
    tmp_path: Path, valkey: ValkeyServer, upstream: Upstream, receiver: BodyReceiver
) -> None:
    folder = tmp_path / "data"
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", VICTIM, str(folder), valkey.url, upstream.url, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert victim.stdout is not None
        async with asyncio.timeout(30):
            while not (line := (await victim.stdout.readline()).decode()).startswith("ready "):
                assert line
        _ready, base_url, key = line.split()
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client:
            for number in range(20):
                upstream.script = stream(words(3)) if number % 2 else whole(completion(f"answer {number}"))
                body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": bool(number % 2)}
                async with client.post(f"{base_url}/chat/completions", json=body) as answer:
                    await answer.read()
        await asyncio.sleep(0.5)  # the writer works in rounds of 50 ms
    finally:
        victim.send_signal(signal.SIGKILL)
        await victim.wait()
    assert len(list((folder / "bodies").glob("*/*.bodies"))) == 1
    async with plane_of(folder, valkey, upstream, control_grpc=receiver.address):
        await until(lambda: len(receiver.bodies) == 20)
        await until(lambda: len(list((folder / "bodies").glob("*"))) == 1)
    found = [answer_of(body) for body in receiver.bodies.values()]
    assert sum("answer" in text for text in found) == 10
    assert sum("[DONE]" in text for text in found) == 10


async def test_memory_is_bounded_under_many_long_answers(
    tmp_path: Path, valkey: ValkeyServer, upstream: Upstream
) -> None:
    limit = 24 << 20
    piece = event({"content": "x" * 65_000})
    upstream.script = stream([piece] * 16 + words(1)[1:])
    plane = plane_of(tmp_path / "data", valkey, upstream, bodies_memory_bytes=limit)
    question = [{"role": "user", "content": "y" * 1_000_000}]
    async with plane:
        await plane.chat(model="nope")  # the key is known from here on: one loop is client, gateway and provider here
        log = plane.process.bodies
        highest = 0

        async def watch() -> None:
            nonlocal highest
            while True:
                highest = max(highest, log.memory.held)
                await asyncio.sleep(0)

        async def one() -> int:
            answer = await plane.chat(stream=True, messages=question)
            text = await answer.read()
            return answer.status if text.endswith(b"[DONE]\n\n") else 0

        async with aiohttp.ClientSession(
            headers=plane.client.headers, connector=aiohttp.TCPConnector(limit=0)
        ) as session:
            await plane.client.close()
            plane.client = session
            watcher = asyncio.ensure_future(watch())
            statuses = await asyncio.gather(*(one() for _ in range(AT_ONCE)))
            watcher.cancel()
        assert statuses == [200] * AT_ONCE
        await until(lambda: log.writer.idle)
        assert 1 << 20 < highest <= limit
        assert log.memory.held == 0
        dropped = log.counts.by_reason()["memory"]
        kept = sum(record.bodies for record in log.spool.batch(1 << 40, 1000).records)
        assert dropped + kept == AT_ONCE + 1
        assert dropped
        assert kept
        assert len(await plane.wait_rows(AT_ONCE)) == AT_ONCE


async def test_at_shutdown_bodies_are_shipped_within_a_bound_or_left_to_a_successor(
    tmp_path: Path, valkey: ValkeyServer, upstream: Upstream, receiver: BodyReceiver
) -> None:
    async with plane_of(tmp_path / "data", valkey, upstream, control_grpc=receiver.address) as plane:
        await plane.chat()
        await plane.process.bodies.close(5)
        assert len(receiver.bodies) == 1
    receiver.away = True
    async with plane_of(tmp_path / "data", valkey, upstream, control_grpc=receiver.address) as plane:
        await plane.chat()
        async with asyncio.timeout(3):
            await plane.process.bodies.close(0.5)
    assert len(list((tmp_path / "data" / "bodies").glob("*/*.bodies"))) == 1
