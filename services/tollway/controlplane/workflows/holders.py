"""Reads who stands behind the names in requests: whether they are disabled, their roles, and where machines live."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from tollway.controlplane.access.identities import GROUPS_BELIEVED
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.resources import as_uuid
from tollway.controlplane.workflows.rows import HomeRow, RoleRow

_SQL = Statements(__package__ or "")
_USER, _MACHINE = "user:", "service_account:"
"""How the names of users without an address begin, and those of service accounts."""


class _Name(msgspec.Struct):
    name: str


async def disabled(db: Database, names: set[str]) -> set[str]:
    """Those of these users and service accounts who are disabled."""
    if not names:
        return set()
    users = [as_uuid(name.removeprefix(_USER)) for name in names if name.startswith(_USER)]
    rows = await _SQL.all(
        db,
        "disabled_of",
        _Name,
        emails=sorted(names),
        users=[user for user in users if user is not None],
        accounts=sorted(name.removeprefix(_MACHINE) for name in names if name.startswith(_MACHINE)),
    )
    return {row.name for row in rows}


async def home_of(db: Database, name: str) -> HomeRow | None:
    """Where the service account of a name ("service_account:ci") lives, archived or not; None: there is none."""
    return await _SQL.one(db, "home_of", HomeRow, name=name.removeprefix(_MACHINE))


async def live_machine(db: Database, name: str) -> bool:
    """Whether there is a live service account of this name."""
    return await _SQL.one(db, "live_machine", HomeRow, name=name.removeprefix(_MACHINE)) is not None


async def known(db: Database, names: set[str]) -> set[str]:
    """Those of these names that are a user's, disabled or not."""
    users = [as_uuid(name.removeprefix(_USER)) for name in names if name.startswith(_USER)]
    found = [user for user in users if user is not None]
    return {row.name for row in await _SQL.all(db, "known", _Name, emails=sorted(names), users=found)}


async def roles_named(db: Database, name: str, now: datetime) -> list[RoleRow]:
    """The roles that a user or service account of this name holds now."""
    user = as_uuid(name.removeprefix(_USER)) if name.startswith(_USER) else None
    account = name.removeprefix(_MACHINE) if name.startswith(_MACHINE) else None
    return await _SQL.all(
        db, "roles_named", RoleRow, email=name, user=user, account=account, now=now, believed=now - GROUPS_BELIEVED
    )


async def roles_of(db: Database, users: Iterable[UUID], now: datetime) -> list[RoleRow]:
    """The roles that users hold now, by themselves or by their groups."""
    return await _SQL.all(db, "roles_of", RoleRow, users=list(users), now=now, believed=now - GROUPS_BELIEVED)
