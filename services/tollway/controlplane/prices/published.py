"""What data planes are given: the price of each model, recorded in the transaction that publishes it.

The catalog takes prices from these records and not from a clock, so that every process builds the same catalog of a
version, and every version that a ledger row can name can be read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from tollway.controlplane.catalog import postgres
from tollway.controlplane.catalog.model import ModelRow, ProviderRow
from tollway.controlplane.db.statements import Database
from tollway.controlplane.prices import store
from tollway.controlplane.prices.book import PriceBook, Target, stored
from tollway.controlplane.prices.store import Publication
from tollway.core.catalog import ProviderKind
from tollway.core.pricing import Price


def targets_of(row: ModelRow, providers: Mapping[UUID, ProviderRow]) -> list[Target]:
    """The targets of a model as prices see them."""
    found = ((providers[target.provider_id], target.model) for target in row.targets)
    return [
        Target(str(provider.id), ProviderKind(provider.kind), provider.base_url, model) for provider, model in found
    ]


def own_price(row: ModelRow) -> Price | None:
    """The price that is set on the model itself."""
    return None if row.price is None else row.price.at(f"override@{row.price_revision}")


async def book_of(db: Database, rows: Iterable[ModelRow], providers: Mapping[UUID, ProviderRow]) -> PriceBook:
    """The price book as far as these models need it."""
    return await store.load(db, [target for row in rows for target in targets_of(row, providers)])


async def current(db: Database) -> dict[UUID, Price | None]:
    """The published price of each model by its id; None: published as not known."""
    return {found.model_id: price_of(found) for found in await store.last_publications(db)}


def price_of(publication: Publication) -> Price | None:
    """The price that was published."""
    if publication.rates is None or publication.version is None:
        return None
    return publication.rates.at(publication.version)


async def record(db: Database, at: datetime) -> bool:
    """Records the prices that hold `at` where they differ from what was last published.

    To be called inside the transaction that publishes the catalog. Returns whether a model has another price than data
    planes have; a model that they do not have yet is no such change.
    """
    await store.lock(db)
    providers = {row.id: row for row in await postgres.providers(db)}
    models = await postgres.models(db)
    book = await book_of(db, models, providers)
    last = {found.model_id: found for found in await store.last_publications(db)}
    fresh = []
    changed = False
    for row in models:
        found = _publication(row, targets_of(row, providers), book, at)
        before = last.get(row.id)
        if before is None or _content(before) != _content(found):
            fresh.append(found)
            changed |= before is not None and price_of(before) != price_of(found)
    if fresh:
        await store.insert_publications(db, fresh, at)
    return changed


def _publication(row: ModelRow, targets: list[Target], book: PriceBook, at: datetime) -> Publication:
    own = own_price(row)
    price = book.price(row.name, own, targets, at)
    return Publication(
        model_id=row.id,
        model=row.name,
        version=price.version if price is not None else None,
        source=book.source(price, own),
        rates=stored(price) if price is not None else None,
        targets=targets,
        published_at=at,
    )


def _content(publication: Publication) -> tuple[object, ...]:
    found = publication
    return found.model, found.version, found.source, found.rates, found.targets
