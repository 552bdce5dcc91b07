"""Use cases of delegations: one's own rights to decide, lent to somebody for a time."""

from __future__ import annotations

from datetime import timedelta

from uuid_utils.compat import uuid7

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.resources import as_uuid, from_ms, not_found, snapshot
from tollway.controlplane.rules.checks import invalid
from tollway.controlplane.workflows import names, postgres
from tollway.controlplane.workflows.model import (
    CreateDelegationRequest,
    Delegation,
    ListDelegationsRequest,
    ListDelegationsResponse,
    RevokeDelegationRequest,
    plain_name,
)
from tollway.controlplane.workflows.people import ADMINISTRATOR, caller_of, identity_of, is_machine
from tollway.controlplane.workflows.rows import DelegationRow

MAX_OWN = 20
MAX_LISTED = 1000
LONGEST = timedelta(days=366)


async def create(call: Call, request: CreateDelegationRequest) -> Delegation:
    """Lets somebody decide in the caller's place."""
    me, now = identity_of(call.principal), from_ms(call.clock.now_ms())
    delegate = plain_name(request.delegate.strip())
    if delegate == me:
        raise invalid("delegate", "must be somebody else")
    if not delegate or not delegate.isprintable():
        raise invalid("delegate", f"must be {names.EXAMPLE}")
    if is_machine(delegate) or is_machine(me):
        raise invalid(
            "delegate", "must be a person, of a person: service accounts decide only where a policy names them"
        )
    if await names.unknown(call, [delegate]):
        # Of a stranger nobody would notice until they are wanted.
        raise invalid("delegate", "must be a user: nobody has that name; they have to sign in once, or be created")
    starts_at = request.starts_at or now
    if request.ends_at is None or request.ends_at <= max(starts_at, now):
        raise invalid("ends_at", "must be in the future and after starts_at")
    if request.ends_at - starts_at > LONGEST:
        raise invalid("ends_at", f"must be at most {LONGEST.days} days after starts_at")
    held = await postgres.delegations(call.db, me, now, MAX_LISTED, everything=False)
    if sum(row.delegator == me for row in held) >= MAX_OWN:
        raise ApiError(ApiCode.FAILED_PRECONDITION, f"you have {MAX_OWN} delegations already; revoke one first")
    row = DelegationRow(
        id=uuid7(),
        delegator=me,
        user_id=call.principal.user_id,
        delegate=delegate,
        starts_at=starts_at,
        ends_at=request.ends_at,
        reason=request.reason,
        created_by=me,
        created_at=now,
    )
    await postgres.insert_delegation(call.db, row)
    call.audit(f"delegation:{row.id}", None, snapshot(row.view()))
    return row.view()


async def list_(call: Call, _request: ListDelegationsRequest) -> ListDelegationsResponse:
    """Delegations of and to the caller; all, for who reads all requests."""
    caller, now = await caller_of(call), from_ms(call.clock.now_ms())
    rows = await postgres.delegations(call.db, caller.name, now, MAX_LISTED, everything=caller.seen().everything)
    return ListDelegationsResponse(delegations=[row.view() for row in rows])


async def revoke(call: Call, request: RevokeDelegationRequest) -> Delegation:
    """Ends a delegation before its time: by whoever made it, or by a platform administrator."""
    found = as_uuid(request.delegation)
    row = None if found is None else await postgres.delegation(call.db, found)
    caller = await caller_of(call)
    powerful = caller.all_powerful or any(grant.role == ADMINISTRATOR for grant in caller.grants)
    if row is None or not (powerful or row.delegator == caller.name):
        raise not_found("delegation", request.delegation, "delegation")
    await postgres.revoke_delegation(call.db, row.id, from_ms(call.clock.now_ms()))
    call.audit(f"delegation:{row.id}", snapshot(row.view()), None)
    return row.view()
