"""Use cases of requests: ask, read, decide, comment, take back.

Every change locks the request's row first and then asks the state machine, so that of any number of hands on any
number of control planes each sees what the one before it did. What is given is given in that same transaction, noted
under the request's id, which the database takes once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.resources import as_uuid, from_ms, not_found, page_limit, page_start, page_token, snapshot
from tollway.controlplane.rules.checks import invalid
from tollway.controlplane.workflows import announce, facts, hands, policies, postgres, provision, refusals, terms
from tollway.controlplane.workflows.cel import engine
from tollway.controlplane.workflows.model import (
    Approval,
    CancelApprovalRequest,
    CommentApprovalRequest,
    CreateApprovalRequest,
    DecideApprovalRequest,
    GetApprovalRequest,
    ListApprovalsRequest,
    ListApprovalsResponse,
    RevokeApprovalRequest,
)
from tollway.controlplane.workflows.people import Caller, caller_of
from tollway.controlplane.workflows.rows import ApprovalRow, VoteRow
from tollway.core.approvals import machine
from tollway.core.approvals.machine import Refused
from tollway.core.approvals.model import Case, Effect, Kind, State, Verdict
from tollway.core.approvals.policy import judge

LISTING = "approvals"
MAX_WAITING = 20
"""Requests of one person that may wait at the same time."""
MAX_LOOKED_AT, LOOKED_AT_ONCE = 1000, 100
MAX_A_DAY = 100
MAX_COMMENTS_A_DAY = 100
DAY = timedelta(days=1)
BY_POLICY = "policy"


def _now(call: Call) -> datetime:
    return from_ms(call.clock.now_ms())


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A request at hand, with the caller who wants something of it."""

    row: ApprovalRow
    votes: list[VoteRow]
    case: Case
    caller: Caller


async def _held(call: Call, reference: str, *, lock: bool = False) -> Held:
    """A request that the caller may see; with `lock`, nobody else changes it meanwhile."""
    found = as_uuid(reference)
    row = None if found is None else await postgres.approval(call.db, found, lock=lock)
    caller = await caller_of(call, row)
    votes = [] if row is None else (await postgres.votes(call.db, [row.id]))[row.id]
    if row is None or not caller.may_see(row, row.case(votes)):
        raise not_found("request", reference, "approval")
    return Held(row=row, votes=votes, case=row.case(votes), caller=caller)


async def _shown(call: Call, approval_id: UUID, caller: Caller) -> Approval:
    row = await postgres.approval(call.db, approval_id)
    assert row is not None
    votes = (await postgres.votes(call.db, [row.id]))[row.id]
    case, now_ms = row.case(votes), call.clock.now_ms()
    comments = await postgres.comments(call.db, row.id)
    shown = row.view(case, votes, comments, now_ms=now_ms, decidable=caller.may_decide(row, case, now_ms))
    revocable = case.state is State.APPROVED and caller.may_revoke(row, case, now_ms)
    return msgspec.structs.replace(shown, revocable=revocable)


async def create(call: Call, request: CreateApprovalRequest) -> Approval:
    """Asks for something; the policy of its kind says at once what happens."""
    kind, caller, now = Kind(request.kind), await caller_of(call), _now(call)
    _why(call, request.reason)
    before = await postgres.open_of(call.db, caller.name, now, now - DAY)
    if before.waiting >= MAX_WAITING:
        raise ApiError(ApiCode.FAILED_PRECONDITION, f"{MAX_WAITING} of your requests wait already; cancel one first")
    if before.recent >= MAX_A_DAY:
        raise ApiError(ApiCode.FAILED_PRECONDITION, f"you have made {MAX_A_DAY} requests in 24 hours; go on tomorrow")
    asked, place = await terms.checked(call, kind, request.terms)
    # What was given to it before is summed up next, and this one may be given at once.
    await postgres.lock_target(call.db, place.target)
    known = await facts.gather(call, caller, kind, asked, place, before.waiting)
    policy = await policies.present(call, kind)
    outcome = judge(policy.document.policy(), engine().over(known))
    case = machine.opened(caller.name, outcome, policy.document.timing, call.clock.now_ms())
    row = ApprovalRow(
        id=uuid7(),
        kind=kind,
        state=case.state,
        requester=caller.name,
        reason=request.reason,
        terms=asked,
        facts=known,
        policy_version=policy.version,
        rule=outcome.rule,
        outcome=outcome.effect,
        outcome_reason=(outcome.problem and f"a condition could not be evaluated: {outcome.problem}") or outcome.reason,
        steps=case.steps,
        step=0,
        timing=case.timing,
        escalated=False,
        created_at=now,
        updated_at=now,
        remind_at=None,
        ended_at=None,
        ended_by="" if outcome.effect is Effect.REQUIRE else BY_POLICY,
        **msgspec.structs.asdict(place),
    )
    await postgres.insert_approval(call.db, row, case)
    if case.state is State.APPROVED:
        await postgres.insert_grant(call.db, row.id, await provision.grant(call, row), now)
    event = "requested" if case.state is State.PENDING else case.state.value
    await announce.announce(call.db, row, case, event, row.ended_by, now)
    shown = await _shown(call, row.id, caller)
    call.audit(f"approval:{row.id}", None, _kept(shown))
    return shown


