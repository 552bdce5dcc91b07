"""Which price holds for a model at a moment. Pure: values in, a price out; no clock, no database.

The most exact statement wins: an override of the model, the price set on the model itself, an override of a provider's
model (one that names the provider before one for any, a full name before a pattern, a longer pattern before a shorter),
nothing for servers of one's own, the imported book, and last the book inside the installed package. Among statements
about the same thing the one that began last wins, and of two that began together the one that was made last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.catalog.model import StoredPrice
from tollway.controlplane.catalog.pricebook import book_price, dearest
from tollway.controlplane.prices.shipped import Key, shipped_key
from tollway.core.catalog import FREE_KINDS, ProviderKind, glob_match
from tollway.core.pricing import FREE, Price, Rates

SHIPPED = "genai-prices"
OVERRIDE = "override"
_ALWAYS = datetime.min.replace(tzinfo=UTC)


class Target(msgspec.Struct, frozen=True, array_like=True):
    """Whose price is asked: one provider's model."""

    provider_id: str
    kind: ProviderKind
    base_url: str
    model: str


class PriceVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `price_versions`: some rates, for what, and from when until when (exclusive) they hold."""

    id: UUID
    number: int
    version: str
    source: str
    model: str
    provider: str
    target_model: str
    rates: StoredPrice
    valid_from: datetime | None
    valid_until: datetime | None
    note: str
    created_by: str
    created_at: datetime

    @property
    def price(self) -> Price:
        """The rates with the name that ledger rows store."""
        return self.rates.at(self.version)

    def holds(self, at: datetime) -> bool:
        """Whether it is valid at a moment."""
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_until is None or at < self.valid_until
        )

    def is_for(self, model: str, target: Target) -> bool:
        """Whether an override speaks of this model, or of this target."""
        if self.model:
            return self.model == model
        return self.provider in ("", target.provider_id) and glob_match(self.target_model, target.model)


def latest(versions: Iterable[PriceVersion], at: datetime) -> PriceVersion | None:
    """Of statements about one thing the one that holds."""
    held = [version for version in versions if version.holds(at)]
    return max(held, key=_age, default=None)


def _age(version: PriceVersion) -> tuple[datetime, int]:
    return version.valid_from or _ALWAYS, version.number


def _exactness(version: PriceVersion) -> tuple[bool, bool, int, datetime, int]:
    pattern = version.target_model
    return bool(version.provider), "*" not in pattern, len(pattern.replace("*", "")), *_age(version)


class PriceBook:
    """All overrides, and of the imported book what was asked for."""

    def __init__(self, versions: Sequence[PriceVersion]) -> None:
        self._models: dict[str, list[PriceVersion]] = {}
        self._targets: list[PriceVersion] = []
        self._shipped: dict[Key, list[PriceVersion]] = {}
        for version in versions:
            if version.source == SHIPPED:
                self._shipped.setdefault((version.provider, version.target_model), []).append(version)
            elif version.model:
                self._models.setdefault(version.model, []).append(version)
            else:
                self._targets.append(version)

    def price(self, model: str, own: Price | None, targets: Sequence[Target], at: datetime) -> Price | None:
        """The price of a model with a price of its `own` (or none) and these targets; None: not known."""
        found = latest(self._models.get(model, ()), at)
        if found is not None:
            return found.price
        if own is not None:
            return own
        return dearest([self._of_target(target, at) for target in targets])

    def override(self, model: str, target: Target, at: datetime) -> Price | None:
        """What an override says of a model or, if none does, of one of its targets; None: nothing."""
        found = latest(self._models.get(model, ()), at) or self._override_of(target, at)
        return found.price if found is not None else None

    def source(self, price: Price | None, own: Price | None) -> str:
        """Where a price comes from, in one word."""
        if price is None:
            return "unknown"
        if own is not None and price.version == own.version:
            return "model"
        if price.version == FREE.version:
            return "free"
        return SHIPPED if price.version.startswith(SHIPPED) else OVERRIDE

    def _of_target(self, target: Target, at: datetime) -> Price | None:
        found = self._override_of(target, at)
        if found is not None:
            return found.price
        if target.kind in FREE_KINDS:
            return FREE
        for key in asked_keys(target):
            if imported := self._shipped.get(key):
                held = latest(imported, at)
                return held.price if held is not None else None
        return book_price(target.kind, target.base_url, target.model, at)

    def _override_of(self, target: Target, at: datetime) -> PriceVersion | None:
        speaking = [version for version in self._targets if version.holds(at) and version.is_for("", target)]
        return max(speaking, key=_exactness, default=None)


def asked_keys(target: Target) -> list[Key]:
    """Under which names the imported book may know a target, the likeliest first."""
    found = shipped_key(target.kind, target.base_url, target.model)
    return [found] if found is not None else []


def stored(price: Rates) -> StoredPrice:
    """The rates of a price without its name, as tables keep them."""
    rates: dict[str, Any] = {name: getattr(price, name) for name in Rates.__struct_fields__}
    return StoredPrice(**rates)
