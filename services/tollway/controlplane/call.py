"""One call of the management API, as the features see it.

The dispatcher makes a `Call`, runs the handler inside a transaction, and at its end publishes what changed and writes
the audit entries, all in that same transaction. Features never commit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from tollway.runtime.clock import Clock

if TYPE_CHECKING:
    from tollway.controlplane.credentials.vault import Vault


class ApiCode(StrEnum):
    """Stable codes of the management API; the transports map them (400, 401, 403, 404, 409, 409, 412, 503)."""

    INVALID = "invalid_argument"
    UNAUTHENTICATED = "unauthenticated"
    PERMISSION_DENIED = "permission_denied"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    FAILED_PRECONDITION = "failed_precondition"
    ETAG_MISMATCH = "etag_mismatch"
    UNAVAILABLE = "unavailable"


class ApiError(Exception):
    """An error that is shown to the caller as it is. `field` is the path of the offending request field."""

    def __init__(self, code: ApiCode, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls. `name` goes into the audit log; `permissions` None means all (the bootstrap administrator)."""

    name: str
    permissions: frozenset[str] | None = None


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
    request_id: str = ""
    source: str = ""
    reason: str = ""
    update_mask: frozenset[str] = frozenset()
    audits: list[AuditRecord] = field(default_factory=list)
    catalog_changed: bool = False
    changed_keys: set[UUID] = field(default_factory=set)
    sealing: Vault | None = field(default=None, repr=False)
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Private networks that tenants' webhooks may reach."""

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


@dataclass(frozen=True)
class Method:
    """A handler with the struct that its request is decoded into. The response struct is encoded by field name."""

    request: type
    handler: Handler
