"""What the shipped price book says of a provider's model. Pure but for package data.

The book is the data inside the pinned `genai-prices` package; nothing is fetched. Of a price that depends on the time
of day, on the service tier or on batching the standard one is taken, which an override can correct.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Any

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, StartDateConstraint, TieredPrices

from tollway.core.catalog import ProviderKind
from tollway.core.money import NANO_PER_DOLLAR
from tollway.core.pricing import Price, Tier

BOOK_VERSION = f"genai-prices {genai_prices.__version__}"
_BOOK_PROVIDERS = {
    ProviderKind.OPENAI: "openai",
    ProviderKind.AZURE_OPENAI: "azure",
    ProviderKind.ANTHROPIC: "anthropic",
}
_BOOK_TOKENS = {
    "input": ("input_mtok",),
    "output": ("output_mtok",),
    "cached_input": ("cache_read_mtok",),
    "cache_write_5m": ("cache_write_5m_mtok", "cache_write_mtok"),
    "cache_write_1h": ("cache_write_1h_mtok",),
    "audio_input": ("input_audio_mtok",),
    "image_input": ("input_image_mtok",),
    "reasoning": ("output_reasoning_mtok",),
    "audio_output": ("output_audio_mtok",),
    "image_output": ("output_image_mtok",),
}
"""Our rate -> the book's names for it, the most exact one first."""


def dearest(prices: Sequence[Price | None]) -> Price | None:
    """Of the prices of all targets the dearest, so that no call is booked below its cost.

    None when none is known, or one is unknown beside free ones: unknown is not free.
    """
    known = [price for price in prices if price is not None]
    if not known:
        return None
    found = max(known, key=_dearness)
    if not any(_dearness(found)) and len(known) < len(prices):
        return None
    return found


def _dearness(price: Price) -> tuple[int, ...]:
    """For comparing: tokens first, then whatever else is sold, which matters between models that are sold by it."""
    others = (price.request, price.image, price.audio_hour, price.characters, price.search)
    return (price.input + price.output, *(rate or 0 for rate in others))


def book_price(kind: ProviderKind, base_url: str, model: str, at: datetime) -> Price | None:
    """The price book's rates for a provider's model at a time, or None when the book does not know them.

    A model without a token price is known when it is sold by sound, characters or calls.
    """
    info = book_model(kind, base_url, model)
    return None if info is None else rates_of(_standard_prices(info, at))


def rates_of(prices: ModelPrice) -> Price | None:
    """The rates of one of the book's prices; None where it says nothing that is charged here."""
    units = {
        "audio_hour": _nano(prices, "input_audio_hours", "audio_hours"),
        "characters": _nano(prices, "input_mchars"),
        "request": _nano(prices, "requests_kcount", divisor=1000),
    }
    if _nano(prices, "input_mtok") is None and not any(units.values()):
        return None
    rates: dict[str, Any] = units | {"search": _nano(prices, "web_searches_kcount")} | _token_rates(prices, 0)
    starts = {
        tier.start
        for names in _BOOK_TOKENS.values()
        for name in names
        if isinstance(rate := getattr(prices, name), TieredPrices)
        for tier in rate.tiers
    }
    tiers = tuple(Tier(above=start, **_token_rates(prices, start + 1)) for start in sorted(starts))
    rates |= {name: rates[name] or 0 for name in ("input", "output")}  # embeddings have no output
    return Price(version=BOOK_VERSION, tiers=tiers, **rates)


def _token_rates(prices: ModelPrice, input_tokens: int) -> dict[str, Any]:
    """The rates of a request of that size."""
    return {name: _nano(prices, *names, size=input_tokens) for name, names in _BOOK_TOKENS.items()}


@lru_cache(maxsize=4096)
def book_model(kind: ProviderKind, base_url: str, model: str) -> ModelInfo | None:
    """The book's record of a provider's model.

    Hugging Face's router sells a model at the price of the provider named after the colon (`org/model:provider`);
    without one it chooses by itself, and the price is not known.
    """
    reference = model
    provider: str | None = _BOOK_PROVIDERS.get(kind)
    if kind is ProviderKind.HUGGINGFACE:
        reference, _, chosen = model.rpartition(":")
        if not reference:
            return None
        provider = f"huggingface_{chosen}"
    try:
        if provider is not None:
            return get_snapshot().find_provider_model(reference, None, provider, None)[1]
        return get_snapshot().find_provider_model(reference, None, None, base_url)[1]
    except LookupError:
        return None


def _standard_prices(info: ModelInfo, at: datetime) -> ModelPrice:
    """The last price that has begun, those for a time of day aside."""
    if isinstance(info.prices, ModelPrice):
        return info.prices
    begun = [
        price.prices
        for price in info.prices
        if price.constraint is None
        or (isinstance(price.constraint, StartDateConstraint) and price.constraint.active(at))
    ]
    return begun[-1] if begun else info.prices[0].prices


def _nano(prices: ModelPrice, *names: str, size: int = 0, divisor: int = 1) -> int | None:
    """Nano-dollars of the first rate that is there, for a request of `size` input tokens."""
    for name in names:
        rate = getattr(prices, name)
        if isinstance(rate, TieredPrices):
            rate = next((tier.price for tier in reversed(rate.tiers) if size > tier.start), rate.base)
        if rate is not None:
            return int((Decimal(rate) * NANO_PER_DOLLAR / divisor).to_integral_value(ROUND_HALF_EVEN))
    return None