def _why(call: Call, reason: str) -> None:
    """What is said in a request is why, in the audit log, unless the call itself said something else."""
    call.reason = call.reason or reason.strip()


def _kept(shown: Approval) -> dict[str, Any]:
    """A request as the audit log keeps it: comments have entries of their own, or each would repeat all before it."""
    return snapshot(msgspec.structs.replace(shown, comments=[]))


async def get(call: Call, request: GetApprovalRequest) -> Approval:
    """One request with its comments."""
    held = await _held(call, request.approval)
    return await _shown(call, held.row.id, held.caller)


async def list_(call: Call, request: ListApprovalsRequest) -> ListApprovalsResponse:
    """Requests that the caller may see, newest first, a page at a time."""
    caller, now_ms = await caller_of(call), call.clock.now_ms()
    start = page_start(LISTING, request.page_token)
    before = as_uuid(start) if start else None
    if start and before is None:
        raise invalid("page_token", "is not one of this listing")
    limit = page_limit(request.page_size)
    at_once = limit if not request.decidable else max(limit, LOOKED_AT_ONCE)
    found: list[Approval] = []
    looked_at = 0
    while True:
        rows = await postgres.approvals(
            call.db,
            caller.seen(),
            before=before,
            state=State.PENDING.value if request.decidable else request.state,
            kind=request.kind,
            requester=request.requester,
            now=from_ms(now_ms),
            limit=at_once + 1,
        )
        views = await _views(call, rows[:at_once], caller, now_ms)
        found += [approval for approval in views if approval.decidable or not request.decidable]
        following = rows[at_once - 1].id if len(rows) > at_once else None
        looked_at += at_once
        if following is None or not request.decidable or len(found) > limit or looked_at >= MAX_LOOKED_AT:
            break
        before = following
    if len(found) > limit:
        found, following = found[:limit], UUID(found[limit - 1].id)
    token = "" if following is None else page_token(LISTING, str(following))
    return ListApprovalsResponse(approvals=found, next_page_token=token)


async def _views(call: Call, rows: Sequence[ApprovalRow], caller: Caller, now_ms: int) -> list[Approval]:
    votes = await postgres.votes(call.db, [row.id for row in rows])
    views = []
    for row in rows:
        case = row.case(votes[row.id])
        decidable = caller.may_decide(row, case, now_ms)
        views.append(row.view(case, votes[row.id], [], now_ms=now_ms, decidable=decidable))
    return views


