"""Several data planes over one Valkey, one simulator and one ledger, in this event loop: for budgets and limits."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tollway.core.catalog import ProviderKind, Retries
from tollway.core.money import NANO_PER_DOLLAR
from tollway.core.pricing import Price
from tollway.core.rules import Budget, Limit, Measure, Rules
from tollway.testkit.balance_service import BalanceService
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.simulator import SimulatorServer

COST = NANO_PER_DOLLAR // 10
"""Of a request for the model `ten-cents`, to the nano-dollar."""
TOKENS = 50
MODEL = "ten-cents"


class Answer(NamedTuple):
    """What a client got. `code` is the error's, empty when there was none."""

    status: int
    code: str
    headers: dict[str, str]
    body: str
    seconds: float

    @property
    def error(self) -> dict[str, Any]:
        """The error object."""
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found


class Fleet:
    """`planes` data planes with the project `p1`. Set `rules` before entering; `ask` sends requests in turn."""

    def __init__(
        self,
        folder: Path,
        valkey: ValkeyServer,
        simulator: SimulatorServer,
        planes: int = 3,
        redis_url: str | None = None,
    ) -> None:
        self.valkey = valkey
        self.simulator = simulator
        self.ledger = BalanceService()
        self._folder = folder
        self._count = planes
        self._turn = 0
        self._opened = AsyncExitStack()
        self.first = LoneDataPlane(folder / "0", redis_url or valkey.url)
        self.rules = self.first.rules
        self.retries = Retries()
        """Of the model `ten-cents`."""
        self.planes: list[LoneDataPlane] = []

    async def __aenter__(self) -> Fleet:
        await self._opened.enter_async_context(self.ledger)
        first = self.first
        first._settings["control_grpc"] = self.ledger.address
        first.add_provider("sim", ProviderKind.SIMULATOR, self.simulator.openai_url)
        dear = Price(version="ten-cents@1", input=0, output=COST // TOKENS * 1_000_000)
        first.add_model(MODEL, ("sim", f"sim-fast/tokens={TOKENS}"), price=dear, retries=self.retries)
        first.add_model("slow", ("sim", f"sim-fast/tokens={TOKENS},rate=20"), price=dear)
        first.add_model("plain", ("sim", "sim-fast"))
        first.add_model("unpriced", ("sim", "sim-fast"), price=None)
        self.planes = [first, *(first.sibling(self._folder / str(n)) for n in range(1, self._count))]
        for plane in self.planes:
            await self._opened.enter_async_context(plane)
        self.ledger.replicas = [plane.process.replica for plane in self.planes]
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._opened.__aexit__(*error)

    async def ask(self, *, model: str = MODEL, stream: bool = False, plane: int | None = None, **more: Any) -> Answer:
        """One chat; its whole answer."""
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream, **more}
        if "max_tokens" not in more:
            body["max_tokens"] = TOKENS
        return await self.post("/chat/completions", body, plane=plane)

    async def post(self, path: str, body: Any, *, plane: int | None = None, key: str | None = None) -> Answer:
        """One POST to one of the planes, in turn when none is named."""
        self._turn += 1
        chosen = self.planes[(self._turn if plane is None else plane) % len(self.planes)]
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with chosen.client.post(chosen.base_url + path, json=body, headers=headers) as response:
            text = await response.text()
            code = response.headers.get("x-tollway-error-code", "")
            return Answer(response.status, code, dict(response.headers), text, loop.time() - began)

    async def burst(self, count: int, **more: Any) -> list[Answer]:
        """That many chats at once, every second one streamed."""
        return list(await asyncio.gather(*(self.ask(stream=bool(n % 2), **more) for n in range(count))))

    def publish(self, rules: dict[str, Rules]) -> None:
        """A catalog with other rules is in force on every plane."""
        for plane in self.planes:
            routes = plane.process.holder.routes
            assert routes is not None
            catalog = routes.catalog
            assert plane.process.holder.swap(msgspec.structs.replace(catalog, version=catalog.version + 1, rules=rules))

    async def rows_in_ledger(self, count: int, seconds: float = 5.0) -> None:
        """Waits until so many rows have come to the ledger."""
        async with asyncio.timeout(seconds):
            while len(self.ledger.rows) < count:
                await asyncio.sleep(0.05)

    def outstanding(self) -> int:
        """What all planes have reserved of budgets and concurrency, in units of each."""
        holdings = [
            holding
            for plane in self.planes
            for holding in plane.process.admission.counters("default").holdings.values()
        ]
        return sum(holding.account.reserved for holding in holdings)

    def spent(self) -> int:
        """What all planes have booked, in nano-dollars: rows that came to the ledger, and those in the journals."""
        rows = {row.id: row for plane in self.planes for row in plane.rows()}
        rows |= {identifier: row for identifier, (_, row) in self.ledger.rows.items()}
        return sum(attempt.cost_nano for row in rows.values() for attempt in row.attempts)


def budget(identifier: str, scope: str, dollars: float, **more: Any) -> Rules:
    """A hard budget for one subject."""
    return Rules(
        budget=Budget(id=identifier, scope=scope, subject="shown", limit_nano=round(dollars * NANO_PER_DOLLAR), **more)
    )


def limit(identifier: str, measure: Measure, amount: int, seconds: int = 60, **more: Any) -> Limit:
    """A limit of the project."""
    window = 0 if measure is Measure.CONCURRENT else seconds
    fields = {"scope": "project", "subject": "demo", **more}
    return Limit(id=identifier, measure=measure, amount=amount, window_seconds=window, **fields)
