"""Use cases of roles: grant, revoke, list. Nobody grants or revokes what they do not have there themselves.

A service account's roles hold only where it lives: whoever may issue its tokens gets nothing beyond that.
"""

from __future__ import annotations

from uuid import UUID

from tollway.controlplane.access import identities, postgres, scopes, users
from tollway.controlplane.access.accounts import place_of
from tollway.controlplane.access.model import (
    GrantRoleRequest,
    ListRolesRequest,
    ListRolesResponse,
    RevokeRoleRequest,
    RoleBinding,
)
from tollway.controlplane.access.permissions import FULL, OWNED, SCOPES, Level, Role
from tollway.controlplane.access.postgres import Subject
from tollway.controlplane.access.rows import BindingRow
from tollway.controlplane.access.users import now
from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.identity import postgres as identity
from tollway.controlplane.resources import as_uuid, not_found, page_limit, page_start, page_token, snapshot

LISTING = "roles"


def _invalid(message: str, field: str) -> ApiError:
    return ApiError(ApiCode.INVALID, message, field=field)


def level_of(place: scopes.Place) -> Level:
    """The scope that a place is."""
    if place.project is not None:
        return Level.PROJECT
    return Level.PLATFORM if place.unit is None else Level.UNIT


def check_level(role: Role, level: Level, field: str = "role") -> None:
    """Raises ApiError when a role cannot be given there."""
    if level not in SCOPES[role]:
        fitting = ", ".join(scope.value for scope in Level if scope in SCOPES[role])
        raise _invalid(f"the role {role.value} is given on: {fitting}", field)


async def _subject(call: Call, request: GrantRoleRequest, role: Role, place: scopes.Place) -> Subject:
    """Whose the role shall be. Raises ApiError."""
    given = [name for name in ("user", "service_account", "group") if getattr(request, name)]
    if len(given) != 1:
        raise _invalid("give exactly one of user, service_account and group", given[1] if given else "user")
    if request.issuer and not request.group:
        raise _invalid("an issuer belongs to a group", "issuer")
    if role is Role.SERVICE_ACCOUNT and not request.service_account:
        raise _invalid("the role service_account is for service accounts", "role")
    if request.group:
        if "\0" in request.group + request.issuer:
            raise _invalid("has a NUL character", "group")
        return Subject(group=request.group, issuer=request.issuer)
    if request.user:
        known = await postgres.user(call.db, request.user)
        if known is None and as_uuid(request.user) is not None:
            raise not_found("user", request.user, "user")
        return Subject(user=(known or await users.ensure(call, request.user, "user")).id)
    account = await postgres.account(call.db, request.service_account, "_for_update")
    if account is None:
        raise not_found("service account", request.service_account, "service_account")
    lives_here = (account.unit_id is None and account.project_id is None) or (
        account.project_id == place.project if account.project_id is not None else account.unit_id == place.unit
    )
    if not lives_here:
        home = f"project {account.project!r}" if account.project else f"business unit {account.business_unit!r}"
        raise ApiError(
            ApiCode.FAILED_PRECONDITION,
            f"the service account lives in the {home}; its roles hold nowhere else",
            field="service_account",
        )
    return Subject(account=account.id)


def _refuse_beyond(call: Call, role: Role, place: scopes.Place) -> None:
    """Refuses who does not have there what the role gives."""
    missing = sorted(
        permission
        for permission in FULL[role] | OWNED[role]
        if not call.principal.may(permission, unit=place.unit, project=place.project)
    )
    if missing:
        raise ApiError(
            ApiCode.PERMISSION_DENIED,
            f"the role {role.value} has permissions that you do not have there: {', '.join(missing[:5])}",
            field="role",
        )


async def grant_role(call: Call, request: GrantRoleRequest) -> RoleBinding:
    """Gives a role; if it is there already, only its end changes."""
    role = Role(request.role)
    place = await place_of(call, request.business_unit, request.project)
    check_level(role, level_of(place))
    _refuse_beyond(call, role, place)
    at = now(call)
    if request.expires_at is not None and request.expires_at <= at:
        raise _invalid("expires_at must be in the future", "expires_at")
    subject = await _subject(call, request, role, place)
    unit = None if place.project else place.unit
    known = await postgres.same_binding(call.db, role.value, subject, unit, place.project)
    before = None if known is None else await postgres.binding(call.db, known)
    if before is not None and before.expires_at == request.expires_at:
        return before.view()
    if before is None:
        binding_id = await postgres.insert_binding(
            call.db, role.value, subject, unit, place.project, expires_at=request.expires_at,
            by=call.principal.name, at=at,
        )  # fmt: skip
    else:
        binding_id = before.id
        await postgres.end_binding(call.db, before.id, request.expires_at)
    await identities.role_changed(call, subject)
    row = await postgres.binding(call.db, binding_id)
    assert row is not None
    call.audit(f"role:{row.label}", None if before is None else snapshot(before.view()), snapshot(row.view()))
    return row.view()


async def revoke_role(call: Call, request: RevokeRoleRequest) -> RoleBinding:
    """Takes a role away; it is gone at the next call."""
    found = as_uuid(request.binding)
    row = None if found is None else await postgres.binding(call.db, found)
    if row is None:
        raise not_found("role binding", request.binding, "binding")
    return await remove(call, row)


async def remove(call: Call, row: BindingRow) -> RoleBinding:
    """Takes a role away."""
    place = scopes.Place(unit=row.unit_id, project=row.project_id)
    if row.project_id is not None:
        place = await scopes.project(call.db, str(row.project_id))
    _refuse_beyond(call, Role(row.role), place)
    await postgres.delete_binding(call.db, row.id)
    await identities.role_changed(call, row)
    call.audit(f"role:{row.label}", snapshot(row.view()), None)
    return row.view()


async def list_roles(call: Call, request: ListRolesRequest) -> ListRolesResponse:
    """Roles by age, within the caller's reach, a page at a time."""
    start = page_start(LISTING, request.page_token)
    after = as_uuid(start) if start else None
    if start and after is None:
        raise _invalid("page_token is not one of this listing", "page_token")
    user = await postgres.user(call.db, request.user) if request.user else None
    account = await postgres.account(call.db, request.service_account) if request.service_account else None
    unit = await _unit(call, request.business_unit)
    project = await _project(call, request.project)
    if (request.user and user is None) or (request.service_account and account is None):
        return ListRolesResponse(roles=[])
    limit = page_limit(request.page_size)
    rows = await postgres.bindings(
        call.db, call.reach, after=after, limit=limit + 1, user=user.id if user else None,
        account=account.id if account else None, group=request.group, unit=unit, project=project, role=request.role,
    )  # fmt: skip
    following = page_token(LISTING, str(rows[limit - 1].id)) if len(rows) > limit else ""
    return ListRolesResponse(roles=[row.view() for row in rows[:limit]], next_page_token=following)


async def _unit(call: Call, reference: str) -> UUID | None:
    if not reference:
        return None
    row = await identity.unit(call.db, reference)
    if row is None:
        raise not_found("business unit", reference, "business_unit")
    return row.id


async def _project(call: Call, reference: str) -> UUID | None:
    if not reference:
        return None
    row = await identity.project(call.db, reference)
    if row is None:
        raise not_found("project", reference, "project")
    return row.id
