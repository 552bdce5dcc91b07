"""Use cases of service accounts and their tokens. A token's value is made here, shown once, never kept."""

from __future__ import annotations

from datetime import datetime, timedelta

from tollway.controlplane.access import postgres, scopes, tokens
from tollway.controlplane.access.model import (
    CreateServiceAccountRequest,
    CreateServiceAccountTokenRequest,
    GetServiceAccountRequest,
    ListServiceAccountsRequest,
    ListServiceAccountsResponse,
    RevokeServiceAccountTokenRequest,
    RotateServiceAccountTokenRequest,
    ServiceAccount,
    ServiceAccountRequest,
    ServiceAccountTokenWithSecret,
)
from tollway.controlplane.access.rows import AccountRow
from tollway.controlplane.access.users import now
from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.identity import postgres as identity
from tollway.controlplane.resources import (
    check_etag,
    not_found,
    page_limit,
    page_start,
    page_token,
    refuse_id_as_name,
    snapshot,
    taken,
)

LISTING = "service_accounts"
FIELD = "service_account"
LIFETIME = timedelta(days=90)
MAX_TOKENS = 10
"""Valid tokens of one account at a time."""


async def _account(call: Call, reference: str) -> AccountRow:
    row = await postgres.account(call.db, reference, "_for_update")
    if row is None:
        raise not_found("service account", reference, FIELD)
    return row


async def _view(call: Call, row: AccountRow) -> ServiceAccount:
    return row.view((await postgres.tokens(call.db, [row.id], now(call)))[row.id])


async def _changed(call: Call, before: AccountRow, was: ServiceAccount) -> ServiceAccount:
    row = await postgres.account_by_id(call.db, before.id)
    view = await _view(call, row)
    after = None if row.archived_at is not None else snapshot(view)
    call.audit(f"service_account:{row.name}", snapshot(was), after)
    return view


async def place_of(call: Call, business_unit: str, project: str) -> scopes.Place:
    """The live unit or project that a request names, kept from being archived; both empty: the platform.

    Raises ApiError.
    """
    if business_unit and project:
        raise ApiError(ApiCode.INVALID, "give either business_unit or project, not both", field="project")
    if project:
        found = await identity.project(call.db, project, "_for_share")
        if found is None:
            raise not_found("project", project, "project")
        return scopes.Place(unit=found.business_unit_id, project=found.id)
    if business_unit:
        unit = await identity.unit(call.db, business_unit, "_for_share")
        if unit is None:
            raise not_found("business unit", business_unit, "business_unit")
        return scopes.Place(unit=unit.id)
    return scopes.PLATFORM


async def create_account(call: Call, request: CreateServiceAccountRequest) -> ServiceAccount:
    """A new service account in a unit, a project or on the platform, without any token or role."""
    refuse_id_as_name(request.name)
    home = await place_of(call, request.business_unit, request.project)
    made = await postgres.insert_account(
        call.db,
        request.name,
        request.description,
        None if home.project else home.unit,
        home.project,
        by=call.principal.name,
        at=now(call),
    )
    if made is None:
        raise taken("service account", request.name)
    view = (await postgres.account_by_id(call.db, made)).view([])
    call.audit(f"service_account:{view.name}", None, snapshot(view))
    return view


async def get_account(call: Call, request: GetServiceAccountRequest) -> ServiceAccount:
    """A live service account with its valid tokens."""
    row = await postgres.account(call.db, request.service_account)
    if row is None:
        raise not_found("service account", request.service_account, FIELD)
    return await _view(call, row)


async def list_accounts(call: Call, request: ListServiceAccountsRequest) -> ListServiceAccountsResponse:
    """Live service accounts by name, within the caller's reach, a page at a time."""
    limit = page_limit(request.page_size)
    rows = await postgres.accounts(call.db, call.reach, page_start(LISTING, request.page_token), limit + 1)
    following = page_token(LISTING, rows[limit - 1].name) if len(rows) > limit else ""
    held = await postgres.tokens(call.db, [row.id for row in rows[:limit]], now(call))
    views = [row.view(held[row.id]) for row in rows[:limit]]
    return ListServiceAccountsResponse(service_accounts=views, next_page_token=following)


