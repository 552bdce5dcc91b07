"""`GET /v1/models`: what a key may use, with capabilities, price and status; in OpenAI's or Anthropic's shape."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tollway.core.catalog import Model, Project
from tollway.core.errors import Code, TollwayError
from tollway.core.money import format_dollars
from tollway.core.pricing import TOKEN_RATES, UNIT_RATES, Price
from tollway.dataplane.config.directory import Principal
from tollway.dataplane.config.holder import Candidate, Route, capabilities
from tollway.dataplane.pipeline import authenticate
from tollway.dataplane.pipeline.exchange import Services

OWNER = "tollway"


async def principal_of(services: Services, headers: Mapping[str, str]) -> Principal:
    """Who asks, by the key or token in the headers. Raises TollwayError."""
    result = authenticate.principal_of(services.directory, headers)
    return result if isinstance(result, Principal) else await result


def _price(price: Price | None) -> dict[str, str] | None:
    """Dollars per million tokens, or by the unit that a rate is named after; None: not known."""
    if price is None:
        return None
    rates = {name: getattr(price, name) for name in (*TOKEN_RATES, *UNIT_RATES, "request")}
    return {name: format_dollars(rate) for name, rate in rates.items() if rate is not None}


def _status(services: Services, candidates: tuple[Candidate, ...]) -> str:
    working = sum(services.router.available(c.provider.id, c.model) for c in candidates)
    if not working:
        return "unavailable"
    return "available" if working == len(candidates) else "degraded"


def _openai(services: Services, route: Route, model: Model | None) -> dict[str, Any]:
    can = capabilities(route)
    return {
        "id": route.name,
        "object": "model",
        "created": model.created if model is not None else 0,
        "owned_by": OWNER,
        "tollway": {
            "input_modalities": can.input_modalities,
            "output_modalities": can.output_modalities,
            "context_tokens": can.context_tokens,
            "max_output_tokens": can.max_output_tokens,
            "tools": can.tools,
            "streaming": can.streaming,
            "price": _price(route.price),
            "status": _status(services, route.candidates),
            "aliases": list(model.aliases) if model is not None else [],
        },
    }


def _anthropic(route: Route, model: Model | None) -> dict[str, Any]:
    created = datetime.fromtimestamp(model.created if model is not None else 0, UTC)
    return {
        "type": "model",
        "id": route.name,
        "display_name": route.name,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _visible(principal: Principal) -> list[tuple[Route, Model]]:
    project: Project = principal.project
    found = []
    for model in principal.routes.models():
        route = principal.routes.find(model.name)
        if route is not None and principal.routes.allowed(project.models, principal.entry.models, model.name):
            found.append((route, model))
    return found


async def show_list(services: Services, headers: Mapping[str, str]) -> dict[str, Any]:
    """Every model that the key may use, by name."""
    principal = await principal_of(services, headers)
    visible = _visible(principal)
    if "anthropic-version" in headers:
        data = [_anthropic(route, model) for route, model in visible]
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return {"data": data, "has_more": False, "first_id": first, "last_id": last}
    return {"object": "list", "data": [_openai(services, route, model) for route, model in visible]}


async def show_one(services: Services, headers: Mapping[str, str], name: str) -> dict[str, Any]:
    """One model by name or alias. Raises TollwayError when it does not exist or the key may not use it."""
    principal = await principal_of(services, headers)
    route = principal.routes.find(name)
    if route is None or not principal.routes.allowed(principal.project.models, principal.entry.models, route.name):
        raise TollwayError(
            Code.MODEL_NOT_FOUND, f"The model '{name[:200]}' does not exist or this key may not use it.", param="model"
        )
    if "anthropic-version" in headers:
        return _anthropic(route, route.model)
    return _openai(services, route, route.model)
