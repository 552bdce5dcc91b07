"""Which targets can serve the request, in the order in which they are tried."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tollway.core.catalog import Credential, Strategy
from tollway.core.errors import Code, TollwayError
from tollway.dataplane.config.holder import Candidate, capabilities
from tollway.dataplane.endpoints.outgoing import target_of
from tollway.dataplane.endpoints.port import Target
from tollway.dataplane.pipeline.exchange import Exchange

# Spreads load; nothing secret depends on it.
_roll = random.random


def weighted_order(candidates: Sequence[Candidate], roll: Callable[[], float]) -> list[Candidate]:
    """A random order in which a candidate comes first with the probability of its weight's share."""
    # Efraimidis and Spirakis (2006), "Weighted random sampling with a reservoir": sort by u^(1/w).
    return sorted(candidates, key=lambda c: roll() ** (1.0 / c.weight), reverse=True)


def pick_credential(credentials: Sequence[Credential], roll: Callable[[], float]) -> Credential | None:
    """One of a provider's credentials by weight; None when it has none."""
    if len(credentials) <= 1:
        return credentials[0] if credentials else None
    point = roll() * sum(c.weight for c in credentials)
    for credential in credentials:
        point -= credential.weight
        if point < 0:
            return credential
    return credentials[-1]


def candidates(exchange: Exchange) -> None:
    """Orders the targets that can serve the call by the route's strategy: by weight, or by priority first."""
    route = exchange.route
    found = [candidate for candidate in route.candidates if target_for(exchange, candidate) is not None]
    if not found and route.candidates:
        raise TollwayError(
            Code.INVALID_REQUEST,
            f"The model '{route.name}' cannot be used with {exchange.endpoint.path}: no provider of it serves that.",
            param="model",
        )
    if not found:
        raise TollwayError(
            Code.PROVIDER_UNAVAILABLE,
            f"The model '{route.name}' has no provider at the moment.",
            operator_note="no target with a live provider and a weight above 0",
        )
    if len(found) == 1:
        exchange.candidates = [found[0]]
        return
    ordered = weighted_order(found, _roll)
    if route.model is not None and route.model.strategy is Strategy.PRIORITY:
        ordered.sort(key=lambda candidate: candidate.priority)
    exchange.candidates = ordered


def target_for(exchange: Exchange, candidate: Candidate) -> Target | None:
    """How the candidate serves this call; None: not at all. Worked out once for each catalog."""
    operation = exchange.endpoint.operation
    served = candidate.served
    if operation in served:
        return served[operation]
    adapter = exchange.services.providers[candidate.provider.kind]
    most = capabilities(exchange.route).max_output_tokens
    target = served[operation] = target_of(adapter, operation, candidate.provider, candidate.model, most)
    return target


def credential_for(candidate: Candidate) -> Credential | None:
    """The credential to use for one call to a candidate."""
    return pick_credential(candidate.credentials, _roll)
