"""Asks providers whose targets are left alone whether they are back, so that no client has to find out.

Owns the pace. A probe lists the provider's models: nothing is billed, nothing of a client is sent. An answer only makes
the breaker half-open: whether the target serves, real calls tell. Every process asks for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp

from tollway.core.catalog import Credential, Provider
from tollway.core.errors import TollwayError
from tollway.core.netguard import Guard, url_refusal
from tollway.core.routing.breaker import State
from tollway.dataplane.providers.port import USER_AGENT
from tollway.dataplane.providers.registry import Registry
from tollway.dataplane.routing.router import Router
from tollway.dataplane.upstream.aiohttp_client import GuardedResolver
from tollway.runtime.tasks import Tasks

LOOK_SECONDS = 0.5
"""How often it is looked for targets to ask about."""
TIMEOUT_SECONDS = 5.0
LEAST_SECONDS = 1.0
"""No provider is asked more often, whatever is configured."""
MOST_AT_ONCE = 8
TASK = "probe"
Resolve = Callable[[Credential], Awaitable[Credential]]


class Get(Protocol):
    """A GET whose answer's status is all that matters."""

    async def __call__(self, url: str, headers: dict[str, str]) -> int:
        """The status. Raises OSError or TimeoutError when there is no answer."""


class HttpGet:
    """A `Get` over a connection of its own for each call, to addresses that the guard allows."""

    async def __call__(self, url: str, headers: dict[str, str]) -> int:
        """As `Get`: no redirects, no body."""
        refusal = url_refusal(url, Guard.OPERATOR)
        if refusal is not None:
            raise OSError(None, refusal)
        connector = aiohttp.TCPConnector(resolver=GuardedResolver(), force_close=True)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get(url, headers=headers, allow_redirects=False) as response,
            ):
                return response.status
        except aiohttp.ClientError as error:
            raise OSError(None, type(error).__name__) from error


class Probes:
    """The probes of one process. `resolve` turns a credential into what is sent."""

    def __init__(
        self, router: Router, registry: Registry, get: Get, resolve: Resolve, now: Callable[[], float]
    ) -> None:
        self._router = router
        self._registry = registry
        self._get = get
        self._resolve = resolve
        self._now = now
        self._next: dict[str, float] = {}
        self._asking: set[str] = set()

    def start(self, tasks: Tasks) -> None:
        """Looks for the life of the process."""

        async def look() -> None:
            while True:
                for provider in self.due():
                    tasks.spawn(self.ask(provider), TASK)
                await asyncio.sleep(LOOK_SECONDS)

        tasks.keep(look, "probes")

    def due(self) -> list[Provider]:
        """The providers to ask now: a target of theirs is open, and the last question is long enough ago."""
        now = self._now()
        found: dict[str, Provider] = {}
        for target in self._router.targets():
            provider = target.provider
            if target.breaker.state is State.OPEN and provider.probe_seconds > 0 and provider.id not in self._asking:
                # The first time, the pause is waited for too: what has just failed is not asked at once.
                due = self._next.setdefault(
                    provider.id, target.breaker.opened_at + max(provider.probe_seconds, LEAST_SECONDS)
                )
                if now >= due:
                    found[provider.id] = provider
        self._next = {name: due for name, due in self._next.items() if due > now or name in found}
        return list(found.values())[: max(MOST_AT_ONCE - len(self._asking), 0)]

    async def ask(self, provider: Provider) -> bool:
        """Asks one provider; True when it answers. Its open targets are then tried by the next calls."""
        self._asking.add(provider.id)
        try:
            answered = await self._answers(provider)
        finally:
            self._asking.discard(provider.id)
            self._next[provider.id] = self._now() + max(provider.probe_seconds, LEAST_SECONDS)
        if answered:
            for target in self._router.targets():
                if target.provider.id == provider.id:
                    target.breaker.half_open()
        return answered

    async def _answers(self, provider: Provider) -> bool:
        adapter = self._registry[provider.kind]
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                credential = await self._resolve(provider.credentials[0]) if provider.credentials else None
                headers = adapter.authorization(credential) | {"user-agent": USER_AGENT, "accept": "application/json"}
                status = await self._get(adapter.models_url(provider), headers)
        except (OSError, TimeoutError, TollwayError):
            return False
        return status < 500 and status != 429
