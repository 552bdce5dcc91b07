"""A node that is lost, for tests: a data plane as a process of its own, beside others that go on.

It reaches no control plane, so that what it finishes stays in its journal and in its copy.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tollway.core.catalog import ProviderKind
from tollway.dataplane.stores.redis_copies import HOLDERS, stream_key
from tollway.testkit.fleet import MODEL, TOKENS, budget
from tollway.testkit.ledger_server import LedgerServer
from tollway.testkit.lone_dataplane import PRICE, LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.simulator import SimulatorServer

POOL = "tw:{o:default}:*:a:b1:*"
VICTIM = """
import asyncio, json, sys
from pathlib import Path
from tollway.core.catalog import ProviderKind
from tollway.core.pricing import Price
from tollway.testkit.fleet import COST, MODEL, TOKENS, budget
from tollway.testkit.lone_dataplane import LoneDataPlane

async def main(folder, valkey, simulator, fleet_key):
    plane = LoneDataPlane(Path(folder), valkey, lost_node_seconds=900)
    plane._fleet_key = bytes.fromhex(fleet_key)
    plane.rules["project:p1"] = budget("b1", "project", 5)
    plane.add_provider("sim", ProviderKind.SIMULATOR, simulator)
    price = Price(version="v", input=0, output=COST // TOKENS * 1_000_000)
    plane.add_model(MODEL, ("sim", f"sim-fast/tokens={TOKENS}"), price=price)
    plane.add_model("slow", ("sim", f"sim-fast/tokens={TOKENS},rate=2"), price=price)
    async with plane:
        print("ready", plane.base_url, plane.key, plane.process.journal.folder.name, flush=True)
        await asyncio.sleep(60)

asyncio.run(main(*sys.argv[1:]))
"""


def plane_of(
    folder: Path, store: ValkeyServer, simulator: SimulatorServer, ledger: LedgerServer, **settings: object
) -> LoneDataPlane:
    """A data plane that ships into the ledger, with the models of the victim."""
    plane = LoneDataPlane(folder, store.url, control_grpc=ledger.address, **settings)
    plane.rules["project:p1"] = budget("b1", "project", 5)
    plane.add_provider("sim", ProviderKind.SIMULATOR, simulator.openai_url)
    plane.add_model("m", ("sim", "sim-fast"), price=PRICE)
    return plane


async def until(done: Callable[[], bool], seconds: float = 10) -> None:
    """Returns once it is so."""
    async with asyncio.timeout(seconds):
        while not done():
            await asyncio.sleep(0.02)


async def arrived(ledger: LedgerServer, count: int) -> list[tuple[str, str]]:
    """The ledger's rows, once there are as many."""
    async with asyncio.timeout(10):
        while len(found := await ledger.rows()) < count:
            await asyncio.sleep(0.05)
    return found


async def first_row(plane: LoneDataPlane, ledger: LedgerServer) -> str:
    """A request's row: from then on the pool of its budget is known."""
    assert (await plane.chat(max_tokens=TOKENS)).status == 200
    ((name, _),) = await arrived(ledger, 1)
    return name


def entries(store: ValkeyServer, plane: LoneDataPlane) -> int:
    """Of a plane's stream."""
    return int(store.command("XLEN", stream_key(plane.process.copies.holder)))


def holders(store: ValkeyServer) -> set[str]:
    """Who has a copy, or could have one."""
    return {name.decode() for name in store.command("ZRANGE", HOLDERS, 0, -1)}


@dataclass
class Victim:
    """A data plane as a process of its own that reaches no control plane; `pool` is what it has of the budget."""

    base_url: str
    key: str
    holder: str
    process: asyncio.subprocess.Process
    folder: Path
    store: ValkeyServer

    async def chat(self, client: aiohttp.ClientSession, model: str, *, stream: bool = False) -> aiohttp.ClientResponse:
        """A chat."""
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": TOKENS, "stream": stream}
        headers = {"Authorization": f"Bearer {self.key}"}
        return await client.post(f"{self.base_url}/chat/completions", json=body, headers=headers)

    def pool(self) -> tuple[int, int, int, int]:
        """Spent and held of the budget: by all, and by this process."""
        (key,) = self.store.command("KEYS", POOL)
        found = self.store.command("HMGET", key, "s", "o", f"p:{self.holder}", f"o:{self.holder}")
        spent, held, told, mine = (int(value or 0) for value in found)
        return spent, held, told, mine

    async def spend(self, client: aiohttp.ClientSession, count: int) -> aiohttp.ClientResponse:
        """Requests that end and are copied, and a stream that goes on."""
        done = 0
        while done < count:
            async with asyncio.timeout(10), await self.chat(client, MODEL) as answer:
                done += answer.status == 200
                assert answer.status in (200, 503), await answer.text()  # it has just started
        stream = await self.chat(client, "slow", stream=True)
        assert stream.status == 200
        await until(lambda: int(self.store.command("XLEN", stream_key(self.holder))) > 0)
        # Every row is copied, and the pool knows what is spent.
        await asyncio.sleep(1.2)
        return stream

    async def kill(self) -> None:
        """SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


@asynccontextmanager
async def victim_beside(plane: LoneDataPlane, folder: Path, simulator: SimulatorServer) -> AsyncIterator[Victim]:
    """A victim with the fleet key and the Valkey of a plane."""
    store = ValkeyServer(folder)
    store.port = int(plane._redis_url.rpartition(":")[2].partition("/")[0])
    arguments = [str(folder), plane._redis_url, simulator.openai_url, plane._fleet_key.hex()]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", VICTIM, *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while not (line := (await process.stdout.readline()).decode()).startswith("ready "):
                assert line
        _ready, base_url, key, holder = line.split()
        yield Victim(base_url, key, holder, process, folder, store)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
