"""What sign-in knows: trusted issuers, sessions, and the bounds of everything that comes from outside. Frozen values.

Secrets are in no representation.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.access.model import Identity
from tollway.controlplane.call import Principal

ADMINISTRATOR = Principal(name="administrator")
"""Whoever has the administrator's token of the environment: bootstrap and break-glass."""
DEFAULT_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
DEFAULT_SCOPES = ("openid", "profile", "email", "offline_access")
DEFAULT_REFRESH_SECONDS = 900
MIN_REFRESH_SECONDS = 60
MAX_TOKEN_LIFETIME_SECONDS = 86_400
"""From `iat` to `exp` of a bearer token of the management API. What was signed out is remembered for as long."""
MAX_ISSUERS = 100
MAX_GROUPS = 1_000


class DataPlaneSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: that an issuer's tokens stand for a virtual key. `tags` are those of its requests."""

    audiences: list[str] = []
    tags: dict[str, str] = {}


class IssuerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: an issuer as a document declares it."""

    name: str
    issuer: str
    client_id: str
    client_secret: str = ""
    cli_client_id: str = ""
    audiences: list[str] = []
    scopes: list[str] = []
    algorithms: list[str] = []
    groups_claim: str = ""
    email_claim: str = ""
    name_claim: str = ""
    trust_email: bool = False
    refresh_seconds: int = 0
    data_plane: DataPlaneSpec | None = None
    claims: list[str] = []

    def __repr__(self) -> str:
        return f"IssuerSpec(name={self.name!r})"


class IdentitySpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: who may sign in."""

    issuers: list[IssuerSpec] = []


class IssuerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `signin_issuers`. `data_plane` holds a `DataPlaneSpec`; None: its tokens are no keys."""

    id: UUID
    name: str
    issuer: str
    client_id: str
    cli_client_id: str
    sealed: bytes | None
    data_key: str | None
    fingerprint: bytes | None
    audiences: list[str]
    scopes: list[str]
    algorithms: list[str]
    groups_claim: str
    email_claim: str
    name_claim: str
    trust_email: bool
    refresh_seconds: int
    revision: int
    data_plane: dict[str, Any] | None = None
    claims: list[str] = []
    managed_by: str | None = None
    applied_digest: bytes | None = None

    @property
    def accepted(self) -> tuple[str, ...]:
        """The audiences of bearer tokens that are meant for the management API.

        The client id of the pages is not among them: its ID tokens prove a sign-in to us, and are no credentials.
        """
        return (*self.audiences, *((self.cli_client_id,) if self.cli_client_id else ()))


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a session keeps of a person, as the provider said it last."""

    email: str = ""
    email_verified: bool = False
    name: str = ""
    groups: tuple[str, ...] = ()

    def identity(self, issuer: str, subject: str) -> Identity:
        """The identity that these claims are about."""
        return Identity(
            issuer=issuer,
            subject=subject,
            email=self.email,
            email_verified=self.email_verified,
            name=self.name,
            groups=self.groups,
        )


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `signin_sessions`, with the name of its issuer; the cookie's value is not in it."""

    id: UUID
    kind: str
    issuer_id: UUID | None
    issuer: str | None
    subject: str
    provider_sid: str
    claims: dict[str, Any]
    sealed: bytes | None
    data_key: str | None
    created_at: datetime
    seen_at: datetime
    refreshed_at: datetime
    refresh_at: datetime | None
    expires_at: datetime


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What a session keeps sealed: what renews it, and what the provider wants to see at sign-out."""

    refresh_token: str = ""
    id_token: str = ""

    def __repr__(self) -> str:
        return "Kept()"


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A signed-in browser. `csrf_token` goes into forms and into the header `x-csrf-token` of unsafe calls."""

    id: UUID
    kind: str
    principal: Principal
    csrf_token: str
    created_at: datetime
    expires_at: datetime
    issuer_name: str = ""

    def __repr__(self) -> str:
        return f"Session(id={self.id}, principal={self.principal.name!r})"
