"""Who may call the management API: users, service accounts with their tokens, roles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from tollway.sdk.identity import present, segment
from tollway.sdk.paging import pages, typed
from tollway.sdk.threads import aiterable, awaitable
from tollway.sdk.transport import Transport


@dataclass(frozen=True, kw_only=True)
class User:
    """A person. `issuer` and `subject` are empty before the first sign-in."""

    id: str = ""
    email: str = ""
    display_name: str = ""
    issuer: str = ""
    subject: str = ""
    groups: list[str] = field(default_factory=list)
    disabled: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    bound_at: datetime | None = None
    last_seen_at: datetime | None = None
    etag: str = ""


@dataclass(frozen=True, kw_only=True)
class CallerRole:
    """A role of the caller; both places empty: on the whole platform."""

    role: str = ""
    business_unit: str = ""
    project: str = ""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who is calling. `kind` is bootstrap, user or service_account; `permissions` hold on the whole platform."""

    name: str = ""
    kind: str = ""
    email: str = ""
    groups: list[str] = field(default_factory=list)
    roles: list[CallerRole] = field(default_factory=list)
    permissions: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ServiceAccountToken:
    """A token without its value."""

    id: str = ""
    public_id: str = ""
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ServiceAccount:
    """A machine that calls the management API, in a business unit, a project, or (both empty) on the platform."""

    id: str = ""
    name: str = ""
    description: str = ""
    business_unit: str = ""
    project: str = ""
    disabled: bool = False
    tokens: list[ServiceAccountToken] = field(default_factory=list)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    etag: str = ""


@dataclass(frozen=True, kw_only=True)
class ServiceAccountTokenWithSecret:
    """A token with the value that is shown this once."""

    token: ServiceAccountToken = field(default_factory=ServiceAccountToken)
    service_account: str = ""
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class RoleBinding:
    """A role of a user, a service account or a group; both places empty: on the whole platform."""

    id: str = ""
    role: str = ""
    user: str = ""
    service_account: str = ""
    group: str = ""
    issuer: str = ""
    business_unit: str = ""
    project: str = ""
    expires_at: datetime | None = None
    created_by: str = ""
    created_at: datetime | None = None


class Users:
    """`/api/v1/users`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, email: str, *, display_name: str = "") -> User:
        """Names a user, who is bound at the first sign-in with this verified address."""
        body = present(email=email, display_name=display_name or None)
        return typed(User, self._transport.call("POST", "/api/v1/users", body=body))

    def get(self, user: str) -> User:
        """A user by id or e-mail address."""
        return typed(User, self._transport.call("GET", f"/api/v1/users/{segment(user)}"))

    def list(self, *, search: str = "", limit: int | None = None) -> Iterator[User]:
        """Users by age; with `search`, those that have it in their address, name or subject."""
        return pages(self._transport, "/api/v1/users", "users", User, {"search": search}, limit)

    def disable(self, user: str, *, etag: str = "") -> User:
        """Refuses a user from the next call on."""
        return self._change(user, "disable", etag)

    def enable(self, user: str, *, etag: str = "") -> User:
        """Lets a disabled user in again."""
        return self._change(user, "enable", etag)

    def unbind(self, user: str, *, etag: str = "") -> User:
        """Forgets issuer and subject: the next sign-in with the verified address binds the user anew."""
        return self._change(user, "unbind", etag)

    def me(self) -> Caller:
        """Who is calling, with roles."""
        return typed(Caller, self._transport.call("GET", "/api/v1/me"))

    def _change(self, user: str, verb: str, etag: str) -> User:
        body = present(etag=etag or None)
        return typed(User, self._transport.call("POST", f"/api/v1/users/{segment(user)}:{verb}", body=body))


class ServiceAccounts:
    """`/api/v1/service-accounts`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, name: str, *, description: str = "", business_unit: str = "", project: str = "") -> ServiceAccount:
        """A new service account without tokens and roles; its roles hold only where it lives."""
        body = present(
            name=name,
            description=description or None,
            business_unit=business_unit or None,
            project=project or None,
        )
        return typed(ServiceAccount, self._transport.call("POST", "/api/v1/service-accounts", body=body))

    def get(self, service_account: str) -> ServiceAccount:
        """A service account by id or name, with its valid tokens."""
        return typed(ServiceAccount, self._transport.call("GET", _path(service_account)))

    def list(self, *, limit: int | None = None) -> Iterator[ServiceAccount]:
        """Service accounts by name."""
        return pages(self._transport, "/api/v1/service-accounts", "service_accounts", ServiceAccount, {}, limit)

    def disable(self, service_account: str, *, etag: str = "") -> ServiceAccount:
        """Refuses the account's tokens from the next call on."""
        body = present(etag=etag or None)
        return typed(ServiceAccount, self._transport.call("POST", f"{_path(service_account)}:disable", body=body))

    def enable(self, service_account: str, *, etag: str = "") -> ServiceAccount:
        """Lets a disabled account in again."""
        body = present(etag=etag or None)
        return typed(ServiceAccount, self._transport.call("POST", f"{_path(service_account)}:enable", body=body))

    def archive(self, service_account: str, *, etag: str = "") -> ServiceAccount:
        """Ends an account with its tokens and roles for good."""
        return typed(ServiceAccount, self._transport.call("DELETE", _path(service_account), query={"etag": etag}))

    def create_token(self, service_account: str, *, lifetime_seconds: int = 0) -> ServiceAccountTokenWithSecret:
        """A further token; 0: it lasts 90 days."""
        body = present(lifetime_seconds=lifetime_seconds or None)
        answer = self._transport.call("POST", f"{_path(service_account)}/tokens", body=body)
        return typed(ServiceAccountTokenWithSecret, answer)

    def rotate(
        self, service_account: str, *, grace_seconds: int = 0, lifetime_seconds: int = 0
    ) -> ServiceAccountTokenWithSecret:
        """A new token; the present ones end with the grace, at once when there is none."""
        body = present(grace_seconds=grace_seconds or None, lifetime_seconds=lifetime_seconds or None)
        answer = self._transport.call("POST", f"{_path(service_account)}:rotate", body=body)
        return typed(ServiceAccountTokenWithSecret, answer)

    def revoke_token(self, service_account: str, token: str) -> ServiceAccount:
        """Ends one token, by id or public id, at once."""
        answer = self._transport.call("DELETE", f"{_path(service_account)}/tokens/{segment(token)}")
        return typed(ServiceAccount, answer)


