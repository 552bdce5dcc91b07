"""Rows of the tables of access, and how they are shown. Pure."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from tollway.controlplane.access.model import RoleBinding, ServiceAccount, ServiceAccountToken, User
from tollway.controlplane.resources import etag


class UserRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `users`."""

    id: UUID
    email: str
    display_name: str
    issuer: str | None
    subject: str | None
    groups: list[str]
    bound_at: datetime | None
    last_seen_at: datetime | None
    disabled_at: datetime | None
    revision: int
    created_at: datetime
    updated_at: datetime
    managed_by: str | None = None
    applied_digest: bytes | None = None
    groups_said_at: datetime | None = None

    @property
    def name(self) -> str:
        """What the audit log and the user's own keys call them: never an address that nobody has verified."""
        return self.email or f"user:{self.id}"

    def view(self) -> User:
        """The user as it is shown."""
        return User(
            id=str(self.id),
            email=self.email,
            display_name=self.display_name,
            issuer=self.issuer or "",
            subject=self.subject or "",
            groups=self.groups,
            disabled=self.disabled_at is not None,
            created_at=self.created_at,
            updated_at=self.updated_at,
            bound_at=self.bound_at,
            last_seen_at=self.last_seen_at,
            etag=etag(self.id, self.revision),
        )


class AccountRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `service_accounts` with the names of where it lives."""

    id: UUID
    name: str
    description: str
    unit_id: UUID | None
    project_id: UUID | None
    business_unit: str
    project: str
    disabled_at: datetime | None
    revision: int
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None = None

    def view(self, tokens: list[TokenRow]) -> ServiceAccount:
        """The account as it is shown, with its tokens that are valid."""
        return ServiceAccount(
            id=str(self.id),
            name=self.name,
            description=self.description,
            business_unit=self.business_unit,
            project=self.project,
            disabled=self.disabled_at is not None,
            tokens=[token.view() for token in tokens],
            created_at=self.created_at,
            updated_at=self.updated_at,
            etag=etag(self.id, self.revision),
        )


class TokenRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `service_account_tokens` without its digest."""

    id: UUID
    service_account_id: UUID
    public_id: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None

    def view(self) -> ServiceAccountToken:
        """The token as it is shown."""
        return ServiceAccountToken(
            id=str(self.id),
            public_id=self.public_id,
            created_at=self.created_at,
            expires_at=self.expires_at,
            revoked_at=self.revoked_at,
            last_used_at=self.last_used_at,
        )


class BindingRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `role_bindings` with the names of its subject and of its place."""

    id: UUID
    role: str
    user_id: UUID | None
    service_account_id: UUID | None
    group_name: str | None
    group_issuer: str
    unit_id: UUID | None
    project_id: UUID | None
    user: str
    service_account: str
    business_unit: str
    project: str
    expires_at: datetime | None
    created_by: str
    created_at: datetime
    managed_by: str | None = None
    applied_digest: bytes | None = None

    @property
    def label(self) -> str:
        """How configuration and the audit log name it."""
        return label(
            self.role,
            user=self.user,
            service_account=self.service_account,
            group=self.group_name or "",
            issuer=self.group_issuer,
            business_unit=self.business_unit,
            project=self.project,
        )

    def view(self) -> RoleBinding:
        """The binding as it is shown."""
        return RoleBinding(
            id=str(self.id),
            role=self.role,
            user=self.user,
            service_account=self.service_account,
            group=self.group_name or "",
            issuer=self.group_issuer,
            business_unit=self.business_unit,
            project=self.project,
            expires_at=self.expires_at,
            created_by=self.created_by,
            created_at=self.created_at,
        )


def label(
    role: str, *, user: str, service_account: str, group: str, issuer: str, business_unit: str, project: str
) -> str:
    """One line that names a binding: "developer of user:ana@example.com on project:demo"."""
    if user:
        who = f"user:{user}"
    elif service_account:
        who = f"service_account:{service_account}"
    else:
        who = f"group:{group}@{issuer}" if issuer else f"group:{group}"
    where = f"project:{project}" if project else f"business_unit:{business_unit}" if business_unit else "platform"
    return f"{role} of {who} on {where}"


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A role that somebody holds now, and where."""

    role: str
    unit_id: UUID | None
    project_id: UUID | None
