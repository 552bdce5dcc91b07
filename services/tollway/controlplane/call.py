"""One call of the management API, as the features see it.

The dispatcher makes a `Call`, runs the handler inside a transaction, and at its end publishes what changed and writes
the audit entries, all in that same transaction. Features never commit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from tollway.core.proxies import Proxies
from tollway.runtime.clock import Clock

if TYPE_CHECKING:
    from tollway.controlplane.credentials.vault import Vault


class ApiCode(StrEnum):
    """Stable codes of the management API, which the transports turn into their own; over HTTP see `api/rest.py`."""

    INVALID = "invalid_argument"
    UNAUTHENTICATED = "unauthenticated"
    PERMISSION_DENIED = "permission_denied"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    FAILED_PRECONDITION = "failed_precondition"
    ETAG_MISMATCH = "etag_mismatch"
    KEY_REUSED = "idempotency_key_reused"
    ANSWER_GONE = "idempotency_answer_gone"
    UNAVAILABLE = "unavailable"


class ApiError(Exception):
    """An error that is shown to the caller as it is. `field` is the path of the offending request field."""

    def __init__(self, code: ApiCode, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What one role gives a caller, and where: on a project, on a business unit with all its projects, or everywhere.

    `permissions` hold for whatever is in that scope; `own` only for what belongs to the caller (their own keys).
    """

    role: str
    permissions: frozenset[str]
    own: frozenset[str] = frozenset()
    unit: UUID | None = None
    project: UUID | None = None

    def covers(self, unit: UUID | None, project: UUID | None) -> bool:
        """Whether this scope holds all of (`unit`, `project`); both None is the platform. `unit` is the project's."""
        if self.project is not None:
            return self.project == project
        return self.unit is None or self.unit == unit


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """Where a caller has a permission that does not hold everywhere.

    On all that lies in `units` and `projects`; and on what belongs to `owner` in `own_units` and `own_projects`, or
    wherever it lies with `own_everywhere`. `owner` None: nothing is the caller's own.
    """

    units: list[UUID]
    projects: list[UUID]
    owner: str | None = None
    own_everywhere: bool = False
    own_units: list[UUID] = []
    own_projects: list[UUID] = []


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls. `name` goes into the audit log; `permissions` hold platform-wide, and None means all of them.

    `grants` are the roles of a user or service account with their scopes. `kind` says what stands behind the name;
    `user_id` is set for users, `service_account_id` for service accounts. A principal lives for one call.
    """

    name: str
    permissions: frozenset[str] | None = None
    kind: Literal["bootstrap", "user", "service_account"] = "bootstrap"
    user_id: UUID | None = None
    service_account_id: UUID | None = None
    email: str = ""
    groups: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()

    def may(
        self, permission: str, *, unit: UUID | None = None, project: UUID | None = None, owner: str | None = None
    ) -> bool:
        """Whether the caller has `permission` on a scope: the platform (nothing given), a unit, or a project.

        For a project, `unit` must be the unit that it belongs to: a role on the unit holds in its projects. `owner` is
        the name of whom the thing belongs to; a thing of the caller's own that lies nowhere is theirs everywhere.
        """
        if self.permissions is None or permission in self.permissions:
            return True
        mine = self.kind != "bootstrap" and owner is not None and owner == self.name
        nowhere = unit is None and project is None
        return any(
            (permission in grant.permissions and grant.covers(unit, project))
            or (mine and permission in grant.own and (nowhere or grant.covers(unit, project)))
            for grant in self.grants
        )

    def anywhere(self, permission: str) -> bool:
        """Whether there is any place or thing on which the caller has `permission`."""
        if self.permissions is None or permission in self.permissions:
            return True
        return any(permission in grant.permissions or permission in grant.own for grant in self.grants)

    def reach(self, permission: str) -> Reach | None:
        """Where the caller has `permission`, for listings; None: everywhere."""
        if self.permissions is None or permission in self.permissions:
            return None
        full = [grant for grant in self.grants if permission in grant.permissions]
        own = [grant for grant in self.grants if permission in grant.own]
        if any(grant.unit is None and grant.project is None for grant in full):
            return None
        return Reach(
            units=[grant.unit for grant in full if grant.unit is not None],
            projects=[grant.project for grant in full if grant.project is not None],
            owner=self.name if own and self.kind != "bootstrap" else None,
            own_everywhere=any(grant.unit is None and grant.project is None for grant in own),
            own_units=[grant.unit for grant in own if grant.unit is not None],
            own_projects=[grant.project for grant in own if grant.project is not None],
        )

    def has_role(self, role: str, *, unit: UUID | None = None, project: UUID | None = None) -> bool:
        """Whether the caller holds `role` on a scope, given as in `may`. The bootstrap administrator holds none."""
        return any(grant.role == role and grant.covers(unit, project) for grant in self.grants)


@dataclass
class AuditRecord:
    """One audit entry in the making: `before` and `after` are JSON-ready and carry no secrets."""

    resource: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


@dataclass
class Call:
    """The context of one call. `db` is inside a transaction, read-only for methods that change nothing."""

    principal: Principal
    db: AsyncConnection[Any]
    clock: Clock
    permission: str = ""
    method: str = ""
    """The full name, "tollway.control.v1.KeyService/CreateKey"."""
    request_id: str = ""
    source: str = ""
    agent: str = ""
    """The user agent as it was sent, and by what the call came: "rest", "grpc" or "portal"."""
    transport: str = ""
    reason: str = ""
    update_mask: frozenset[str] = frozenset()
    audits: list[AuditRecord] = field(default_factory=list)
    catalog_changed: bool = False
    changed_keys: set[UUID] = field(default_factory=set)
    reach: Reach | None = None
    """Where the caller has the permission of a method that filters; None: everywhere."""
    owned: bool = False
    """The caller has the permission only because the thing is their own."""
    sealing: Vault | None = field(default=None, repr=False)
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Private networks that tenants' webhooks may reach."""
    proxies: Proxies = field(default=Proxies(), repr=False)
    """What providers are reached through, when keys are checked; the URLs may have passwords."""
    prepared: Any = field(default=None, repr=False)
    """What the method's `prepare` has found out; None for methods without, and when there was nothing to find out."""

    @property
    def vault(self) -> Vault:
        """What seals and opens secrets; the dispatcher gives it as `sealing`."""
        if self.sealing is None:
            raise ApiError(ApiCode.UNAVAILABLE, "this process has no key-encryption key; set TOLLWAY_KEK")
        return self.sealing

    def audit(self, resource: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
        """Records what changed on `resource` ("project:retail-bot"); written when the handler succeeds."""
        self.audits.append(AuditRecord(resource, before, after))

    def catalog_change(self) -> None:
        """Says that providers, models, projects or peppers changed: every data plane gets a new snapshot."""
        self.catalog_changed = True

    def key_change(self, key_id: UUID) -> None:
        """Says that a key changed: every data plane gets its new entry."""
        self.changed_keys.add(key_id)


Handler = Callable[[Call, Any], Awaitable[Any]]
"""A method: takes the request struct, returns the response struct; both mirror the messages by field name."""


Outside = Callable[[], Awaitable[Any]]
"""What takes as long as somebody else takes: it runs while the call holds no connection, and changes nothing here."""
Prepare = Callable[[Call, Any], Awaitable[Outside | None]]
"""Says what has to be found out of others, None: nothing. It reads what that takes; its call records nothing."""


@dataclass(frozen=True)
class Method:
    """A handler with the struct that its request is decoded into. The response struct is encoded by field name.

    `filters`: the handler shows only what lies in the call's `reach`, so that callers with a narrower scope may list.
    Without it, they must name a resource in their scope, or are refused.

    `prepare`: for a method that asks others, as providers. It comes after permission, validation and scope, in a short
    transaction of its own that only reads; what it returns runs once, before the handler's transaction begins. Its
    result is the call's `prepared`; its ApiError ends the call. A call that was done before, by its idempotency key,
    prepares nothing.
    """

    request: type
    handler: Handler
    filters: bool = False
    prepare: Prepare | None = None