async def decide(call: Call, request: DecideApprovalRequest) -> Approval:
    """One vote. Said twice it counts once; who comes too late is told where the request stands."""
    verdict, reason = Verdict(request.verdict), request.reason.strip()
    if verdict is Verdict.REJECT and not reason:
        raise invalid("reason", "is required to reject: whoever asked is told")
    _why(call, reason)
    held = await _held(call, request.approval, lock=True)
    row, before, caller = held.row, held.case, held.caller
    try:
        after = machine.decide(before, caller.person(row), verdict, caller.delegations(row), call.clock.now_ms())
    except Refused as refused:
        raise refusals.error(refused, row, held.votes) from None
    if after is before:
        return await _shown(call, row.id, caller)
    await hands.refuse_one_person(call, row.requester, after.votes)
    was = _kept(await _shown(call, row.id, caller))
    now, vote = _now(call), after.votes[-1]
    noted = VoteRow(
        approval_id=row.id,
        step=vote.step,
        actor=vote.actor,
        on_behalf_of=vote.on_behalf_of,
        verdict=verdict,
        reason=reason,
        at=now,
    )
    await postgres.insert_vote(call.db, noted)
    if after.state is State.APPROVED:
        await postgres.lock_target(call.db, row.target)
        await postgres.insert_grant(call.db, row.id, await provision.grant(call, row), now)
    ended = after.state is not State.PENDING
    await postgres.update_approval(call.db, row.id, after, now, caller.name if ended else "")
    event = after.state.value if ended else "approved_in_part"
    await announce.announce(call.db, row, after, event, caller.name, now)
    return await _changed(call, row.id, caller, was)


async def _changed(call: Call, approval_id: UUID, caller: Caller, was: dict[str, object]) -> Approval:
    """Audits what was done to a request; returns its present form."""
    shown = await _shown(call, approval_id, caller)
    call.audit(f"approval:{approval_id}", was, _kept(shown))
    return shown


async def comment(call: Call, request: CommentApprovalRequest) -> Approval:
    """Says something about a request, ended or not."""
    held = await _held(call, request.approval, lock=True)
    if len(await postgres.comments(call.db, held.row.id)) >= postgres.MAX_COMMENTS:
        raise ApiError(ApiCode.FAILED_PRECONDITION, f"a request has at most {postgres.MAX_COMMENTS} comments")
    text, now = request.text.strip(), _now(call)
    if await postgres.comments_since(call.db, held.caller.name, now - DAY) >= MAX_COMMENTS_A_DAY:
        raise ApiError(
            ApiCode.FAILED_PRECONDITION, f"you have written {MAX_COMMENTS_A_DAY} comments in 24 hours; go on tomorrow"
        )
    await postgres.insert_comment(call.db, held.row.id, held.caller.name, text, now)
    call.audit(f"approval:{held.row.id}", None, {"comment": text})
    return await _shown(call, held.row.id, held.caller)


async def cancel(call: Call, request: CancelApprovalRequest) -> Approval:
    """Takes one's own request back while it waits."""
    held = await _held(call, request.approval, lock=True)
    try:
        after = machine.cancelled(held.case, held.caller.name, call.clock.now_ms())
    except Refused as refused:
        raise refusals.error(refused, held.row, held.votes) from None
    if after is held.case:
        return await _shown(call, held.row.id, held.caller)
    return await _end(call, held, after, "")


async def revoke(call: Call, request: RevokeApprovalRequest) -> Approval:
    """Takes back what a request gave, by whoever may; see `Caller.may_revoke`."""
    _why(call, request.reason)
    held = await _held(call, request.approval, lock=True)
    if not held.caller.may_revoke(held.row, held.case, call.clock.now_ms()):
        raise ApiError(
            ApiCode.PERMISSION_DENIED,
            "a request is revoked by who may take the same away without it, and by who approved it and still could; "
            "who asked gives back credit, limits and roles",
        )
    try:
        after = machine.revoked(held.case)
    except Refused as refused:
        raise refusals.error(refused, held.row, held.votes) from None
    if after is held.case:
        return await _shown(call, held.row.id, held.caller)
    granted = await postgres.grant(call.db, held.row.id)
    if granted is not None and await postgres.revoke_grant(call.db, held.row.id, _now(call), held.caller.name):
        await provision.take_back(call, granted.undo)
    return await _end(call, held, after, request.reason.strip())


async def _end(call: Call, held: Held, after: Case, reason: str) -> Approval:
    was, now = _kept(await _shown(call, held.row.id, held.caller)), _now(call)
    await postgres.update_approval(call.db, held.row.id, after, now, held.caller.name)
    if reason:
        await postgres.insert_comment(call.db, held.row.id, held.caller.name, reason, now)
    await announce.announce(call.db, held.row, after, after.state.value, held.caller.name, now)
    return await _changed(call, held.row.id, held.caller, was)
