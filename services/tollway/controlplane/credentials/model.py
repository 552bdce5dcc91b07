"""Provider credentials as values: what may be shown, and the row behind it. Pure; the value itself is never in here."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from tollway.controlplane.credentials.checking import Outcome, detail
from tollway.core.catalog import Quota


class CredentialCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider said of a credential when it was asked last; `status` is the HTTP status, 0: no answer."""

    credential: str
    outcome: str
    status: int
    detail: str
    checked_at: datetime


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as it is shown. `check`: None, its present value was never checked."""

    id: str
    name: str
    weight: int
    created_at: datetime
    rotated_at: datetime | None = None
    quota: Quota | None = None
    check: CredentialCheck | None = None


class NewCredential(msgspec.Struct, frozen=True, kw_only=True):
    """A credential with its value, on the way in. The value is in no representation of it."""

    name: str
    api_key: str
    weight: int = 0
    quota: Quota | None = None

    def __repr__(self) -> str:
        return f"NewCredential(name={self.name!r}, weight={self.weight})"


class CredentialRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `credentials`; `sealed` opens only with the vault and for this id."""

    id: UUID
    provider_id: UUID
    name: str
    weight: int
    quota: Quota
    sealed: bytes
    data_key: str
    fingerprint: bytes
    created_at: datetime
    rotated_at: datetime | None = None
    removed_at: datetime | None = None
    managed_by: str | None = None
    applied_digest: bytes | None = None
    checked_at: datetime | None = None
    check_outcome: Outcome | None = None
    check_status: int | None = None

    def check(self) -> CredentialCheck | None:
        """What the last check of the present value found."""
        if self.checked_at is None or self.check_outcome is None:
            return None
        status = self.check_status or 0
        return CredentialCheck(
            credential=self.name,
            outcome=self.check_outcome.value,
            status=status,
            detail=detail(self.check_outcome, status),
            checked_at=self.checked_at,
        )

    def view(self) -> Credential:
        """The credential as it is shown."""
        return Credential(
            id=str(self.id),
            name=self.name,
            weight=self.weight,
            created_at=self.created_at,
            rotated_at=self.rotated_at,
            quota=self.quota if self.quota != Quota() else None,
            check=self.check(),
        )

    def __repr__(self) -> str:
        return f"CredentialRow(id={self.id}, name={self.name!r})"


def quota_form(quota: Quota) -> dict[str, int]:
    """What is bounded, JSON-ready: the form in which a row keeps it and a plan compares it."""
    return {name: bound for name, bound in msgspec.structs.asdict(quota).items() if bound is not None}


def place(credential_id: UUID) -> bytes:
    """Associated data of a sealed credential: it opens nowhere else."""
    return f"credential|{credential_id}".encode()


def header_safe(value: str) -> str | None:
    """The value without surrounding white space, when it can travel in an HTTP header; else None."""
    stripped = value.strip()
    if not stripped or not all("\x21" <= character <= "\x7e" for character in stripped):
        return None
    return stripped
