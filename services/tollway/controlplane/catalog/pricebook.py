"""What a model costs: the override, else free for servers of one's own, else the price book. Pure but for package data.

The book is the data inside the pinned `genai-prices` package; nothing is fetched. Of a price that depends on the length
of the request the base tier is taken, and of one that depends on the time of day the standard one: both book exact
amounts for ordinary requests and too little for very long ones, which an override can correct.
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

from tollway.controlplane.catalog.model import FREE_VERSION, StoredPrice
from tollway.core.catalog import ProviderKind
from tollway.core.money import NANO_PER_DOLLAR
from tollway.core.pricing import Price

BOOK_VERSION = f"genai-prices {genai_prices.__version__}"
FREE_KINDS = frozenset({ProviderKind.VLLM, ProviderKind.SIMULATOR})
"""Kinds that cost nothing per token unless a price is set."""
_BOOK_PROVIDERS = {
    ProviderKind.OPENAI: "openai",
    ProviderKind.AZURE_OPENAI: "azure",
    ProviderKind.ANTHROPIC: "anthropic",
}
_FREE = Price(version=FREE_VERSION, input=0, output=0)


def effective_price(
    override: StoredPrice | None,
    price_revision: int,
    targets: Sequence[tuple[ProviderKind, str, str]],
    at: datetime,
) -> Price | None:
    """The price of a model whose targets are (kind, base URL, provider's model name); None when it is not known.

    Where targets differ the dearest known price counts, so that no call is booked below its cost; a target of unknown
    price beside free ones makes the whole unknown, since unknown is not free.
    """
    if override is not None:
        return override.at(f"override@{price_revision}")
    prices = [_FREE if kind in FREE_KINDS else book_price(kind, url, model, at) for kind, url, model in targets]
    known = [price for price in prices if price is not None]
    if not known:
        return None
    dearest = max(known, key=lambda price: price.input + price.output)
    if dearest is _FREE and len(known) < len(prices):
        return None
    return dearest


def book_price(kind: ProviderKind, base_url: str, model: str, at: datetime) -> Price | None:
    """The price book's rates for a provider's model at a time, or None when the book does not know them."""
    info = book_model(kind, base_url, model)
    if info is None:
        return None
    prices = _standard_prices(info, at)
    rate_in, rate_out = _nano(prices, "input_mtok"), _nano(prices, "output_mtok")
    if rate_in is None:
        return None
    return Price(
        version=BOOK_VERSION,
        input=rate_in,
        output=rate_out or 0,  # embeddings have no output
        cached_input=_nano(prices, "cache_read_mtok"),
        cache_write_5m=_nano(prices, "cache_write_5m_mtok", "cache_write_mtok"),
        cache_write_1h=_nano(prices, "cache_write_1h_mtok"),
        audio_input=_nano(prices, "input_audio_mtok"),
        audio_output=_nano(prices, "output_audio_mtok"),
    )


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


def _nano(prices: Any, *names: str) -> int | None:
    """Nano-dollars per million tokens of the first rate that is there."""
    for name in names:
        rate = getattr(prices, name)
        if isinstance(rate, TieredPrices):
            rate = rate.base
        if rate is not None:
            return int((Decimal(rate) * NANO_PER_DOLLAR).to_integral_value(ROUND_HALF_EVEN))
    return None