async def disable_account(call: Call, request: ServiceAccountRequest) -> ServiceAccount:
    """Refuses the account's tokens from the next call on. Repeating it changes nothing."""
    return await _set_disabled(call, request, disabled=True)


async def enable_account(call: Call, request: ServiceAccountRequest) -> ServiceAccount:
    """Lets a disabled account in again. Repeating it changes nothing."""
    return await _set_disabled(call, request, disabled=False)


async def _set_disabled(call: Call, request: ServiceAccountRequest, *, disabled: bool) -> ServiceAccount:
    row = await _account(call, request.service_account)
    check_etag(request.etag, row.id, row.revision, f"service account {row.name!r}")
    was = await _view(call, row)
    if was.disabled is disabled:
        return was
    await postgres.set_account_disabled(call.db, row.id, disabled, now(call))
    return await _changed(call, row, was)


async def archive_account(call: Call, request: ServiceAccountRequest) -> ServiceAccount:
    """Ends an account with its tokens and roles for good."""
    row = await _account(call, request.service_account)
    check_etag(request.etag, row.id, row.revision, f"service account {row.name!r}")
    was = await _view(call, row)
    await postgres.archive_account(call.db, row.id, now(call))
    return await _changed(call, row, was)


async def create_token(call: Call, request: CreateServiceAccountTokenRequest) -> ServiceAccountTokenWithSecret:
    """A further token of an account."""
    row = await _account(call, request.service_account)
    was = await _view(call, row)
    if len(was.tokens) >= MAX_TOKENS:
        message = f"the account has {MAX_TOKENS} valid tokens; revoke one first"
        raise ApiError(ApiCode.FAILED_PRECONDITION, message, field=FIELD)
    return await _issued(call, row, was, request.lifetime_seconds)


async def _issued(
    call: Call, row: AccountRow, was: ServiceAccount, lifetime_seconds: int
) -> ServiceAccountTokenWithSecret:
    if row.disabled_at is not None:
        raise ApiError(ApiCode.FAILED_PRECONDITION, "the service account is disabled", field=FIELD)
    at = now(call)
    text, made = tokens.make()
    ends = at + (timedelta(seconds=lifetime_seconds) if lifetime_seconds else LIFETIME)
    await postgres.insert_token(call.db, row.id, made.public_id, made.digest, ends, by=call.principal.name, at=at)
    token = await postgres.token(call.db, row.id, made.public_id)
    assert token is not None
    await _changed(call, row, was)
    return ServiceAccountTokenWithSecret(token=token.view(), service_account=row.name, secret=text)


async def rotate_token(call: Call, request: RotateServiceAccountTokenRequest) -> ServiceAccountTokenWithSecret:
    """A new token; all present ones end with the grace, or at once when there is none."""
    row = await _account(call, request.service_account)
    was = await _view(call, row)
    await postgres.end_tokens(call.db, row.id, _end(call, request.grace_seconds))
    still = await _view(call, row)
    if len(still.tokens) >= MAX_TOKENS:
        message = f"the account has {MAX_TOKENS} valid tokens; revoke one first, or rotate without grace"
        raise ApiError(ApiCode.FAILED_PRECONDITION, message, field=FIELD)
    return await _issued(call, row, was, request.lifetime_seconds)


def _end(call: Call, grace_seconds: int) -> datetime:
    return now(call) + timedelta(seconds=grace_seconds)


async def revoke_token(call: Call, request: RevokeServiceAccountTokenRequest) -> ServiceAccount:
    """Ends one token at once. Repeating it changes nothing."""
    row = await _account(call, request.service_account)
    token = await postgres.token(call.db, row.id, request.token)
    if token is None:
        raise not_found("token", request.token, "token")
    was = await _view(call, row)
    if token.revoked_at is not None:
        return was
    await postgres.revoke_token(call.db, token.id, now(call))
    return await _changed(call, row, was)
