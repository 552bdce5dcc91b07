"""Reads and writes the tables of prices. It never decides which price holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from tollway.controlplane.catalog.model import StoredPrice
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.prices.book import PriceBook, PriceVersion, Target, asked_keys
from tollway.controlplane.prices.shipped import Key

_SQL = Statements(__package__ or "")
PRICES_LOCK = 0x70726963_65730001
"""Advisory lock of whoever makes price versions or rates again."""
SHOWN_NAMED = 1000
"""How many uses of one version are shown, at most."""


class OpenImport(msgspec.Struct, frozen=True):
    """A row of the imported book that no later import replaced."""

    id: UUID
    provider: str
    target_model: str
    rates: StoredPrice
    book_start: date | None


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """The price that data planes had for a model from a moment on, and the targets whose prices were compared."""

    model_id: UUID
    model: str
    version: str | None
    source: str
    rates: StoredPrice | None
    targets: list[Target]
    published_at: datetime


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `price_imports`."""

    id: UUID
    package: str
    report: dict[str, Any]
    created_by: str
    created_at: datetime


class _Number(msgspec.Struct):
    number: int


class _Count(msgspec.Struct):
    rows: int


class _Locked(msgspec.Struct):
    locked: bool


class _Crossed(msgspec.Struct):
    crossed: bool


class _Known(msgspec.Struct):
    known: bool


async def lock(db: Database) -> None:
    """Waits until nobody else makes versions or rates again; held to the end of the transaction."""
    await _SQL.run(db, "lock_prices", lock=PRICES_LOCK)


async def try_lock(db: Database) -> bool:
    """As `lock`, but False at once when another one has it."""
    found = await _SQL.one(db, "try_lock_prices", _Locked, lock=PRICES_LOCK)
    return found is not None and found.locked


async def load(db: Database, targets: Iterable[Target]) -> PriceBook:
    """All overrides, and what the imported book says of these targets."""
    keys = {key for target in set(targets) for key in asked_keys(target)}
    versions = await _SQL.all(db, "overrides", PriceVersion)
    if keys:
        versions += await _SQL.all(db, "imported_of", PriceVersion, **_columns(sorted(keys)))
    return PriceBook(versions)


def _columns(keys: Sequence[Key]) -> dict[str, Any]:
    return {"providers": [provider for provider, _ in keys], "models": [model for _, model in keys]}


async def override_count(db: Database) -> int:
    """How many overrides there are, ended ones too."""
    found = await _SQL.one(db, "override_count", _Count)
    return found.rows if found is not None else 0


async def open_imports(db: Database) -> list[OpenImport]:
    """The imported book as far as no later import replaced it."""
    return await _SQL.all(db, "imported_open", OpenImport)


async def next_number(db: Database) -> int:
    """The number of the next version; to be called under `lock`."""
    found = await _SQL.one(db, "next_number", _Number)
    assert found is not None
    return found.number


async def insert_versions(
    db: Database, rows: Sequence[dict[str, Any]], *, import_id: UUID | None, by: str, at: datetime
) -> None:
    """New versions, as columns."""
    given = [{"id": str(uuid7()), **row} for row in rows]
    packed = msgspec.json.encode(given).decode()
    await _SQL.run(db, "insert_versions", rows=packed, import_id=import_id, by=by, at=at)


async def close_versions(db: Database, ids: Sequence[UUID], at: datetime) -> None:
    """Ends versions at a moment."""
    await _SQL.run(db, "close_versions", ids=list(ids), at=at)


async def end_version(db: Database, version_id: UUID, until: datetime) -> None:
    """Gives a version an end."""
    await _SQL.run(db, "end_version", id=version_id, until=until)


async def versions_page(
    db: Database,
    *,
    before: int,
    limit: int,
    source: str,
    model: str,
    provider: str,
    target_model: str,
    at: datetime | None,
) -> list[PriceVersion]:
    """Versions, newest first; empty filters mean all."""
    return await _SQL.all(
        db,
        "versions_page",
        PriceVersion,
        before=before,
        limit=limit,
        source=source,
        model=model,
        provider=provider,
        target_model=target_model,
        at=at,
    )


async def versions_named(db: Database, version: str, keys: Sequence[Key]) -> list[PriceVersion]:
    """The versions of that name: an override, or what an import said of these models of the book."""
    return await _SQL.all(db, "versions_named", PriceVersion, version=version, limit=SHOWN_NAMED, **_columns(keys))


async def insert_import(
    db: Database, import_id: UUID, package: str, report: dict[str, Any], by: str, at: datetime
) -> None:
    """The record of one import."""
    await _SQL.run(db, "insert_import", id=import_id, package=package, report=Jsonb(report), by=by, at=at)


async def imports(db: Database, limit: int) -> list[Import]:
    """The newest imports first."""
    return await _SQL.all(db, "imports", Import, limit=limit)


async def boundary_between(db: Database, since: datetime, until: datetime) -> bool:
    """Whether a version began or ended after `since` and up to `until`."""
    found = await _SQL.one(db, "boundary_between", _Crossed, since=since, until=until)
    return found is not None and found.crossed


async def last_publications(db: Database) -> list[Publication]:
    """What each model was last published with."""
    return await _SQL.all(db, "last_publications", Publication)


async def insert_publications(db: Database, rows: Sequence[Publication], at: datetime) -> None:
    """What is published from this transaction on."""
    given = [
        {
            "id": str(uuid7()),
            "model_id": str(row.model_id),
            "model": row.model,
            "version": row.version,
            "source": row.source,
            "rates": row.rates,
            "targets": row.targets,
        }
        for row in rows
    ]
    await _SQL.run(db, "insert_publications", rows=msgspec.json.encode(given).decode(), at=at)


async def publications_of(db: Database, models: Sequence[str]) -> list[Publication]:
    """Everything that was ever published for these names, oldest first."""
    return await _SQL.all(db, "publications_of", Publication, models=list(models))


async def publications_named(db: Database, version: str, model: str) -> list[Publication]:
    """Where a version was published, oldest first."""
    return await _SQL.all(db, "publications_named", Publication, version=version, model=model, limit=SHOWN_NAMED)


async def version_is_known(db: Database, version: str) -> bool:
    """Whether a version was ever made or published."""
    found = await _SQL.one(db, "version_is_known", _Known, version=version)
    return found is not None and found.known
