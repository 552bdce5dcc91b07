"""A data plane in a thread of its own, so that synchronous clients can call it, in front of clever providers.

Each model is at another kind of provider; `MODELS` says which one answers it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tollway.core.catalog import ProviderKind, Retries
from tollway.core.ledger import RequestRow
from tollway.testkit.clever_provider import Clever
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.simulator import SimulatorServer
from tollway.testkit.upstream import Upstream

MODELS = {
    "gpt-4.1": ("openai", "gpt-4.1-2025-04-14"),
    "gpt-4.1-mini": ("openai", "gpt-4.1-mini-2025-04-14"),
    "open-large": ("compatible", "open-large-v1"),
    "open-small": ("compatible", "open-small-v1"),
    "sonnet": ("anthropic", "claude-sonnet-4-5-20250929"),
    "haiku": ("anthropic", "claude-haiku-4-5-20251001"),
    "3-7-sonnet": ("anthropic", "claude-3-7-sonnet-20250219"),
}
SIMULATED = {
    "sim": ("simulated", "sim-gpt"),
    "sim-azure": ("azure", "sim-azure"),
    "sim-claude": ("simulated-anthropic", "sim-claude"),
}
"""Name -> (provider, its name of the model), as providers put it in their answers; those of the simulator serve
the responses API natively, and Azure's paths."""


class CleverGateway:
    """Runs from `start` to `stop`. `clever` and `upstream` show what reached the providers."""

    def __init__(self, folder: Path, redis_url: str, simulator: SimulatorServer) -> None:
        self.simulator = simulator
        self._folder = folder
        self._redis_url = redis_url
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="gateway", daemon=True)
        self._failure: BaseException | None = None

    def start(self) -> CleverGateway:
        """Starts it and waits until it listens."""
        self._thread.start()
        assert self._ready.wait(20), "the gateway did not start"
        if self._failure is not None:
            raise self._failure
        return self

    def stop(self) -> None:
        """Ends it in order."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20)
        assert not self._thread.is_alive(), "the gateway did not stop"

    async def _main(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        try:
            self.clever = Clever()
            async with Upstream() as self.upstream:
                self.upstream.script = self.clever
                async with self._plane() as self.plane:
                    self._ready.set()
                    await self._over.wait()
        except BaseException as error:
            self._failure = error
            self._ready.set()
            raise

    def _plane(self) -> LoneDataPlane:
        plane = LoneDataPlane(self._folder, self._redis_url)
        plane.add_provider("openai", ProviderKind.OPENAI, self.upstream.url)
        plane.add_provider("compatible", ProviderKind.OPENAI_COMPATIBLE, self.upstream.url)
        plane.add_provider("anthropic", ProviderKind.ANTHROPIC, self.upstream.url.removesuffix("/v1"))
        plane.add_provider("simulated", ProviderKind.OPENAI, self.simulator.openai_url)
        plane.add_provider("simulated-anthropic", ProviderKind.ANTHROPIC, self.simulator.anthropic_url)
        plane.add_provider("azure", ProviderKind.AZURE_OPENAI, self.simulator.azure_url, api_version="2024-10-21")
        for name, target in {**MODELS, **SIMULATED}.items():
            plane.add_model(name, target, retries=Retries(attempts=0))
        plane.add_project("p2")
        self.other_key = plane.add_key(project="p2")
        return plane

    @property
    def base_url(self) -> str:
        """What OpenAI's clients take as base URL."""
        return self.plane.base_url

    @property
    def origin(self) -> str:
        """What Anthropic's clients take as base URL."""
        return self.plane.origin

    @property
    def key(self) -> str:
        """A key that may use every model."""
        return self.plane.key

    def sent(self) -> int:
        """How many requests have reached providers, less those that only count tokens and are booked nowhere."""
        asked = [request for request in self.upstream.requests if "count_tokens" not in request.path]
        return len(asked) + int(self.simulator.counts()["received"])

    def wait_rows(self, count: int, seconds: float = 5.0) -> Sequence[RequestRow]:
        """The ledger's rows, once there are as many."""
        deadline = time.monotonic() + seconds
        while len(found := self.plane.rows()) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(found) >= count, f"{len(found)} rows of {count}"
        return found
