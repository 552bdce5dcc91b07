"""What access knows of callers: the identity that an issuer vouches for, and the messages of the contract. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A person or machine as a token says it whose signature, issuer, audience and times were checked.

    `issuer` and `subject` together are the identity; `email` may change hands and binds only once, and only when
    `email_verified`. `groups` are the names in the issuer's claim, already mapped by its configuration;
    `groups_told` False: there was no such claim. `issued` is when the token was made; None: at this moment, for this
    purpose. `session` is the provider's session that a bearer token names.
    """

    issuer: str
    subject: str
    email: str = ""
    email_verified: bool = False
    name: str = ""
    groups: tuple[str, ...] = ()
    groups_told: bool = True
    issued: datetime | None = None
    session: str = ""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user as it is shown."""

    id: str
    email: str
    display_name: str
    issuer: str
    subject: str
    groups: list[str]
    disabled: bool
    created_at: datetime
    updated_at: datetime
    bound_at: datetime | None
    last_seen_at: datetime | None
    etag: str


class CreateUserRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    email: str
    display_name: str = ""


class GetUserRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    user: str


class ListUsersRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""
    search: str = ""


class ListUsersResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    users: list[User]
    next_page_token: str = ""


class UserRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The messages that disable, enable or unbind a user."""

    user: str
    etag: str = ""


class CallerRole(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    role: str
    business_unit: str = ""
    project: str = ""


class GetCallerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: who is calling."""

    name: str
    kind: str
    email: str
    groups: list[str]
    roles: list[CallerRole]
    permissions: list[str]


class ServiceAccountToken(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: a token without its value."""

    id: str
    public_id: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class ServiceAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A service account as it is shown."""

    id: str
    name: str
    description: str
    business_unit: str
    project: str
    disabled: bool
    tokens: list[ServiceAccountToken]
    created_at: datetime
    updated_at: datetime
    etag: str


class ServiceAccountTokenWithSecret(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: a token with the value that is shown this once."""

    token: ServiceAccountToken
    service_account: str
    secret: str

    def __repr__(self) -> str:
        return f"ServiceAccountTokenWithSecret(token={self.token.public_id!r})"


class CreateServiceAccountRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    name: str
    description: str = ""
    business_unit: str = ""
    project: str = ""


class GetServiceAccountRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    service_account: str


class ListServiceAccountsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""


class ListServiceAccountsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    service_accounts: list[ServiceAccount]
    next_page_token: str = ""


class ServiceAccountRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The messages that disable, enable or archive a service account."""

    service_account: str
    etag: str = ""


class CreateServiceAccountTokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    service_account: str
    lifetime_seconds: int = 0


class RotateServiceAccountTokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    service_account: str
    grace_seconds: int = 0
    lifetime_seconds: int = 0


class RevokeServiceAccountTokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    service_account: str
    token: str


class RoleBinding(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: one role of one subject in one place."""

    id: str
    role: str
    user: str
    service_account: str
    group: str
    issuer: str
    business_unit: str
    project: str
    expires_at: datetime | None
    created_by: str
    created_at: datetime


class GrantRoleRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    role: str
    user: str = ""
    service_account: str = ""
    group: str = ""
    issuer: str = ""
    business_unit: str = ""
    project: str = ""
    expires_at: datetime | None = None


class RevokeRoleRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    binding: str


class ListRolesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""
    user: str = ""
    service_account: str = ""
    group: str = ""
    business_unit: str = ""
    project: str = ""
    role: str = ""


class ListRolesResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    roles: list[RoleBinding]
    next_page_token: str = ""


class UserRoleSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: a role of a user in a configuration file."""

    role: str
    business_unit: str = ""
    project: str = ""


class RoleSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: a role in a configuration file."""

    role: str
    user: str = ""
    service_account: str = ""
    group: str = ""
    issuer: str = ""
    business_unit: str = ""
    project: str = ""
