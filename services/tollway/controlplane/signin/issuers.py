"""The issuers that are trusted: made, changed and removed by a document of configuration, and read by every process.

A client's secret goes into the vault and is never shown again. An issuer's URL cannot change: people are bound to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec
from uuid_utils.compat import uuid7

from tollway.controlplane.access import identities
from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.credentials.vault import Peppers, Vault, ensure_peppers, value_fingerprint
from tollway.controlplane.db.pool import Pool
from tollway.controlplane.db.statements import Database
from tollway.controlplane.resources import from_ms
from tollway.controlplane.signin import postgres
from tollway.controlplane.signin.fetch import Fetcher, endpoint_problem
from tollway.controlplane.signin.model import (
    DEFAULT_ALGORITHMS,
    DEFAULT_REFRESH_SECONDS,
    DEFAULT_SCOPES,
    MAX_ISSUERS,
    MIN_REFRESH_SECONDS,
    IssuerRow,
    IssuerSpec,
)
from tollway.controlplane.signin.providers import Provider
from tollway.core.bearer import ALGORITHMS
from tollway.runtime.clock import Clock

READ_SECONDS = 2.0
"""A change of the issuers reaches every process in this time."""
SETTLED = (
    "client_id",
    "cli_client_id",
    "audiences",
    "scopes",
    "algorithms",
    "groups_claim",
    "email_claim",
    "name_claim",
    "trust_email",
    "refresh_seconds",
    "data_plane",
    "claims",
)
"""What a document says of an issuer beside name, URL and secret."""


def place(issuer_id: object) -> bytes:
    """Associated data of a sealed secret: it opens nowhere else."""
    return f"identity issuer|{issuer_id}".encode()


def settled(spec: IssuerSpec, path: str = "") -> dict[str, Any]:
    """The fields of an issuer with their defaults. Raises ApiError for what cannot be."""
    for index, name in enumerate(spec.algorithms):
        if name not in ALGORITHMS:
            raise _invalid(f"{path}algorithms[{index}]", f"must be one of {', '.join(ALGORITHMS)}")
    scopes = list(dict.fromkeys(spec.scopes or DEFAULT_SCOPES))
    if "openid" not in scopes:
        raise _invalid(f"{path}scopes", "must have openid: people are told apart by ID tokens")
    if spec.client_id in spec.audiences:
        raise _invalid(f"{path}audiences", "must not have the client_id: its ID tokens are no credentials for calls")
    if spec.cli_client_id == spec.client_id:
        message = "must be another client than client_id: ID tokens of the portal are no credentials for calls"
        raise _invalid(f"{path}cli_client_id", message)
    if spec.data_plane is not None and not spec.data_plane.audiences:
        raise _invalid(f"{path}data_plane.audiences", "must name what the tokens of applications have as `aud`")
    if spec.data_plane is not None and spec.client_id in spec.data_plane.audiences:
        message = "must not have the client_id: its ID tokens are no credentials for calls"
        raise _invalid(f"{path}data_plane.audiences", message)
    for index, name in enumerate(spec.claims):
        if "=" in name or not name.isprintable() or name != name.strip():
            raise _invalid(f"{path}claims[{index}]", "must be the name of a claim, without = and spaces around it")
    if spec.refresh_seconds and spec.refresh_seconds < MIN_REFRESH_SECONDS:
        raise _invalid(f"{path}refresh_seconds", f"must be at least {MIN_REFRESH_SECONDS}")
    return {
        "client_id": spec.client_id,
        "cli_client_id": spec.cli_client_id,
        "audiences": list(dict.fromkeys(spec.audiences)),
        "scopes": scopes,
        "algorithms": list(dict.fromkeys(spec.algorithms or DEFAULT_ALGORITHMS)),
        "groups_claim": spec.groups_claim or "groups",
        "email_claim": spec.email_claim or "email",
        "name_claim": spec.name_claim or "name",
        "trust_email": spec.trust_email,
        "refresh_seconds": spec.refresh_seconds or DEFAULT_REFRESH_SECONDS,
        "data_plane": None if spec.data_plane is None else msgspec.to_builtins(spec.data_plane),
        "claims": list(dict.fromkeys(spec.claims)),
    }


def fingerprint(peppers: Peppers, issuer_id: object, secret: str) -> bytes:
    """A keyed digest of a secret, to tell whether another document's differs."""
    return value_fingerprint(peppers, str(issuer_id), secret)


def _invalid(name: str, message: str) -> ApiError:
    return ApiError(ApiCode.INVALID, f"{name} {message}", field=name)


def _check_url(url: str) -> None:
    problem = endpoint_problem(url)
    parts = urlsplit(url) if problem is None else None
    if parts is not None and (parts.query or parts.fragment or not url.isprintable() or " " in url):
        problem = "must be a URL without query and fragment"
    if problem is not None:
        raise _invalid("issuer", problem)


def _shown(row: IssuerRow) -> dict[str, Any]:
    """What the audit log keeps."""
    fields = {name: getattr(row, name) for name in SETTLED}
    return {"id": str(row.id), "name": row.name, "issuer": row.issuer, "confidential": row.sealed is not None, **fields}


