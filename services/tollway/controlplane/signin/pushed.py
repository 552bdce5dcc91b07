"""Issuers whose tokens data planes take: keeps what they publish in the database, from where it is pushed.

Data planes fetch nothing. Every control plane looks; the one that finds an issuer's keys due reads them, and only a
read that nobody was faster with is written, so that an older one never replaces a newer one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from tollway.controlplane.access import identities
from tollway.controlplane.db.pool import OUTAGE, Pool
from tollway.controlplane.db.statements import Database
from tollway.controlplane.db.versions import publish
from tollway.controlplane.prices import published as prices
from tollway.controlplane.resources import from_ms
from tollway.controlplane.signin import logouts
from tollway.controlplane.signin.fetch import ProviderUnavailable
from tollway.controlplane.signin.issuers import Issuers
from tollway.controlplane.signin.model import DataPlaneSpec, IssuerRow
from tollway.controlplane.signin.postgres import SQL
from tollway.controlplane.signin.providers import STALE_SECONDS
from tollway.core.catalog import TokenIssuer
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
LOOK_SECONDS = 1.0
RETRY_SECONDS = 5.0
READ_SECONDS = 60.0
"""How often the keys of an issuer are read."""
_PUBLIC = ("kty", "kid", "alg", "use", "crv", "n", "e", "x", "y")


class _Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """An issuer whose tokens are taken, with its keys as they were read last."""

    id: UUID
    name: str
    issuer: str
    algorithms: list[str]
    groups_claim: str
    claims: list[str]
    data_plane: DataPlaneSpec
    keys: list[dict[str, str]] | None
    read_at: datetime | None


async def token_issuers(db: Database) -> dict[str, TokenIssuer]:
    """The issuers of the catalog, by URL."""
    unclaimed = await logouts.unclaimed(db)
    found = {}
    for row in await SQL.all(db, "pushed_issuers", _Pushed):
        ended = unclaimed.get(row.issuer, logouts.Unclaimed())
        found[row.issuer] = TokenIssuer(
            name=row.name,
            issuer=row.issuer,
            audiences=tuple(row.data_plane.audiences),
            algorithms=tuple(row.algorithms),
            keys=tuple(row.keys or ()),
            tags=row.data_plane.tags,
            ended=ended.ended,
            sessions_not_before_ms=ended.sessions_not_before_ms,
            groups_claim=row.groups_claim,
            claims=tuple(row.claims),
        )
    return found


def public_key(key: Mapping[str, Any]) -> dict[str, str]:
    """What verifying needs of a published key, and nothing else."""
    return {name: key[name] for name in _PUBLIC if isinstance(key.get(name), str)}


class KeyPush:
    """`start` it, `close` it. `look` is one look, for tests too."""

    def __init__(self, pool: Pool, issuers: Issuers, clock: Clock) -> None:
        self._pool = pool
        self._issuers = issuers
        self._clock = clock
        self._tasks = Tasks()
        self._again: dict[UUID, float] = {}
        """When an issuer that did not answer is asked again, monotonic."""

    def start(self) -> None:
        """Begins to look."""
        self._tasks.keep(self._run, "signin-keys", restart_seconds=RETRY_SECONDS)

    async def close(self) -> None:
        """Ends the background work."""
        await self._tasks.close()

    async def _run(self) -> None:
        while True:
            pause = LOOK_SECONDS
            try:
                await self.look()
            except OUTAGE as error:
                pause = RETRY_SECONDS
                _log.warning("keys of issuers could not be looked after", reason=type(error).__name__)
            await asyncio.sleep(pause)

    async def look(self) -> None:
        """Reads the keys that are due and publishes those that changed."""
        async with self._pool.connection() as db:
            rows = await SQL.all(db, "pushed_issuers", _Pushed)
        now = from_ms(self._clock.now_ms())
        self._again = {row.id: self._again[row.id] for row in rows if row.id in self._again}
        for row in rows:
            due = row.read_at is None or (now - row.read_at).total_seconds() >= READ_SECONDS
            if due and self._clock.monotonic() >= self._again.get(row.id, 0.0):
                trusted = (await self._issuers.trusted()).by_name.get(row.name)
                if trusted is not None and trusted.id == row.id:
                    await self._read(row, trusted, now)

    async def _read(self, row: _Pushed, trusted: IssuerRow, now: datetime) -> None:
        try:
            found = await self._issuers.provider(trusted).published(READ_SECONDS / 2)
            keys, read_at = [public_key(key) for key in found], now
        except ProviderUnavailable as error:
            self._again[row.id] = self._clock.monotonic() + RETRY_SECONDS
            _log.warning("an issuer's keys could not be read for the data planes", issuer=row.name, reason=str(error))
            if row.read_at is None or not row.keys or (now - row.read_at).total_seconds() < STALE_SECONDS:
                return
            keys, read_at = [], row.read_at  # too old to be believed
        async with self._pool.connection() as db, db.transaction():
            written = await SQL.run(
                db, "write_keys", issuer=row.id, keys=Jsonb(keys), read_at=read_at, known=row.read_at
            )
            if not written:
                return  # another process was faster, or the issuer is gone
            entries = await identities.missing(db)
            changed = keys != row.keys
            if changed:
                await prices.record(db, now)
            version = await publish(db, catalog=changed, keys=entries)
        if changed:
            _log.info("an issuer publishes other keys: pushed", issuer=row.name, keys=len(keys), version=version)
