"""The catalog in force, prepared for look-ups and swapped in one assignment.

A `Routes` is built once for each catalog; requests that began under an old one finish under it.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tollway.core.catalog import (
    FREE_KINDS,
    Capabilities,
    Catalog,
    Credential,
    Model,
    Project,
    Provider,
    Target,
    glob_match,
)
from tollway.core.operations import Operation
from tollway.core.pricing import FREE, Price
from tollway.dataplane.endpoints.port import Target as Served

ALLOW_CACHE_LIMIT = 10_000


class Candidate(msgspec.Struct, frozen=True):
    """One place that can serve a model: the provider, its own name for the model, and the credential to use.

    `served` remembers in which form it serves a call; None: not at all.
    """

    provider: Provider
    model: str
    credentials: tuple[Credential, ...]
    weight: int
    priority: int
    served: dict[Operation, Served | None] = {}


class Route(msgspec.Struct, frozen=True):
    """A model name as clients use it, with where it goes and what it costs."""

    name: str
    model: Model | None
    candidates: tuple[Candidate, ...]
    price: Price | None
    also: tuple[str, ...] = ()
    """Models of the catalog that have the same target, where a provider's model is asked for directly."""


class Routes:
    """Look-ups over one catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._routes: dict[str, Route] = {}
        self._allowed: dict[tuple[tuple[str, ...], tuple[str, ...], str], bool] = {}
        self._by_provider_name = {provider.name: provider for provider in catalog.providers.values()}
        self._prices: dict[tuple[str, str], Price] = {}
        self._models_at: dict[tuple[str, str], tuple[str, ...]] = {}
        for model in catalog.models.values():
            route = Route(model.name, model, self._candidates(model.targets), model.price)
            for name in (model.name, *model.aliases):
                self._routes[name] = route
            for target in model.targets:
                place = (target.provider, target.model)
                self._models_at[place] = (*self._models_at.get(place, ()), model.name)
                if model.price is not None:
                    self._prices.setdefault((target.provider, target.model), model.price)

    def _candidates(self, targets: tuple[Target, ...]) -> tuple[Candidate, ...]:
        found = []
        for target in targets:
            provider = self.catalog.providers.get(target.provider)
            if provider is not None and target.weight > 0:
                found.append(Candidate(provider, target.model, provider.credentials, target.weight, target.priority))
        return tuple(found)

    def project(self, project_id: str) -> Project | None:
        """A live project, or None when it is unknown or archived."""
        return self.catalog.projects.get(project_id)

    def find(self, name: str) -> Route | None:
        """The route of a model name, an alias, or `provider/model`; None when nothing answers to that name."""
        route = self._routes.get(name)
        if route is not None:
            return route
        provider_name, slash, model = name.partition("/")
        provider = self._by_provider_name.get(provider_name)
        if not slash or not model or provider is None:
            return None
        candidates = self._candidates((Target(provider=provider.id, model=model),))
        price = self._prices.get((provider.id, model)) or (FREE if provider.kind in FREE_KINDS else None)
        return Route(name, None, candidates, price, self._models_at.get((provider.id, model), ()))

    def allowed(self, project: tuple[str, ...], key: tuple[str, ...], name: str) -> bool:
        """Whether both allow-lists have a glob that matches the name."""
        question = (project, key, name)
        answer = self._allowed.get(question)
        if answer is None:
            answer = any(glob_match(g, name) for g in project) and any(glob_match(g, name) for g in key)
            if len(self._allowed) >= ALLOW_CACHE_LIMIT:
                self._allowed.clear()
            self._allowed[question] = answer
        return answer

    def models(self) -> list[Model]:
        """Every model, in the order of its name."""
        return [self.catalog.models[name] for name in sorted(self.catalog.models)]


def capabilities(route: Route) -> Capabilities:
    """What the model behind a route can do; defaults where it is not configured."""
    return route.model.capabilities if route.model is not None else Capabilities()


class CatalogHolder:
    """Holds the `Routes` in force; `routes` is None until the first catalog arrived."""

    def __init__(self) -> None:
        self.routes: Routes | None = None
        self._listeners: list[Callable[[Routes], None]] = []

    def on_swap(self, listener: Callable[[Routes], None]) -> None:
        """Calls `listener` after each swap."""
        self._listeners.append(listener)

    def swap(self, catalog: Catalog) -> bool:
        """Puts a catalog in force. False when the present one is as new: older never replaces newer."""
        current = self.routes.catalog if self.routes is not None else None
        if current is not None and current.epoch == catalog.epoch and current.version >= catalog.version:
            return False
        self.routes = Routes(catalog)
        for listener in self._listeners:
            listener(self.routes)
        return True
