"""Reads and writes the tables of users, service accounts and roles. It never decides what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from tollway.controlplane.access.rows import AccountRow, BindingRow, Held, TokenRow, UserRow
from tollway.controlplane.call import Reach
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.resources import as_uuid

SQL = Statements(__package__ or "")
Lock = Literal["", "_for_update"]


class _Id(msgspec.Struct):
    id: UUID


class Presented(msgspec.Struct, frozen=True):
    """What is known of a token that was presented; `stale`: its last use was noted a while ago."""

    id: UUID
    digest: bytes
    account: UUID
    name: str
    stale: bool


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a role is: exactly one of user, account and group."""

    user: UUID | None = None
    account: UUID | None = None
    group: str | None = None
    issuer: str = ""


def within(reach: Reach | None) -> dict[str, Any]:
    """The parameters by which a listing keeps within a reach."""
    if reach is None:
        return {"everywhere": True, "units": [], "projects": []}
    return {"everywhere": False, "units": reach.units, "projects": reach.projects}


async def user(db: Database, reference: str, lock: Lock = "") -> UserRow | None:
    """The user with that id or e-mail address."""
    found = as_uuid(reference)
    return await SQL.one(db, f"user{lock}", UserRow, id=found, email="" if found else reference.lower())


async def user_by_identity(db: Database, issuer: str, subject: str) -> UserRow | None:
    """The user who is bound to that subject of that issuer."""
    return await SQL.one(db, "user_by_identity", UserRow, issuer=issuer, subject=subject)


async def users(
    db: Database, after: UUID | None = None, limit: int | None = None, *, search: str = ""
) -> list[UserRow]:
    """Users by age; with `search`, those that have it in their address, name or subject."""
    return await SQL.all(db, "users", UserRow, after=after, limit=limit, search=search)


async def insert_user(
    db: Database,
    email: str,
    display_name: str,
    at: datetime,
    *,
    issuer: str | None = None,
    subject: str | None = None,
    groups: Sequence[str] = (),
) -> UUID | None:
    """A new user, bound if issuer and subject are given; None when address or identity is taken."""
    user_id = uuid7()
    touched = await SQL.run(
        db,
        "insert_user",
        id=user_id,
        email=email,
        display_name=display_name,
        issuer=issuer,
        subject=subject,
        groups=list(groups),
        bound_at=at if issuer is not None else None,
        at=at,
    )
    return user_id if touched else None


async def bind_user(db: Database, user_id: UUID, issuer: str, subject: str, at: datetime) -> None:
    """Binds a user to an identity."""
    await SQL.run(db, "bind_user", id=user_id, issuer=issuer, subject=subject, at=at)


async def unbind_user(db: Database, user_id: UUID, at: datetime) -> None:
    """Forgets the identity of a user for good: it is not bound to them again, and its sessions end."""
    await SQL.run(db, "end_sessions", id=user_id, at=at)
    await SQL.run(db, "remember_unbound", id=user_id, at=at)
    await SQL.run(db, "unbind_user", id=user_id, at=at)


async def bindable(db: Database, user_id: UUID, issuer: str, subject: str, issued: datetime | None) -> bool:
    """Whether an identity may be bound to a user, by a token of a time; None: of this moment."""
    params = {"issuer": issuer, "subject": subject, "issued": issued}
    return await SQL.one(db, "bindable", _Id, id=user_id, **params) is not None


async def forget_groups(db: Database, user_id: UUID, at: datetime) -> None:
    """Forgets what the issuer said of a user's groups."""
    await SQL.run(db, "forget_groups", id=user_id, at=at)


async def see_user(
    db: Database,
    user_id: UUID,
    groups: Sequence[str],
    display_name: str,
    *,
    at: datetime,
    said_at: datetime | None,
    told: bool,
) -> None:
    """Writes what the issuer says of a user; `told`: it spoke of the groups, at `said_at` (None: now, at a sign-in)."""
    named = {"groups": list(groups), "display_name": display_name}
    await SQL.run(
        db, "see_user", id=user_id, at=at, said_at=said_at or at, now=said_at is None, told=told, **named
    )  # fmt: skip


async def tokens_void(db: Database, user_id: UUID, issued: datetime) -> bool:
    """Whether a user's tokens that were `issued` then are void since the user was disabled or unbound."""
    return await SQL.one(db, "tokens_void", _Id, id=user_id, issued=issued) is not None


async def rename_user(db: Database, user_id: UUID, display_name: str, at: datetime) -> None:
    """Writes the name of a user."""
    await SQL.run(db, "rename_user", id=user_id, display_name=display_name, at=at)


async def set_user_disabled(db: Database, user_id: UUID, disabled: bool, at: datetime) -> None:
    """Disables or enables a user."""
    await SQL.run(db, "disable_user" if disabled else "enable_user", id=user_id, at=at)


async def roles_of_user(
    db: Database, user_id: UUID, groups: Sequence[str], issuer: str, now: datetime | None
) -> list[Held]:
    """The roles that a user has, by name or by a group of their issuer; `now` None: the database's time."""
    return await SQL.all(db, "roles_of_user", Held, user=user_id, groups=list(groups), issuer=issuer, now=now)


async def roles_of_account(db: Database, account_id: UUID, now: datetime | None) -> list[Held]:
    """The roles that a service account has where it lives."""
    return await SQL.all(db, "roles_of_account", Held, account=account_id, now=now)


async def binding(db: Database, binding_id: UUID) -> BindingRow | None:
    """One binding."""
    return await SQL.one(db, "binding", BindingRow, id=binding_id)


