"""Use cases of virtual keys.

A secret is made here, given to the caller once, and stored as a digest only. Rotation gives a native key a second
secret. An imported value has no public id by which a second secret could be found, so rotating it replaces the key by a
native one of the same name; the imported one goes on under another name until the end of the grace, or is revoked at
once when there is none.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.credentials.vault import Peppers, ensure_peppers
from tollway.controlplane.identity import postgres as identity
from tollway.controlplane.identity.model import allow_list
from tollway.controlplane.keys import policies, postgres
from tollway.controlplane.keys.model import (
    CreateKeyRequest,
    EndKeyGraceRequest,
    GetKeyRequest,
    Key,
    KeyRow,
    KeyStatus,
    KeyWithSecret,
    ListKeysRequest,
    ListKeysResponse,
    RevokeKeyRequest,
    RotateKeyRequest,
    UpdateKeyRequest,
    audit_form,
    value_problem,
)
from tollway.controlplane.resources import (
    as_uuid,
    changed_fields,
    check_etag,
    from_ms,
    not_found,
    page_limit,
    page_start,
    page_token,
    taken,
)
from tollway.controlplane.rules import checks
from tollway.controlplane.rules import postgres as rules
from tollway.core.ids import imported_lookup, native_key, parse_native, secret_digest, with_secret

_ATTEMPTS = 8
_PUBLIC_BYTES, _SECRET_BYTES = 8, 32


async def _peppers(call: Call) -> Peppers:
    """The peppers; making the first ones is a change of the catalog."""
    found = await call.vault.peppers(call.db)
    if found is None:
        call.catalog_change()
        found = await ensure_peppers(call.db, call.vault)
    return found


async def _key(call: Call, reference: str) -> KeyRow:
    row = await postgres.key(call.db, reference, "_for_update")
    if row is None:
        raise not_found("key", reference, "key")
    return row


def _now(call: Call) -> datetime:
    return from_ms(call.clock.now_ms())


def _check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise ApiError(ApiCode.INVALID, "expires_at must be in the future", field="expires_at")


async def create_key(call: Call, request: CreateKeyRequest) -> KeyWithSecret:
    """A new key of a live project, generated or imported. Who may only have keys of their own gets one of these."""
    if call.owned:
        request = msgspec.structs.replace(request, user=call.principal.name)
    return await create_key_at(call, request, _now(call))


async def create_key_at(
    call: Call, request: CreateKeyRequest, created_at: datetime, *, replaces: bool = False
) -> KeyWithSecret:
    """A new key whose age counts from `created_at`. One that replaces another is not one more."""
    project = await identity.project(call.db, request.project, "_for_share")
    if project is None:
        raise not_found("project", request.project, "project")
    _check_expiry(request.expires_at, _now(call))
    policies.check_end(project, request.expires_at, _now(call))
    if request.user:
        checks.user_name(request.user, "user")
    if not replaces and policies.counts(created_at, request.expires_at):
        await policies.check_number(call, project, request.user, _now(call))
    key_id, secret = await _insert(call, project.id, request, created_at)
    row = await postgres.key(call.db, str(key_id))
    assert row is not None
    view = row.view(_now(call))
    call.audit(f"key:{view.project}/{view.name}", None, audit_form(view))
    return KeyWithSecret(key=view, secret=secret)


async def _insert(call: Call, project_id: UUID, request: CreateKeyRequest, created_at: datetime) -> tuple[UUID, str]:
    """The id of the new row and the generated secret (empty for an imported value)."""
    if await postgres.name_taken(call.db, project_id, request.name):
        raise taken("key", request.name)
    if request.value and (problem := value_problem(request.value)):
        raise ApiError(ApiCode.INVALID, f"value {problem}", field="value")
    native_form = parse_native(request.value)
    if native_form is not None and await postgres.lookup_taken(call.db, native_form.public_id):
        # A data plane looks for the public id first, and would find another key.
        raise _value_in_use()
    peppers = await _peppers(call)
    now = _now(call)
    for _ in range(_ATTEMPTS):
        key_id = uuid7()
        native = native_key(os.urandom(_PUBLIC_BYTES), os.urandom(_SECRET_BYTES))
        text = request.value or native.text
        lookup = imported_lookup(peppers.index, text) if request.value else native.public_id
        inserted = await postgres.insert(
            call.db,
            key_id,
            project_id,
            request.name,
            lookup=lookup,
            public_id=native.public_id,
            imported=bool(request.value),
            models=allow_list(request.models),
            tags=request.tags,
            expires_at=request.expires_at,
            created_at=created_at,
            at=now,
            user=request.user,
        )
        if inserted:
            digest = secret_digest(peppers.digest[peppers.current], text)
            await postgres.insert_secret(call.db, key_id, digest, peppers.current, now)
            call.key_change(key_id)
            return key_id, "" if request.value else native.text
        if request.value and await postgres.lookup_taken(call.db, lookup):
            raise _value_in_use()
        if await postgres.name_taken(call.db, project_id, request.name):
            raise taken("key", request.name)
    raise ApiError(ApiCode.UNAVAILABLE, "no free public id was found; try again")


def _value_in_use() -> ApiError:
    """Which key has it, and whether that key is alive, is not for the caller to know."""
    return ApiError(ApiCode.ALREADY_EXISTS, "value is in use already, or was before it was revoked", field="value")


async def get_key(call: Call, request: GetKeyRequest) -> Key:
    """A key by id or public id, revoked ones too."""
    row = await postgres.key(call.db, request.key)
    if row is None:
        raise not_found("key", request.key, "key")
    return row.view(_now(call))


async def list_keys(call: Call, request: ListKeysRequest) -> ListKeysResponse:
    """Keys by age, of one project or all, a page at a time."""
    project_id = None
    if request.project:
        project = await identity.project(call.db, request.project)
        if project is None:
            raise not_found("project", request.project, "project")
        project_id = project.id
    limit = page_limit(request.page_size)
    start = page_start("keys", request.page_token)
    after = as_uuid(start)
    if start and after is None:
        raise ApiError(ApiCode.INVALID, "page_token is not one of this listing", field="page_token")
    rows = await postgres.keys(call.db, after, limit + 1, project_id, request.include_revoked, call.reach)
    following = page_token("keys", str(rows[limit - 1].id)) if len(rows) > limit else ""
    now = _now(call)
    return ListKeysResponse(keys=[row.view(now) for row in rows[:limit]], next_page_token=following)


async def update_key(call: Call, request: UpdateKeyRequest) -> Key:
    """Changes allowed models, tags, expiry or the user of a key that is not revoked."""
    row = await _key(call, request.key)
    check_etag(request.etag, row.id, row.revision, "the key")
    now = _now(call)
    fields = changed_fields(call.update_mask, request, frozenset({"models", "tags", "expires_at", "user"}))
    models = allow_list(request.models) if "models" in fields else row.models
    tags = request.tags if "tags" in fields else row.tags
    expires_at = request.expires_at if "expires_at" in fields else row.expires_at
    user = request.user if "user" in fields else row.user_name
    if user:
        checks.user_name(user, "user")
    if (models, tags, expires_at, user) == (row.models, row.tags, row.expires_at, row.user_name):
        return row.view(now)
    if row.revoked_at is not None:
        raise ApiError(ApiCode.FAILED_PRECONDITION, "the key is revoked")
    if expires_at != row.expires_at:
        _check_expiry(expires_at, now)
    await _check_policy(call, row, expires_at, user, now)
    await postgres.update(call.db, row.id, models, tags, expires_at, user, now)
    return await _changed(call, row)


async def _check_policy(call: Call, row: KeyRow, expires_at: datetime | None, user: str, now: datetime) -> None:
    """What the project asks of a key whose expiry or user changes."""
    if row.project_archived:
        return
    project = await identity.project(call.db, str(row.project_id), "_for_share")
    if project is None:
        return
    if expires_at != row.expires_at:
        policies.check_end(project, expires_at, now)
    counted = policies.counts(row.created_at, row.expires_at)
    if policies.counts(row.created_at, expires_at) and (not counted or (user and user != row.user_name)):
        await policies.check_number(call, project, user, now, moved=counted)


async def _changed(call: Call, before: KeyRow) -> Key:
    """Audits and publishes what was done to a key; returns its present form."""
    row = await postgres.key(call.db, str(before.id))
    assert row is not None
    now = _now(call)
    view = row.view(now)
    call.audit(f"key:{before.project}/{before.name}", audit_form(before.view(now)), audit_form(view))
    call.key_change(row.id)
    return view


async def rotate_key(call: Call, request: RotateKeyRequest) -> KeyWithSecret:
    """A new secret; the present ones stay valid for the grace at most. Grace 0 ends them all, also an earlier grace."""
    row = await _key(call, request.key)
    check_etag(request.etag, row.id, row.revision, "the key")
    now = _now(call)
    if row.project_archived:
        raise ApiError(ApiCode.FAILED_PRECONDITION, f"the project {row.project!r} of the key is archived")
    if row.status(now) is not KeyStatus.ACTIVE:
        state = "revoked" if row.revoked_at is not None else "expired"
        raise ApiError(ApiCode.FAILED_PRECONDITION, f"the key is {state}")
    project = await identity.project(call.db, str(row.project_id), "_for_share")
    if project is not None:
        policies.check_rotation(project, row.expires_at, now)
    grace = timedelta(seconds=request.grace_seconds)
    if row.imported:
        return await replace_key(call, row, grace)
    peppers = await _peppers(call)
    native = with_secret(row.public_id, os.urandom(_SECRET_BYTES))
    await postgres.end_secrets(call.db, row.id, now + grace, now)
    digest = secret_digest(peppers.digest[peppers.current], native.text)
    await postgres.insert_secret(call.db, row.id, digest, peppers.current, now)
    return KeyWithSecret(key=await _changed(call, row), secret=native.text)


async def end_grace(call: Call, request: EndKeyGraceRequest) -> Key:
    """Ends the secrets before the newest one now. Where no grace runs nothing changes."""
    row = await _key(call, request.key)
    now = _now(call)
    before = row.view(now)
    if before.previous_secret_valid_until is None:
        return before
    check_etag(request.etag, row.id, row.revision, "the key")
    await postgres.end_grace(call.db, row.id, now)
    return await _changed(call, row)


async def replace_key(call: Call, row: KeyRow, grace: timedelta, value: str = "") -> KeyWithSecret:
    """Another key in the place of `row`, of its name and age, for the same: generated, or an imported `value`."""
    now = _now(call)
    if grace:
        await postgres.retire(call.db, row.id, f"{row.name[:40]}.before-{row.public_id}", now + grace, now)
    else:
        await postgres.revoke(call.db, row.id, now)
    await postgres.release(call.db, row.id)
    await _changed(call, row)
    request = CreateKeyRequest(
        project=str(row.project_id),
        name=row.name,
        models=row.models,
        tags=row.tags,
        expires_at=row.expires_at,
        value=value,
        user=row.user_name,
    )
    made = await create_key_at(call, request, row.created_at, replaces=True)
    await postgres.inherit_management(call.db, UUID(made.key.id), row)
    # Budget and limits go on: one count for both keys, so that a grace gives nobody a second budget.
    await postgres.succeed(call.db, row.id, UUID(made.key.id))
    await rules.move(call.db, row.id, UUID(made.key.id))
    return made


async def revoke_key(call: Call, request: RevokeKeyRequest) -> Key:
    """Ends a key for good. Of a key that is revoked already nothing changes."""
    row = await _key(call, request.key)
    if row.revoked_at is not None:
        return row.view(_now(call))
    check_etag(request.etag, row.id, row.revision, "the key")
    await postgres.revoke(call.db, row.id, _now(call))
    return await _changed(call, row)
