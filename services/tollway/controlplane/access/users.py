"""Use cases of users: name one before the first sign-in, disable, enable, unbind, list; and who is calling."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from tollway.controlplane.access import identities, postgres
from tollway.controlplane.access.model import (
    Caller,
    CallerRole,
    CreateUserRequest,
    GetCallerRequest,
    GetUserRequest,
    ListUsersRequest,
    ListUsersResponse,
    User,
    UserRequest,
)
from tollway.controlplane.access.permissions import TABLE
from tollway.controlplane.access.rows import UserRow
from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.db.statements import Database
from tollway.controlplane.resources import (
    as_uuid,
    check_etag,
    from_ms,
    not_found,
    page_limit,
    page_start,
    page_token,
    snapshot,
)

LISTING = "users"
FIELD = "user"


class _Named(msgspec.Struct):
    id: UUID
    name: str


def now(call: Call) -> datetime:
    """The time of a call."""
    return from_ms(call.clock.now_ms())


def address(text: str, field: str) -> str:
    """An e-mail address as it is kept. Raises ApiError for what cannot be one."""
    email = text.strip().lower()
    local, at, host = email.rpartition("@")
    if not (local and at and host) or "@" in local or any(char.isspace() or char == "\0" for char in email):
        raise ApiError(ApiCode.INVALID, f"{text!r} is not an e-mail address such as ana@example.com", field=field)
    return email


async def _user(call: Call, reference: str) -> UserRow:
    row = await postgres.user(call.db, reference, "_for_update")
    if row is None:
        raise not_found("user", reference, FIELD)
    return row


async def _changed(call: Call, before: UserRow) -> User:
    row = await postgres.user(call.db, str(before.id))
    assert row is not None
    view = row.view()
    call.audit(f"user:{row.name}", snapshot(before.view()), snapshot(view))
    return view


async def ensure(call: Call, email: str, field: str) -> UserRow:
    """The user with that address, made when nobody has it; bound at their first sign-in. Raises ApiError."""
    email = address(email, field)
    row = await postgres.user(call.db, email)
    if row is None:
        made = await postgres.insert_user(call.db, email, "", now(call))
        row = await postgres.user(call.db, email)
        if row is None:
            raise ApiError(ApiCode.UNAVAILABLE, "another change was in the way; try again")
        if made is not None:
            call.audit(f"user:{row.name}", None, snapshot(row.view()))
    return row


async def create_user(call: Call, request: CreateUserRequest) -> User:
    """A user named by e-mail, who is bound at the first sign-in with that verified address."""
    email = address(request.email, "email")
    made = await postgres.insert_user(call.db, email, request.display_name, now(call))
    if made is None:
        raise ApiError(ApiCode.ALREADY_EXISTS, f"there is a user {email!r} already", field="email")
    row = await postgres.user(call.db, str(made))
    assert row is not None
    call.audit(f"user:{row.name}", None, snapshot(row.view()))
    return row.view()


async def get_user(call: Call, request: GetUserRequest) -> User:
    """A user by id or e-mail address."""
    row = await postgres.user(call.db, request.user)
    if row is None:
        raise not_found("user", request.user, FIELD)
    return row.view()


async def list_users(call: Call, request: ListUsersRequest) -> ListUsersResponse:
    """Users by age, a page at a time."""
    start = page_start(LISTING, request.page_token)
    after = as_uuid(start) if start else None
    if start and after is None:
        raise ApiError(ApiCode.INVALID, "page_token is not one of this listing", field="page_token")
    limit = page_limit(request.page_size)
    rows = await postgres.users(call.db, after, limit + 1, search=request.search.strip())
    following = page_token(LISTING, str(rows[limit - 1].id)) if len(rows) > limit else ""
    return ListUsersResponse(users=[row.view() for row in rows[:limit]], next_page_token=following)


async def disable_user(call: Call, request: UserRequest) -> User:
    """Refuses a user from the next call on. Repeating it changes nothing."""
    return await _set_disabled(call, request, disabled=True)


async def enable_user(call: Call, request: UserRequest) -> User:
    """Lets a disabled user in again. Repeating it changes nothing."""
    return await _set_disabled(call, request, disabled=False)


async def _set_disabled(call: Call, request: UserRequest, *, disabled: bool) -> User:
    row = await _user(call, request.user)
    check_etag(request.etag, row.id, row.revision, f"user {row.name!r}")
    if (row.disabled_at is not None) is disabled:
        return row.view()
    if disabled and row.id == call.principal.user_id:
        raise ApiError(ApiCode.FAILED_PRECONDITION, "nobody can disable themselves", field=FIELD)
    await postgres.set_user_disabled(call.db, row.id, disabled, now(call))
    await identities.user_changed(call, row.id)
    return await _changed(call, row)


async def rename_user(call: Call, user_id: UUID, display_name: str) -> User:
    """Writes the display name; the issuer's name replaces it at the next sign-in."""
    row = await _user(call, str(user_id))
    await postgres.rename_user(call.db, row.id, display_name, now(call))
    return await _changed(call, row)


async def unbind_user(call: Call, request: UserRequest) -> User:
    """Forgets issuer and subject, so that the next sign-in with the verified address binds the user anew.

    Whoever was bound is signed out, and is not bound to this user again.
    """
    row = await _user(call, request.user)
    check_etag(request.etag, row.id, row.revision, f"user {row.name!r}")
    if row.issuer is None:
        return row.view()
    if not row.email:
        message = "a user without an e-mail address cannot be bound again; disable it instead"
        raise ApiError(ApiCode.FAILED_PRECONDITION, message, field=FIELD)
    await identities.user_changed(call, row.id)
    await postgres.unbind_user(call.db, row.id, now(call))
    return await _changed(call, row)


async def get_caller(call: Call, _request: GetCallerRequest) -> Caller:
    """Who is calling, with roles and what they may do on the whole platform."""
    principal = call.principal
    places = {place for grant in principal.grants for place in (grant.unit, grant.project) if place is not None}
    named = await _names(call.db, places)
    permissions = TABLE.keys() if principal.permissions is None else principal.permissions
    return Caller(
        name=principal.name,
        kind=principal.kind,
        email=principal.email,
        groups=list(principal.groups),
        roles=[
            CallerRole(
                role=grant.role,
                business_unit=named.get(grant.unit, "") if grant.unit else "",
                project=named.get(grant.project, "") if grant.project else "",
            )
            for grant in principal.grants
        ],
        permissions=sorted(permissions),
    )


async def _names(db: Database, places: set[UUID]) -> dict[UUID, str]:
    found = await postgres.SQL.all(db, "place_names", _Named, ids=list(places))
    return {one.id: one.name for one in found}
