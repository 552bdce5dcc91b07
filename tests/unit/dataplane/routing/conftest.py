"""A router over a catalog of one model with some targets, and calls on it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tollway.core.catalog import Catalog, Credential, Model, Provider, ProviderKind, Target
from tollway.core.errors import TollwayError
from tollway.core.pricing import Price
from tollway.dataplane.config.holder import Candidate, Route, Routes
from tollway.dataplane.routing.credentials import Cooling
from tollway.dataplane.routing.router import Choice, Router
from tollway.dataplane.routing.tickets import Ended, Ticket
from tollway.testkit.fakes.clock import FakeClock

PRICE = Price(version="v", input=10, output=20)


class Bench:
    """A router, its clock, and the route of the model `chat`. Targets are the providers `p0`, `p1`, ..."""

    def __init__(
        self,
        targets: int = 2,
        *,
        keys: Sequence[Credential] = (Credential(id="k", name="k", api_key="s"),),
        models: Sequence[Model] = (),
        kind: ProviderKind = ProviderKind.OPENAI,
        probe_seconds: float = 0.0,
        base_url: str = "https://x",
        **model: Any,
    ) -> None:
        self.clock = FakeClock()
        self.providers = {
            f"p{i}": Provider(
                id=f"p{i}",
                name=f"n{i}",
                kind=kind,
                base_url=base_url,
                credentials=tuple(keys),
                probe_seconds=probe_seconds,
            )
            for i in range(targets)
        }
        targets_of = tuple(Target(provider=name, model="m") for name in self.providers)
        chat = Model(**{"id": "1", "name": "chat", "targets": targets_of, "price": PRICE, **model})
        catalog = Catalog(epoch="e", version=1, providers=self.providers, models={m.name: m for m in (chat, *models)})
        self.routes = Routes(catalog)
        self.router = Router(self.clock.monotonic, random.Random(1).random)
        self.router.prepare(self.routes)
        found = self.routes.find("chat")
        assert found is not None
        self.route: Route = found

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    def order(self, key: int | None = None) -> list[Candidate]:
        return self.router.order(self.route, self.route.candidates, key, self.now)

    def names(self, key: int | None = None) -> list[str]:
        return [candidate.provider.id for candidate in self.order(key)]

    def pick(self, tokens: int = 10) -> Choice | Cooling:
        return self.router.pick(self.route, self.order(), tokens, self.now)

    def choice(self, tokens: int = 10) -> Choice:
        choice = self.pick(tokens)
        assert isinstance(choice, Choice)
        return choice

    def begin(self, at: str | None = None, tokens: int = 10) -> Ticket:
        choice = self.choice(tokens)
        if at is not None:
            candidate = next(c for c in self.route.candidates if c.provider.id == at)
            credential = self.router.credential(candidate, tokens, self.now)
            assert not isinstance(credential, Cooling)
            choice = Choice(candidate, credential)
        return self.router.begin(self.route, choice, tokens, self.now)

    def call(self, at: str, outcome: Ended | TollwayError = Ended.OK, seconds: float = 0.1) -> None:
        """A whole call to a target."""
        ticket = self.begin(at)
        self.clock.advance(seconds)
        if outcome is Ended.OK:
            ticket.first_byte(self.now)
        ticket.end(self.now, outcome)


@pytest.fixture
def bench() -> Callable[..., Bench]:
    """Makes a `Bench`; arguments as for its class."""
    return Bench
