"""Which targets can serve the request, in the order in which they are tried."""

from __future__ import annotations

from tollway.core.catalog import Strategy
from tollway.core.errors import Code, TollwayError
from tollway.core.routing.affinity import affinity_key
from tollway.dataplane.config.holder import Candidate, Route, capabilities
from tollway.dataplane.endpoints.outgoing import target_of
from tollway.dataplane.endpoints.port import Target
from tollway.dataplane.pipeline.exchange import Exchange

SESSION = "x-tollway-session"


def candidates(exchange: Exchange) -> None:
    """Orders the targets that can serve the call by the model's strategy."""
    exchange.candidates = ordered(exchange, exchange.route)


def ordered(exchange: Exchange, route: Route) -> list[Candidate]:
    """The targets of a route that can serve the call, the one to try first in front. Raises TollwayError: none can."""
    found = [candidate for candidate in route.candidates if target_for(exchange, route, candidate) is not None]
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
    services = exchange.services
    key = None
    if len(found) > 1 and route.model is not None and route.model.strategy is Strategy.AFFINITY:
        session = exchange.request.headers.get(SESSION)
        key = affinity_key(route.model.affinity, exchange.principal.project.id, session, exchange.head.fields)
    return services.router.order(route, found, key, services.loop_time())


def target_for(exchange: Exchange, route: Route, candidate: Candidate) -> Target | None:
    """How the candidate serves this call; None: not at all. Worked out once for each catalog."""
    operation = exchange.endpoint.operation
    served = candidate.served
    if operation in served:
        return served[operation]
    adapter = exchange.services.providers[candidate.provider.kind]
    most = capabilities(route).max_output_tokens
    target = served[operation] = target_of(adapter, operation, candidate.provider, candidate.model, most)
    return target
