"""The data of the installed `genai-prices` package as values that can be compared and stored.

A model of the book is named by the book's own ids of its provider and of itself. Pure but for
the package; nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from functools import lru_cache

import msgspec
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, StartDateConstraint

from tollway.controlplane.catalog.pricebook import book_model, rates_of
from tollway.core.catalog import ProviderKind
from tollway.core.pricing import Price

Key = tuple[str, str]
"""The book's ids of a provider and of its model."""


class Segment(msgspec.Struct, frozen=True):
    """One price of a model; `start` is the UTC day on which it begins, None: it always held."""

    start: date | None
    price: Price

    @property
    def valid_from(self) -> datetime | None:
        """Midnight UTC of `start`."""
        return None if self.start is None else datetime.combine(self.start, time(), UTC)


@lru_cache(maxsize=1)
def _keys() -> dict[int, Key]:
    """By the identity of the book's record, which lives as long as the process."""
    return {id(model): (provider.id, model.id) for provider in get_snapshot().providers for model in provider.models}


def shipped_key(kind: ProviderKind, base_url: str, model: str) -> Key | None:
    """What the book calls a target; None when it does not know it."""
    info = book_model(kind, base_url, model)
    return None if info is None else _keys().get(id(info))


@lru_cache(maxsize=1)
def shipped_book() -> Mapping[Key, tuple[Segment, ...]]:
    """Every model of the book that has a price in units that are charged here."""
    book = {
        (provider.id, model.id): segments(model) for provider in get_snapshot().providers for model in provider.models
    }
    return {key: found for key, found in book.items() if found}


def segments(info: ModelInfo) -> tuple[Segment, ...]:
    """The standard prices of a model in the order of their beginnings; those for a time of day are left out.

    Of several that begin on one day the last counts, as in the book itself.
    """
    found: dict[date | None, Price] = {}
    listed: list[tuple[date | None, ModelPrice]]
    if isinstance(info.prices, ModelPrice):
        listed = [(None, info.prices)]
    else:
        listed = [
            (price.constraint.start_date if isinstance(price.constraint, StartDateConstraint) else None, price.prices)
            for price in info.prices
            if price.constraint is None or isinstance(price.constraint, StartDateConstraint)
        ]
    for number, (start, prices) in enumerate(listed):
        rates = rates_of(prices)
        if rates is not None:
            found[start if number else None] = rates
    order = sorted(found, key=lambda start: start or date.min)
    return tuple(Segment(start, found[start]) for start in order)