def _path(service_account: str) -> str:
    return f"/api/v1/service-accounts/{segment(service_account)}"


class Roles:
    """`/api/v1/roles`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def grant(
        self,
        role: str,
        *,
        user: str = "",
        service_account: str = "",
        group: str = "",
        issuer: str = "",
        business_unit: str = "",
        project: str = "",
        expires_at: datetime | None = None,
    ) -> RoleBinding:
        """Gives a role to one of user, service account and group; without a place, on the whole platform."""
        body = present(
            role=role,
            user=user or None,
            service_account=service_account or None,
            group=group or None,
            issuer=issuer or None,
            business_unit=business_unit or None,
            project=project or None,
            expires_at=expires_at,
        )
        return typed(RoleBinding, self._transport.call("POST", "/api/v1/roles", body=body))

    def revoke(self, binding: str) -> RoleBinding:
        """Takes a role away, by the binding's id; it is gone at the next call."""
        return typed(RoleBinding, self._transport.call("DELETE", f"/api/v1/roles/{segment(binding)}"))

    def list(
        self,
        *,
        user: str = "",
        service_account: str = "",
        group: str = "",
        business_unit: str = "",
        project: str = "",
        role: str = "",
        limit: int | None = None,
    ) -> Iterator[RoleBinding]:
        """Roles by age; of one subject, in one place or of one role when given."""
        query = {
            "user": user,
            "service_account": service_account,
            "group": group,
            "business_unit": business_unit,
            "project": project,
            "role": role,
        }
        return pages(self._transport, "/api/v1/roles", "roles", RoleBinding, query, limit)


class AsyncUsers:
    """`Users` as coroutines."""

    def __init__(self, sync: Users) -> None:
        self.create = awaitable(sync.create)
        self.get = awaitable(sync.get)
        self.list = aiterable(sync.list)
        self.disable = awaitable(sync.disable)
        self.enable = awaitable(sync.enable)
        self.unbind = awaitable(sync.unbind)
        self.me = awaitable(sync.me)


class AsyncServiceAccounts:
    """`ServiceAccounts` as coroutines."""

    def __init__(self, sync: ServiceAccounts) -> None:
        self.create = awaitable(sync.create)
        self.get = awaitable(sync.get)
        self.list = aiterable(sync.list)
        self.disable = awaitable(sync.disable)
        self.enable = awaitable(sync.enable)
        self.archive = awaitable(sync.archive)
        self.create_token = awaitable(sync.create_token)
        self.rotate = awaitable(sync.rotate)
        self.revoke_token = awaitable(sync.revoke_token)


class AsyncRoles:
    """`Roles` as coroutines."""

    def __init__(self, sync: Roles) -> None:
        self.grant = awaitable(sync.grant)
        self.revoke = awaitable(sync.revoke)
        self.list = aiterable(sync.list)
