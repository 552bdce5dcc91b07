"""Models with their prices and capabilities, and how each client library calls them."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tollway.controlplane.portal.pages.snippets import kind_of, snippets
from tollway.controlplane.portal.visit import Visit

PAGE = 50
RATES = (
    ("input", "Input", "million tokens"),
    ("cached_input", "Input from the provider's cache", "million tokens"),
    ("cache_write_5m", "Written to the provider's cache for 5 minutes", "million tokens"),
    ("cache_write_1h", "Written to the provider's cache for 1 hour", "million tokens"),
    ("output", "Output", "million tokens"),
    ("reasoning", "Reasoning", "million tokens"),
    ("image_input", "Image input", "million tokens"),
    ("image_output", "Image output", "million tokens"),
    ("audio_input", "Audio input", "million tokens"),
    ("audio_output", "Audio output", "million tokens"),
    ("prediction_accepted", "Predictions accepted", "million tokens"),
    ("prediction_rejected", "Predictions rejected", "million tokens"),
    ("image", "Image", "image"),
    ("audio_minute", "Sound", "minute"),
    ("audio_hour", "Sound", "hour"),
    ("characters", "Speech", "million characters"),
    ("search", "Search", "thousand searches"),
    ("request", "Request", "request"),
)


def _rates(price: Any) -> list[tuple[str, str, str]]:
    return [(title, getattr(price, name), unit) for name, title, unit in RATES if getattr(price, name)]


async def models(visit: Visit) -> web.Response:
    """All models, a page at a time."""
    asked = {"page_size": PAGE, "page_token": visit.asked("page")}
    found = await visit.call("ModelService/ListModels", asked)
    return visit.page("models.html", models=list(found.models), following=found.next_page_token)


async def model(visit: Visit) -> web.Response:
    """One model, with a piece of code for each library."""
    found = await visit.call("ModelService/GetModel", {"model": visit.named("model")})
    base = visit.services.gateway or "https://GATEWAY"
    names = [found.name, *(target.model for target in found.targets)]
    kind = kind_of(names, found.capabilities.input_modalities, found.capabilities.output_modalities)
    return visit.page(
        "model.html",
        model=found,
        rates=_rates(found.price) if found.HasField("price") else [],
        kind=kind,
        snippets=snippets(base, found.name, kind),
    )
