"""Reads and writes the tables of providers and models. It never decides what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from tollway.controlplane.catalog.fallbacks import CHAINS
from tollway.controlplane.catalog.model import ModelRow, ProviderRow
from tollway.controlplane.catalog.routing import sparse
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.resources import as_uuid

_SQL = Statements(__package__)
_NAMES_LOCK = 0x6D6F6465_6C000001
"""Advisory lock of whoever changes the names of models."""
Lock = Literal["", "_for_share", "_for_update"]


class Position(msgspec.Struct, frozen=True):
    """Epoch of the database and version of the catalog in it."""

    epoch: str
    version: int


class _Name(msgspec.Struct):
    name: str


class _Chains(_Name):
    fallbacks: list[str]
    context_fallbacks: list[str]
    filter_fallbacks: list[str]


def _by(reference: str) -> dict[str, Any]:
    found = as_uuid(reference)
    return {"id": found, "name": None if found else reference}


def _json(value: msgspec.Struct | list[Any] | None) -> Jsonb | None:
    return None if value is None else Jsonb(msgspec.to_builtins(value))


async def provider(db: Database, reference: str, lock: Lock = "") -> ProviderRow | None:
    """The live provider with that id or name."""
    return await _SQL.one(db, f"provider{lock}", ProviderRow, **_by(reference))


async def provider_by_id(db: Database, provider_id: UUID) -> ProviderRow:
    """The provider with that id, archived or not; it must exist."""
    row = await _SQL.one(db, "provider_by_id", ProviderRow, id=provider_id)
    assert row is not None
    return row


async def providers(db: Database, after: str = "", limit: int | None = None) -> list[ProviderRow]:
    """Live providers by name, after a name."""
    return await _SQL.all(db, "providers", ProviderRow, after=after, limit=limit)


async def insert_provider(
    db: Database,
    name: str,
    *,
    kind: str,
    base_url: str,
    api_version: str,
    timeouts: Mapping[str, float],
    hangup: str,
    probe_seconds: float,
) -> UUID | None:
    """A new provider; None when a live one has the name."""
    provider_id = uuid7()
    touched = await _SQL.run(
        db,
        "insert_provider",
        id=provider_id,
        name=name,
        kind=kind,
        base_url=base_url,
        api_version=api_version,
        timeouts=Jsonb(timeouts),
        hangup=hangup,
        probe_seconds=probe_seconds,
    )
    return provider_id if touched else None


async def update_provider(
    db: Database,
    provider_id: UUID,
    *,
    base_url: str,
    api_version: str,
    timeouts: Mapping[str, float],
    hangup: str,
    probe_seconds: float,
    at: datetime,
) -> None:
    """Writes what can change of a provider."""
    await _SQL.run(
        db,
        "update_provider",
        id=provider_id,
        base_url=base_url,
        api_version=api_version,
        timeouts=Jsonb(timeouts),
        hangup=hangup,
        probe_seconds=probe_seconds,
        at=at,
    )


async def touch_provider(db: Database, provider_id: UUID, at: datetime) -> None:
    """A new revision, because a credential changed."""
    await _SQL.run(db, "touch_provider", id=provider_id, at=at)


async def archive_provider(db: Database, provider_id: UUID, at: datetime) -> None:
    """Marks a provider as archived."""
    await _SQL.run(db, "archive_provider", id=provider_id, at=at)


async def models_with_target(db: Database, provider_id: UUID) -> list[str]:
    """Names of up to three live models that have the provider as a target."""
    rows = await _SQL.all(db, "models_with_target", _Name, provider=str(provider_id))
    return [row.name for row in rows]


async def lock_model_names(db: Database) -> None:
    """Waits until nobody else changes names or aliases; held to the end of the transaction."""
    await _SQL.run(db, "lock_model_names", lock=_NAMES_LOCK)


async def repeated_model_name(db: Database) -> str | None:
    """A name that two live models claim, as name or alias; None when all are different."""
    row = await _SQL.one(db, "repeated_model_names", _Name)
    return row.name if row else None


async def chains(db: Database) -> dict[str, dict[str, list[str]]]:
    """Of every live model by name: the names of other models in each of its lists of fallbacks."""
    rows = await _SQL.all(db, "chains", _Chains)
    return {row.name: {field: getattr(row, field) for field in CHAINS} for row in rows}


async def models_with_fallback(db: Database, name: str) -> list[str]:
    """Names of up to three live models that fall back to the model with that name."""
    return [row.name for row in await _SQL.all(db, "models_with_fallback", _Name, name=name)]


async def model(db: Database, reference: str) -> ModelRow | None:
    """The live model with that id, name or alias."""
    found = await _SQL.one(db, "model", ModelRow, **_by(reference))
    return found or await _SQL.one(db, "model_by_alias", ModelRow, alias=reference)


async def model_for_update(db: Database, reference: str) -> ModelRow | None:
    """The live model with that id or name, locked."""
    return await _SQL.one(db, "model_for_update", ModelRow, **_by(reference))


async def model_by_id(db: Database, model_id: UUID) -> ModelRow:
    """The model with that id, archived or not; it must exist."""
    row = await _SQL.one(db, "model_by_id", ModelRow, id=model_id)
    assert row is not None
    return row


async def models(db: Database, after: str = "", limit: int | None = None) -> list[ModelRow]:
    """Live models by name, after a name."""
    return await _SQL.all(db, "models", ModelRow, after=after, limit=limit)


async def insert_model(db: Database, row: ModelRow) -> bool:
    """A new model; False when a live one has the name."""
    return await _SQL.run(db, "insert_model", id=row.id, name=row.name, **_columns(row)) == 1


async def update_model(db: Database, row: ModelRow, at: datetime) -> None:
    """Writes what can change of a model."""
    await _SQL.run(db, "update_model", id=row.id, at=at, **_columns(row))


def _columns(row: ModelRow) -> dict[str, Any]:
    return {
        "aliases": row.aliases,
        "strategy": row.strategy,
        "targets": _json(list(row.targets)),
        "affinity": row.affinity.value,
        "fallbacks": row.fallbacks,
        "context_fallbacks": row.context_fallbacks,
        "filter_fallbacks": row.filter_fallbacks,
        "retries": Jsonb(sparse(row.retries)),
        "breaker": Jsonb(sparse(row.breaker)),
        "hedge": Jsonb(sparse(row.hedge)) if row.hedge is not None else None,
        "price": _json(row.price),
        "capabilities": _json(row.capabilities),
        "price_revision": row.price_revision,
    }


async def archive_model(db: Database, model_id: UUID, at: datetime) -> None:
    """Marks a model as archived."""
    await _SQL.run(db, "archive_model", id=model_id, at=at)


async def position(db: Database) -> Position:
    """Epoch and catalog version of this database."""
    row = await _SQL.one(db, "position", Position)
    assert row is not None, "the installation has no epoch yet"
    return row
