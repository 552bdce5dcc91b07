"""Whether this key may use this model; a name that does not exist and one that is not allowed are told apart."""

from __future__ import annotations

from tollway.core.errors import Code, TollwayError
from tollway.dataplane.pipeline.exchange import Exchange

MAX_NAME = 256
"""Characters of a model's name: what clients name is remembered for a while, in several places."""


def authorize(exchange: Exchange) -> None:
    """Finds the route of the model asked for and checks both allow-lists, the project's and the key's."""
    principal = exchange.principal
    routes = principal.routes
    name = exchange.head.model
    route = routes.find(name) if len(name) <= MAX_NAME else None
    if route is None:
        raise TollwayError(
            Code.MODEL_NOT_FOUND,
            f"The model '{name[:200]}' does not exist. GET /v1/models lists those that this key may use.",
            param="model",
        )
    if not routes.allowed(principal.project.models, principal.entry.models, route.name):
        raise TollwayError(
            Code.MODEL_NOT_ALLOWED, f"This API key may not use the model '{route.name[:200]}'.", param="model"
        )
    exchange.route = exchange.serving = route