async def _sealed(call: Call, row: IssuerRow, secret: str) -> IssuerRow:
    if not secret:
        return msgspec.structs.replace(row, sealed=None, data_key=None, fingerprint=None)
    peppers = await ensure_peppers(call.db, call.vault)
    data_key, sealed = await call.vault.seal(call.db, secret.encode(), place(row.id))
    return msgspec.structs.replace(
        row, sealed=sealed, data_key=data_key, fingerprint=fingerprint(peppers, row.id, secret)
    )


async def create(call: Call, spec: IssuerSpec) -> None:
    """A new issuer."""
    _check_url(spec.issuer)
    present = await postgres.issuers(call.db)
    if len(present) >= MAX_ISSUERS:
        raise ApiError(ApiCode.FAILED_PRECONDITION, f"there are {MAX_ISSUERS} issuers already; remove some")
    for other in present:
        if other.issuer == spec.issuer:
            raise _invalid("issuer", f"is that of the issuer {other.name!r} already")
    row = IssuerRow(
        id=uuid7(),
        name=spec.name,
        issuer=spec.issuer,
        sealed=None,
        data_key=None,
        fingerprint=None,
        revision=1,
        **settled(spec),
    )
    row = await _sealed(call, row, spec.client_secret)
    await postgres.insert_issuer(call.db, row, from_ms(call.clock.now_ms()))
    await _push(call, None, row)
    call.audit(f"issuer:{row.name}", None, _shown(row))


async def _named(call: Call, name: str) -> IssuerRow:
    for row in await postgres.issuers(call.db):
        if row.name == name:
            return row
    raise ApiError(ApiCode.NOT_FOUND, f"there is no issuer {name!r}", field="name")


async def update(call: Call, spec: IssuerSpec, *, secret: bool) -> None:
    """Writes what a document says of an issuer; its secret too when `secret` says that it differs."""
    row = await _named(call, spec.name)
    if row.issuer != spec.issuer:
        message = f"the URL of the issuer {spec.name!r} cannot change; give the new one another name"
        raise ApiError(ApiCode.FAILED_PRECONDITION, message, field="issuer")
    changed = msgspec.structs.replace(row, **settled(spec))
    if secret:
        changed = await _sealed(call, changed, spec.client_secret)
    await postgres.update_issuer(call.db, changed, from_ms(call.clock.now_ms()))
    await _push(call, row, changed)
    call.audit(f"issuer:{row.name}", _shown(row), _shown(changed))


async def remove(call: Call, name: str) -> None:
    """Removes an issuer: its tokens are refused and its sessions end."""
    row = await _named(call, name)
    await postgres.archive_issuer(call.db, row.id, from_ms(call.clock.now_ms()))
    await _push(call, row, None)
    call.audit(f"issuer:{row.name}", _shown(row), None)


async def _push(call: Call, before: IssuerRow | None, after: IssuerRow | None) -> None:
    """Tells data planes what they know of an issuer, when its tokens are or were taken there; called once it is so."""
    was = before is not None and before.data_plane is not None
    if after is not None and after.data_plane is not None:
        call.catalog_change()
        if not was:
            call.changed_keys |= await identities.of_issuer(call.db, after.issuer)
    elif was:
        call.catalog_change()


@dataclass(frozen=True)
class Trusted:
    """The issuers at one moment. `generation` grows when they change."""

    by_issuer: Mapping[str, IssuerRow] = field(default_factory=dict)
    by_name: Mapping[str, IssuerRow] = field(default_factory=dict)
    generation: int = 0


class Issuers:
    """The issuers as this process knows them, read anew every few seconds, with what each publishes."""

    def __init__(self, pool: Pool, vault: Vault, fetcher: Fetcher, clock: Clock) -> None:
        self._pool = pool
        self._vault = vault
        self._fetcher = fetcher
        self._clock = clock
        self._trusted = Trusted()
        self._read: float | None = None
        self._providers: dict[str, Provider] = {}

    async def trusted(self) -> Trusted:
        """The live issuers. Raises what the database raises when it does not answer."""
        now = self._clock.monotonic()
        if self._read is None or now - self._read > READ_SECONDS:
            async with self._pool.connection() as db:
                rows = await postgres.issuers(db)
            self._read = now
            if rows != list(self._trusted.by_name.values()):
                self._trusted = Trusted(
                    {row.issuer: row for row in rows}, {row.name: row for row in rows}, self._trusted.generation + 1
                )
                self._providers = {
                    url: provider for url, provider in self._providers.items() if url in self._trusted.by_issuer
                }
        return self._trusted

    def provider(self, row: IssuerRow) -> Provider:
        """What the issuer publishes."""
        found = self._providers.get(row.issuer)
        if found is None:
            found = self._providers[row.issuer] = Provider(row.issuer, self._fetcher, self._clock)
        return found

    async def close(self) -> None:
        """Ends what is read in the background."""
        for provider in self._providers.values():
            await provider.close()

    async def secret(self, db: Database, row: IssuerRow) -> str:
        """The client's secret; empty for a public client. Raises VaultError."""
        if row.sealed is None or row.data_key is None:
            return ""
        return (await self._vault.open(db, row.data_key, row.sealed, place(row.id))).decode()
