"""What the data planes get, built from the tables: the catalog, and the entries of the key directory.

Read-only, and consistent when the caller's transaction is REPEATABLE READ. The catalog carries credentials and peppers
in the clear: it exists in memory only, and leaves this process sealed.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import UTC, datetime
from uuid import UUID

from tollway.controlplane.access import identities
from tollway.controlplane.catalog import models, postgres, routing
from tollway.controlplane.catalog.model import ModelRow, ProviderRow, effective_timeouts
from tollway.controlplane.credentials import postgres as credential_rows
from tollway.controlplane.credentials.model import place
from tollway.controlplane.credentials.vault import Vault
from tollway.controlplane.db.statements import Database
from tollway.controlplane.identity import postgres as identity
from tollway.controlplane.identity.model import ORGANISATION
from tollway.controlplane.keys import postgres as keys
from tollway.controlplane.prices import published
from tollway.controlplane.rules import published as rules
from tollway.controlplane.signin import pushed
from tollway.core.catalog import (
    Catalog,
    Credential,
    DirectoryEntry,
    Model,
    Project,
    Provider,
    ProviderKind,
    Secret,
    Strategy,
    Target,
)
from tollway.core.pricing import Price


async def build_catalog(db: Database, vault: Vault) -> Catalog:
    """The whole catalog at the version of the last change to it. Raises VaultError when something cannot be opened."""
    position = await postgres.position(db)
    providers = {row.id: row for row in await postgres.providers(db)}
    peppers = await vault.peppers(db)
    return Catalog(
        epoch=position.epoch,
        version=position.version,
        organisation=ORGANISATION,
        providers=await _providers(db, vault, list(providers.values())),
        models=await _models(db, providers),
        projects={
            str(row.id): Project(
                id=str(row.id),
                name=row.name,
                organisation=ORGANISATION,
                business_unit=row.business_unit,
                models=tuple(row.models),
                dialect_policy=row.dialect_policy,
                logging=row.logging,
                caching=row.caching,
                priority=row.priority,
                business_unit_id=str(row.business_unit_id),
            )
            for row in await identity.projects(db)
        },
        peppers=peppers.digest if peppers is not None else {},
        index_pepper=peppers.index if peppers is not None else b"",
        rules=await rules.catalog_rules(db, datetime.now(UTC)),
        issuers=await pushed.token_issuers(db),
    )


async def _providers(db: Database, vault: Vault, rows: Sequence[ProviderRow]) -> dict[str, Provider]:
    opened: dict[UUID, list[Credential]] = {row.id: [] for row in rows}
    for row in await credential_rows.credentials(db, list(opened)):
        value = await vault.open(db, row.data_key, row.sealed, place(row.id))
        credential = Credential(
            id=str(row.id), name=row.name, api_key=value.decode(), weight=row.weight, quota=row.quota
        )
        opened[row.provider_id].append(credential)
    return {
        str(row.id): Provider(
            id=str(row.id),
            name=row.name,
            kind=ProviderKind(row.kind),
            base_url=row.base_url,
            api_version=row.api_version,
            timeouts=effective_timeouts(row.timeouts),
            credentials=tuple(opened[row.id]),
            hangup=row.hangup,
            probe_seconds=row.probe_seconds,
        )
        for row in rows
    }


async def _models(db: Database, providers: dict[UUID, ProviderRow]) -> dict[str, Model]:
    """Each model with the price that was published with the catalog's version, or with the present one if none was."""
    rows = await postgres.models(db)
    prices = await published.current(db)
    missing = [row for row in rows if row.id not in prices]
    if missing:
        book = await published.book_of(db, missing, providers)
        now = datetime.now(UTC)
        prices |= {row.id: models.price_of(row, providers, book, now) for row in missing}
    live = {row.name for row in rows}
    return {row.name: _model(row, providers, prices[row.id], live) for row in rows}


def _model(row: ModelRow, providers: dict[UUID, ProviderRow], price: Price | None, live: Set[str]) -> Model:
    # A control plane of a release before, still running beside this one, archives without a look at fallbacks.
    chains = {field: tuple(name for name in names if name in live) for field, names in routing.chains(row).items()}
    return Model(
        id=str(row.id),
        name=row.name,
        targets=tuple(
            Target(provider=str(target.provider_id), model=target.model, weight=target.weight, priority=target.priority)
            for target in row.targets
        ),
        aliases=tuple(row.aliases),
        strategy=Strategy(row.strategy),
        affinity=row.affinity,
        retries=row.retries,
        breaker=row.breaker,
        hedge=row.hedge,
        price=price,
        capabilities=models.capabilities_of(row, providers),
        created=int(row.created_at.timestamp()),
        **chains,
    )


async def build_entries(db: Database, key_ids: Sequence[UUID]) -> list[DirectoryEntry]:
    """The entries of these keys, one each, revoked ones too; ids that do not exist are left out."""
    return await _entries(db, await keys.entry_keys(db, key_ids))


async def all_entries(db: Database, after: UUID | None, limit: int) -> list[DirectoryEntry]:
    """The next `limit` entries of the whole directory by key id, one a key; fewer at its end. `after` is a key id."""
    return await _entries(db, await keys.entry_page(db, after, limit))


async def _entries(db: Database, rows: Sequence[keys.EntryRow]) -> list[DirectoryEntry]:
    secrets: dict[UUID, list[Secret]] = {row.id: [] for row in rows}
    for secret in await keys.secrets(db, list(secrets)):
        secrets[secret.key_id].append(
            Secret(digest=secret.digest, pepper=secret.pepper, not_after_ms=_milliseconds(secret.not_after))
        )
    # A key that was replaced goes on under the rules of its successor, which is the name that counts.
    followers_first = sorted(rows, key=lambda row: row.rules_of == row.id)
    owners = {row.rules_of: f"{row.project}/{row.name}" for row in followers_first}
    held = await rules.key_rules(db, owners, datetime.now(UTC))
    return [
        DirectoryEntry(
            lookup=row.lookup,
            public_id=row.public_id,
            key_id=str(row.id),
            name=row.name,
            project=str(row.project_id),
            version=row.version,
            secrets=tuple(secrets[row.id]),
            models=tuple(row.models),
            expires_ms=_milliseconds(row.expires_at),
            revoked=row.revoked_at is not None,
            tags=row.tags,
            user=row.user_name,
            rules=held.get(row.rules_of),
        )
        for row in rows
    ]


def _milliseconds(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp() * 1000)


class SnapshotSource:
    """The same three reads as one object with the vault bound, as config push takes them."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def catalog(self, db: Database) -> Catalog:
        """The whole catalog."""
        return await build_catalog(db, self._vault)

    async def entries(self, db: Database, key_ids: Sequence[UUID]) -> Sequence[DirectoryEntry]:
        """The entries of these keys and identities."""
        found = await build_entries(db, key_ids)
        if len(found) < len(key_ids):
            found += await identities.entries(db, key_ids, await self._index_pepper(db))
        return found

    async def page(self, db: Database, after: UUID | None, limit: int) -> Sequence[DirectoryEntry]:
        """The next entries of the whole directory: of keys and of identities, together in the order of their ids."""
        found = await all_entries(db, after, limit)
        found += await identities.page(db, after, limit, await self._index_pepper(db))
        return sorted(found, key=lambda entry: entry.key_id)[:limit]  # as text, UUIDs have the order of their numbers

    async def _index_pepper(self, db: Database) -> bytes:
        peppers = await self._vault.peppers(db)
        return peppers.index if peppers is not None else b""
