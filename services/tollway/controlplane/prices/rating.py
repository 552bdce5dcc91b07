"""Which price an attempt of the past is rated with. Pure.

Either the one that held when its request began, by the validity that the price book tells today; or a version that is
named, for the attempts that it is for. What was booked before anything was recorded of a model keeps its price, unless
an override speaks of that time or it was booked without one.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Protocol
from uuid import UUID, uuid5

import msgspec

from tollway.controlplane.prices.book import OVERRIDE, PriceBook, PriceVersion, Target, asked_keys, latest
from tollway.controlplane.prices.published import price_of
from tollway.controlplane.prices.store import Publication
from tollway.core.catalog import ProviderKind
from tollway.core.pricing import Price, cost
from tollway.core.usage import Usage

PROVIDER_KINDS = frozenset(ProviderKind)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream call as the ledger has it so far: the sums of its row and of its adjustments.

    `estimated`: no true row came yet. `estimated_nano` is its part in the sums of what rests on estimates.
    """

    day: date
    id: UUID
    project: str
    model: str
    provider: str
    provider_kind: str
    target_model: str
    price_version: str | None
    started_at: datetime
    estimated: bool
    adjustments: int
    cost_nano: int
    estimated_nano: int
    usage: Usage


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    """What another price adds to an attempt; `cost_nano` may be negative."""

    id: UUID
    day: date
    attempt_id: UUID
    cost_nano: int
    price_version: str
    estimated: bool
    estimated_nano: int


class Tariff(Protocol):
    """Where the price of an attempt comes from."""

    def price(self, attempt: Attempt) -> Price | None:
        """The price, or None: the attempt is left as it is."""


class ByValidity:
    """The prices that held. `publications` are those of each model, oldest first; `urls` the providers' by id."""

    def __init__(
        self, book: PriceBook, publications: Mapping[str, Sequence[Publication]], urls: Mapping[str, str]
    ) -> None:
        self._book = book
        self._publications = publications
        self._urls = urls

    def price(self, attempt: Attempt) -> Price | None:
        """The price of the attempt's model when its request began."""
        at, told = attempt.started_at, self._publications.get(attempt.model, ())
        position = bisect.bisect_right(told, at, key=lambda publication: publication.published_at)
        if position:
            publication = told[position - 1]
            own = price_of(publication) if publication.source == "model" else None
            return self._book.price(attempt.model, own, publication.targets, at)
        target = target_of(attempt, self._urls)
        found = self._book.override(attempt.model, target, at)
        if found is not None or attempt.price_version is not None:
            return found
        return self._book.price(attempt.model, None, [target], at)


class ByVersion:
    """One version, for the attempts that it is for."""

    def __init__(
        self, versions: Sequence[PriceVersion], publications: Mapping[str, Publication], urls: Mapping[str, str]
    ) -> None:
        self._versions = versions
        self._publications = publications
        self._urls = urls

    def price(self, attempt: Attempt) -> Price | None:
        """The version's rates for the attempt's model."""
        target = target_of(attempt, self._urls)
        for version in self._versions:
            if version.source == OVERRIDE and version.is_for(attempt.model, target):
                return version.price
        if attempt.model in self._publications:
            return price_of(self._publications[attempt.model])
        keys = asked_keys(target)
        named = [v for v in self._versions if v.source != OVERRIDE and (v.provider, v.target_model) in keys]
        held = latest(named, attempt.started_at)
        return held.price if held is not None else None


def target_of(attempt: Attempt, urls: Mapping[str, str]) -> Target:
    """The target that an attempt asked; a kind that this release does not know is one of any compatible server."""
    known = attempt.provider_kind in PROVIDER_KINDS
    kind = ProviderKind(attempt.provider_kind) if known else ProviderKind.OPENAI_COMPATIBLE
    return Target(attempt.provider, kind, urls.get(attempt.provider, ""), attempt.target_model)


def adjustment(attempt: Attempt, price: Price) -> Adjustment | None:
    """What is to be added so that the attempt costs what it costs at `price`; None: nothing.

    The id follows from how often the attempt was adjusted so far: the same step taken twice is one row.
    """
    amount = cost(attempt.usage, price)
    difference = amount - attempt.cost_nano
    # Not 0 where the estimate costs something else now, or where an earlier release took back less than was estimated.
    guessed = (amount if attempt.estimated else 0) - attempt.estimated_nano
    if not difference and not guessed:
        return None
    return Adjustment(
        id=uuid5(attempt.id, f"rerate:{attempt.adjustments}"),
        day=attempt.day,
        attempt_id=attempt.id,
        cost_nano=difference,
        price_version=price.version,
        estimated=attempt.estimated,
        estimated_nano=guessed,
    )