async def same_binding(
    db: Database, role: str, subject: Subject, unit: UUID | None, project: UUID | None
) -> UUID | None:
    """The binding of that role, subject and place, locked."""
    params = {"user": subject.user, "account": subject.account, "group": subject.group, "issuer": subject.issuer}
    found = await SQL.one(db, "same_binding", _Id, role=role, unit=unit, project=project, **params)
    return None if found is None else found.id


async def bindings(
    db: Database,
    reach: Reach | None = None,
    *,
    after: UUID | None = None,
    limit: int | None = None,
    user: UUID | None = None,
    account: UUID | None = None,
    group: str = "",
    unit: UUID | None = None,
    project: UUID | None = None,
    role: str = "",
) -> list[BindingRow]:
    """Bindings by age, within a reach."""
    return await SQL.all(
        db, "bindings", BindingRow, after=after, limit=limit, user=user, account=account, group=group, unit=unit,
        project=project, role=role, **within(reach),
    )  # fmt: skip


async def insert_binding(
    db: Database,
    role: str,
    subject: Subject,
    unit: UUID | None,
    project: UUID | None,
    *,
    expires_at: datetime | None,
    by: str,
    at: datetime,
) -> UUID:
    """A new binding."""
    binding_id = uuid7()
    await SQL.run(
        db, "insert_binding", id=binding_id, role=role, user=subject.user, account=subject.account,
        group=subject.group, issuer=subject.issuer, unit=unit, project=project, expires_at=expires_at, by=by, at=at,
    )  # fmt: skip
    return binding_id


async def end_binding(db: Database, binding_id: UUID, expires_at: datetime | None) -> None:
    """Writes when a binding ends; None: never."""
    await SQL.run(db, "end_binding", id=binding_id, expires_at=expires_at)


async def delete_binding(db: Database, binding_id: UUID) -> None:
    """Removes a binding."""
    await SQL.run(db, "delete_binding", id=binding_id)


async def account(db: Database, reference: str, lock: Lock = "") -> AccountRow | None:
    """The live service account with that id or name."""
    found = as_uuid(reference)
    return await SQL.one(db, f"account{lock}", AccountRow, id=found, name=None if found else reference)


async def account_by_id(db: Database, account_id: UUID) -> AccountRow:
    """The service account with that id, archived or not; it must exist."""
    row = await SQL.one(db, "account_by_id", AccountRow, id=account_id)
    assert row is not None
    return row


async def accounts(db: Database, reach: Reach | None, after: str, limit: int) -> list[AccountRow]:
    """Live service accounts by name, within a reach."""
    return await SQL.all(db, "accounts", AccountRow, after=after, limit=limit, **within(reach))


async def insert_account(
    db: Database, name: str, description: str, unit: UUID | None, project: UUID | None, *, by: str, at: datetime
) -> UUID | None:
    """A new service account; None when a live one has the name."""
    account_id = uuid7()
    touched = await SQL.run(
        db, "insert_account", id=account_id, name=name, description=description, unit=unit, project=project, by=by,
        at=at,
    )  # fmt: skip
    return account_id if touched else None


async def set_account_disabled(db: Database, account_id: UUID, disabled: bool, at: datetime) -> None:
    """Disables or enables a service account."""
    await SQL.run(db, "disable_account" if disabled else "enable_account", id=account_id, at=at)


async def archive_account(db: Database, account_id: UUID, at: datetime) -> None:
    """Marks a service account as archived; its tokens and roles end."""
    await SQL.run(db, "archive_account", id=account_id, at=at)
    await SQL.run(db, "revoke_tokens", account=account_id, at=at)
    await SQL.run(db, "delete_bindings_of_account", account=account_id)


async def tokens(db: Database, account_ids: Sequence[UUID], at: datetime) -> dict[UUID, list[TokenRow]]:
    """The tokens that are valid at a time, by account; every id has its list."""
    found: dict[UUID, list[TokenRow]] = {account_id: [] for account_id in account_ids}
    for row in await SQL.all(db, "tokens", TokenRow, accounts=list(account_ids), at=at):
        found[row.service_account_id].append(row)
    return found


async def token(db: Database, account_id: UUID, reference: str) -> TokenRow | None:
    """The token of an account with that id or public id, valid or not."""
    found = as_uuid(reference)
    public_id = None if found else reference
    return await SQL.one(db, "token", TokenRow, account=account_id, id=found, public_id=public_id)


async def insert_token(
    db: Database, account_id: UUID, public_id: str, digest: bytes, expires_at: datetime, *, by: str, at: datetime
) -> None:
    """A further token."""
    await SQL.run(
        db, "insert_token", id=uuid7(), account=account_id, public_id=public_id, digest=digest, expires_at=expires_at,
        by=by, at=at,
    )  # fmt: skip


async def revoke_token(db: Database, token_id: UUID, at: datetime) -> None:
    """Marks a token as revoked."""
    await SQL.run(db, "revoke_token", id=token_id, at=at)


async def end_tokens(db: Database, account_id: UUID, at: datetime) -> None:
    """Ends every token of an account at a time, or earlier."""
    await SQL.run(db, "end_tokens", account=account_id, at=at)


async def presented(db: Database, public_id: str, now: datetime | None) -> Presented | None:
    """What is known of a token by its public id, if token and account are in force."""
    return await SQL.one(db, "presented", Presented, public_id=public_id, now=now)


async def use_token(db: Database, token_id: UUID, now: datetime | None) -> None:
    """Notes that a token is used."""
    await SQL.run(db, "use_token", id=token_id, now=now)
