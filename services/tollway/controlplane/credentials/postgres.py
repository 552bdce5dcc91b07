"""Reads and writes the tables of data keys, peppers and credentials. It sees ciphertext only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from tollway.controlplane.credentials.model import CredentialRow, quota_form
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.resources import as_uuid
from tollway.core.catalog import Quota

_SQL = Statements(__package__)
_CREATION_LOCK = 0x7661756C_74000001
"""Advisory lock of whoever makes data keys or peppers."""


class DataKeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `data_keys`; nothing is sealed any more under one that is retired."""

    id: str
    wrapped: bytes
    kek: str
    retired_at: datetime | None = None


class PepperRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `peppers`."""

    id: str
    purpose: str
    sealed: bytes
    data_key: str


async def lock_creation(db: Database) -> None:
    """Waits until nobody else makes data keys or peppers; held to the end of the transaction."""
    await _SQL.run(db, "lock", lock=_CREATION_LOCK)


async def newest_data_key(db: Database) -> DataKeyRow | None:
    """The data key that is sealed under now, kept until the transaction ends, which must be one that may write."""
    return await _SQL.one(db, "newest_data_key", DataKeyRow)


async def data_key(db: Database, data_key_id: str) -> DataKeyRow | None:
    """One data key."""
    return await _SQL.one(db, "data_key", DataKeyRow, id=data_key_id)


async def data_keys(db: Database) -> list[DataKeyRow]:
    """All data keys."""
    return await _SQL.all(db, "data_keys", DataKeyRow)


async def insert_data_key(db: Database, row: DataKeyRow) -> None:
    """A new data key."""
    await _SQL.run(db, "insert_data_key", id=row.id, wrapped=row.wrapped, kek=row.kek)


async def peppers(db: Database) -> list[PepperRow]:
    """All peppers, oldest first."""
    return await _SQL.all(db, "peppers", PepperRow)


async def insert_pepper(db: Database, row: PepperRow) -> None:
    """A new pepper."""
    await _SQL.run(db, "insert_pepper", id=row.id, purpose=row.purpose, sealed=row.sealed, data_key=row.data_key)


async def credentials(db: Database, providers: Sequence[UUID] | None = None) -> list[CredentialRow]:
    """Live credentials of these providers, or of all, by provider and name."""
    wanted = None if providers is None else list(providers)
    return await _SQL.all(db, "credentials", CredentialRow, providers=wanted)


async def credential_for_update(db: Database, provider_id: UUID, reference: str) -> CredentialRow | None:
    """The live credential of a provider with that id or name, locked."""
    found = as_uuid(reference)
    return await _SQL.one(
        db,
        "credential_for_update",
        CredentialRow,
        provider=provider_id,
        id=found,
        name=None if found else reference,
    )


async def insert_credential(db: Database, row: CredentialRow) -> bool:
    """A new credential; False when the provider has a live one of that name."""
    touched = await _SQL.run(
        db,
        "insert_credential",
        id=row.id,
        provider=row.provider_id,
        name=row.name,
        weight=row.weight,
        quota=Jsonb(quota_form(row.quota)),
        sealed=row.sealed,
        data_key=row.data_key,
        fingerprint=row.fingerprint,
    )
    return touched == 1


async def replace_value(
    db: Database, credential_id: UUID, data_key_id: str, sealed: bytes, fingerprint: bytes, at: datetime
) -> None:
    """Another value for a credential."""
    await _SQL.run(
        db, "replace_value", id=credential_id, data_key=data_key_id, sealed=sealed, fingerprint=fingerprint, at=at
    )


async def record_check(db: Database, row: CredentialRow, outcome: str, status: int, at: datetime) -> None:
    """Keeps what a check found, if the credential still has the value that was checked."""
    await _SQL.run(db, "record_check", id=row.id, fingerprint=row.fingerprint, outcome=outcome, status=status, at=at)


async def update_credential(db: Database, credential_id: UUID, weight: int, quota: Quota) -> None:
    """Writes what can change of a credential beside its value."""
    await _SQL.run(db, "update_credential", id=credential_id, weight=weight, quota=Jsonb(quota_form(quota)))


async def remove_credential(db: Database, credential_id: UUID, at: datetime) -> None:
    """Marks a credential as removed and forgets its ciphertext."""
    await _SQL.run(db, "remove_credential", id=credential_id, at=at)
