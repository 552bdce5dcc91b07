"""The permission table: what each role may do. Fixed, pure, and the only place that says so.

A permission of the contract that has no row here is nobody's but the bootstrap administrator's, and fails the build.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from uuid import UUID

import msgspec

from tollway.controlplane.call import Grant


class Role(StrEnum):
    """The roles."""

    PLATFORM_ADMIN = "platform_admin"
    AUDITOR = "auditor"
    UNIT_MANAGER = "unit_manager"
    PROJECT_OWNER = "project_owner"
    DEVELOPER = "developer"
    SERVICE_ACCOUNT = "service_account"


class Level(StrEnum):
    """The scopes."""

    PLATFORM = "platform"
    UNIT = "business_unit"
    PROJECT = "project"


SCOPES: Mapping[Role, frozenset[Level]] = {
    Role.PLATFORM_ADMIN: frozenset({Level.PLATFORM}),
    Role.AUDITOR: frozenset(Level),
    Role.UNIT_MANAGER: frozenset({Level.UNIT}),
    Role.PROJECT_OWNER: frozenset({Level.PROJECT}),
    Role.DEVELOPER: frozenset(Level),
    Role.SERVICE_ACCOUNT: frozenset(Level),
}
"""Where a role can be given."""


class Row(msgspec.Struct, frozen=True):
    """Who has a permission beside the platform administrator.

    `roles` in their scope; `own` on what belongs to them in their scope; `anywhere`: `roles` have it on the whole
    platform, wherever they were given; `everyone`: whoever has signed in, without any role; `changes`: but for who has
    no role other than the auditor's, who changes nothing.
    """

    roles: frozenset[Role] = frozenset()
    own: frozenset[Role] = frozenset()
    anywhere: bool = False
    everyone: bool = False
    changes: bool = False


_A, _M, _O, _D, _S = Role.AUDITOR, Role.UNIT_MANAGER, Role.PROJECT_OWNER, Role.DEVELOPER, Role.SERVICE_ACCOUNT


def _row(*roles: Role, own: tuple[Role, ...] = ()) -> Row:
    return Row(frozenset(roles), frozenset(own))


ADMINISTRATORS = Row()
AUDITORS = _row(_A)
MANAGERS = _row(_M)
OWNERS = _row(_M, _O)
READERS = _row(_A, _M, _O)
MEMBERS = _row(_A, _M, _O, _D, _S)
SHARED = Row(frozenset({_A, _M, _O, _D, _S}), anywhere=True)
EVERYONE = Row(everyone=True)
PARTICIPANTS = Row(everyone=True, changes=True)
OWN = _row(_A, _M, _O, _S, own=(_D,))
KEYS = _row(_M, _O, _S, own=(_D,))

TABLE: Mapping[str, Row] = {
    "caller.read": EVERYONE,
    # People, machines and roles
    "users.read": AUDITORS,
    "users.create": ADMINISTRATORS,
    "users.disable": ADMINISTRATORS,
    "users.enable": ADMINISTRATORS,
    "users.unbind": ADMINISTRATORS,
    "service_accounts.read": READERS,
    "service_accounts.create": OWNERS,
    "service_accounts.disable": OWNERS,
    "service_accounts.enable": OWNERS,
    "service_accounts.archive": OWNERS,
    "service_accounts.issue": OWNERS,
    "service_accounts.revoke": OWNERS,
    "roles.read": READERS,
    "roles.grant": OWNERS,
    "roles.revoke": OWNERS,
    # Units, projects, keys
    "business_units.create": ADMINISTRATORS,
    "business_units.read": READERS,
    "business_units.update": MANAGERS,
    "business_units.archive": ADMINISTRATORS,
    "projects.create": MANAGERS,
    "projects.read": MEMBERS,
    "projects.update": OWNERS,
    "projects.archive": MANAGERS,
    "keys.create": KEYS,
    "keys.read": OWN,
    "keys.update": KEYS,
    "keys.rotate": KEYS,
    "keys.revoke": KEYS,
    # What may be spent, and was
    "budgets.read": OWN,
    "budgets.update": OWNERS,
    "budgets.remove": OWNERS,
    "budgets.increase": OWNERS,
    "limits.read": OWN,
    "limits.update": OWNERS,
    "usage.read": OWN,
    "requests.read": OWN,
    "requestlog.read": OWN,
    "requestlog.read_bodies": _row(_A, _M, _O, own=(_D,)),
    "requestlog.delete": MANAGERS,
    "alerts.read": READERS,
    "alerts.create_channel": OWNERS,
    "alerts.update_channel": OWNERS,
    "alerts.delete_channel": OWNERS,
    "alerts.test_channel": OWNERS,
    "alerts.acknowledge": OWNERS,
    # The catalog
    "models.read": SHARED,
    "models.create": ADMINISTRATORS,
    "models.update": ADMINISTRATORS,
    "models.archive": ADMINISTRATORS,
    "prices.read": SHARED,
    "prices.set": ADMINISTRATORS,
    "prices.end": ADMINISTRATORS,
    "prices.import": ADMINISTRATORS,
    "prices.rerate": ADMINISTRATORS,
    "providers.read": AUDITORS,
    "providers.create": ADMINISTRATORS,
    "providers.update": ADMINISTRATORS,
    "providers.archive": ADMINISTRATORS,
    "providers.check": ADMINISTRATORS,
    "credentials.create": ADMINISTRATORS,
    "credentials.update": ADMINISTRATORS,
    "credentials.rotate": ADMINISTRATORS,
    "credentials.remove": ADMINISTRATORS,
    # The platform
    "configuration.apply": ADMINISTRATORS,
    "ledger.verify": AUDITORS,
    "ledger.retain": ADMINISTRATORS,
    "reconciliation.read": AUDITORS,
    "reconciliation.upload": ADMINISTRATORS,
    "audit.read": AUDITORS,
    "secrets.read": AUDITORS,
    "secrets.rotate": ADMINISTRATORS,
    "system.read": AUDITORS,
    # Requests and approvals: whose they are, and who decides, is up to the policy of each
    "approvals.create": PARTICIPANTS,
    "approvals.read": EVERYONE,
    "approvals.comment": PARTICIPANTS,
    "approvals.cancel": PARTICIPANTS,
    "approvals.decide": PARTICIPANTS,
    "approvals.revoke": PARTICIPANTS,
    "delegations.create": PARTICIPANTS,
    "delegations.read": EVERYONE,
    "delegations.revoke": PARTICIPANTS,
    "policies.read": AUDITORS,
    "policies.update": ADMINISTRATORS,
    "policies.dry_run": AUDITORS,
}
"""Every permission of the contract."""
BASE: frozenset[str] = frozenset(name for name, row in TABLE.items() if row.everyone)
"""What whoever has signed in may do."""
_PARTICIPATION = frozenset(name for name, row in TABLE.items() if row.changes)


def base(roles: Iterable[Role]) -> frozenset[str]:
    """What whoever has signed in with these roles may do beside what each of them gives.

    Who audits and does nothing else takes no part in what is audited; another role gives that back.
    """
    return BASE - _PARTICIPATION if set(roles) == {Role.AUDITOR} else BASE


def _has(role: Role, row: Row) -> bool:
    return role is Role.PLATFORM_ADMIN or role in row.roles


FULL: Mapping[Role, frozenset[str]] = {
    role: frozenset(name for name, row in TABLE.items() if _has(role, row)) for role in Role
}
"""What a role may do with all that is in its scope."""
OWNED: Mapping[Role, frozenset[str]] = {
    role: frozenset(name for name, row in TABLE.items() if role in row.own) for role in Role
}
"""What a role may do with what belongs to the caller."""
PLATFORM: Mapping[Role, frozenset[str]] = {
    role: frozenset(name for name, row in TABLE.items() if row.anywhere and role in row.roles) for role in Role
}
"""What a role may do on the whole platform, wherever it was given."""


def grant(role: Role, unit: UUID | None, project: UUID | None) -> Grant:
    """What a role gives in a place; both None: the platform."""
    return Grant(role=role.value, permissions=FULL[role], own=OWNED[role], unit=unit, project=project)
